// The bulk of verify: every listed segment read once, from its beginning to its end, and the leaves that the
// trees lead to opened, hashed and decoded on the way, blobs after them, by as many workers as there are.
// Where the leaves do not take all of a segment, it is hashed as a whole too: what nobody reaches is not to
// change either. What lies above the leaves is for who walks the trees (verify.cc): it tells which leaves
// there are. Source: design §3 verify; rules A2, E.
#ifndef HOLDFAST_CORE_STORE_SEGMENT_CHECKS_H_
#define HOLDFAST_CORE_STORE_SEGMENT_CHECKS_H_

#include <array>
#include <atomic>
#include <set>
#include <string>
#include <unordered_map>

#include "core/store/nodes.h"
#include "core/store/verify.h"

namespace holdfast::store {

// Each place is read once, whichever root leads there, so the newest root that does is the one that it is
// counted for. Memory: about 60 bytes a node.
class SeenPlaces {
 public:
  enum class Answer : uint8_t { kNew, kSame, kAnother };
  // kAnother: another node was named there before, or one with another number of rows (0: a blob).
  Answer Meet(const tree::NodeRef& ref, uint64_t rows);
  bool Has(const tree::Hint& at) const { return seen_.contains(PlaceOf(at)); }
  static uint64_t PlaceOf(const tree::Hint& h) { return static_cast<uint64_t>(h.segment) << 32 | h.offset; }

 private:
  struct Seen {
    uint64_t address_head, rows;
    friend bool operator==(const Seen&, const Seen&) = default;
  };
  std::unordered_map<uint64_t, Seen> seen_;
};

// Needed bytes by segment and span, counted anew.
using SpansBySegment = std::map<uint32_t, Spans>;

class SegmentChecks {
 public:
  // Who leads to a node: outlives the checks.
  struct Origin {
    const TreeVersion* version;
    TagLine line;
    LogIndex seen_by;
    bool counted = false;  // in spans
  };
  enum class Kind : uint8_t {
    kLeaf,  // of a B-tree
    kBlob,  // a chunk, or a list of chunks
    kChunk,
  };

  // All references outlive it. `progress` is told of bytes, by the thread that calls Run.
  SegmentChecks(seam::Storage& storage, Workers& workers, const Expected& expected, SeenPlaces& seen,
                std::function<void(uint64_t bytes)> progress);

  // To be checked by Run: `amount` rows, or bytes of a blob. Met before: nothing happens, or a finding.
  void Add(const Origin& origin, const tree::NodeRef& ref, Kind kind, uint64_t amount);
  // Many are waiting: call Run before more are added.
  bool full() const { return waiting_ >= kWaitingMax; }
  // Checks all that were added and the blobs that they lead to. Call it before nodes of another origin are
  // added: a blob is found behind its leaf, and is counted for the first that leads to it. The first time
  // every segment is read as a whole. An Error is the storage's.
  Status Run();

  // What they came to.
  uint64_t nodes = 0, segments = 0, segment_bytes = 0;
  std::vector<Finding> segment_findings, node_findings;
  SpansBySegment spans;
  std::set<std::string> bad_segments;  // with another hash than listed
  std::set<std::string> named;         // of which a node is named

  // "segments/0A… at byte 8120"
  static std::string NameOfPlace(const Manifest& m, const tree::Hint& hint);
  void NodeFinding(const Manifest& m, const tree::Hint& hint, Code code);
  void WrongNode(const Manifest& m, const tree::Hint& hint);

 private:
  static constexpr size_t kWaitingMax = 1u << 20;  // about 100 MB
  struct Node {
    tree::NodeRef ref;
    const Origin* origin;
    uint64_t amount;
    Kind kind;
  };
  struct Trouble {
    Node node;
    Code code;  // 0: it opened, and is not the one that its parent names
  };
  // One segment, by one worker at a time.
  struct Work {
    std::string name;
    const Segment* segment = nullptr;
    bool required = false;
    std::vector<Node> nodes;
    // What came of it.
    bool read = false, missing = false;
    bool header_holds = false, holds = false;  // the whole is what the manifest says
    uint64_t bytes = 0;
    std::vector<Trouble> troubles;
    std::vector<Node> blobs;
    uint64_t good = 0;
    Spans spans;
    Status status;
  };
  struct Scratch;

  Work* WorkOf(const TreeVersion& version, const tree::Hint& at);
  static bool Covered(const Work& work);
  void CheckWhole(Work& work, Scratch& scratch);
  void CheckNodes(Work& work, Scratch& scratch);
  void CheckAlone(Work& work, const Node& node, Scratch& scratch);
  void CheckIn(Work& work, const Node& node, ByteView piece, uint64_t piece_at, Scratch& scratch);
  void Judge(Work& work, const Node& node, Status opened, Scratch& scratch);
  static bool Fits(Work& work, const Node& node, const tree::Node& decoded);
  void Collect(Work& work);
  void CollectHash(Work& work);

  seam::Storage& storage_;
  Workers& workers_;
  SeenPlaces& seen_;
  std::function<void(uint64_t)> progress_;
  std::map<SegmentId, Work> work_;
  size_t waiting_ = 0;
  bool hashed_ = false;
  std::atomic<uint64_t> bytes_read_{0};
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_SEGMENT_CHECKS_H_
