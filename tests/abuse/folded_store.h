// A store whose rows lie in segments, so that reading one takes answers of the host: written through a first
// core, saved, and stopped cleanly.
#ifndef HOLDFAST_TESTS_ABUSE_FOLDED_STORE_H_
#define HOLDFAST_TESTS_ABUSE_FOLDED_STORE_H_

#include <set>
#include <string>

#include "honest_client.h"

namespace holdfast::abuse {

struct FoldedStore {
  static constexpr int kRows = 40;
  static constexpr size_t kValueBytes = 400;  // a node of its own each, all of one size

  FoldedStore() { Fill(0); }
  // Rows "k/00" to "k/39" anew, another version of each; folded, stopped, anchored.
  void Fill(uint64_t version) {
    HostileHost host(deployment);
    ASSERT_TRUE(host.WaitReady());
    {
      HonestClient client(host, oracle);
      ASSERT_TRUE(client.Prepare());
      for (int i = 0; i < kRows; ++i) ASSERT_TRUE(client.Put(Key(i), ValueOf(Key(i), kValueBytes, version)));
      ASSERT_TRUE(client.SaveState());
    }
    ASSERT_EQ(host.Stop(), Code{});
  }
  static std::string Key(int i) {
    return std::string("k/") + static_cast<char>('0' + i / 10) + static_cast<char>('0' + i % 10);
  }
  std::set<std::string> Keys() const { return oracle.AcknowledgedKeys("k/"); }

  Deployment deployment;
  Oracle oracle;
};

inline bool IsNodeRead(const seam::StorageRequest& q) {
  return q.operation == static_cast<uint8_t>(seam::StorageOperation::kGetRange) &&
         q.name.starts_with("segments/");
}

}  // namespace holdfast::abuse

#endif  // HOLDFAST_TESTS_ABUSE_FOLDED_STORE_H_
