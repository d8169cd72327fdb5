// What an S3 service answers in XML, taken apart: listings and errors. Pure; every byte is the provider's.
#ifndef HOLDFAST_HOST_KV_S3_ANSWER_H_
#define HOLDFAST_HOST_KV_S3_ANSWER_H_

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::host {

struct S3Listing {
  struct Object {
    std::string key;
    uint64_t size_bytes = 0;
  };
  std::vector<Object> objects;  // at most kListPageMax
  bool truncated = false;
};

// A ListBucketResult (version 2, encoding-type=url). kMalformed: anything else, more objects than asked for,
// a size that is no number.
Result<S3Listing> ParseS3Listing(ByteView xml);

// The <Code> of an <Error>, "" where there is none.
std::string ParseS3ErrorCode(ByteView xml);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_S3_ANSWER_H_
