// `dynamodb://TABLE?endpoint=…&region=…&ca=…&credentials=…&single-writer=true` — a table of Amazon DynamoDB.
// init makes it (on demand, paid by request) where it is absent. An item:
//
//   s  "o"        partition key: one partition, which keeps listings in order
//   n  name       sort key
//   w  number of the write        z  size        v  bytes, up to 384 KiB (an item has 400 KB; parts.h)
//
// Reads and queries ask for consistency; conditions are ConditionExpressions on n and w. "Does not hold" is
// believed only if the item does not bear our number. Requests are signed (SigV4). Throttling is retried.
// Limits: one partition takes about 1 MB of writes a second, until DynamoDB splits it.
#ifndef HOLDFAST_HOST_KV_DYNAMODB_H_
#define HOLDFAST_HOST_KV_DYNAMODB_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kNoCredentials kCredentialsFileMode kRefusedByProvider kPermission kUnreachable.
// kNoStore: no such table, or nothing in it. kNotEmpty: kCreate, and something is there.
Result<std::unique_ptr<seam::Storage>> OpenDynamodb(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_DYNAMODB_H_
