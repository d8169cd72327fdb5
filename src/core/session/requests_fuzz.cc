// Messages of a client, of any bytes, and what they ask for. The first byte chooses the message. What becomes
// a batch is within the limits or refused by kernel::Check, and encodes for the log and back; a scan's range
// holds the keys that the request describes and no other; a table's descriptor is refused or decodes the
// same.
#include "base/check.h"
#include "core/session/fake_backend.h"
#include "core/session/requests_internal.h"

namespace holdfast::session {
namespace {

// Three tables; nothing else of it is asked.
class Tables : public FakeBackend {
 public:
  Result<TableId> FindTable(std::string_view name) override {
    if (name.size() != 1 || name[0] < 'a' || name[0] > 'c') return Code::kNoTable;
    TableId id;
    id.bytes[0] = static_cast<uint8_t>(name[0]);
    return id;
  }
};

void CheckBatch(const Result<kernel::Batch>& batch) {
  if (!batch) {
    Code code = batch.code();
    HF_CHECK(code == Code::kNoTable || code == Code::kInvalidArgument || code == Code::kBatchSize);
    return;
  }
  HF_CHECK(batch->operations.size() <= limits::kBatchOpsMax &&
           batch->compares.size() <= limits::kBatchOpsMax);
  HF_CHECK(batch->session == 0 && batch->sequence == 0);  // only a session stream gives them
  if (!kernel::Check(*batch)) return;
  Bytes encoded = kernel::Encode(*batch);
  HF_CHECK(encoded.size() == kernel::EncodedBytes(*batch) && encoded.size() <= kernel::kCommandBytesMax);
  HF_CHECK(kernel::DecodeBatch(encoded).value() == *batch);
}

bool Wanted(const v1::ScanRequest& request, ByteView key) {
  ByteView prefix = AsBytes(request.prefix()), until = AsBytes(request.until());
  bool prefixed = key.size() >= prefix.size() && Equal(key.first(prefix.size()), prefix);
  return prefixed && Compare(key, AsBytes(request.from())) >= 0 && (until.empty() || Compare(key, until) < 0);
}

void CheckKey(const v1::ScanRequest& request, const ScanRange& range, ByteView key) {
  bool in =
      !range.empty && Compare(key, range.from) >= 0 && (range.until.empty() || Compare(key, range.until) < 0);
  HF_CHECK(in == Wanted(request, key));
}

void CheckScan(const v1::ScanRequest& request) {
  Result<ScanRange> range = RangeOf(request);
  if (!range) {
    HF_CHECK(range.code() == Code::kKeySize && request.prefix().size() > limits::kKeyBytesMax);
    return;
  }
  // Around every edge there is.
  for (const std::string* edge : {&request.prefix(), &request.from(), &request.until()}) {
    Bytes key = ToBytes(AsBytes(*edge));
    CheckKey(request, *range, key);
    key.push_back(0);
    CheckKey(request, *range, key);
    key.back() = 0xFF;
    CheckKey(request, *range, key);
    key.pop_back();
    if (key.empty()) continue;
    ++key.back();
    CheckKey(request, *range, key);
    key.back() = static_cast<uint8_t>(key.back() - 2);
    CheckKey(request, *range, key);
    key.pop_back();
    CheckKey(request, *range, key);
  }
}

void CheckTable(const v1::CreateTableRequest& request) {
  Result<tree::Descriptor> d = DescriptorOf(request);
  if (!d) {
    HF_CHECK(d.code() == Code::kInvalidArgument || d.code() == Code::kUnsupported ||
             d.code() == Code::kCannotShare);
    return;
  }
  // What the engine looks at before it encodes.
  if (d->name.empty() || d->name.size() > limits::kTableNameBytesMax) return;
  if (Result<tree::Descriptor> again = tree::Descriptor::Decode(d->Encode())) {
    HF_CHECK(*again == *d);
    HF_CHECK(d->leaf_rows_max >= limits::kOrderMin && d->leaf_rows_max <= limits::kOrderMax);
  }
}

void CheckOperation(Backend& backend, const v1::SessionOperation& operation) {
  if (operation.has_put()) CheckBatch(BatchOf(backend, operation.put()));
  if (operation.has_delete_()) CheckBatch(BatchOf(backend, operation.delete_()));
  if (operation.has_batch()) CheckBatch(BatchOf(backend, operation.batch()));
}

template <typename Message, typename Check>
void Parsed(ByteView bytes, const Check& check) {
  Message message;
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) check(message);
}

}  // namespace
}  // namespace holdfast::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;           // NOLINT: a fuzzer's one function
  using namespace holdfast::session;  // NOLINT
  static Tables& tables = *(SilenceMessageParser(), new Tables());
  if (size == 0) return 0;
  ByteView bytes(data + 1, size - 1);
  auto batch = [](const auto& message) { CheckBatch(BatchOf(tables, message)); };
  switch (data[0]) {
    case 'p':
      Parsed<v1::PutRequest>(bytes, batch);
      break;
    case 'd':
      Parsed<v1::DeleteRequest>(bytes, batch);
      break;
    case 'b':
      Parsed<v1::BatchRequest>(bytes, batch);
      break;
    case 's':
      Parsed<v1::ScanRequest>(bytes, CheckScan);
      break;
    case 't':
      Parsed<v1::CreateTableRequest>(bytes, CheckTable);
      break;
    default:
      Parsed<v1::SessionRequest>(bytes, [](const v1::SessionRequest& message) {
        for (const v1::SessionOperation& o : message.operations()) CheckOperation(tables, o);
      });
  }
  return 0;
}
