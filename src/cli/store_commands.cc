// passphrase, and the list of commands that work on a store itself.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/served.h"
#include "cli/store_access.h"
#include "cli/store_commands_internal.h"
#include "cli/text.h"
#include "core/runtime/core.h"
#include "core/store/offline.h"
#include "host/runtime/anchor_file.h"

namespace holdfast::cli {
namespace {

struct PassphraseArguments {
  std::string store, config, old_file, new_file;
  uint32_t kdf_memory_kib = limits::kArgonMemoryKiBDefault;
  uint32_t remove = 0;
  bool add = false, list = false, json = false;
};

// A store that is served, or one that nobody serves: whichever it is, asked the same.
struct Place {
  std::string url, config, anchor;         // the URL as it is shown
  std::unique_ptr<seam::Storage> storage;  // none: the server is asked
};

Place FindPlace(const PassphraseArguments& a, host::OpenMode mode) {
  Place p;
  StoreUrls urls;
  if (!a.store.empty()) urls = {AbsoluteUrl(a.store)};
  p.config = a.config;
  if (!a.config.empty()) {
    host::ServerConfig config = ReadServerYaml(a.config);
    urls = UrlsOf(config);
    p.anchor = config.anchor_file;
  }
  if (urls.empty()) FailWith(Code::kUsage, "usage: passphrase needs --store or -c");
  p.url = ShowUrls(urls);
  p.storage = OpenStoresUnlessInUse(urls, mode);
  if (!p.storage && a.config.empty()) FailInUse(p.url);
  if (p.storage) (void)Take(store::PeekStore(*p.storage), p.url);
  return p;
}

std::vector<seal::UnlockerInfo> Unlockers(const Place& p) {
  if (p.storage)
    return Take(seal::ListUnlockers(Take(p.storage->Get(seal::kUnlockersName), p.url).parse()), p.url);
  std::vector<seal::UnlockerInfo> list;
  for (const sdk::Unlocker& u : Take(ConnectAdmin(p.config)->ListUnlockers(), "passphrase"))
    list.push_back({u.number, u.passphrase, {u.memory_kib, u.passes}});
  return list;
}

int ListPassphrases(const PassphraseArguments& a) {
  for (const seal::UnlockerInfo& u : Unlockers(FindPlace(a, host::OpenMode::kReadOnly))) {
    JsonLine line;
    line.Number("number", u.number).Text("kind", u.passphrase ? "passphrase" : "unknown");
    line.Number("memory_kib", u.parameters.memory_kib).Number("passes", u.parameters.passes);
    std::string text =
        std::to_string(u.number) + "  " +
        (u.passphrase ? "passphrase, Argon2id " + HumanBytes(u.parameters.memory_kib * 1024ull) + ", " +
                            std::to_string(u.parameters.passes) + " passes"
                      : "of a kind that this version does not know");
    std::printf("%s\n", (a.json ? line.str() : text).c_str());
  }
  return 0;
}

void Change(const Place& p, const SecretBytes& passphrase, const seal::UnlockerChange& change,
            uint32_t memory_kib) {
  using Kind = seal::UnlockerChange::Kind;
  if (p.storage) {
    host::AnchorFile anchor_file(p.anchor);
    Need(store::ChangeUnlockers(*p.storage, p.anchor.empty() ? nullptr : &anchor_file, passphrase.view(),
                                change, {memory_kib, limits::kArgonPassesDefault}, runtime::SystemRandom()),
         p.url);
    return;
  }
  std::unique_ptr<sdk::AdminClient> admin = ConnectAdmin(p.config);
  Need(change.kind == Kind::kRemove ? admin->RemoveUnlocker(passphrase, change.number)
       : change.kind == Kind::kAdd  ? admin->AddPassphrase(passphrase, change.passphrase)
                                    : admin->ChangePassphrase(passphrase, change.passphrase),
       "passphrase");
}

int ChangePassphrase(const PassphraseArguments& a) {
  using Kind = seal::UnlockerChange::Kind;
  ForbidCoreDumps();
  if (a.list) return ListPassphrases(a);
  Place p = FindPlace(a, host::OpenMode::kReadWrite);
  SecretBytes passphrase = ReadPassphrase(a.old_file, "Present passphrase");
  seal::UnlockerChange change;
  change.kind = a.remove != 0 ? Kind::kRemove : a.add ? Kind::kAdd : Kind::kReplace;
  change.number = a.remove;
  if (change.kind != Kind::kRemove)
    change.passphrase = ReadNewPassphrase(a.new_file, runtime::SystemRandom());
  Change(p, passphrase, change, a.kdf_memory_kib);
  const char* text = change.kind == Kind::kAdd ? "passphrase added; each opens the store\n"
                     : change.kind == Kind::kRemove
                         ? "passphrase removed; older copies of the store still open with it\n"
                         : "passphrase changed; older copies of the store still open with the old one\n";
  std::printf("%s", a.json ? "{\"changed\":true}\n" : text);
  return 0;
}

}  // namespace

void AddPassphrase(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<PassphraseArguments>();
  CLI::App* c = app.add_subcommand(
      "passphrase", "Change, add, remove or list passphrases. Older copies of the store keep the old ones.");
  auto* store = c->add_option("--store", o->store, "store URL");
  c->add_option("-c,--config", o->config, "server.yaml: its store; asks the server if one is running")
      ->excludes(store);
  c->add_option("--passphrase-file", o->old_file,
                "file with the present one (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  auto* new_file =
      c->add_option("--new-passphrase-file", o->new_file, "file with the new one (else a prompt)");
  auto* add = c->add_flag("--add", o->add, "keep the present ones: the new one opens the store too");
  auto* remove =
      c->add_option("--remove", o->remove, "take away the one with this number of --list, not the one given")
          ->check(CLI::Range(uint32_t{1}, uint32_t{limits::kUnlockersMax}))
          ->excludes(add)
          ->excludes(new_file);
  c->add_flag("--list", o->list, "say how many there are; asks for none")
      ->excludes(add)
      ->excludes(remove)
      ->excludes(new_file);
  c->add_flag("--json", o->json, "print one JSON object, with --list one a line");
  c->add_option("--kdf-memory-kib", o->kdf_memory_kib, "memory of the key derivation")
      ->check(CLI::Range(limits::kArgonMemoryKiBMin, limits::kArgonMemoryKiBMax))
      ->group("");
  c->footer(
      "Example:\n  holdfast passphrase -c D/server.yaml --passphrase-file OLD --new-passphrase-file NEW\n"
      "  holdfast passphrase -c D/server.yaml --passphrase-file MINE --add --new-passphrase-file YOURS\n"
      "  holdfast passphrase -c D/server.yaml --list\n"
      "  holdfast passphrase -c D/server.yaml --passphrase-file MINE --remove 2");
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
