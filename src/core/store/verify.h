// Verifying what was read; also for a served store, whose secrets are at hand. Source: design §3 verify, rule
// E.
#ifndef HOLDFAST_CORE_STORE_VERIFY_H_
#define HOLDFAST_CORE_STORE_VERIFY_H_

#include "core/store/opener.h"
#include "core/store/workers.h"

namespace holdfast::store {

// As VerifyStore, with secrets instead of a passphrase. On a served store the caller keeps saves out for as
// long as it runs.
Result<VerifyReport> VerifyUnlocked(seam::Storage& storage, Secrets secrets, const VerifyOptions& options,
                                    std::vector<Finding> findings_so_far);

// The same and what was read, for restore.
Result<VerifyReport> VerifyAndKeep(seam::Storage& storage, ByteView passphrase, const VerifyOptions& options,
                                   Reading& reading);

// Every object name that belongs to what was read, with whether it must be there.
struct Expected {
  std::map<std::string, const Segment*> segments;  // of both manifests
  std::map<std::string, const Group*> groups;      // likewise
  std::set<std::string> required;                  // those of both that must be there
};
Expected ExpectedObjects(const Slots& slots);

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_VERIFY_H_
