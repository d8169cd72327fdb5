// `azure-table://ACCOUNT/TABLE?endpoint=…&ca=…&credentials=…&single-writer=true` — a table of Azure Table
// Storage. init makes it where it is absent. An entity:
//
//   PartitionKey  "o"        RowKey  the name in hexadecimal ('/' is not allowed there; the order is the
//   same) w  number of the write   z  size   v0 … v14  the bytes, 64 KiB each (an entity has 1 MiB; parts.h)
//
// endpoint=: https://ACCOUNT.table.core.windows.net is the default; where the account is not part of the
// host's name (azurite), it comes first in the path. Requests are signed (SharedKeyLite) with the account's
// key. Conditions: Insert Entity, and If-Match with the ETag. "Does not hold" is believed only if the entity
// does not bear our number.
#ifndef HOLDFAST_HOST_KV_AZURE_TABLE_H_
#define HOLDFAST_HOST_KV_AZURE_TABLE_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kNoCredentials kCredentialsFileMode kRefusedByProvider kUnreachable.
// kNoStore: no such table, or nothing in it. kNotEmpty: kCreate, and something is there.
Result<std::unique_ptr<seam::Storage>> OpenAzureTable(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_AZURE_TABLE_H_
