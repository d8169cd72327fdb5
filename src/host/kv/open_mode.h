// How a store is opened. Only the first two exist for a store that is there already.
#ifndef HOLDFAST_HOST_KV_OPEN_MODE_H_
#define HOLDFAST_HOST_KV_OPEN_MODE_H_

namespace holdfast::host {

enum class OpenMode {
  kReadWrite,  // the place must exist (kNoStore); takes the exclusive lock where there is one (kInUse)
  kReadOnly,   // the place must exist; shared lock; never writes, not even a timestamp of ours (rule C1)
  kCreate,     // makes the place if it is absent; refuses one that holds anything (kNotEmpty); then as
               // kReadWrite
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_OPEN_MODE_H_
