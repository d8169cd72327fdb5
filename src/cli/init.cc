// init: a new store and the directory around it; or, with --adopt, the directory around a store that is
// there.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/store_access.h"
#include "cli/text.h"
#include "core/runtime/core.h"
#include "core/session/pki.h"
#include "core/store/offline.h"
#include "host/runtime/anchor_file.h"
#include "seam/copies.h"

namespace holdfast::cli {
namespace {

namespace fs = std::filesystem;

struct InitOptions {
  std::string directory, passphrase_file;
  std::vector<std::string> stores;
  uint32_t write_quorum = 0;  // 0: a majority
  uint32_t kdf_memory_kib = limits::kArgonMemoryKiBDefault;
  bool adopt = false, json = false;
};

// D and the files in it. Nothing that exists is ever replaced.
class Deployment {
 public:
  explicit Deployment(const std::string& directory) : root_(fs::absolute(directory).lexically_normal()) {
    if (root_.filename().empty()) root_ = root_.parent_path();
  }
  std::string Path(const std::string& name) const { return (root_ / name).string(); }

  void Make() const {
    for (const char* name : {"server.yaml", "client.yaml", "anchor", "client"}) {
      std::error_code ignored;
      if (fs::exists(Path(name), ignored)) Fail(Path(name), Code::kExists);
    }
    MakeDirectory(root_.string(), 0755);
    MakeDirectory(Path("temp"), 0755);  // nothing yet that another try would trip over
  }

  void WriteClient(const StoreId& store, const session::IssuedClient& client) const {
    MakeDirectory(Path("client"), 0700);
    Write("client/ca.pem", AsBytes(client.ca_pem), 0644);
    Write("client/admin.pem", client.pem.view(), 0600);
    std::string yaml =
        "# How a program reaches the server. Relative paths start at this file's directory.\n"
        "Server:\n  Address: 127.0.0.1\n  PortFile: temp/server-user.port\n  StoreId: '" +
        store.hex() +
        "'\n  CaFile: client/ca.pem\n  ClientFile: client/admin.pem\n"
        "Administrator:\n  Address: 127.0.0.1\n  PortFile: temp/server-admin.port\n";
    Write("client.yaml", AsBytes(yaml), 0644);
  }
  // The last file of all: a directory without it is no deployment.
  void WriteServerYaml(const StoreUrls& urls) const {
    std::string stores;
    for (const std::string& url : urls)
      stores += (urls.size() > 1 ? "\n    - " : " ") + Quoted(Relative(url));
    std::string yaml =
        "# Relative paths start at this file's directory. Port 0: the kernel picks one.\n"
        "Server:\n  Address: 127.0.0.1\n  Port: 0\nAdministratorServer:\n  Port: 0\n"
        "Metrics:\n  Address: 127.0.0.1\n  Port: 0\n"
        "Service:\n  DataStore:" +
        stores +
        "\n  TemporaryPath: temp\n  StateSavePeriod: 60s\n  AnchorFile: anchor\nLog:\n  Level: info\n";
    Write("server.yaml", AsBytes(yaml), 0644);
  }
  void Write(const std::string& name, ByteView bytes, unsigned mode) const {
    Need(host::ReplaceFile(Path(name), bytes, mode), Path(name));
  }

 private:
  static void MakeDirectory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0 || errno == EEXIST) return;
    Fail(path, errno == EACCES || errno == EPERM ? Code::kPermission
               : errno == EROFS                  ? Code::kReadOnly
               : errno == ENOENT                 ? Code::kNotFound
                                                 : Code::kIo);
  }
  // A store inside D moves with it.
  std::string Relative(const std::string& url) const {
    size_t path = url.find(':') + 1;  // schemes without a path never begin with ours
    std::string inside = root_.string() + "/";
    return url.compare(path, inside.size(), inside) == 0
               ? url.substr(0, path) + url.substr(path + inside.size())
               : url;
  }
  static std::string Quoted(const std::string& text) {
    std::string out = "'";
    for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
    return out + "'";
  }

  fs::path root_;
};

seam::Quorum ChosenQuorum(const InitOptions& options, const StoreUrls& urls) {
  auto n = static_cast<uint32_t>(urls.size());
  seam::Quorum q{n, options.write_quorum == 0 ? seam::MajorityOf(n) : options.write_quorum};
  if (!q.valid()) FailWith(Code::kUsage, "usage: --write-quorum is 1 to the number of --store");
  return q;
}

// In words, what the numbers are good for (docs/operating.md).
std::string Tolerates(seam::Quorum q) {
  uint32_t writing = q.providers - q.write, opening = q.providers - q.open(), lying = q.write - 1;
  return std::to_string(q.providers) + " providers, a write counts on " + std::to_string(q.write) +
         ": serves without any " + std::to_string(writing) + " of them, opens without any " +
         std::to_string(opening) + "; nothing acknowledged is lost unseen while at an opening at most " +
         std::to_string(lying) + " are lost or lie";
}

// What keeps a second writer out (docs/operating.md, "A second server").
struct Fencing {
  const char* kind;  // of --json
  const char* line;
};
Fencing FencingOf(const seam::Capabilities& capabilities, std::string_view urls) {
  bool word = urls.find("single-writer=true") != std::string_view::npos;
  if (word && capabilities.exclusive)
    return {"word", "nothing but your word (single-writer=true) keeps a second server out"};
  if (capabilities.exclusive) return {"lock", "a lock keeps a second server out"};
  if (seam::FencesByCondition(capabilities))
    return {"conditions", "conditional puts: a second server takes over, and fences the one before"};
  return {"none", "nothing keeps a second server out"};
}

void Report(const InitOptions& options, const Deployment& deployment, const StoreId& store,
            const StoreUrls& urls, const seam::Capabilities& capabilities) {
  std::string url = ShowUrls(urls);
  Fencing fencing = FencingOf(capabilities, url);
  if (options.json) {
    JsonLine line;
    line.Text("store", store.hex()).Text("url", url).Text("server", deployment.Path("server.yaml"));
    line.Text("client", deployment.Path("client.yaml"));
    seam::Quorum q = ChosenQuorum(options, urls);
    line.Number("providers", q.providers).Number("write_quorum", q.write);
    line.Number("lost_while_serving", q.providers - q.write)
        .Number("lost_at_opening", q.providers - q.open());
    line.Number("lying_at_opening", q.write - 1).Text("fencing", fencing.kind);
    std::printf("%s\n", line.str().c_str());
    return;
  }
  if (urls.size() > 1) std::printf("%s\n", Tolerates(ChosenQuorum(options, urls)).c_str());
  if (fencing.kind != std::string_view("lock")) std::printf("fence   %s\n", fencing.line);
  std::printf(
      "store   %s at %s\nserve   holdfast serve -c %s\nuse     holdfast kv -c %s put TABLE KEY VALUE\n",
      store.hex().c_str(), url.c_str(), deployment.Path("server.yaml").c_str(),
      deployment.Path("client.yaml").c_str());
}

void WarnAboutFencing(const seam::Capabilities& capabilities, const std::string& urls) {
  if (FencingOf(capabilities, urls).kind != std::string_view("none")) return;
  std::fprintf(stderr, "holdfast: warning: %s: %s\n", urls.c_str(),
               std::string(CodeText(Code::kNoFencing)).c_str());
}

void InitNew(const InitOptions& options, const Deployment& deployment, const StoreUrls& urls,
             crypto::Random& random, ByteView passphrase) {
  std::string url = ShowUrls(urls);
  std::unique_ptr<seam::Storage> storage = OpenStores(urls, host::OpenMode::kCreate);
  if (storage->copies() != nullptr) storage->copies()->SetQuorum(ChosenQuorum(options, urls));
  WarnAboutFencing(storage->capabilities(), url);
  StoreId store = random.NewId<StoreId>();
  store::InitOptions init;
  init.argon.memory_kib = options.kdf_memory_kib;
  init.system_rows = Take(session::NewStorePki(store, random), "certificates");
  session::IssuedClient client =
      Take(session::IssueClient(init.system_rows, "admin", true, random), "certificates");
  init.system_rows.push_back(client.row);
  Result<store::InitResult> made = store::InitStore(*storage, store, passphrase, init, random);
  session::WipeRows(init.system_rows);
  if (!made) Fail(url, made.code());
  deployment.Write("anchor", made->encoded_anchor, 0644);
  deployment.WriteClient(store, client);
  deployment.WriteServerYaml(urls);
  Report(options, deployment, store, urls, storage->capabilities());
}

void InitAdopt(const InitOptions& options, const Deployment& deployment, const StoreUrls& urls,
               crypto::Random& random, ByteView passphrase) {
  std::string url = ShowUrls(urls);
  std::unique_ptr<seam::Storage> storage = OpenStores(urls, host::OpenMode::kReadWrite);
  StoreId store = Take(store::PeekStore(*storage), url);
  session::SystemRows rows = Take(store::ReadSystemRows(*storage, passphrase, "pki/"), url);
  Result<session::IssuedClient> client = session::IssueClient(rows, "admin", true, random);
  session::WipeRows(rows);
  if (!client) Fail("certificates of " + url, client.code());
  host::AnchorFile anchor(deployment.Path("anchor"));
  Need(store::WriteSystemRows(*storage, &anchor, passphrase, {client->row}, random,
                              ChosenQuorum(options, urls)),
       url);
  deployment.WriteClient(store, *client);
  deployment.WriteServerYaml(urls);
  Report(options, deployment, store, urls, storage->capabilities());
}

int Init(const InitOptions& options) {
  ForbidCoreDumps();
  Deployment deployment(options.directory);
  if (options.stores.size() > limits::kProvidersMax)
    FailWith(Code::kUsage, "usage: at most " + std::to_string(limits::kProvidersMax) + " --store");
  if (options.adopt && options.stores.empty()) FailWith(Code::kUsage, "usage: --adopt needs --store");
  StoreUrls urls;
  for (const std::string& store : options.stores) urls.push_back(AbsoluteUrl(store));
  if (urls.empty()) urls.push_back("dir:" + deployment.Path("store"));
  if (std::set<std::string>(urls.begin(), urls.end()).size() != urls.size())
    FailWith(Code::kUsage, "usage: the same --store twice");
  (void)ChosenQuorum(options, urls);
  crypto::Random& random = runtime::SystemRandom();
  if (options.adopt) {
    // Looked at before anything is made or asked: a wrong URL must not leave an empty deployment behind.
    (void)Take(store::PeekStore(*OpenStores(urls, host::OpenMode::kReadOnly)), ShowUrls(urls));
    SecretBytes passphrase = ReadPassphrase(options.passphrase_file, "Passphrase of the store");
    deployment.Make();
    InitAdopt(options, deployment, urls, random, passphrase.view());
    return 0;
  }
  SecretBytes passphrase = ReadNewPassphrase(FileOrEnvironment(options.passphrase_file), random);
  deployment.Make();
  InitNew(options, deployment, urls, random, passphrase.view());
  return 0;
}

}  // namespace

void AddInit(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<InitOptions>();
  CLI::App* c = app.add_subcommand("init", "Make a store and the directory that serves it.");
  c->add_option("--dir", o->directory,
                "directory to make: server.yaml, client.yaml, client/, anchor, temp/, store/")
      ->required();
  c->add_option("--store", o->stores,
                "store URL (default: dir:D/store); given n times: n providers, each with all of it")
      ->allow_extra_args(false);
  c->add_option("--write-quorum", o->write_quorum,
                "so many providers must hold a write before it is acknowledged (default: a majority)");
  c->add_option(
      "--passphrase-file", o->passphrase_file,
      "file with the passphrase, readable by its owner only (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_flag("--adopt", o->adopt, "the store exists (a restored one): make the rest around it");
  c->add_flag("--json", o->json, "print one JSON object");
  c->add_option("--kdf-memory-kib", o->kdf_memory_kib, "memory of the key derivation")
      ->check(CLI::Range(limits::kArgonMemoryKiBMin, limits::kArgonMemoryKiBMax))
      ->group("");  // for tests: less memory makes guessing cheaper
  c->footer(
      "Example:\n  holdfast init --dir D --passphrase-file F\n"
      "  holdfast init --dir D --store dir:/a --store dir:/b --store sqlite:/c/store --passphrase-file F\n"
      "  holdfast init --adopt --dir D --store dir:/restored --passphrase-file F");
  c->callback([o, &chosen] { chosen = [o] { return Init(*o); }; });
}

}  // namespace holdfast::cli
