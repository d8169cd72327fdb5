// `webhdfs://HOST:PORT/PATH?user=U&tls=true&ca=…&single-writer=true` — a directory of HDFS, or of another
// file system that speaks its REST protocol. Each object is a file of the same name, written whole by one
// CREATE, never appended to, cut or renamed; read by OPEN with offset and length. Reads and writes take two
// steps: the name node answers with the place (307), and the bytes go there. A place over http is refused
// where tls=true.
//
// Conditions: none but CREATE without overwriting, which the name node decides; a file that has the very
// bytes that we wanted to create counts as ours, since the answer to an attempt may have been lost. No
// conditional put. A reader of this process never sees part of a file; one elsewhere can, while it is
// written. Durability: what the data nodes of the last pipeline hold when it is closed, which may be their
// memory. Listings walk directories, all of them for each page: 1,000 objects a page, ListStatus for each
// directory. user.name is all the authentication there is; Kerberos is not built.
#ifndef HOLDFAST_HOST_KV_WEBHDFS_H_
#define HOLDFAST_HOST_KV_WEBHDFS_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kPermission kUnreachable. kNoStore: no such directory, or nothing in it. kNotEmpty: kCreate, and
// something is there.
Result<std::unique_ptr<seam::Storage>> OpenWebhdfs(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_WEBHDFS_H_
