// Who may connect: the rows client/<serial>, kept in memory so that a handshake never waits for storage.
#ifndef HOLDFAST_CORE_SESSION_CLIENTS_H_
#define HOLDFAST_CORE_SESSION_CLIENTS_H_

#include <map>
#include <string>
#include <vector>

#include "core/session/backend.h"
#include "seam/channel.h"
#include "sync/mutex.h"

namespace holdfast::session {

// Thread-safe.
class Clients {
 public:
  // Replaces everything by what the store says; the serials that may no longer connect. Blocking.
  // kMalformed: a row is not one of ours; nothing changed.
  Result<std::vector<std::string>> Load(Backend& backend);
  void Put(const ClientInfo& client);
  // kUnauthenticated: unknown, or not an administrator on the admin listener. kRevoked.
  Status Check(const std::string& serial, seam::Listener listener) const;
  std::optional<ClientInfo> Find(const std::string& serial) const;
  std::vector<ClientInfo> All() const;

 private:
  mutable sync::Mutex mutex_{sync::LockName::kSession};
  std::map<std::string, ClientInfo> by_serial_ HF_GUARDED_BY(mutex_);
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_CLIENTS_H_
