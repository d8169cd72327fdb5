// A client that tells the truth, over TCP, TLS and gRPC, and remembers what it was told: no answer that it
// gets may be wrong. An error is never wrong; a value is, unless it is the last one acknowledged for its key
// or one whose writing ended in an error since.
#ifndef HOLDFAST_TESTS_ABUSE_HONEST_CLIENT_H_
#define HOLDFAST_TESTS_ABUSE_HONEST_CLIENT_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "hostile_host.h"
#include "sdk/client.h"

namespace holdfast::abuse {

inline constexpr char kTable[] = "t";

// Outlives clients, connections and cores. Thread-safe.
class Oracle {
 public:
  void Attempts(const std::string& key, const std::string& value);
  void Acknowledged(const std::string& key, const std::string& value);
  bool Allows(const std::string& key, const std::optional<std::string>& value) const;
  // A write of it ended in an error: it may still happen.
  bool Uncertain(const std::string& key) const;
  std::set<std::string> AcknowledgedKeys(const std::string& prefix = "") const;

 private:
  struct Entry {
    std::optional<std::string> acknowledged;
    std::set<std::string> attempted;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

// One connection. Its calls expect that no answer is wrong.
class HonestClient {
 public:
  HonestClient(HostileHost& host, Oracle& oracle, uint64_t timeout_ms = 5'000);

  Status Put(const std::string& key, const std::string& value);
  // True: the key was there or was rightly absent; an error is returned.
  Status Get(const std::string& key);
  Status GetAll(const std::set<std::string>& keys);  // every one is read; the first error
  Status Scan(const std::string& prefix);
  // Creates the table, if it is not there yet.
  Status Prepare();
  // A new value can be written and is read back, within kPatience: honest work goes on.
  ::testing::AssertionResult Works();
  Status SaveState();
  sdk::Client& sdk() { return *client_; }

 private:
  HostileHost& host_;
  Oracle& oracle_;
  uint64_t timeout_ms_;
  std::unique_ptr<sdk::Client> client_;
};

// Of an error, else 0.
inline Code CodeOf(const Status& status) { return status ? Code{} : status.code(); }

// A value of a key's own, so that another key's is known at sight.
std::string ValueOf(const std::string& key, size_t bytes, uint64_t version = 0);

}  // namespace holdfast::abuse

#endif  // HOLDFAST_TESTS_ABUSE_HONEST_CLIENT_H_
