// verify and restore: what reads a whole store.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/passphrase.h"
#include "cli/progress.h"
#include "cli/served.h"
#include "cli/store_access.h"
#include "cli/store_commands_internal.h"
#include "cli/text.h"
#include "core/runtime/save_workers.h"
#include "core/store/offline.h"

namespace holdfast::cli {
namespace {

struct VerifyArguments {
  std::string store, config, anchor, passphrase_file;
  bool require_fresh = false, json = false;
};
struct RestoreArguments {
  std::string from, to, anchor, passphrase_file;
  bool require_fresh = false, json = false;
};

const char* KindName(store::Finding::Kind kind) {
  switch (kind) {
    case store::Finding::Kind::kMissing:
      return "missing";
    case store::Finding::Kind::kChanged:
      return "changed";
    case store::Finding::Kind::kExtra:
      return "extra";
    case store::Finding::Kind::kStale:
      return "stale";
    case store::Finding::Kind::kTorn:
      return "torn";
    case store::Finding::Kind::kLeftover:
      return "leftover";
    case store::Finding::Kind::kPending:
      return "pending";
    case store::Finding::Kind::kNote:
      return "note";
    case store::Finding::Kind::kBehind:
      return "behind";
  }
  return "note";
}

void PrintJson(const store::VerifyReport& report) {
  std::vector<std::string> findings;
  for (const store::Finding& f : report.findings) {
    JsonLine one;
    one.Text("kind", KindName(f.kind)).Text("object", f.object).Text("code", CodeName(f.code));
    if (f.provider >= 0) one.Number("provider", static_cast<uint64_t>(f.provider) + 1);
    findings.push_back(one.Text("detail", f.detail).Bool("bad", f.bad()).str());
  }
  JsonLine line;
  line.Text("verdict", report.verdict ? CodeName(*report.verdict) : "ok").Text("store", report.store.hex());
  line.Number("tables", report.tables).Number("rows", report.rows).Number("nodes", report.nodes);
  line.Number("segments", report.segments).Number("segment_bytes", report.segment_bytes);
  line.Number("frames", report.frames)
      .Number("bytes", report.bytes)
      .Number("last_index", report.last_index.value);
  line.Bool("fresh", report.freshness.proven).Number("fresh_to", report.freshness.index.value);
  line.Text("freshness", report.freshness.Line())
      .Text("anchor", report.short_anchor)
      .Raw("findings", JsonArray(findings));
  std::printf("%s\n", line.str().c_str());
}

void PrintText(const store::VerifyReport& report) {
  for (const store::Finding& f : report.findings) std::printf("%s\n", f.Line().c_str());
  std::printf(
      "store %s: %s tables, %s rows, %s nodes in %s segments (%s), %s journal frames; last index %llu\n",
      report.store.hex().c_str(), Thousands(report.tables).c_str(), Thousands(report.rows).c_str(),
      Thousands(report.nodes).c_str(), Thousands(report.segments).c_str(),
      HumanBytes(report.segment_bytes).c_str(), Thousands(report.frames).c_str(),
      static_cast<unsigned long long>(report.last_index.value));
  std::printf("%s\n", report.freshness.Line().c_str());
  if (!report.short_anchor.empty()) std::printf("anchor %s\n", report.short_anchor.c_str());
}

// The report on stdout; a bad verdict is one line on stderr and decides the exit code.
int Finish(const std::string& what, const store::VerifyReport& report, bool json) {
  json ? PrintJson(report) : PrintText(report);
  if (report.verdict) Fail(what, *report.verdict);
  if (!json) std::printf("verified\n");
  return 0;
}

int Verify(const VerifyArguments& a) {
  ForbidCoreDumps();
  StoreUrls urls;
  if (!a.store.empty()) urls = {AbsoluteUrl(a.store)};
  std::string anchor = a.anchor;
  if (!a.config.empty()) {
    host::ServerConfig config = ReadServerYaml(a.config);
    urls = UrlsOf(config);
    if (anchor.empty()) anchor = config.anchor_file;
  }
  if (urls.empty()) FailWith(Code::kUsage, "usage: verify needs --store or -c");
  std::string url = ShowUrls(urls);
  std::unique_ptr<seam::Storage> storage = OpenStoresUnlessInUse(urls, host::OpenMode::kReadOnly);
  if (!storage) {
    if (a.config.empty()) FailInUse(url);
    return VerifyServed(a.config, a.require_fresh, a.anchor, a.json);
  }
  (void)Take(store::PeekStore(*storage), url);  // before a passphrase is asked for
  SecretBytes passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  ProgressBar bar("verify", ProgressBar::Unit::kBytes, a.json);
  store::VerifyOptions options;
  runtime::SaveWorkers workers(0);
  options.workers = &workers;
  options.require_fresh = a.require_fresh;
  options.progress = [&](uint64_t done, uint64_t total) { bar.Update(done, total); };
  if (!anchor.empty()) {
    options.anchor = ReadAnchor(anchor, !a.anchor.empty());
    options.anchor_name = anchor;
  }
  store::VerifyReport report = Take(store::VerifyStore(*storage, passphrase.view(), options), url);
  return Finish("verify " + url, report, a.json);
}

int Restore(const RestoreArguments& a) {
  ForbidCoreDumps();
  std::string from_url = AbsoluteUrl(a.from), to_url = AbsoluteUrl(a.to);
  std::unique_ptr<seam::Storage> from = OpenStore(from_url, host::OpenMode::kReadOnly);
  (void)Take(store::PeekStore(*from), from_url);
  SecretBytes passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  std::unique_ptr<seam::Storage> to = OpenStore(to_url, host::OpenMode::kCreate);
  ProgressBar bar("restore", ProgressBar::Unit::kBytes, a.json);
  store::VerifyOptions options;
  options.require_fresh = a.require_fresh;
  options.progress = [&](uint64_t done, uint64_t total) { bar.Update(done, total); };
  if (!a.anchor.empty()) {
    options.anchor = ReadAnchor(a.anchor, true);
    options.anchor_name = a.anchor;
  }
  store::VerifyReport report =
      Take(store::RestoreStore(*from, *to, passphrase.view(), options), "restore from " + from_url);
  return Finish("restore from " + from_url, report, a.json);
}

}  // namespace

void AddVerify(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<VerifyArguments>();
  CLI::App* c = app.add_subcommand(
      "verify", "Read and check everything; name what is missing, changed, extra or stale.");
  auto* store = c->add_option("--store", o->store, "store URL");
  c->add_option("-c,--config", o->config,
                "server.yaml: its store and anchor; asks the server if one is running")
      ->excludes(store);
  c->add_option(
      "--anchor", o->anchor,
      "anchor that proves how new the store must be: a file, or hf1:… as status and verify print it");
  c->add_option("--passphrase-file", o->passphrase_file,
                "file with the passphrase (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_flag("--require-fresh", o->require_fresh, "fail unless an anchor proves freshness");
  c->add_flag("--json", o->json, "print one JSON object");
  c->footer(
      "Example:\n  holdfast verify -c D/server.yaml --passphrase-file F\n"
      "  holdfast verify --store dir:/backup --anchor D/anchor --require-fresh --passphrase-file F");
  c->callback([o, &chosen] { chosen = [o] { return Verify(*o); }; });
}

void AddRestore(CLI::App& app, Chosen& chosen) {
  auto o = std::make_shared<RestoreArguments>();
  CLI::App* c = app.add_subcommand(
      "restore", "Copy a store into an empty place, verifying both, with the passphrase alone.");
  c->add_option("--from", o->from, "store URL; only read")->required();
  c->add_option("--to", o->to, "store URL; empty or absent")->required();
  c->add_option(
      "--anchor", o->anchor,
      "anchor that proves how new the store must be: a file, or hf1:… as status and verify print it");
  c->add_option("--passphrase-file", o->passphrase_file,
                "file with the passphrase (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c->add_flag("--require-fresh", o->require_fresh, "fail unless an anchor proves freshness");
  c->add_flag("--json", o->json, "print one JSON object");
  c->footer(
      "Example:\n  holdfast restore --from dir:/backup --to dir:/new/store --passphrase-file F\n"
      "  holdfast init --adopt --dir /new --store dir:/new/store --passphrase-file F");
  c->callback([o, &chosen] { chosen = [o] { return Restore(*o); }; });
}

}  // namespace holdfast::cli
