#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>

#include "cli/cli.h"
#include "cli/failure.h"

namespace holdfast::cli {
namespace {

constexpr const char* kVersion = "holdfast 0.1.0";
constexpr const char* kExamples =
    "Example:\n"
    "  holdfast init  --dir D --passphrase-file F\n"
    "  holdfast serve -c D/server.yaml --passphrase-file F\n"
    "  holdfast kv    -c D/client.yaml put TABLE KEY VALUE\n"
    "\nExit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 tampered, forked or rolled-back data.";

// CLI11 says some things in several lines, and what is quoted from an argument may hold anything; ours is one
// line that cannot drive a terminal.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = c == '\n' ? ' ' : '?';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

int Complain(const std::string& text, int exit) {
  std::fflush(stdout);
  std::fprintf(stderr, "holdfast: %s\n", OneLine(text).c_str());
  return exit;
}

}  // namespace

void AddCommands(CLI::App& app, Chosen& chosen) {
  app.description(
      "Holdfast: an application's state, encrypted, verifiable and alive on storage you do not trust.");
  app.name("holdfast");
  app.set_version_flag("--version", kVersion);
  app.footer(kExamples);
  app.require_subcommand(1);
  AddInit(app, chosen);
  AddServe(app, chosen);
  AddKv(app, chosen);
  AddStore(app, chosen);
  AddProof(app, chosen);
  AddAdmin(app, chosen);
  AddBench(app, chosen);
}

int Main(int argc, char** argv) {
  // A reader that goes away (`| head`) ends a command as it ends any other.
  (void)std::signal(SIGPIPE, SIG_DFL);
  // gRPC writes to stderr what we say in one line, or would rather not say at all.
  (void)::setenv("GRPC_VERBOSITY", "NONE", 0);
  CLI::App app;
  Chosen chosen;
  AddCommands(app, chosen);
  try {
    app.parse(argc, argv);
    int exit = chosen();
    if (std::fflush(stdout) != 0) return Complain("standard output: cannot be written", 1);
    return exit;
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return Complain("usage: " + OneLine(e.what()) + " (see --help)", CodeExit(Code::kUsage));
  } catch (const Failure& f) {
    return Complain(f.text, CodeExit(f.code));
  } catch (const std::bad_alloc&) {
    return Complain("out of memory", 1);
  } catch (const std::exception& e) {
    return Complain(std::string("internal error: ") + e.what(), 1);
  }
}

}  // namespace holdfast::cli
