// tag, diff and gc: what a store keeps under names, how two states differ, and what is no longer needed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
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
#include "host/runtime/anchor_file.h"
#include "sdk/client.h"

namespace holdfast::cli {
namespace {

struct TagArguments {
  std::string store, config, passphrase_file, name, to, table;
  bool json = false, dry_run = false;
};

// The store itself, or nothing when a server has it: then that one is asked.
struct Target {
  std::string url, anchor;
  std::unique_ptr<seam::Storage> storage;
  SecretBytes passphrase;
  std::unique_ptr<host::AnchorFile> anchor_file;
  seam::Storage* anchor_or_null() const { return anchor_file.get(); }
};

Target OpenTarget(const TagArguments& a, const std::string& command, bool writes) {
  ForbidCoreDumps();
  Target t;
  StoreUrls urls;
  if (!a.store.empty()) urls = {AbsoluteUrl(a.store)};
  if (!a.config.empty()) {
    host::ServerConfig config = ReadServerYaml(a.config);
    urls = UrlsOf(config);
    t.anchor = config.anchor_file;
  }
  if (urls.empty()) FailWith(Code::kUsage, "usage: " + command + " needs --store or -c");
  t.url = ShowUrls(urls);
  t.storage = OpenStoresUnlessInUse(urls, writes ? host::OpenMode::kReadWrite : host::OpenMode::kReadOnly);
  if (!t.storage) {
    if (a.config.empty()) FailInUse(t.url);
    return t;
  }
  (void)Take(store::PeekStore(*t.storage), t.url);  // before a passphrase is asked for
  t.passphrase = ReadPassphrase(a.passphrase_file, "Passphrase");
  if (!t.anchor.empty()) t.anchor_file = std::make_unique<host::AnchorFile>(t.anchor);
  return t;
}

// -- tag

int CreateTag(const TagArguments& a) {
  Target t = OpenTarget(a, "tag create", true);
  const std::string what = "tag create " + Escape(AsBytes(a.name));
  uint64_t index = 0;
  if (t.storage) {
    index = Take(store::CreateTag(*t.storage, t.anchor_or_null(), t.passphrase.view(), a.name,
                                  runtime::SystemRandom()),
                 what)
                .value;
  } else {
    index = Take(ConnectAdmin(a.config)->CreateTag(a.name), what);
  }
  PrintLine(a.json ? JsonLine().Text("tag", a.name).Number("index", index).str()
                   : "tag " + Escape(AsBytes(a.name)) + " keeps the state at index " + std::to_string(index));
  return 0;
}

int DropTag(const TagArguments& a) {
  Target t = OpenTarget(a, "tag drop", true);
  const std::string what = "tag drop " + Escape(AsBytes(a.name));
  if (t.storage) {
    Need(store::DropTag(*t.storage, t.anchor_or_null(), t.passphrase.view(), a.name, runtime::SystemRandom()),
         what);
  } else {
    Need(ConnectAdmin(a.config)->DropTag(a.name), what);
  }
  PrintLine(a.json ? JsonLine().Text("dropped", a.name).str() : "dropped " + Escape(AsBytes(a.name)));
  return 0;
}

std::vector<sdk::TagEntry> Entries(const std::vector<store::TagInfo>& tags) {
  std::vector<sdk::TagEntry> out;
  for (const store::TagInfo& t : tags)
    out.push_back({t.name, t.index.value, t.tables, t.rows, t.alone_bytes, t.deadlist_bytes});
  return out;
}

std::string TagJson(const sdk::TagEntry& t) {
  JsonLine line;
  line.Text("tag", t.name).Number("index", t.index).Number("tables", t.tables).Number("rows", t.rows);
  line.Number("alone_bytes", t.alone_bytes).Number("deadlist_bytes", t.deadlist_bytes);
  return line.str();
}

int ListTags(const TagArguments& a) {
  Target t = OpenTarget(a, "tag list", false);
  std::vector<sdk::TagEntry> tags =
      t.storage ? Entries(Take(store::ListTags(*t.storage, t.passphrase.view()), t.url))
                : Take(ConnectAdmin(a.config)->ListTags(), "tag list");
  for (const sdk::TagEntry& tag : tags) {
    PrintLine(a.json ? TagJson(tag)
                     : Escape(AsBytes(tag.name)) + "\t" +
                           (tag.index == 0 ? "not saved" : std::to_string(tag.index)) + "\t" +
                           Thousands(tag.tables) + " tables\t" + Thousands(tag.rows) + " rows\t" +
                           HumanBytes(tag.alone_bytes) + " held alone");
  }
  return 0;
}

// A running server shows every tag at all times; this says under which names.
int MountTag(const TagArguments& a) {
  auto tables = Take(ConnectAdmin(a.config)->TagTables(a.name), "tag mount " + Escape(AsBytes(a.name)));
  for (const auto& [table, rows] : tables) {
    std::string name = table + "@" + a.name;
    PrintLine(a.json ? JsonLine().Text("table", name).Number("rows", rows).str()
                     : Escape(AsBytes(name)) + "\t" + Thousands(rows) + " rows");
  }
  return 0;
}

// -- diff

std::string DiffLine(const TagArguments& a, const store::DiffRow& row) {
  if (a.json) {
    JsonLine line;
    line.Text("change", !row.before ? "added" : !row.after ? "removed" : "changed").Text("table", row.table);
    line.Text("key", Base64(row.key));
    if (row.before) line.Text("before", Base64(*row.before));
    if (row.after) line.Text("after", Base64(*row.after));
    return line.str();
  }
  std::string line = std::string(!row.before  ? "+"
                                 : !row.after ? "-"
                                              : "~") +
                     "\t" + Escape(AsBytes(row.table)) + "\t" + Escape(row.key);
  if (row.before) line += "\t" + Escape(*row.before);
  if (row.after) line += "\t" + Escape(*row.after);
  return line;
}

int Diff(const TagArguments& a) {
  Target t = OpenTarget(a, "diff", false);
  if (t.storage) {
    Need(store::DiffTags(*t.storage, t.passphrase.view(), a.name, a.to, a.table,
                         [&](const store::DiffRow& row) {
                           PrintLine(DiffLine(a, row));
                           return true;
                         }),
         "diff");
    return 0;
  }
  auto bytes = [](const std::optional<std::string>& s) {
    return s ? std::optional<Bytes>(ToBytes(*s)) : std::nullopt;
  };
  Need(ConnectAdmin(a.config)->Diff(
           a.name, a.to, a.table,
           [&](const sdk::DiffEntry& row) {
             PrintLine(DiffLine(a, {row.table, ToBytes(row.key), bytes(row.before), bytes(row.after)}));
             return true;
           }),
       "diff");
  return 0;
}

// -- gc

struct GarbageFigures {
  sdk::Garbage all;
  uint64_t pending_segments = 0, pending_bytes = 0;
};

GarbageFigures FiguresOf(const store::GarbageReport& r) {
  GarbageFigures f;
  f.all = {.save = r.save.value,
           .segments = r.segments,
           .bytes = r.bytes,
           .live_bytes = r.live_bytes,
           .tagged_bytes = r.tagged_bytes,
           .garbage_bytes = r.garbage_bytes,
           .condemned_segments = r.condemned_segments,
           .condemned_bytes = r.condemned_bytes,
           .victims = r.victims,
           .moved_bytes = r.moved_bytes,
           .freed_bytes = r.freed_bytes,
           .cleanings_owed = r.cleanings_owed,
           .list = {},
           .tags = Entries(r.tags)};
  for (const auto& s : r.list)
    f.all.list.push_back({s.name, s.bytes, s.live_bytes, s.tagged_bytes, s.condemned, s.victim});
  f.pending_segments = r.pending_segments;
  f.pending_bytes = r.pending_bytes;
  return f;
}

void PrintGarbageJson(const GarbageFigures& f, bool dry_run) {
  const sdk::Garbage& g = f.all;
  std::vector<std::string> tags, segments;
  for (const sdk::TagEntry& t : g.tags) tags.push_back(TagJson(t));
  for (const sdk::SegmentGarbage& s : g.list) {
    JsonLine line;
    line.Text("segment", s.name).Number("bytes", s.bytes).Number("live_bytes", s.live_bytes);
    line.Number("tagged_bytes", s.tagged_bytes).Bool("condemned", s.condemned).Bool("victim", s.victim);
    segments.push_back(line.str());
  }
  JsonLine line;
  line.Bool("dry_run", dry_run)
      .Number("save", g.save)
      .Number("segments", g.segments)
      .Number("bytes", g.bytes);
  line.Number("live_bytes", g.live_bytes).Number("tagged_bytes", g.tagged_bytes);
  line.Number("garbage_bytes", g.garbage_bytes).Number("condemned_segments", g.condemned_segments);
  line.Number("condemned_bytes", g.condemned_bytes).Number("pending_segments", f.pending_segments);
  line.Number("pending_bytes", f.pending_bytes).Number("victims", g.victims);
  line.Number("moved_bytes", g.moved_bytes).Number("freed_bytes", g.freed_bytes);
  line.Number("cleanings_owed", g.cleanings_owed);
  PrintLine(line.Raw("tags", JsonArray(tags)).Raw("list", JsonArray(segments)).str());
}

void PrintGarbageText(const GarbageFigures& f) {
  const sdk::Garbage& g = f.all;
  for (const sdk::SegmentGarbage& s : g.list) {
    if (!s.condemned && !s.victim) continue;
    PrintLine(s.name + "\t" + HumanBytes(s.bytes) + "\t" + HumanBytes(s.live_bytes) + " live\t" +
              HumanBytes(s.tagged_bytes) + " for tags\t" + (s.condemned ? "condemned" : "to be cleaned"));
  }
  for (const sdk::TagEntry& t : g.tags) {
    PrintLine("tag " + Escape(AsBytes(t.name)) + ": " + HumanBytes(t.deadlist_bytes) + " on its deadlist, " +
              HumanBytes(t.alone_bytes) + " held by it alone");
  }
  PrintLine("save " + std::to_string(g.save) + ": " + Thousands(g.segments) + " segments, " +
            HumanBytes(g.bytes) + ": " + HumanBytes(g.live_bytes) + " live, " + HumanBytes(g.tagged_bytes) +
            " for tags alone, " + HumanBytes(g.garbage_bytes) + " garbage");
  if (g.condemned_segments > 0)
    PrintLine("condemned, deleted after the next save: " + Thousands(g.condemned_segments) + " segments, " +
              HumanBytes(g.condemned_bytes));
  if (f.pending_segments > 0)
    PrintLine("pending, of an unfinished save, deleted at the next open: " + Thousands(f.pending_segments) +
              " segments, " + HumanBytes(f.pending_bytes));
  PrintLine("a cleaning save would leave " + Thousands(g.victims) + " segments: move " +
            HumanBytes(g.moved_bytes) + ", free " + HumanBytes(g.freed_bytes));
}

int CollectGarbage(const TagArguments& a) {
  Target t = OpenTarget(a, "gc", !a.dry_run);
  GarbageFigures f;
  if (!t.storage) {
    f.all = Take(ConnectAdmin(a.config)->CollectGarbage(!a.dry_run), "gc");
  } else if (a.dry_run) {
    f = FiguresOf(Take(store::InspectGarbage(*t.storage, t.passphrase.view()), t.url));
  } else {
    f = FiguresOf(Take(
        store::CollectGarbage(*t.storage, t.anchor_or_null(), t.passphrase.view(), runtime::SystemRandom()),
        t.url));
  }
  a.json ? PrintGarbageJson(f, a.dry_run) : PrintGarbageText(f);
  return 0;
}

void AddWhere(CLI::App& c, const std::shared_ptr<TagArguments>& a) {
  auto* store = c.add_option("--store", a->store, "store URL, of a store that nobody serves");
  c.add_option("-c,--config", a->config, "server.yaml: its store; asks the server if one is running")
      ->excludes(store);
  c.add_option("--passphrase-file", a->passphrase_file,
               "file with the passphrase (else HOLDFAST_PASSPHRASE_FILE, else a prompt)");
  c.add_flag("--json", a->json, "print JSON");
}

}  // namespace

void AddTag(CLI::App& app, Chosen& chosen) {
  auto a = std::make_shared<TagArguments>();
  CLI::App* tag =
      app.add_subcommand("tag", "Names for states: what a tag keeps can be read until it is dropped.");
  AddWhere(*tag, a);
  tag->require_subcommand(1);
  tag->footer("Example:\n  holdfast tag -c D/server.yaml create before-the-import");
  auto add = [&](const char* name, const char* what, const std::string& example,
                 int (*f)(const TagArguments&)) {
    CLI::App* c = tag->add_subcommand(name, what);
    AddWhere(*c, a);
    c->footer("Example:\n  holdfast tag -c D/server.yaml " + example);
    c->callback([a, f, &chosen] { chosen = [a, f] { return f(*a); }; });
    return c;
  };
  add("create", "Save now, and keep that state under a name.", "create before-the-import", CreateTag)
      ->add_option("name", a->name, "1 to 128 bytes of UTF-8, not \"now\"")
      ->required();
  add("list", "Name, index, tables, rows, bytes that no other state needs.", "list", ListTags);
  add("drop", "Let go of a state; what it alone held is freed.", "drop before-the-import", DropTag)
      ->add_option("name", a->name)
      ->required();
  add("mount",
      "Print the names under which a running server shows a tag's tables, read-only: TABLE@TAG, for kv get, "
      "scan and dump. Every tag is there at all times; writes are refused.",
      "mount before-the-import", MountTag)
      ->add_option("name", a->name)
      ->required();
}

void AddDiff(CLI::App& app, Chosen& chosen) {
  auto a = std::make_shared<TagArguments>();
  CLI::App* c = app.add_subcommand(
      "diff", "Rows that differ between two tags, by table and key: + added, - removed, ~ changed.");
  AddWhere(*c, a);
  c->add_option("from", a->name, "tag, or now: the last save")->required();
  c->add_option("to", a->to, "tag, or now")->required();
  c->add_option("--table", a->table, "this one alone");
  c->footer("Example:\n  holdfast diff -c D/server.yaml before-the-import now --table colours");
  c->callback([a, &chosen] { chosen = [a] { return Diff(*a); }; });
}

void AddGc(CLI::App& app, Chosen& chosen, std::shared_ptr<const std::string> config) {
  auto a = std::make_shared<TagArguments>();
  CLI::App* c = app.add_subcommand(
      "gc", "Clean until what is left is needed; --dry-run says what there is to gain, and changes nothing.");
  AddWhere(*c, a);
  c->add_flag("--dry-run", a->dry_run, "look only");
  c->footer(std::string("Example:\n  holdfast ") + (config ? "admin " : "") +
            "gc -c D/server.yaml --dry-run");
  c->callback([a, config = std::move(config), &chosen] {
    chosen = [a, config] {
      if (config && a->config.empty() && a->store.empty()) a->config = *config;
      return CollectGarbage(*a);
    };
  });
}

}  // namespace holdfast::cli
