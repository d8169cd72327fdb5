// `firestore://PROJECT/COLLECTION?endpoint=…&ca=…&credentials=…&single-writer=true` — a collection of Google
// Cloud Firestore, database (default), over REST. A document:
//
//   id  the name in hexadecimal ('/' is not allowed there; the order is the same)
//   w   number of the write        z  size        v  bytes, up to 960 KiB (a document has 1 MiB; parts.h)
//
// Conditions: currentDocument.exists and .updateTime. "Does not hold" is believed only if the document does
// not bear our number. The access token is read again from its file when the service does not accept it any
// more: who keeps the file fresh is somebody else. It is sent over TLS or to loopback only.
#ifndef HOLDFAST_HOST_KV_FIRESTORE_H_
#define HOLDFAST_HOST_KV_FIRESTORE_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kNoCredentials kCredentialsFileMode kRefusedByProvider kPermission kUnreachable.
// kNoStore: nothing in the collection. kNotEmpty: kCreate, and something is there.
Result<std::unique_ptr<seam::Storage>> OpenFirestore(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_FIRESTORE_H_
