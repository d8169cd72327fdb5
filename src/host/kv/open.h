// Store URLs (docs: contract): which provider keeps the bytes.
//
//   memory:                               gone with the process
//   dir:/path                             regular files, journal files appended to in place
//   dir:/path?whole-objects=true          the same names, every object written whole (mounts of object
//                                         stores)
//   sqlite:/path                          one file, an SQLite database
//   rocksdb:/path                         a directory that RocksDB keeps
//   leveldb:/path                         a directory that LevelDB keeps
//   s3://bucket/prefix?endpoint=…         objects in a bucket (s3.h)
//   postgres://user@host:port/db?table=…  rows of a table (postgres.h)
//   dynamodb://table?endpoint=…           items (dynamodb.h)
//   azure-table://account/table           entities (azure_table.h)
//   firestore://project/collection        documents (firestore.h)
//   webhdfs://host:port/path              files (webhdfs.h)
//
// Nothing in a path is an escape: it ends at the first '?'. Parameters are `name=value`, joined by '&'; one
// that the scheme does not know, or given twice, is refused.
#ifndef HOLDFAST_HOST_KV_OPEN_H_
#define HOLDFAST_HOST_KV_OPEN_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "host/kv/open_mode.h"
#include "seam/storage.h"

namespace holdfast::host {

struct StoreUrl {
  std::string scheme;  // before the first ':'
  std::string path;    // up to '?'; not interpreted
  std::map<std::string, std::string, std::less<>> parameters;
};

// kBadUrl: no scheme, an odd parameter, a control character, over 4,096 bytes. The scheme may be an unknown
// one.
Result<StoreUrl> ParseStoreUrl(std::string_view url);

// kBadUrl: not understood; else what the provider says (kNoStore kInUse kNotEmpty kReadOnly kPermission
// kUnreachable kNoCredentials kCredentialsFileMode kRefusedByProvider).
Result<std::unique_ptr<seam::Storage>> OpenStorage(std::string_view url, OpenMode mode);

// The directory of a `dir:` URL (for LockHolder), empty for any other.
std::string DirectoryOf(std::string_view url);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_OPEN_H_
