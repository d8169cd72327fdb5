// What a client asks for, in our own terms: messages of the API to plain structs. A message is a stranger's:
// what is out of bounds is refused here or by kernel::Check and tree::Descriptor::Decode behind it, and
// before it costs more memory than it brought. No gRPC, so that fuzzers can build it.
#ifndef HOLDFAST_CORE_SESSION_REQUESTS_INTERNAL_H_
#define HOLDFAST_CORE_SESSION_REQUESTS_INTERNAL_H_

#include "core/session/backend.h"
#include "core/tree/index_key.h"
#include "holdfast/v1/kv.pb.h"

namespace holdfast::session {

namespace v1 = ::holdfast::v1;

// From now on the parser of messages writes nothing to stderr: one line for each text that is no UTF-8 would
// let a stranger fill the log. Before any message is parsed; the messages are refused as before.
void SilenceMessageParser();

kernel::Wait WaitOf(v1::Wait wait);

// Tables by name to batches by id. Sizes of keys and values are kernel::Check's business.
//   errors  kNoTable; kInvalidArgument: a compare without condition, an operation without change; kBatchSize
Result<kernel::Batch> BatchOf(Backend& backend, const v1::PutRequest& request);
Result<kernel::Batch> BatchOf(Backend& backend, const v1::DeleteRequest& request);
Result<kernel::Batch> BatchOf(Backend& backend, const v1::BatchRequest& request);

// Keys with from <= key, and key < until unless that is empty.
struct ScanRange {
  Bytes from, until;
  bool empty = false;  // no key can lie in it
};
// The request's bounds and its prefix as one range. kKeySize: a prefix longer than a key.
Result<ScanRange> RangeOf(const v1::ScanRequest& request);

// kInvalidArgument: an order above limits::kOrderMax or its layout's, no layout or type of ours, or keys of a
// type of values; kUnsupported: a transient one. The name is not looked at.
// kInvalidArgument: bounds of keys beside those of an index.
Result<tree::FieldBounds> BoundsOf(const v1::ScanRequest& request);

Result<tree::Descriptor> DescriptorOf(const v1::CreateTableRequest& request);

v1::Type ToProto(tree::Type type);

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_REQUESTS_INTERNAL_H_
