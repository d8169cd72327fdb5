// passphrase, and the list of commands that work on a store itself.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/served.h"
#include "cli/store_access.h"
#include "cli/store_commands_internal.h"
#include "core/runtime/core.h"
#include "core/store/offline.h"
#include "host/runtime/anchor_file.h"

namespace holdfast::cli {
namespace {

struct PassphraseArguments {
  std::string store, config, old_file, new_file;
  uint32_t kdf_memory_kib = limits::kArgonMemoryKiBDefault;
  bool json = false;
};

int ChangePassphrase(const PassphraseArguments& a) {
  ForbidCoreDumps();
  StoreUrls urls;
  if (!a.store.empty()) urls = {AbsoluteUrl(a.store)};
  std::string anchor;
  if (!a.config.empty()) {
    host::ServerConfig config = ReadServerYaml(a.config);
    urls = UrlsOf(config);
    anchor = config.anchor_file;
  }
  if (urls.empty()) FailWith(Code::kUsage, "usage: passphrase needs --store or -c");
  std::string url = ShowUrls(urls);
  std::unique_ptr<seam::Storage> storage = OpenStoresUnlessInUse(urls, host::OpenMode::kReadWrite);
  if (!storage && a.config.empty()) FailInUse(url);
  if (storage) (void)Take(store::PeekStore(*storage), url);

  crypto::Random& random = runtime::SystemRandom();
  SecretBytes old_passphrase = ReadPassphrase(a.old_file, "Present passphrase");
  SecretBytes new_passphrase = ReadNewPassphrase(a.new_file, random);
  if (storage) {
    host::AnchorFile anchor_file(anchor);
    Need(store::ChangePassphrase(*storage, anchor.empty() ? nullptr : &anchor_file, old_passphrase.view(),
                                 new_passphrase.view(), {a.kdf_memory_kib, limits::kArgonPassesDefault},
                                 random),
         url);
  } else {
    ChangePassphraseServed(a.config, old_passphrase.view(), new_passphrase.view());
  }
  std::printf(a.json ? "{\"changed\":true}\n"
                     : "passphrase changed; older copies of the store still open with the old one\n");
  return 0;
}

}  // namespace

void AddPassphrase(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<PassphraseArguments>();
  CLI::App* c =
      app.add_subcommand("passphrase", "Change the passphrase. Older copies of the store keep the old one.");
  auto* store = c->add_option("--store", o->store, "store URL");
  c->add_option("-c,--config", o->config, "server.yaml: its store; asks the server if one is running")
      ->excludes(store);
  c->add_option("--passphrase-file", o->old_file,
                "file with the present one (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_option("--new-passphrase-file", o->new_file, "file with the new one (else a prompt)");
  c->add_flag("--json", o->json, "print one JSON object");
  c->add_option("--kdf-memory-kib", o->kdf_memory_kib, "memory of the key derivation")
      ->check(CLI::Range(limits::kArgonMemoryKiBMin, limits::kArgonMemoryKiBMax))
      ->group("");
  c->footer(
      "Example:\n  holdfast passphrase -c D/server.yaml --passphrase-file OLD --new-passphrase-file NEW");
  c->callback([o, &chosen] { chosen = [o] { return ChangePassphrase(*o); }; });
}

void AddStore(CLI::App& app, Chosen& chosen) {
  AddVerify(app, chosen);
  AddRestore(app, chosen);
  AddPassphrase(app, chosen);
  AddTag(app, chosen);
  AddDiff(app, chosen);
  AddGc(app, chosen, nullptr);
  AddProvider(app, chosen);
}

}  // namespace holdfast::cli
