#include "core/kernel/command.h"

#include "base/codec.h"

namespace holdfast::kernel {
namespace {

// Smallest encodings, so that a forged count cannot make us take memory its bytes do not pay for.
constexpr size_t kCompareBytesMin = 1 + 16 + 2;
constexpr size_t kOperationBytesMin = 1 + 16 + 2;

bool GoodKey(size_t bytes) { return bytes >= 1 && bytes <= limits::kKeyBytesMax; }

bool GoodRange(ByteView key, ByteView end) {
  if (key.size() > limits::kKeyBytesMax || end.size() > limits::kKeyBytesMax) return false;
  return end.empty() || holdfast::Compare(key, end) < 0;
}

CompareView ReadCompare(Reader& r) {
  CompareView c;
  const uint8_t kind = r.U8();
  if (kind < 1 || kind > 3) r.Fail();
  c.kind = static_cast<CompareKind>(kind);
  c.table = r.Id<TableId>();
  c.key = r.Blob16(limits::kKeyBytesMax);
  if (!GoodKey(c.key.size())) r.Fail();
  if (c.kind == CompareKind::kEquals) c.value_sha256 = r.Hash();
  return c;
}

OperationView ReadOperation(Reader& r) {
  OperationView o;
  const uint8_t kind = r.U8();
  if (kind < 1 || kind > 3) r.Fail();
  o.kind = static_cast<OperationKind>(kind);
  o.table = r.Id<TableId>();
  o.key = r.Blob16(limits::kKeyBytesMax);
  if (o.kind == OperationKind::kPut) o.value = r.Blob32(limits::kValueBytesMax);
  if (o.kind == OperationKind::kDeleteRange) {
    o.end = r.Blob16(limits::kKeyBytesMax);
    if (!GoodRange(o.key, o.end)) r.Fail();
  } else if (!GoodKey(o.key.size())) {
    r.Fail();
  }
  return o;
}

}  // namespace

size_t EncodedBytes(const Compare& c) {
  return kCompareBytesMin + c.key.size() + (c.kind == CompareKind::kEquals ? c.value_sha256.size() : 0);
}

size_t EncodedBytes(const Operation& o) {
  size_t n = kOperationBytesMin + o.key.size();
  if (o.kind == OperationKind::kPut) n += 4 + o.value.size();
  if (o.kind == OperationKind::kDeleteRange) n += 2 + o.end.size();
  return n;
}

size_t EncodedBytes(const Batch& batch) {
  size_t n = 8 + 8 + 4 + 4;
  for (const Compare& c : batch.compares) n += EncodedBytes(c);
  for (const Operation& o : batch.operations) n += EncodedBytes(o);
  return n;
}

Status Check(const Compare& c) {
  if (!GoodKey(c.key.size())) return Code::kKeySize;
  return Ok();
}

Status Check(const Operation& o) {
  if (o.kind == OperationKind::kDeleteRange) {
    if (o.key.size() > limits::kKeyBytesMax || o.end.size() > limits::kKeyBytesMax) return Code::kKeySize;
    if (!GoodRange(o.key, o.end)) return Code::kInvalidArgument;
    return Ok();
  }
  if (!GoodKey(o.key.size())) return Code::kKeySize;
  if (o.kind == OperationKind::kPut && o.value.size() > limits::kValueBytesMax) return Code::kValueSize;
  return Ok();
}

Status Check(const Batch& batch) {
  if (batch.operations.size() > limits::kBatchOpsMax || batch.compares.size() > limits::kBatchOpsMax) {
    return Code::kBatchSize;
  }
  for (const Compare& c : batch.compares) HF_TRY_VOID(Check(c));
  for (const Operation& o : batch.operations) HF_TRY_VOID(Check(o));
  if (EncodedBytes(batch) > kCommandBytesMax) return Code::kBatchSize;
  return Ok();
}

Bytes Encode(const Batch& batch) {
  Bytes out;
  out.reserve(EncodedBytes(batch));
  Writer w(out);
  w.U64(batch.session).U64(batch.sequence);
  w.U32(static_cast<uint32_t>(batch.compares.size()));
  for (const Compare& c : batch.compares) {
    w.U8(static_cast<uint8_t>(c.kind)).Id(c.table).Blob16(c.key);
    if (c.kind == CompareKind::kEquals) w.Raw(c.value_sha256);
  }
  w.U32(static_cast<uint32_t>(batch.operations.size()));
  for (const Operation& o : batch.operations) {
    w.U8(static_cast<uint8_t>(o.kind)).Id(o.table).Blob16(o.key);
    if (o.kind == OperationKind::kPut) w.Blob32(o.value);
    if (o.kind == OperationKind::kDeleteRange) w.Blob16(o.end);
  }
  return out;
}

Result<BatchView> DecodeBatchView(ByteView payload) {
  if (payload.size() > kCommandBytesMax) return Code::kMalformed;
  Reader r(payload);
  BatchView batch;
  batch.session = r.U64();
  batch.sequence = r.U64();
  const uint32_t compares = r.Count32(kCompareBytesMin);
  if (compares > limits::kBatchOpsMax) return Code::kMalformed;
  batch.compares.reserve(compares);
  for (uint32_t i = 0; i < compares && r.ok(); ++i) batch.compares.push_back(ReadCompare(r));
  const uint32_t operations = r.Count32(kOperationBytesMin);
  if (operations > limits::kBatchOpsMax) return Code::kMalformed;
  batch.operations.reserve(operations);
  for (uint32_t i = 0; i < operations && r.ok(); ++i) batch.operations.push_back(ReadOperation(r));
  if (!r.Finish()) return Code::kMalformed;
  return batch;
}

Result<Batch> DecodeBatch(ByteView payload) {
  HF_TRY(const BatchView view, DecodeBatchView(payload));
  Batch batch;
  batch.session = view.session;
  batch.sequence = view.sequence;
  batch.compares.reserve(view.compares.size());
  for (const CompareView& c : view.compares) {
    batch.compares.push_back({c.kind, c.table, ToBytes(c.key), c.value_sha256});
  }
  batch.operations.reserve(view.operations.size());
  for (const OperationView& o : view.operations) {
    batch.operations.push_back({o.kind, o.table, ToBytes(o.key), ToBytes(o.value), ToBytes(o.end)});
  }
  return batch;
}

namespace {

void Encode(const CreateTable& command, Writer& w) {
  w.Id(command.table).Num(command.epoch).Raw(command.key.view()).Blob16(command.descriptor);
}

CreateTable ReadCreateTable(Reader& r) {
  CreateTable command;
  command.table = r.Id<TableId>();
  command.epoch = r.Num<Epoch>();
  r.Copy(command.key.mutable_view().data(), Key::size());
  command.descriptor = ToBytes(r.Blob16());
  return command;
}

}  // namespace

Bytes Encode(const CreateTable& command) {
  Bytes out;
  Writer w(out);
  Encode(command, w);
  return out;
}

Result<CreateTable> DecodeCreateTable(ByteView payload) {
  Reader r(payload);
  CreateTable command = ReadCreateTable(r);
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

Bytes Encode(const CreateTables& command) {
  Bytes out;
  Writer w(out);
  w.U16(static_cast<uint16_t>(command.tables.size()));
  for (const CreateTable& table : command.tables) Encode(table, w);
  return out;
}

Result<CreateTables> DecodeCreateTables(ByteView payload) {
  Reader r(payload);
  size_t n = r.U16();
  if (n == 0 || n > kCreatedTogetherMax) return Code::kMalformed;
  CreateTables command;
  for (; n > 0 && r.ok(); --n) command.tables.push_back(ReadCreateTable(r));
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

Bytes Encode(const DropTable& command) { return ToBytes(command.table.view()); }

Result<DropTable> DecodeDropTable(ByteView payload) {
  Reader r(payload);
  DropTable command{r.Id<TableId>()};
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

Bytes Encode(const SavePoint& command) {
  Bytes out;
  Writer(out).U32(command.fold_version);
  return out;
}

Result<SavePoint> DecodeSavePoint(ByteView payload) {
  Reader r(payload);
  SavePoint command{r.U32()};
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

Bytes Encode(const OpenSession& command) {
  Bytes out;
  Writer(out).Blob16(command.client_serial);
  return out;
}

Result<OpenSession> DecodeOpenSession(ByteView payload) {
  Reader r(payload);
  OpenSession command{ToBytes(r.Blob16())};
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

Bytes Encode(const Opened& command) { return ToBytes(command.member.view()); }

Result<Opened> DecodeOpened(ByteView payload) {
  Reader r(payload);
  Opened command{r.Id<MemberId>()};
  if (!r.Finish()) return Code::kMalformed;
  return command;
}

namespace {

Bytes EncodeName(ByteView name) {
  Bytes out;
  Writer(out).Blob16(name);
  return out;
}

Result<Bytes> DecodeTagName(ByteView payload) {
  Reader r(payload);
  Bytes name = ToBytes(r.Blob16(limits::kTagNameBytesMax));
  if (!r.Finish() || name.empty()) return Code::kMalformed;
  return name;
}

}  // namespace

Bytes Encode(const CreateTag& command) { return EncodeName(command.name); }
Bytes Encode(const DropTag& command) { return EncodeName(command.name); }

Result<CreateTag> DecodeCreateTag(ByteView payload) {
  HF_TRY(Bytes name, DecodeTagName(payload));
  return CreateTag{std::move(name)};
}

Result<DropTag> DecodeDropTag(ByteView payload) {
  HF_TRY(Bytes name, DecodeTagName(payload));
  return DropTag{std::move(name)};
}

bool TakesSpace(journal::EntryKind kind, ByteView payload) {
  switch (kind) {
    case journal::EntryKind::kDropTable:
    case journal::EntryKind::kDropTag:
    case journal::EntryKind::kOpenSession:
      return false;
    case journal::EntryKind::kBatch:
      break;
    default:
      return true;
  }
  auto batch = DecodeBatchView(payload);
  if (!batch) return true;
  for (const OperationView& o : batch->operations) {
    if (o.kind == OperationKind::kPut) return true;
  }
  return false;
}

}  // namespace holdfast::kernel
