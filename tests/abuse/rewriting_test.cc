// What cannot be checked once: positions, bytes, flags and wake-ups that the host rewrites while they are
// used. The core may end by name. It never crashes, never hangs, and its clients hear nothing wrong.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "honest_client.h"

namespace holdfast::abuse {
namespace {

using seam::Direction;
using seam::Lane;
using seam::RingMemory;

constexpr uint64_t kMiB = 1ull << 20;
constexpr uint64_t kMemoryMax = 192 * kMiB;  // of a core that serves little, whatever becomes of it

class Rewriting : public ::testing::Test {
 protected:
  // Clients work while `rewrite` is called again and again, until the core ends or the time is over.
  void RunWith(const std::function<void(HostileHost&, std::mt19937_64&)>& rewrite, uint64_t seed, int ms,
               bool must_live = false) {
    HostileHost host(store, How{.by_hand = true});
    ASSERT_TRUE(host.WaitReady());
    {
      HonestClient first(host, oracle);
      ASSERT_TRUE(first.Prepare());
    }
    std::atomic<bool> over{false};
    std::vector<std::thread> clients;
    for (int c = 0; c < 2; ++c) {
      clients.emplace_back([&, c] {
        HonestClient client(host, oracle, 400);
        for (int i = 0; !over; ++i) {
          std::string key =
              "r/" + std::to_string(seed) + "/" + std::to_string(c) + "/" + std::to_string(i % 20) + "/";
          while (oracle.Uncertain(key)) key += "+";
          Status put = client.Put(
              key, ValueOf(key, 200 + static_cast<size_t>(i) * 97 % 9000, static_cast<uint64_t>(i)));
          if (put) (void)client.Get(key);
        }
      });
    }
    std::mt19937_64 random(seed);
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    while (std::chrono::steady_clock::now() < until && host.Alive()) rewrite(host, random);
    over = true;
    for (std::thread& t : clients) t.join();
    EXPECT_LT(host.MemoryPeak(), kMemoryMax);
    if (must_live || host.Alive()) {
      // Woken once by hand: a flag of the core's own may still be a lie.
      uint64_t one = 1;
      (void)!::write(host.descriptors().wake_core, &one, sizeof one);
    }
    if (must_live) {
      HonestClient after(host, oracle);
      EXPECT_TRUE(after.Works());
      EXPECT_TRUE(after.GetAll(oracle.AcknowledgedKeys()));
    } else if (!host.Alive()) {
      EXPECT_EQ(host.WaitEnd(), "exited with 1");
      EXPECT_TRUE(host.Stderr().starts_with("holdfast-core: kChannelBroken: ") ||
                  host.Stderr().starts_with("holdfast-core: kHostStalls: "))
          << host.Stderr();
    }
  }
  void ExpectAllHonestly() {
    HostileHost host(store);
    ASSERT_TRUE(host.WaitReady());
    HonestClient client(host, oracle);
    EXPECT_TRUE(client.GetAll(oracle.AcknowledgedKeys()));
    EXPECT_TRUE(client.Works());
  }
  // Not those by which the core asks for storage: what we garble there, we have garbled in our own files.
  static RingMemory Any(HostileHost& host, std::mt19937_64& random) {
    if (random() % 3 == 0) {
      return seam::RingAt(host.memory(), Direction::kToHost,
                          random() % 2 == 0 ? Lane::kControl : Lane::kStream);
    }
    return ToCore(host, random);
  }
  static RingMemory ToCore(HostileHost& host, std::mt19937_64& random) {
    return seam::RingAt(host.memory(), Direction::kToCore, static_cast<Lane>(random() % seam::kLanes));
  }
  static void Set(uint64_t* position, uint64_t value) {
    std::atomic_ref<uint64_t>(*position).store(value, std::memory_order_seq_cst);
  }
  static uint64_t Value(uint64_t* position) { return std::atomic_ref<uint64_t>(*position).load(); }

  Deployment store;
  Oracle oracle;
};

TEST_F(Rewriting, OfPositionsToValuesThatCouldBeRight) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    RunWith(
        [](HostileHost& host, std::mt19937_64& random) {
          RingMemory ring = Any(host, random);
          uint64_t written = Value(ring.written), taken = Value(ring.taken);
          uint64_t between = taken + (written > taken ? random() % (written - taken) : 0);
          switch (random() % 4) {
            case 0:
              return Set(ring.taken, between);
            case 1:
              return Set(ring.written, between);
            case 2:
              return Set(ring.written, taken + random() % (ring.size + 1));
            default:
              ::poll(nullptr, 0, 1);
          }
        },
        seed, 700);
  }
  ExpectAllHonestly();
}

TEST_F(Rewriting, OfPositionsToAnyValue) {
  for (uint64_t seed = 11; seed <= 13; ++seed) {
    RunWith(
        [](HostileHost& host, std::mt19937_64& random) {
          ::poll(nullptr, 0, static_cast<int>(random() % 20));
          RingMemory ring = Any(host, random);
          uint64_t value = random() % 3 == 0 ? UINT64_MAX - random() % 100 : random() >> (random() % 64);
          Set(random() % 2 == 0 ? ring.written : ring.taken, value);
        },
        seed, 700);
  }
  ExpectAllHonestly();
}

TEST_F(Rewriting, OfBytesThatAreBeingRead) {
  for (uint64_t seed = 21; seed <= 25; ++seed) {
    RunWith(
        [seed](HostileHost& host, std::mt19937_64& random) {
          RingMemory ring = ToCore(host, random);
          // Near where the traffic is; single bits for long lives, blocks for short ones.
          uint64_t at = Value(ring.taken) + random() % 2048;
          if (seed % 3 == 0) {
            for (uint64_t i = 0; i < 16; ++i)
              ring.data[(at + i) & (ring.size - 1)] = static_cast<uint8_t>(random());
          } else {
            ring.data[at & (ring.size - 1)] ^= static_cast<uint8_t>(1u << (random() % 8));
          }
        },
        seed, 700);
  }
  ExpectAllHonestly();
}

TEST_F(Rewriting, ByHolesInTheMemoryFile) {
  RunWith(
      [](HostileHost& host, std::mt19937_64& random) {
        ::poll(nullptr, 0, 5);
        off_t pages =
            static_cast<off_t>(seam::ChannelMemoryBytes() / 4096 / 2);  // positions, and rings to the core
        off_t page = static_cast<off_t>(random() % static_cast<uint64_t>(pages));
        (void)::fallocate(host.descriptors().memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page * 4096,
                          4096);
      },
      31, 1500);
  ExpectAllHonestly();
}

TEST_F(Rewriting, OfFlagsAndWakeUpsCostsTimeAndNothingElse) {
  RunWith(
      [](HostileHost& host, std::mt19937_64& random) {
        Direction direction = random() % 2 == 0 ? Direction::kToCore : Direction::kToHost;
        uint32_t* flags[] = {seam::ReaderSleeps(host.memory(), direction), Any(host, random).wants};
        std::atomic_ref<uint32_t>(*flags[random() % 2]).store(static_cast<uint32_t>(random() % 3));
        uint64_t many = 1 + random() % 1000;
        (void)!::write(host.descriptors().wake_core, &many, sizeof many);
      },
      41, 1500, /*must_live=*/true);
}

}  // namespace
}  // namespace holdfast::abuse
