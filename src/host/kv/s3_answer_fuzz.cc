// Answers of an S3 service: the first byte chooses a listing or an error, the rest is its body.
// A listing that is accepted has at most a page of objects.
#include "base/check.h"
#include "host/kv/s3_answer.h"
#include "seam/storage.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  holdfast::ByteView body(data + 1, size - 1);
  if (data[0] % 2 == 0) {
    auto listing = holdfast::host::ParseS3Listing(body);
    if (listing) HF_CHECK(listing->objects.size() <= holdfast::seam::kListPageMax);
    if (!listing) HF_CHECK(listing.code() == holdfast::Code::kMalformed);
  } else {
    HF_CHECK(holdfast::host::ParseS3ErrorCode(body).size() <= body.size());
  }
  return 0;
}
