// Transient tables: what would go to the log goes to memory, and is answered at once.
#include "core/runtime/engine.h"

namespace holdfast::runtime {
namespace {

using sync::ReaderLock;
using sync::WriterLock;

// What watchers see points into it.
struct TransientWrite {
  kernel::Batch batch;
  std::deque<Bytes> erased;
};

}  // namespace

bool Engine::IsTransient(const TableId& table) {
  if (!transient_tables_.load(std::memory_order_acquire)) return false;
  ReaderLock lock(transient_lock_);
  return transient_.Has(table);
}

Result<bool> Engine::AllTransient(const kernel::Batch& batch) {
  if (!transient_tables_.load(std::memory_order_acquire)) return false;
  size_t here = 0;
  {
    ReaderLock lock(transient_lock_);
    for (const kernel::Operation& op : batch.operations) here += transient_.Has(op.table) ? 1 : 0;
    for (const kernel::Compare& c : batch.compares) here += transient_.Has(c.table) ? 1 : 0;
  }
  if (here == 0) return false;
  if (here != batch.operations.size() + batch.compares.size()) return Code::kTransientMixed;
  return true;
}

session::WriteReply Engine::WriteTransient(kernel::Batch batch) {
  session::WriteReply reply;
  if (stopping_) {
    reply.status = Code::kStopping;
    return reply;
  }
  auto written = std::make_shared<TransientWrite>();
  written->batch = std::move(batch);
  std::vector<store::Change> changes;
  store::Outcome outcome;
  {
    WriterLock lock(transient_lock_);
    outcome = transient_.Apply(written->batch, changes, written->erased);
    // Under the lock, so that watchers see changes in their order.
    if (outcome.ok()) transient_watches_.Publish(LogIndex(++transient_writes_), changes, written);
  }
  reply.term = term_;
  reply.index = AppliedIndex();  // what a read may ask for: it sees this write
  reply.detail = outcome.detail;
  if (!outcome.ok()) reply.status = outcome.code;
  return reply;
}

std::optional<Bytes> Engine::GetTransient(const TableId& table, ByteView key) {
  ReaderLock lock(transient_lock_);
  const Bytes* value = transient_.Get(table, key);
  return value == nullptr ? std::optional<Bytes>() : std::optional<Bytes>(*value);
}

void Engine::ScanTransient(const TableId& table, ByteView from, ByteView until, bool reverse, size_t max_rows,
                           size_t max_bytes, session::RowPage& page) {
  page.Clear();
  if (max_rows == 0) return;
  ReaderLock lock(transient_lock_);
  transient_.Scan(table, from, until, reverse, [&](ByteView key, ByteView value) {
    page.Add(key, value);
    return page.size() < max_rows && page.bytes() < max_bytes;
  });
}

// A table that is made, before the entry is applied (nobody knows its id then); one that is dropped, after: a
// write in between finds the table still, as if it had come before.
void Engine::FollowTables(const journal::Entry& entry) {
  if (entry.kind == journal::EntryKind::kCreateTable) {
    auto create = kernel::DecodeCreateTable(entry.payload);
    auto descriptor = create ? tree::Descriptor::Decode(create->descriptor) : create.error();
    if (!descriptor || !descriptor->transient) return;
    WriterLock lock(transient_lock_);
    transient_.AddTable(create->table);
    transient_tables_.store(true, std::memory_order_release);
  } else if (entry.kind == journal::EntryKind::kDropTable) {
    auto drop = kernel::DecodeDropTable(entry.payload);
    if (!drop) return;
    watches_.DropTable(drop->table);
    transient_watches_.DropTable(drop->table);
    WriterLock lock(transient_lock_);
    transient_.DropTable(drop->table);
  }
}

}  // namespace holdfast::runtime
