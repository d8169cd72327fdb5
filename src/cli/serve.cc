// serve: joins the untrusted half (host::Server) and the core. The passphrase's descriptor goes from here,
// unread, into the core's process.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "base/limits.h"
#include "channel/port.h"
#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/store_access.h"
#include "core/runtime/core.h"
#include "host/runtime/core_process.h"
#include "host/runtime/server.h"

namespace holdfast::cli {
namespace {

// An orderly core ends within that after its last message.
constexpr int kCoreEndMs = 5000;

struct ServeOptions {
  std::string config, passphrase_file, core = "sandboxed";
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

seam::HostHello HelloOf(const host::ServerConfig& config, const ServeOptions& options) {
  seam::HostHello hello;
  hello.save_period_ms = config.save_period_ms;
  hello.cache_bytes = config.cache_bytes;
  hello.discard_tail = options.discard_tail;
  hello.has_anchor = !config.anchor_file.empty();
  hello.providers = static_cast<uint32_t>(1 + config.other_store_urls.size());
  return hello;
}

std::string CoreProgram() {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "holdfast-core").string();
}

bool IsOfPassphrase(Code code) {
  return code == Code::kNoPassphrase || code == Code::kPassphraseFileMode || code == Code::kTooLarge ||
         code == Code::kCancelled;
}

// Both halves in processes of their own: this one never reads the passphrase nor holds a key.
int ServeSandboxed(const ServeOptions& options, const host::ServerConfig& config) {
  std::unique_ptr<host::Server> server = OpenServer(config);
  PassphraseSource source = OpenPassphrase(options.passphrase_file);
  channel::Descriptors descriptors = Take(channel::MakeDescriptors(), "channel");
  std::unique_ptr<host::CoreProcess> core =
      Take(host::CoreProcess::Start(CoreProgram(), descriptors, source.fd, source.terminal), CoreProgram());
  ::close(source.fd);
  std::atomic<uint64_t> refused{0};
  channel::Events events;
  events.ended = [&](Code code) { server->CoreEnded(code); };
  events.refused = [&](uint8_t, uint8_t) { ++refused; };
  std::unique_ptr<channel::HostPort> port =
      Take(channel::HostPort::Open(descriptors, *server, std::move(events)), "channel");
  port->FromHost(HelloOf(config, options));
  server->Attach(*port);
  port->Start();
  Status ended = server->Run();
  port->Stop();  // first: what a core that still runs asks for would find no storage behind it
  server->Shutdown();
  bool ready = server->was_ready();
  port.reset();  // a core that still runs hears the host go
  std::string how = core->Wait(kCoreEndMs);
  core.reset();
  if (!ended && ended.code() == Code::kPeerGone) FailWith(Code::kPeerGone, "the core's process " + how);
  if (!ended && !ready && IsOfPassphrase(ended.code())) FailPassphrase(source, ended.code());
  Need(ended, ready ? "stopped" : "cannot open " + config.store_url);
  return 0;
}

// Everything in one process, as the offline tools have it: for debuggers, sanitizers and comparison.
int ServeInProcess(const ServeOptions& options, const host::ServerConfig& config) {
  std::unique_ptr<host::Server> server = OpenServer(config);
  SecretBytes passphrase = ReadPassphrase(options.passphrase_file, "Passphrase");
  seam::HostHello hello = HelloOf(config, options);
  runtime::CoreOptions core_options;
  core_options.kernel.save_period_ms = hello.save_period_ms;
  core_options.cache_bytes = hello.cache_bytes;
  core_options.discard_tail = hello.discard_tail;
  core_options.has_anchor = hello.has_anchor;
  core_options.providers = hello.providers;

  runtime::Core core(*server);
  server->Attach(core);
  Status started = core.Start(std::move(passphrase), core_options, [](const std::string& note) {
    std::fprintf(stderr, "holdfast: note: %s\n", note.c_str());
  });
  Status ended = started ? server->Run() : started;
  server->Shutdown();  // before the core goes: its threads may still be handed messages until here
  Need(started, "cannot open " + config.store_url);
  Need(ended, "stopped");
  return 0;
}

int Serve(const ServeOptions& options) {
  ForbidCoreDumps();
  AllowDescriptors();
  host::ServerConfig config = ReadServerYaml(options.config);
  return options.core == "in-process" ? ServeInProcess(options, config) : ServeSandboxed(options, config);
}

}  // namespace

void AddServe(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<ServeOptions>();
  CLI::App* c = app.add_subcommand("serve", "Serve a store until SIGTERM or SIGINT.");
  c->add_option("-c,--config", o->config, "server.yaml")->required();
  c->add_option(
      "--passphrase-file", o->passphrase_file,
      "file with the passphrase, readable by its owner only (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_option(
       "--core", o->core,
       "sandboxed: the core is a confined process of its own (holdfast-core); in-process: it is not, for "
       "debuggers and comparison")
      ->check(CLI::IsMember({"sandboxed", "in-process"}))
      ->capture_default_str();
  c->add_flag("--discard-tail", o->discard_tail,
              "give up damaged journal frames that nothing proves to have been acknowledged");
  c->footer(
      "Example:\n  holdfast serve -c D/server.yaml --passphrase-file F\n\n"
      "The port files in the temp directory appear when the server accepts connections.");
  c->callback([o, &chosen] { chosen = [o] { return Serve(*o); }; });
}

}  // namespace holdfast::cli
