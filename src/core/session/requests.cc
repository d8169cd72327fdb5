#include <google/protobuf/stubs/logging.h>

#include "core/session/requests_internal.h"
#include "crypto/hash.h"

namespace holdfast::session {

void SilenceMessageParser() { google::protobuf::SetLogHandler(nullptr); }

kernel::Wait WaitOf(v1::Wait wait) {
  return wait == v1::WAIT_NONE ? kernel::Wait::kNone : kernel::Wait::kDurable;
}

Result<kernel::Batch> BatchOf(Backend& backend, const v1::PutRequest& request) {
  kernel::Batch batch;
  kernel::Operation& op = batch.operations.emplace_back();
  HF_TRY(op.table, backend.FindTable(request.table()));
  op.kind = kernel::OperationKind::kPut;
  op.key = ToBytes(request.key());
  op.value = ToBytes(request.value());
  return batch;
}

Result<kernel::Batch> BatchOf(Backend& backend, const v1::DeleteRequest& request) {
  kernel::Batch batch;
  kernel::Operation& op = batch.operations.emplace_back();
  HF_TRY(op.table, backend.FindTable(request.table()));
  op.kind = kernel::OperationKind::kDelete;
  op.key = ToBytes(request.key());
  return batch;
}

namespace {

// Most batches speak of one table: its name is looked up once.
class TableNames {
 public:
  explicit TableNames(Backend& backend) : backend_(backend) {}
  Result<TableId> Find(const std::string& name) {
    if (known_ && name == name_) return id_;
    HF_TRY(id_, backend_.FindTable(name));
    name_ = name;
    known_ = true;
    return id_;
  }

 private:
  Backend& backend_;
  std::string name_;
  TableId id_;
  bool known_ = false;
};

Status FillCompare(const v1::Compare& from, kernel::Compare& to) {
  to.key = ToBytes(from.key());
  switch (from.condition_case()) {
    case v1::Compare::kAbsent:
      to.kind = kernel::CompareKind::kAbsent;
      return from.absent() ? Ok() : Status(Code::kInvalidArgument);
    case v1::Compare::kPresent:
      to.kind = kernel::CompareKind::kPresent;
      return from.present() ? Ok() : Status(Code::kInvalidArgument);
    case v1::Compare::kEquals:
      to.kind = kernel::CompareKind::kEquals;
      to.value_sha256 = crypto::Sha256(AsBytes(from.equals()));
      return Ok();
    case v1::Compare::CONDITION_NOT_SET:
      break;
  }
  return Code::kInvalidArgument;
}

Status FillOperation(const v1::Operation& from, kernel::Operation& to) {
  to.key = ToBytes(from.key());
  switch (from.change_case()) {
    case v1::Operation::kPut:
      to.kind = kernel::OperationKind::kPut;
      to.value = ToBytes(from.put());
      return Ok();
    case v1::Operation::kDelete:
      to.kind = kernel::OperationKind::kDelete;
      return from.delete_() ? Ok() : Status(Code::kInvalidArgument);
    case v1::Operation::kDeleteUntil:
      to.kind = kernel::OperationKind::kDeleteRange;
      to.end = ToBytes(from.delete_until());
      return Ok();
    case v1::Operation::CHANGE_NOT_SET:
      break;
  }
  return Code::kInvalidArgument;
}

}  // namespace

Result<kernel::Batch> BatchOf(Backend& backend, const v1::BatchRequest& request) {
  // Before anything is copied: a message of 20 MiB can hold millions of empty operations.
  if (static_cast<size_t>(request.operations_size()) > limits::kBatchOpsMax ||
      static_cast<size_t>(request.compares_size()) > limits::kBatchOpsMax) {
    return Code::kBatchSize;
  }
  kernel::Batch batch;
  TableNames names(backend);
  batch.compares.reserve(static_cast<size_t>(request.compares_size()));
  batch.operations.reserve(static_cast<size_t>(request.operations_size()));
  for (const auto& from : request.compares()) {
    kernel::Compare& compare = batch.compares.emplace_back();
    HF_TRY(compare.table, names.Find(from.table()));
    HF_TRY_VOID(FillCompare(from, compare));
  }
  for (const auto& from : request.operations()) {
    kernel::Operation& op = batch.operations.emplace_back();
    HF_TRY(op.table, names.Find(from.table()));
    HF_TRY_VOID(FillOperation(from, op));
  }
  return batch;
}

namespace {

// The first key behind all that begin with `prefix`; empty: there is none.
Bytes BehindPrefix(ByteView prefix) {
  Bytes key = ToBytes(prefix);
  while (!key.empty() && key.back() == 0xFF) key.pop_back();
  if (!key.empty()) ++key.back();
  return key;
}

}  // namespace

Result<ScanRange> RangeOf(const v1::ScanRequest& request) {
  ByteView prefix = AsBytes(request.prefix());
  if (prefix.size() > limits::kKeyBytesMax) return Code::kKeySize;
  ScanRange range{ToBytes(request.from()), ToBytes(request.until())};
  if (Compare(range.from, prefix) < 0) range.from = ToBytes(prefix);
  Bytes behind = BehindPrefix(prefix);
  if (!behind.empty() && (range.until.empty() || Compare(behind, range.until) < 0)) range.until = behind;
  range.empty = !range.until.empty() && Compare(range.from, range.until) >= 0;
  return range;
}

Result<tree::FieldBounds> BoundsOf(const v1::ScanRequest& request) {
  if (!request.prefix().empty() || !request.from().empty() || !request.until().empty())
    return Code::kInvalidArgument;
  const v1::IndexBounds& by = request.by();
  tree::FieldBounds bounds;
  if (by.has_from_case() == v1::IndexBounds::kFrom) bounds.from = ToBytes(by.from());
  if (by.has_until_case() == v1::IndexBounds::kUntil) bounds.until = ToBytes(by.until());
  if (by.has_prefix_case() == v1::IndexBounds::kPrefix) bounds.prefix = ToBytes(by.prefix());
  if (by.has_equals_case() == v1::IndexBounds::kEquals) bounds.equals = ToBytes(by.equals());
  return bounds;
}

namespace {

// The numbers of the API are those of the format, but for bytes: 0, what a client says that knows no types.
Result<tree::Type> TypeOf(v1::Type type) {
  int n = static_cast<int>(type);
  if (n == v1::TYPE_BYTES) return tree::Type::kBytes;
  if (n < v1::TYPE_TEXT || n > v1::TYPE_JSON) return Code::kInvalidArgument;
  return static_cast<tree::Type>(n);
}

}  // namespace

v1::Type ToProto(tree::Type type) {
  return type == tree::Type::kBytes ? v1::TYPE_BYTES : static_cast<v1::Type>(type);
}

Result<tree::Descriptor> DescriptorOf(const v1::CreateTableRequest& request) {
  if (request.leaf_rows_max() > limits::kOrderMax || request.inner_children_max() > limits::kOrderMax) {
    return Code::kInvalidArgument;
  }
  tree::Descriptor d;
  d.name = request.table();
  d.inline_values = !request.never_inline();
  if (request.leaf_rows_max() != 0) d.leaf_rows_max = static_cast<uint16_t>(request.leaf_rows_max());
  if (request.inner_children_max() != 0)
    d.inner_children_max = static_cast<uint16_t>(request.inner_children_max());
  if (request.layout() == v1::LAYOUT_PATRICIA) {
    if (request.inner_children_max() != 0 || request.leaf_rows_max() > tree::kPatriciaLeafRowsMax)
      return Code::kInvalidArgument;
    d.layout = tree::Layout::kPatricia;
    d.inner_children_max = tree::kPatriciaChildrenMax;
  } else if (request.layout() != v1::LAYOUT_BTREE) {
    return Code::kInvalidArgument;
  }
  HF_TRY(d.key_type, TypeOf(request.key_type()));
  HF_TRY(d.value_type, TypeOf(request.value_type()));
  d.transient = request.transient();
  if (request.share_values() && !d.may_share()) return Code::kCannotShare;
  if (request.share_values()) d.values_in.emplace();  // the engine draws which
  if (!tree::MayBeKey(d.key_type)) return Code::kInvalidArgument;
  if (d.transient && d.layout != tree::Layout::kBTree) return Code::kInvalidArgument;  // no root to prove
  return d;
}

}  // namespace holdfast::session
