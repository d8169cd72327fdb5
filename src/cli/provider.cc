// provider: the places where one store lies - how they do, putting them right, one more, one less.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/passphrase.h"
#include "cli/served.h"
#include "cli/store_access.h"
#include "cli/store_commands_internal.h"
#include "cli/text.h"
#include "core/runtime/core.h"
#include "core/store/offline.h"
#include "host/kv/open.h"
#include "host/runtime/anchor_file.h"
#include "sdk/client.h"

namespace holdfast::cli {
namespace {

HF_NOT_YET("provider add and remove while the store is served");

struct ProviderArguments {
  std::string config, passphrase_file, url;
  uint32_t write_quorum = 0;  // 0: a majority
  bool json = false;
};

std::string CodeOrNothing(uint32_t code) {
  return code == 0 ? "" : std::string(CodeName(static_cast<Code>(code)));
}

void PrintServed(const sdk::Providers& p, const StoreUrls& urls, bool json) {
  if (p.list.empty()) return PrintLine(json ? "{\"providers\":1}" : "one provider: " + ShowUrls(urls));
  if (!json)
    PrintLine(std::to_string(p.list.size()) + " providers, a write counts on " +
              std::to_string(p.write_quorum));
  for (size_t i = 0; i < p.list.size(); ++i) {
    const sdk::ProviderState& s = p.list[i];
    std::string url = i < urls.size() ? urls[i] : "";
    if (json) {
      JsonLine line;
      line.Number("provider", i + 1)
          .Text("url", url)
          .Bool("current", s.current)
          .Text("why", CodeOrNothing(s.why));
      line.Number("queued", s.queued).Number("queued_bytes", s.queued_bytes).Number("errors", s.errors);
      line.Number("bad_objects", s.bad_objects).Number("repaired", s.repaired);
      PrintLine(line.Number("milliseconds_since_success", s.milliseconds_since_success).str());
      continue;
    }
    std::string line = std::to_string(i + 1) + "  " + (s.current ? "current" : "behind ") + "  " + url;
    if (s.why != 0) line += "  (" + CodeOrNothing(s.why) + ")";
    if (s.queued > 0) line += "  " + Thousands(s.queued) + " writes queued, " + HumanBytes(s.queued_bytes);
    if (s.bad_objects > 0) line += "  " + Thousands(s.bad_objects) + " objects were bad";
    if (s.repaired > 0) line += "  " + Thousands(s.repaired) + " copied to it";
    PrintLine(line);
  }
}

// Asks the server where one runs; else `offline`.
int ShowStatus(const ProviderArguments& a) {
  host::ServerConfig config = ReadServerYaml(a.config);
  StoreUrls urls = UrlsOf(config);
  std::unique_ptr<seam::Storage> storage = OpenStoresUnlessInUse(urls, host::OpenMode::kReadOnly);
  if (!storage) {
    PrintServed(Take(ConnectAdmin(a.config)->GetProviders(false), "provider status"), urls, a.json);
    return 0;
  }
  SecretBytes passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  store::ProvidersReport r = Take(store::InspectProviders(*storage, passphrase.view()), ShowUrls(urls));
  if (!a.json)
    PrintLine(std::to_string(r.quorum.providers) + " providers, a write counts on " +
              std::to_string(r.quorum.write));
  for (size_t i = 0; i < r.providers.size(); ++i) {
    const store::ProviderReport& p = r.providers[i];
    std::string why = CodeOrNothing(static_cast<uint32_t>(p.why));
    bool current = p.answers && !p.behind && why.empty();
    if (a.json) {
      JsonLine line;
      line.Number("provider", i + 1).Text("url", urls[i]).Bool("current", current).Text("why", why);
      PrintLine(line.Number("save", p.save.value).Number("index", p.index.value).str());
    } else {
      PrintLine(std::to_string(i + 1) + "  " + (current ? "current" : "behind ") + "  " + urls[i] +
                "  save " + std::to_string(p.save.value) + ", index " + std::to_string(p.index.value) +
                (why.empty() ? "" : "  (" + why + ")"));
    }
  }
  return 0;
}

int Repair(const ProviderArguments& a) {
  ForbidCoreDumps();
  host::ServerConfig config = ReadServerYaml(a.config);
  StoreUrls urls = UrlsOf(config);
  std::unique_ptr<seam::Storage> storage =
      OpenStoresUnlessInUse(urls, host::OpenMode::kReadWrite, Missing::kMake);
  if (!storage) {
    sdk::Providers p = Take(ConnectAdmin(a.config)->GetProviders(true), "provider repair");
    PrintServed(p, urls, a.json);
    bool all = std::all_of(p.list.begin(), p.list.end(), [](const auto& s) { return s.current; });
    if (!all) Fail("provider repair", Code::kNoQuorum);
    return 0;
  }
  SecretBytes passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  host::AnchorFile anchor(config.anchor_file);
  uint64_t bad = 0;
  auto states = Take(store::RepairProviders(*storage, config.anchor_file.empty() ? nullptr : &anchor,
                                            passphrase.view(), runtime::SystemRandom(), bad),
                     "provider repair");
  sdk::Providers shown;
  shown.write_quorum = storage->copies()->quorum().write;
  bool all = true;
  for (const seam::CopyState& s : states) {
    all = all && s.current;
    shown.list.push_back({s.current, static_cast<uint32_t>(s.why), s.queued, s.queued_bytes, s.errors,
                          s.bad_objects, s.repaired, s.milliseconds_since_success});
  }
  PrintServed(shown, urls, a.json);
  if (!all) Fail("provider repair", Code::kNoQuorum);
  return 0;
}

// -- membership

std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) out += c == '\'' ? "''" : std::string(1, c);
  return out + "'";
}

// Puts the list in the place of what DataStore was; every other line stays as it is.
void RewriteServerYaml(const std::string& path, const StoreUrls& urls) {
  std::ifstream in(path);
  std::string line, out;
  bool inside = false, done = false;
  while (std::getline(in, line)) {
    size_t start = line.find_first_not_of(' ');
    if (inside && start != std::string::npos && line[start] == '-') continue;
    inside = !done && start != std::string::npos && line.compare(start, 10, "DataStore:") == 0;
    if (!inside) {
      out += line + "\n";
      continue;
    }
    done = true;
    out += line.substr(0, start) + "DataStore:";
    for (const std::string& url : urls)
      out += (urls.size() > 1 ? "\n" + std::string(start + 2, ' ') + "- " : " ") + Quoted(url);
    out += "\n";
  }
  if (!done)
    FailWith(Code::kBadConfig, path + ": no line 'DataStore:' to change; the store is changed already");
  Need(host::ReplaceFile(path, AsBytes(out), 0644), path);
}

struct Change {
  host::ServerConfig config;
  StoreUrls before, after;
  SecretBytes passphrase;
  std::unique_ptr<host::AnchorFile> anchor;

  explicit Change(const ProviderArguments& a) : config(ReadServerYaml(a.config)), before(UrlsOf(config)) {
    if (!config.anchor_file.empty()) anchor = std::make_unique<host::AnchorFile>(config.anchor_file);
  }
  std::unique_ptr<seam::Storage> Open(const StoreUrls& urls) {
    std::unique_ptr<seam::Storage> storage = OpenStoresUnlessInUse(urls, host::OpenMode::kReadWrite);
    if (!storage) FailWith(Code::kInUse, "the store is served: stop the server first");
    return storage;
  }
  // On those providers from now on, each with everything.
  void Write(const StoreUrls& urls, std::optional<seam::Quorum> quorum) {
    std::unique_ptr<seam::Storage> storage = Open(urls);
    Need(store::WriteSystemRows(*storage, anchor.get(), passphrase.view(), {}, runtime::SystemRandom(),
                                quorum),
         ShowUrls(urls));
  }
  void Finish(const ProviderArguments& a, seam::Quorum quorum) {
    Write(after, quorum);
    RewriteServerYaml(a.config, after);
    PrintLine(
        a.json ? JsonLine().Number("providers", quorum.providers).Number("write_quorum", quorum.write).str()
               : std::to_string(quorum.providers) + " providers, a write counts on " +
                     std::to_string(quorum.write) + "; " + a.config + " is changed");
  }
};

seam::Quorum Chosen_(const ProviderArguments& a, size_t n) {
  auto count = static_cast<uint32_t>(n);
  seam::Quorum q{count, a.write_quorum == 0 ? seam::MajorityOf(count) : a.write_quorum};
  if (!q.valid() || n > limits::kProvidersMax)
    FailWith(Code::kUsage, "usage: 1 to " + std::to_string(limits::kProvidersMax) +
                               " providers, --write-quorum from 1 to their number");
  return q;
}

int Add(const ProviderArguments& a) {
  ForbidCoreDumps();
  Change c(a);
  std::string url = AbsoluteUrl(a.url);
  if (std::find(c.before.begin(), c.before.end(), url) != c.before.end()) Fail(url, Code::kExists);
  c.after = c.before;
  c.after.push_back(url);
  seam::Quorum quorum = Chosen_(a, c.after.size());
  (void)c.Open(c.before);
  c.passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  (void)Take(host::OpenStorage(url, host::OpenMode::kCreate), url);  // made, and empty
  c.Finish(a, quorum);
  return 0;
}

int Remove(const ProviderArguments& a) {
  ForbidCoreDumps();
  Change c(a);
  std::string url = AbsoluteUrl(a.url);
  bool number =
      !a.url.empty() && a.url.find_first_not_of("0123456789") == std::string::npos && a.url.size() < 3;
  for (size_t i = 0; i < c.before.size(); ++i) {
    if (number ? std::stoul(a.url) != i + 1 : c.before[i] != url) c.after.push_back(c.before[i]);
  }
  if (c.after.size() + 1 != c.before.size() || c.after.empty()) Fail("provider " + a.url, Code::kNotFound);
  seam::Quorum quorum = Chosen_(a, c.after.size());
  c.passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  seam::Quorum now;
  {
    std::unique_ptr<seam::Storage> storage = c.Open(c.before);
    now = Take(store::InspectProviders(*storage, c.passphrase.view()), ShowUrls(c.before)).quorum;
  }
  // While one provider may be the only one that has a write, the others are not enough to open from.
  if (now.providers == c.before.size()) {
    bool alone = now.write == 1;
    c.Write(c.before, alone ? std::optional(seam::Quorum{now.providers, now.providers}) : std::nullopt);
  }
  c.Finish(a, quorum);
  return 0;
}

}  // namespace

void AddProvider(CLI::App& app, Chosen& chosen) {
  CLI::App* provider =
      app.add_subcommand("provider", "The providers of one store: state, repair, one more or less.");
  provider->require_subcommand(1);
  auto add = [&](const char* name, const char* what, int (*run)(const ProviderArguments&)) {
    auto o = std::make_shared<ProviderArguments>();
    CLI::App* c = provider->add_subcommand(name, what);
    c->add_option("-c,--config", o->config, "server.yaml: its providers; asks the server if one is running")
        ->required();
    c->add_option("--passphrase-file", o->passphrase_file,
                  "file with the passphrase (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
    c->add_flag("--json", o->json, "print JSON, one object a line");
    c->callback([o, run, &chosen] { chosen = [o, run] { return run(*o); }; });
    return std::pair(c, o);
  };
  add("status", "Who is current, who is behind and why.", ShowStatus)
      .first->footer("Example:\n  holdfast provider status -c D/server.yaml");
  add("repair", "Compare everything on every provider with its hash and copy what differs.", Repair)
      .first->footer(
          "Example:\n  holdfast provider repair -c D/server.yaml --passphrase-file F\n\n"
          "A provider that is gone is made anew, empty, and filled; not while the store is served.");
  auto [more, m] =
      add("add", "Fill an empty provider and keep the store there too. Not while it is served.", Add);
  more->add_option("url", m->url, "store URL; empty or absent")->required();
  more->add_option("--write-quorum", m->write_quorum, "so many must hold a write (default: a majority)");
  more->footer("Example:\n  holdfast provider add -c D/server.yaml sqlite:/mnt/b/store --passphrase-file F");
  auto [less, l] = add("remove", "Keep the store on the others only. Not while it is served.", Remove);
  less->add_option("url", l->url, "its store URL, or its number")->required();
  less->add_option("--write-quorum", l->write_quorum, "so many must hold a write (default: a majority)");
  less->footer("Example:\n  holdfast provider remove -c D/server.yaml 2 --passphrase-file F");
}

}  // namespace holdfast::cli
