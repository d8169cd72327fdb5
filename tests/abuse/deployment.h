// One store in memory with its anchor, its administrator's certificate in a folder of its own, and the
// passphrase: what a host has to lie about.
#ifndef HOLDFAST_TESTS_ABUSE_DEPLOYMENT_H_
#define HOLDFAST_TESTS_ABUSE_DEPLOYMENT_H_

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/ids.h"
#include "host/kv/memory.h"

namespace holdfast::abuse {

// All bytes of a provider at one moment, to be put back later.
using Copy = std::map<std::string, Bytes>;

inline constexpr std::string_view kPassphrase = "a passphrase for tests";
// An open descriptor with that text, unread. The caller closes it.
int OpenPassphrase(std::string_view text);

class Deployment {
 public:
  explicit Deployment(seam::Capabilities capabilities = host::MemoryStorage::AllCapabilities());
  ~Deployment();
  Deployment(const Deployment&) = delete;
  Deployment& operator=(const Deployment&) = delete;

  Copy CopyStore();
  // Everything is as it was then.
  void PutBack(const Copy& copy);
  // Only names with that prefix; others stay.
  void PutBack(const Copy& copy, std::string_view prefix);

  seam::Storage& objects() { return *objects_; }
  seam::Storage& anchor() { return *anchor_; }
  const StoreId& store() const { return store_; }
  std::string CaFile() const { return folder_ / "ca.pem"; }
  std::string ClientFile() const { return folder_ / "admin.pem"; }

 private:
  const uint64_t number_;
  const std::filesystem::path folder_;
  StoreId store_;
  std::unique_ptr<host::MemoryStorage> objects_, anchor_;
};

}  // namespace holdfast::abuse

#endif  // HOLDFAST_TESTS_ABUSE_DEPLOYMENT_H_
