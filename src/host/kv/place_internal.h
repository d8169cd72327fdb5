// Where an embedded database lies: made, found and judged before the database's own code sees it.
#ifndef HOLDFAST_HOST_KV_PLACE_INTERNAL_H_
#define HOLDFAST_HOST_KV_PLACE_INTERNAL_H_

#include <cstdint>
#include <string>

#include "base/result.h"

namespace holdfast::host {

std::string ParentDirectory(const std::string& path);  // "." for a bare name

// mkdir -p with mode 0700; what is there stays as it is. Each new name is made durable.
//   errors  kPermission kReadOnly kFull kNoStore (something else than a directory is in the way) kIo
Status MakePrivateDirectories(const std::string& path);

// A new file of mode 0600, its name durable. kExists.
Status MakePrivateFile(const std::string& path);

// kPermission, kReadOnly: files cannot be made in this directory. kNoStore: it is not there.
Status CheckWritableDirectory(const std::string& path);

// True: the file system says that so many bytes are free for us; also when it does not say.
bool HasSpace(const std::string& path, uint64_t bytes);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_PLACE_INTERNAL_H_
