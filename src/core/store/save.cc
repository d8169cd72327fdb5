#include "core/store/save.h"

#include <algorithm>

#include "base/codec.h"
#include "core/store/segment_sink.h"
#include "core/tree/fold.h"
#include "core/tree/patricia_fold.h"
#include "core/tree/patricia_node.h"

namespace holdfast::store {
namespace {

HF_NOT_YET("A3: segments, frames and slot files in parts for providers with a small maximal value");

// Moves what is live out of victim segments (D5). Addresses do not change: only places do, and the parents
// that name them are sealed again.
class Cleaner {
 public:
  Cleaner(NodeAccess& nodes, SegmentSink& sink, const std::set<uint32_t>& victims)
      : nodes_(nodes), sink_(sink), victims_(victims) {}

  enum class Kind { kInner, kLeaf, kChunkList, kChunk };

  // The reference to use from now on. A chunk is read only when it moves.
  Result<tree::NodeRef> Clean(const tree::NodeRef& ref, size_t depth, Kind kind) {
    if (depth > tree::patricia::kPathNodesMax + 2) return Code::kMalformed;
    bool move = victims_.contains(ref.hint.segment);
    if (kind == Kind::kChunk && !move) return ref;
    HF_TRY(tree::NodePtr node, Get(ref));
    std::vector<tree::NodeRef> children = node->References();
    std::vector<Kind> kinds = KindsOfChildren(*node);
    HF_CHECK(kinds.size() == children.size());
    bool changed = move;
    for (size_t i = 0; i < children.size(); ++i) {
      HF_TRY(tree::NodeRef cleaned, Clean(children[i], depth + 1, kinds[i]));
      if (cleaned.hint != children[i].hint) changed = true;
      children[i].hint = cleaned.hint;
    }
    if (!changed) return ref;
    tree::EncodedNode text{ToBytes(node->canonical()), tree::EncodeTail(*node, children)};
    tree::NodeRef moved = sink_.Emit(std::move(text));
    HF_CHECK(moved.address == ref.address);
    moved.birth = ref.birth;
    sink_.Dead(ref);
    return moved;
  }

  Result<tree::NodeRef> CleanRoot(const tree::NodeRef& ref) {
    HF_TRY(tree::NodePtr root, Get(ref));
    return Clean(ref, 0, root->type() == tree::NodeType::kInner ? Kind::kInner : Kind::kLeaf);
  }

 private:
  static std::vector<Kind> KindsOfChildren(const tree::Node& node) {
    std::vector<Kind> kinds;
    for (size_t i = 0; i < node.count(); ++i) {
      switch (node.type()) {
        case tree::NodeType::kInner:
          kinds.push_back(node.level() == 1 ? Kind::kLeaf : Kind::kInner);
          break;
        case tree::NodeType::kPatriciaInner:
          kinds.push_back(Kind::kInner);  // or a leaf: only it can tell
          break;
        case tree::NodeType::kPatriciaLeaf:
        case tree::NodeType::kLeaf: {
          tree::StoredValue v = node.value(i);
          if (v.is_blob)
            kinds.push_back(v.length > limits::kBlobChunkBytes ? Kind::kChunkList : Kind::kChunk);
          break;
        }
        case tree::NodeType::kChunkList:
          kinds.push_back(Kind::kChunk);
          break;
        case tree::NodeType::kChunk:
          break;
      }
    }
    return kinds;
  }
  Result<tree::NodePtr> Get(const tree::NodeRef& ref) {
    if (tree::NodePtr node = nodes_.Find(ref)) return node;
    HF_TRY_VOID(nodes_.Fetch(ref));
    tree::NodePtr node = nodes_.Find(ref);
    HF_CHECK(node != nullptr);
    return node;
  }
  NodeAccess& nodes_;
  SegmentSink& sink_;
  const std::set<uint32_t>& victims_;
};

// Segments to leave: the emptiest first, until what remains is within bounds. Never those of this save.
std::set<uint32_t> ChooseVictims(const Manifest& manifest, const Placement& placement) {
  uint64_t size = 0, live = 0;
  size_t count = 0;
  std::vector<const Segment*> candidates;
  for (const auto& [number, s] : manifest.segments) {
    if (s.condemned != SaveNumber() || s.live_bytes == 0) continue;
    size += s.size;
    live += s.live_bytes;
    ++count;
    if (s.born != manifest.save) candidates.push_back(&s);
  }
  size_t count_max = placement.segments_slack + 2 * static_cast<size_t>(live / placement.segment_bytes);
  std::set<uint32_t> victims;
  if (size <= 2 * live + placement.garbage_slack_bytes && count <= count_max) return victims;
  std::sort(candidates.begin(), candidates.end(), [](const Segment* a, const Segment* b) {
    // share of live bytes, then size: small ones are cheap to merge
    double sa = static_cast<double>(a->live_bytes) / static_cast<double>(a->size);
    double sb = static_cast<double>(b->live_bytes) / static_cast<double>(b->size);
    if (sa != sb) return sa < sb;
    return a->size != b->size ? a->size < b->size : a->number < b->number;
  });
  uint64_t size_goal = live + live / 2 + placement.garbage_slack_bytes / 2;
  size_t count_goal = count_max / 2;
  for (const Segment* s : candidates) {
    if (size <= size_goal && count <= count_goal) break;
    victims.insert(s->number);
    size -= s->size - s->live_bytes;
    --count;
  }
  return victims;
}

// Fewer changes than that are folded faster than threads are started.
constexpr size_t kRowsForWorkers = 10'000;
constexpr size_t kPartsPerWorker = 16;  // so that all are busy to the end

// One table's changes into its tree.
class TableFold {
 public:
  TableFold(const SaveInput& input, Manifest& manifest, Table& table, const seal::DomainKeys& keys)
      : input_(input), manifest_(manifest), table_(table), keys_(keys), overlay_(*input.point.changes) {
    bool many = overlay_.rows(table.id) >= kRowsForWorkers && !table.root.empty &&
                table.descriptor.layout == tree::Layout::kBTree;
    size_t workers = many ? input.workers.count() : 1;
    uint32_t first = manifest.next_segment;
    for (size_t w = 0; w < workers; ++w) {
      nodes_.push_back(input.nodes.Of(input.storage, input.point.base));
      sinks_.push_back(std::make_unique<SegmentSink>(
          input, manifest.save, table, keys,
          SegmentSink::Numbers{first + static_cast<uint32_t>(w), static_cast<uint32_t>(workers)}));
    }
  }
  Status Run() {
    Status done = Fold();
    for (auto& sink : sinks_) {
      if (done) done = sink->Finish();
    }
    for (auto& sink : sinks_) sink->MergeInto(manifest_);
    return done;
  }

 private:
  Status Fold() {
    std::unique_ptr<tree::ChangeSource> changes = overlay_.Changes(table_.id);
    if (table_.descriptor.layout == tree::Layout::kPatricia) return FoldPatricia(*changes);
    tree::Fold fold(table_.descriptor, table_.root, input_.point.position.index, *changes, *sinks_[0]);
    if (sinks_.size() > 1) HF_TRY_VOID(FoldParts(fold));
    HF_TRY(table_.root, Drive(*nodes_[0], [&] { return fold.Run(*nodes_[0]); }));
    return Ok();
  }

  Status FoldPatricia(tree::ChangeSource& changes) {
    auto blinding = tree::patricia::Blinding::Of(keys_);
    tree::patricia::Fold fold(table_.descriptor, table_.root, input_.point.position.index, changes,
                              *sinks_[0], blinding);
    HF_TRY(table_.root, Drive(*nodes_[0], [&] { return fold.Run(*nodes_[0]); }));
    return Ok();
  }

  Status FoldParts(tree::Fold& whole) {
    HF_TRY(std::vector<tree::FoldPlace> places, Drive(*nodes_[0], [&] {
             return tree::PlacesOf(table_.root, kPartsPerWorker * sinks_.size(), *nodes_[0]);
           }));
    struct Job {
      std::unique_ptr<tree::ChangeSource> changes;
      std::optional<tree::PartFold> part;
      Status status;
    };
    std::vector<Job> jobs(places.size());
    input_.workers.Run(places.size(), [&](size_t worker, size_t i) {
      Job& job = jobs[i];
      const tree::FoldPlace& p = places[i];
      std::optional<ByteView> until;
      if (p.until) until = AsBytes(*p.until);
      job.changes = overlay_.Changes(table_.id, AsBytes(p.from), until);
      job.part.emplace(table_.descriptor, p, input_.point.position.index, *job.changes, *sinks_[worker]);
      auto done = Drive(*nodes_[worker], [&] { return job.part->Run(*nodes_[worker]); });
      if (!done) job.status = done.error();
    });
    for (Job& job : jobs) {
      HF_TRY_VOID(job.status);
      whole.Take(*job.part);
    }
    return Ok();
  }

  const SaveInput& input_;
  Manifest& manifest_;
  Table& table_;
  const seal::DomainKeys& keys_;
  const tree::Overlay& overlay_;
  std::vector<std::unique_ptr<NodeAccess>> nodes_;  // by worker
  std::vector<std::unique_ptr<SegmentSink>> sinks_;
};

void CondemnTables(Manifest& manifest) {  // what a dropped table left: all of it is dead
  for (auto& [number, s] : manifest.segments) {
    if (!manifest.root.tables.contains(s.table)) s.live_bytes = 0;
  }
}

Status CleanTables(const SaveInput& input, Manifest& manifest, const seal::Keyring& keyring) {
  std::set<uint32_t> victims = ChooseVictims(manifest, input.placement);
  if (victims.empty()) return Ok();
  // Nodes folded in this save are durable only with the slot, but readable: reads go through a version that
  // lists them.
  HF_TRY(VersionPtr now, MakeVersion(manifest, keyring, input.secrets));
  NodeCache cache(16u << 20);
  VersionNodes nodes(input.storage, now, cache);
  std::set<TableId> tables;
  for (uint32_t v : victims) tables.insert(manifest.segments.at(v).table);
  for (const TableId& id : tables) {
    auto it = manifest.root.tables.find(id);
    if (it == manifest.root.tables.end() || it->second.root.empty) continue;
    Table& table = it->second;
    SegmentSink sink(input, manifest.save, table, now->keys.at(id), {manifest.next_segment, 1});
    Cleaner cleaner(nodes, sink, victims);
    auto moved = cleaner.CleanRoot(table.root.ref);
    Status finished = sink.Finish();
    sink.MergeInto(manifest);
    HF_TRY(table.root.ref, std::move(moved));
    HF_TRY_VOID(finished);
  }
  return Ok();
}

HF_NOT_YET(
    "I1: a spare journal file and a segment reserve, so that a save can finish on a full disk and free "
    "space");

// Segments of an attempt that failed. Its number goes first: the write of it may have succeeded after all.
Status DropLeftovers(const SaveInput& input, SaveNumber save) {
  if (input.leftovers.empty()) return Ok();
  HF_TRY_VOID(input.storage.Delete(SlotName(static_cast<int>(save.value % 2), "state-save-number")));
  HF_TRY_VOID(input.storage.Barrier());
  for (const std::string& name : input.leftovers) HF_TRY_VOID(input.storage.Delete(name));
  HF_TRY_VOID(input.storage.Barrier());
  input.leftovers.clear();
  return Ok();
}

}  // namespace

Result<VersionPtr> MakeVersion(Manifest manifest, const seal::Keyring& keyring, const Secrets& secrets) {
  auto version = std::make_shared<TreeVersion>();
  for (const auto& [id, table] : manifest.root.tables) {
    HF_TRY(seal::DomainKeys keys, keyring.TableKeys(id, table.epoch, table.descriptor.Encode()));
    version->keys.emplace(id, std::move(keys));
  }
  version->root_digest = manifest.root.ComputeDigest(secrets.keys.root);
  version->manifest = std::move(manifest);
  return VersionPtr(std::move(version));
}

Result<VersionPtr> RunSave(const SaveInput& input) {
  const Manifest& before = input.point.base->manifest;
  Manifest m;
  m.store = before.store;
  m.member = before.member;
  m.save = before.save.next();
  m.frame = input.frame;
  m.next_segment = before.next_segment;
  for (const auto& [number, s] : before.segments) {
    if (!input.deleted.contains(number)) m.segments.emplace(number, s);
  }
  m.root.store = before.store;
  m.root.position = input.point.position;
  m.root.parent = input.point.base->root_digest;
  m.root.tables = input.point.tables;
  seal::Keyring keyring = input.point.keyring.Clone();
  HF_TRY_VOID(DropLeftovers(input, m.save));

  for (auto& [id, table] : m.root.tables) {
    auto base = before.root.tables.find(id);
    table.root = base == before.root.tables.end() ? tree::Root{} : base->second.root;
    HF_TRY(seal::DomainKeys keys, keyring.TableKeys(id, table.epoch, table.descriptor.Encode()));
    HF_TRY_VOID(TableFold(input, m, table, keys).Run());
  }
  CondemnTables(m);
  HF_TRY_VOID(CleanTables(input, m, keyring));
  for (auto& [number, s] : m.segments) {
    if (s.live_bytes == 0 && s.condemned == SaveNumber()) s.condemned = m.save;
  }
  HF_TRY_VOID(input.storage.Barrier());
  HF_TRY_VOID(WriteSlot(input.storage, m, keyring, input.secrets, input.random));
  input.leftovers.clear();
  return MakeVersion(std::move(m), keyring, input.secrets);
}

Result<std::vector<uint32_t>> DeleteCondemned(seam::Storage& storage, const TreeVersion& version,
                                              SaveNumber older_slot, const std::vector<VersionPtr>& pinned) {
  std::vector<uint32_t> deleted;
  for (const auto& [number, s] : version.manifest.segments) {
    if (s.condemned == SaveNumber() || s.condemned > older_slot) continue;
    bool held = false;
    for (const VersionPtr& v : pinned) {
      auto it = v->manifest.segments.find(number);
      if (it != v->manifest.segments.end() && it->second.condemned == SaveNumber()) held = true;
    }
    if (held) continue;
    HF_TRY_VOID(storage.Delete(SegmentName(s.id)));
    deleted.push_back(number);
  }
  return deleted;
}

Result<size_t> DeletePending(seam::Storage& storage, SaveNumber newest) {
  HF_TRY(std::vector<seam::ObjectInfo> objects, seam::ListAll(storage, kSegmentsPrefix));
  size_t n = 0;
  for (const seam::ObjectInfo& o : objects) {
    auto hex = ParseHex(std::string_view(o.name).substr(kSegmentsPrefix.size()));
    if (!hex || hex->size() != 16) continue;  // alien: verify names it
    SegmentId id = SegmentId::From(*hex);
    if (SegmentName(id) != o.name || SegmentSave(id) <= newest) continue;
    HF_TRY_VOID(storage.Delete(o.name));
    ++n;
  }
  return n;
}

Status WriteAnchor(seam::Storage* anchor, const Secrets& secrets, const journal::LogPosition& at,
                   SaveNumber save) {
  if (anchor == nullptr) return Ok();
  seal::Anchor a{secrets.store, at.term, at.index, at.chain, save};
  HF_TRY_VOID(anchor->Put(kAnchorName, a.Encode(secrets.keys.anchor)));
  return anchor->Barrier();
}

}  // namespace holdfast::store
