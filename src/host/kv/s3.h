// `s3://BUCKET[/PREFIX]?endpoint=…&region=…&ca=…&credentials=…&single-writer=true` — a bucket of an S3
// service: AWS, or anything that speaks its protocol (endpoint=, path style). The bucket exists already.
//
//   BUCKET/PREFIX/<name>                         the object's bytes, nothing else
//   x-amz-meta-holdfast-write                    a number of the write, in the object's metadata
//   BUCKET/PREFIX/.holdfast/                     ours, empty but while opening; never listed, refused as a
//   name
//
// Requests are signed (SigV4, header, body digest included). Credentials: host/http/credentials.h.
// Objects are written whole, by one PUT; read by range; listed with ListObjectsV2, 1,000 a page.
//
// Conditions: If-None-Match: * and If-Match, where the service has them. Opening for writing finds out, with
// an object of its own under .holdfast/ that is created, refused twice and deleted; a service that fails this
// in any way has none (the capability is off). An ETag is a digest of the bytes, so a version here is the
// ETag and the number of the write, and replacing needs a look at that number first: two openers that write
// the very same bytes in one moment could both be told that they won. Sealed objects never are the same.
// "Exists" is believed only if the object does not bear our number: the answer to an attempt that had its
// effect may have been lost.
//
// Directory buckets do not list in order; a listing out of order is refused as kMalformed.
#ifndef HOLDFAST_HOST_KV_S3_H_
#define HOLDFAST_HOST_KV_S3_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kNoCredentials kCredentialsFileMode kRefusedByProvider kPermission kUnreachable.
// kNoStore: no such bucket, or nothing below the prefix. kNotEmpty: kCreate, and something is there.
Result<std::unique_ptr<seam::Storage>> OpenS3(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_S3_H_
