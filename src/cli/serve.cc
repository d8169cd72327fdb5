// serve: joins the untrusted half (host::Server) and the core. The passphrase goes from here straight into
// the core.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/store_access.h"
#include "core/runtime/core.h"
#include "host/runtime/server.h"

namespace holdfast::cli {
namespace {

struct ServeOptions {
  std::string config, passphrase_file;
  bool discard_tail = false;
};

// A connection takes three descriptors: its socket, and a pair between TLS and gRPC. What the machine does
// not grant shows as refused connections, not as an error here.
void AllowDescriptors() {
  constexpr rlim_t kWanted = 4 * limits::kConnectionsMax;
  struct rlimit now {};
  if (::getrlimit(RLIMIT_NOFILE, &now) != 0 || now.rlim_cur >= kWanted) return;
  now.rlim_cur = std::min<rlim_t>(now.rlim_max, kWanted);
  (void)::setrlimit(RLIMIT_NOFILE, &now);
}

std::unique_ptr<host::Server> OpenServer(const host::ServerConfig& config) {
  std::string why;
  Result<std::unique_ptr<host::Server>> server = host::Server::Open(config, &why);
  if (!server && server.code() == Code::kInUse) FailInUse(config.store_url);
  return Take(std::move(server), why);
}

int Serve(const ServeOptions& options) {
  ForbidCoreDumps();
  AllowDescriptors();
  host::ServerConfig config = ReadServerYaml(options.config);
  std::unique_ptr<host::Server> server = OpenServer(config);
  SecretBytes passphrase = ReadPassphrase(options.passphrase_file, "Passphrase");

  runtime::CoreOptions core_options;
  core_options.kernel.save_period_ms = config.save_period_ms;
  core_options.cache_bytes = config.cache_bytes;
  core_options.discard_tail = options.discard_tail;
  core_options.has_anchor = !config.anchor_file.empty();

  runtime::Core core(*server);
  server->Attach(core);
  std::vector<std::string> notes;
  Status started = core.Start(std::move(passphrase), core_options, &notes);
  for (const std::string& note : notes) std::fprintf(stderr, "holdfast: note: %s\n", note.c_str());
  Status ended = started ? server->Run() : started;
  server->Shutdown();  // before the core goes: its threads may still be handed messages until here
  Need(started, "cannot open " + config.store_url);
  Need(ended, "stopped");
  return 0;
}

}  // namespace

void AddServe(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<ServeOptions>();
  CLI::App* c = app.add_subcommand("serve", "Serve a store until SIGTERM or SIGINT.");
  c->add_option("-c,--config", o->config, "server.yaml")->required();
  c->add_option(
      "--passphrase-file", o->passphrase_file,
      "file with the passphrase, readable by its owner only (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_flag("--discard-tail", o->discard_tail,
              "give up damaged journal frames that nothing proves to have been acknowledged");
  c->footer(
      "Example:\n  holdfast serve -c D/server.yaml --passphrase-file F\n\n"
      "The port files in the temp directory appear when the server accepts connections.");
  c->callback([o, &chosen] { chosen = [o] { return Serve(*o); }; });
}

}  // namespace holdfast::cli
