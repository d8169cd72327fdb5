#include "core/session/clients.h"

#include "core/session/pki.h"

namespace holdfast::session {

Result<std::vector<std::string>> Clients::Load(Backend& backend) {
  HF_TRY(std::vector<Row> rows, backend.ScanSystem(kClientRowPrefix));
  std::map<std::string, ClientInfo> fresh;
  for (const Row& row : rows) {
    HF_TRY(ClientInfo info, DecodeClient(AsText(row.key), row.value));
    fresh.emplace(info.serial, std::move(info));
  }
  sync::MutexLock lock(mutex_);
  std::vector<std::string> ended;
  for (const auto& [serial, old] : by_serial_) {
    auto it = fresh.find(serial);
    if (!old.revoked && (it == fresh.end() || it->second.revoked)) ended.push_back(serial);
  }
  by_serial_ = std::move(fresh);
  return ended;
}

void Clients::Put(const ClientInfo& client) {
  sync::MutexLock lock(mutex_);
  by_serial_[client.serial] = client;
}

Status Clients::Check(const std::string& serial, seam::Listener listener) const {
  sync::MutexLock lock(mutex_);
  auto it = by_serial_.find(serial);
  if (it == by_serial_.end()) return Code::kUnauthenticated;
  if (it->second.revoked) return Code::kRevoked;
  if (listener != seam::Listener::kUser && !it->second.admin) return Code::kUnauthenticated;
  return Ok();
}

std::optional<ClientInfo> Clients::Find(const std::string& serial) const {
  sync::MutexLock lock(mutex_);
  auto it = by_serial_.find(serial);
  if (it == by_serial_.end()) return std::nullopt;
  return it->second;
}

std::vector<ClientInfo> Clients::All() const {
  sync::MutexLock lock(mutex_);
  std::vector<ClientInfo> all;
  for (const auto& [serial, info] : by_serial_) all.push_back(info);
  return all;
}

}  // namespace holdfast::session
