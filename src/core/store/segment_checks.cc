#include "core/store/segment_checks.h"

#include <algorithm>

#include "crypto/hash.h"

namespace holdfast::store {
namespace {

// More than what is read from a descriptor that is kept: a segment that was removed must be missed.
constexpr uint64_t kPieceBytes = 2u << 20;
static_assert(kPieceBytes > seam::kSmallRangeMax && kPieceBytes > limits::kNodeBytesMax);

bool IsDamage(Code c) {
  return c == Code::kMissing || c == Code::kTampered || c == Code::kAuthFailed || c == Code::kMalformed ||
         c == Code::kNoKey || c == Code::kUnknownFormat || c == Code::kChecksum;
}

}  // namespace

SeenPlaces::Answer SeenPlaces::Meet(const tree::NodeRef& ref, uint64_t rows) {
  Seen here{LoadLittle<uint64_t>(&ref.address[1]), rows};
  auto [it, is_new] = seen_.try_emplace(PlaceOf(ref.hint), here);
  if (is_new) return Answer::kNew;
  return it->second == here ? Answer::kSame : Answer::kAnother;
}

// Of one worker. Two versions lead to a segment at most, those of the slots.
struct SegmentChecks::Scratch {
  struct Keys {
    const TreeVersion* version = nullptr;
    SegmentId segment;
    std::unique_ptr<seal::SegmentOpener> opener;
    std::unique_ptr<seal::NodeAddresses> addresses;
  };
  Keys* KeysOf(const TreeVersion& version, const Segment& s, const std::string& name) {
    for (Keys& k : keys) {
      if (k.version == &version && k.segment == s.id) return &k;
    }
    auto found = version.keys.find(s.table);
    if (found == version.keys.end()) return nullptr;
    Keys& k = keys[next++ % keys.size()];
    seal::ObjectHeader header{seal::ObjectKind::kSegment, s.epoch, s.salt, s.h};
    k.version = &version;
    k.segment = s.id;
    k.opener =
        std::make_unique<seal::SegmentOpener>(found->second, header, version.manifest.store, name, s.table);
    k.addresses = std::make_unique<seal::NodeAddresses>(found->second);
    return &k;
  }

  std::array<Keys, 2> keys;
  size_t next = 0;
  bool tells = false;  // progress: the caller's thread
  UntrustedBytes piece, alone;
  seal::OpenedNode opened;
};

SegmentChecks::SegmentChecks(seam::Storage& storage, Workers& workers, const Expected& expected,
                             SeenPlaces& seen, std::function<void(uint64_t bytes)> progress)
    : storage_(storage), workers_(workers), seen_(seen), progress_(std::move(progress)) {
  for (const auto& [name, s] : expected.segments) {
    Work& work = work_[s->id];
    work.name = name;
    work.segment = s;
    work.required = expected.required.contains(name);
  }
}

SegmentChecks::Work* SegmentChecks::WorkOf(const TreeVersion& version, const tree::Hint& at) {
  auto listed = version.manifest.segments.find(at.segment);
  if (listed == version.manifest.segments.end()) return nullptr;
  const Segment& s = listed->second;
  if (at.offset < seal::kHeaderBytes || static_cast<uint64_t>(at.offset) + at.length > s.size) return nullptr;
  auto work = work_.find(s.id);
  HF_CHECK(work != work_.end());  // both manifests' are expected
  return &work->second;
}

void SegmentChecks::Add(const Origin& origin, const tree::NodeRef& ref, Kind kind, uint64_t amount) {
  const Manifest& m = origin.version->manifest;
  switch (seen_.Meet(ref, kind == Kind::kLeaf ? amount : 0)) {
    case SeenPlaces::Answer::kSame:
      return;
    case SeenPlaces::Answer::kAnother:
      return WrongNode(m, ref.hint);
    case SeenPlaces::Answer::kNew:
      break;
  }
  Work* work = WorkOf(*origin.version, ref.hint);
  if (work == nullptr) return NodeFinding(m, ref.hint, Code::kTampered);
  work->nodes.push_back({ref, &origin, amount, kind});
  ++waiting_;
}

Status SegmentChecks::Run() {
  while (waiting_ > 0 || !hashed_) {
    std::vector<Work*> jobs;
    for (auto& [id, work] : work_) {
      if (!hashed_ || !work.nodes.empty()) jobs.push_back(&work);
    }
    std::vector<Scratch> scratch(workers_.count());
    scratch[0].tells = true;
    workers_.Run(jobs.size(), [&](size_t worker, size_t i) {
      Work& work = *jobs[i];
      std::sort(work.nodes.begin(), work.nodes.end(),
                [](const Node& a, const Node& b) { return a.ref.hint.offset < b.ref.hint.offset; });
      if (!hashed_)
        CheckWhole(work, scratch[worker]);
      else
        CheckNodes(work, scratch[worker]);
    });
    waiting_ = 0;
    for (Work* work : jobs) {
      HF_TRY_VOID(work->status);
      if (!hashed_) CollectHash(*work);
    }
    hashed_ = true;
    for (Work* work : jobs) std::vector<Node>().swap(work->nodes);
    for (Work* work : jobs) Collect(*work);  // more nodes, of any segment
    if (progress_) progress_(bytes_read_.exchange(0));
  }
  return Ok();
}

// Nodes that are to be opened lie from its header to its end: then their tags say of every byte that it is
// what was written, and the segment's own hash could say no more.
bool SegmentChecks::Covered(const Work& work) {
  uint64_t at = seal::kHeaderBytes;
  for (const Node& n : work.nodes) {
    if (n.ref.hint.offset != at) return false;
    at += n.ref.hint.length;
  }
  return at == work.segment->size;
}

void SegmentChecks::CheckWhole(Work& work, Scratch& scratch) {
  const bool covered = Covered(work);
  crypto::Sha256Stream hash;
  size_t next = 0;
  for (;;) {
    Status read = storage_.GetRangeInto(work.name, work.bytes, kPieceBytes, scratch.piece);
    if (!read) {
      work.missing = read.code() == Code::kNotFound;
      if (!work.missing) work.status = read;
      return;  // no node of it is named: it is itself
    }
    ByteView piece = scratch.piece.parse();
    if (!covered) {
      hash.Update(piece);
    } else if (work.bytes == 0) {
      const Segment& s = *work.segment;
      work.header_holds =
          Equal(piece.first(std::min(piece.size(), seal::kHeaderBytes)),
                seal::ObjectHeader{seal::ObjectKind::kSegment, s.epoch, s.salt, s.h}.Encode());
    }
    for (; next < work.nodes.size() && work.nodes[next].ref.hint.offset < work.bytes + piece.size(); ++next)
      CheckIn(work, work.nodes[next], piece, work.bytes, scratch);
    work.bytes += piece.size();
    bytes_read_ += piece.size();
    if (scratch.tells && progress_) progress_(bytes_read_.exchange(0));
    if (piece.size() < kPieceBytes || work.bytes > work.segment->size) break;
  }
  for (; next < work.nodes.size(); ++next) CheckAlone(work, work.nodes[next], scratch);
  work.holds = covered ? work.header_holds : hash.Finish() == work.segment->sha256;
  work.read = true;
}

void SegmentChecks::CheckNodes(Work& work, Scratch& scratch) {
  if (work.missing) return;
  for (const Node& node : work.nodes) CheckAlone(work, node, scratch);
}

void SegmentChecks::CheckIn(Work& work, const Node& node, ByteView piece, uint64_t piece_at,
                            Scratch& scratch) {
  const tree::Hint& at = node.ref.hint;
  if (at.offset < piece_at || at.offset + uint64_t{at.length} > piece_at + piece.size())
    return CheckAlone(work, node, scratch);
  auto* keys = scratch.KeysOf(*node.origin->version, *work.segment, work.name);
  if (keys == nullptr) return Judge(work, node, Code::kNoKey, scratch);
  ByteView sealed = piece.subspan(at.offset - piece_at, at.length);
  Judge(work, node, keys->opener->OpenInto(node.ref.address, at.offset, sealed, scratch.opened), scratch);
}

void SegmentChecks::CheckAlone(Work& work, const Node& node, Scratch& scratch) {
  const tree::Hint& at = node.ref.hint;
  Status read = storage_.GetRangeInto(work.name, at.offset, at.length, scratch.alone);
  if (!read) {
    if (read.code() != Code::kNotFound) work.status = read;
    return Judge(work, node, read.code() == Code::kNotFound ? Code::kMissing : read.code(), scratch);
  }
  if (scratch.alone.size() != at.length) return Judge(work, node, Code::kTampered, scratch);
  CheckIn(work, node, scratch.alone.parse(), at.offset, scratch);
}

void SegmentChecks::Judge(Work& work, const Node& node, Status opened, Scratch& scratch) {
  if (opened) {
    auto* keys = scratch.KeysOf(*node.origin->version, *work.segment, work.name);
    if (keys->addresses->Of(scratch.opened.canonical()) != node.ref.address) opened = Code::kTampered;
  }
  if (opened) {
    auto decoded = tree::Node::Decode(scratch.opened.canonical(), scratch.opened.tail());
    if (!decoded) {
      opened = decoded.error();
    } else if (Fits(work, node, **decoded)) {
      ++work.good;
      if (node.origin->counted) {
        work.spans.Add(node.origin->line.FirstSeeing(node.ref.birth), node.origin->seen_by,
                       node.ref.hint.length);
      }
      return;
    }
  }
  work.troubles.push_back({node, opened ? Code{} : opened.code()});
}

// And what a blob consists of is to be checked next.
bool SegmentChecks::Fits(Work& work, const Node& node, const tree::Node& decoded) {
  using tree::NodeType;
  if (node.kind == Kind::kLeaf) {
    if (decoded.type() != NodeType::kLeaf || decoded.count() != node.amount) return false;
    for (size_t i = 0; i < decoded.count(); ++i) {
      if (decoded.inline_value(i)) continue;
      tree::StoredValue v = decoded.value(i);
      if (v.is_shared) continue;  // a row of its own table (verify_shared.h)
      work.blobs.push_back({v.blob, node.origin, v.length, Kind::kBlob});
    }
    return true;
  }
  if (decoded.type() == NodeType::kChunk) return decoded.chunk().size() == node.amount;
  uint64_t chunks = (node.amount + limits::kBlobChunkBytes - 1) / limits::kBlobChunkBytes;
  if (node.kind == Kind::kChunk || decoded.type() != NodeType::kChunkList || decoded.count() != chunks)
    return false;
  for (size_t i = 0; i < decoded.count(); ++i) {
    tree::NodeRef chunk = decoded.child(i);
    chunk.birth = node.ref.birth;  // they were born with their list
    uint64_t before = i * limits::kBlobChunkBytes;
    work.blobs.push_back({chunk, node.origin,
                          std::min<uint64_t>(limits::kBlobChunkBytes, node.amount - before), Kind::kChunk});
  }
  return true;
}

void SegmentChecks::CollectHash(Work& work) {
  if (!work.read) {
    if (work.required)
      segment_findings.push_back(
          {Finding::Kind::kMissing, work.name, Code::kMissing, "listed segment is not there"});
    return;
  }
  ++segments;
  segment_bytes += work.bytes;
  if (work.bytes != work.segment->size) {
    segment_findings.push_back(
        {Finding::Kind::kChanged, work.name, Code::kChecksum,
         "has " + std::to_string(work.bytes) + " bytes instead of " + std::to_string(work.segment->size)});
  } else if (work.holds) {
    return;
  }
  bad_segments.insert(work.name);  // named node by node, or whole if no node shows it
}

void SegmentChecks::Collect(Work& work) {
  nodes += std::exchange(work.good, 0);
  for (const Trouble& t : work.troubles) {
    const Manifest& m = t.node.origin->version->manifest;
    if (t.code == Code{})
      WrongNode(m, t.node.ref.hint);
    else if (IsDamage(t.code))
      NodeFinding(m, t.node.ref.hint, t.code);
  }
  work.troubles.clear();
  for (const Span& s : work.spans.items()) spans[work.segment->number].Add(s.first, s.last, s.bytes);
  work.spans = {};
  std::vector<Node> blobs = std::exchange(work.blobs, {});
  for (const Node& b : blobs) Add(*b.origin, b.ref, b.kind, b.amount);
}

std::string SegmentChecks::NameOfPlace(const Manifest& m, const tree::Hint& hint) {
  auto it = m.segments.find(hint.segment);
  if (it == m.segments.end()) return "segment " + std::to_string(hint.segment);
  return SegmentName(it->second.id) + " at byte " + std::to_string(hint.offset);
}

void SegmentChecks::NodeFinding(const Manifest& m, const tree::Hint& hint, Code code) {
  auto it = m.segments.find(hint.segment);
  if (it != m.segments.end()) {
    if (code == Code::kMissing) return;  // the segment is named
    named.insert(SegmentName(it->second.id));
  }
  node_findings.push_back({Finding::Kind::kChanged, NameOfPlace(m, hint), code, std::string(CodeText(code))});
}

void SegmentChecks::WrongNode(const Manifest& m, const tree::Hint& hint) {
  node_findings.push_back({Finding::Kind::kChanged, NameOfPlace(m, hint), Code::kTampered,
                           "is not the node, or has not the rows, that its parent names"});
}

}  // namespace holdfast::store
