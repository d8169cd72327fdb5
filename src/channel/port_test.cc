#include "channel/port.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "base/limits.h"
#include "seam/metrics.h"
#include "seam/ring.h"

namespace holdfast::channel {
namespace {

using namespace std::chrono_literals;
using seam::StreamId;

constexpr auto kDeadline = 20s;

// What one side has received, and how the channel ended.
template <typename Message>
struct Inbox {
  void Take(Message m) {
    std::unique_lock lock(mutex);
    released.wait(lock, [&] { return !held; });
    messages.push_back(std::move(m));
    changed.notify_all();
  }
  void End(Code code) {
    std::lock_guard lock(mutex);
    ended = code;
    changed.notify_all();
  }
  bool WaitCount(size_t n) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kDeadline, [&] { return messages.size() >= n; });
  }
  bool WaitEnd(Code code) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, kDeadline, [&] { return ended == code; });
  }
  void Hold(bool on) {
    std::lock_guard lock(mutex);
    held = on;
    released.notify_all();
  }
  Events Listen() {
    return {[this](Code c) { End(c); },
            [this](uint8_t, uint8_t) {
              std::lock_guard lock(mutex);
              ++refused;
              changed.notify_all();
            }};
  }
  std::mutex mutex;
  std::condition_variable changed, released;
  std::vector<Message> messages;
  std::optional<Code> ended;
  bool held = false;
  int refused = 0;
};

struct Core : seam::CoreEndpoint, Inbox<seam::HostToCore> {
  void FromHost(seam::HostToCore m) override { Take(std::move(m)); }
};
struct Host : seam::HostEndpoint, Inbox<seam::CoreToHost> {
  void FromCore(seam::CoreToHost m) override { Take(std::move(m)); }
};

// Both ends in one process, over one memory; `core_port` can be left out to play a hostile core by hand.
struct Pair {
  Pair() {
    d = MakeDescriptors().value();
    Descriptors for_core = d;
    for_core.memory = ::dup(d.memory);
    for_core.wake_core = ::dup(d.wake_core);
    for_core.wake_host = ::dup(d.wake_host);
    memory = static_cast<uint8_t*>(
        ::mmap(nullptr, seam::ChannelMemoryBytes(), PROT_READ | PROT_WRITE, MAP_SHARED, d.memory, 0));
    host_port = HostPort::Open(d, host, host.Listen()).value();
    core_port = CorePort::Open(for_core, core.Listen()).value();
  }
  ~Pair() {
    core.Hold(false);
    host.Hold(false);
    if (host_port) host_port->Stop();
    if (core_port) core_port->Stop();
    ::munmap(memory, seam::ChannelMemoryBytes());
  }
  void Start() {
    host_port->Start();
    core_port->Start(core);
  }
  Descriptors d;
  uint8_t* memory;
  Host host;
  Core core;
  std::unique_ptr<HostPort> host_port;
  std::unique_ptr<CorePort> core_port;
};

TEST(Port, ManyThreadsOnBothSidesSendAndEachStreamKeepsItsOrder) {
  Pair pair;
  pair.Start();
  constexpr uint64_t kStreams = 4, kEach = 2000;
  std::vector<std::thread> threads;
  for (uint64_t s = 1; s <= kStreams; ++s) {
    threads.emplace_back([&, s] {
      for (uint64_t i = 0; i < kEach; ++i) {
        Bytes b(8 + (i * 37) % 3000);
        StoreLittle<uint64_t>(b.data(), i);
        pair.host_port->FromHost(seam::StreamBytes{StreamId(s), b});
        pair.core_port->FromCore(seam::StreamBytes{StreamId(s), std::move(b)});
      }
    });
  }
  for (auto& t : threads) t.join();
  ASSERT_TRUE(pair.core.WaitCount(kStreams * kEach));
  ASSERT_TRUE(pair.host.WaitCount(kStreams * kEach));
  auto in_order = [](auto& messages) {
    std::map<uint64_t, uint64_t> next;
    for (auto& m : messages) {
      auto* bytes = std::get_if<seam::StreamBytes>(&m);
      if (bytes != nullptr && LoadLittle<uint64_t>(bytes->bytes.data()) != next[bytes->id.value]++)
        return false;
    }
    return true;
  };
  EXPECT_TRUE(in_order(pair.core.messages));
  EXPECT_TRUE(in_order(pair.host.messages));
}

TEST(Port, TicksPassWhileStreamsAndStorageAreStuffedToTheBrim) {
  Pair pair;
  pair.core.Hold(true);
  pair.Start();
  for (int i = 0; i < 40; ++i) pair.host_port->FromHost(seam::StreamBytes{StreamId(1), Bytes(400'000)});
  pair.host_port->FromHost(seam::Tick{7, 7});
  pair.core.Hold(false);
  ASSERT_TRUE(pair.core.WaitCount(41));
  // The reader was held in the first message; the tick, sent last, comes long before the last bytes.
  size_t at = 0;
  for (; at < pair.core.messages.size(); ++at) {
    if (std::holds_alternative<seam::Tick>(pair.core.messages[at])) break;
  }
  EXPECT_LT(at, 40u);
}

TEST(Port, ABodyOfManyTimesTheRingArrivesWholeBehindASlowReader) {
  Pair pair;
  pair.Start();
  seam::StorageRequest request;
  request.id = seam::RequestId(1);
  request.volume = seam::Volume::kStore;
  request.operation = static_cast<uint8_t>(seam::StorageOperation::kPut);
  request.name = "segments/A";
  request.bytes = Bytes(40u << 20, 9);
  pair.core_port->FromCore(request);
  ASSERT_TRUE(pair.host.WaitCount(1));
  auto& got = std::get<seam::StorageRequest>(pair.host.messages[0]);
  EXPECT_TRUE(got.bytes == request.bytes);
}

TEST(Port, AHostThatDoesNotTakeStopsTheStreamsAndRoomComesBackWhenItDoes) {
  Pair pair;
  pair.host.Hold(true);
  pair.Start();
  int sent = 0;
  while (pair.core_port->RoomForStreams() && sent < 1000) {
    pair.core_port->FromCore(seam::StreamBytes{StreamId(1), Bytes(64u << 10)});
    ++sent;
  }
  EXPECT_LT(sent * (64u << 10), limits::kChannelStreamQueueBytes + seam::kStreamRingBytes + (1u << 20));
  EXPECT_FALSE(pair.core_port->RoomForStreams());
  pair.host.Hold(false);
  ASSERT_TRUE(pair.host.WaitCount(static_cast<size_t>(sent)));
  ASSERT_TRUE(pair.core.WaitCount(1));
  EXPECT_TRUE(std::holds_alternative<seam::StreamRoom>(pair.core.messages[0]));
  EXPECT_TRUE(pair.core_port->RoomForStreams());
}

TEST(Port, AHostThatNeverTakesEndsTheChannelWithANamedErrorAndBoundedMemory) {
  Pair pair;
  pair.host.Hold(true);
  pair.Start();
  for (size_t i = 0; i < 3 * limits::kChannelQueueMessagesMax && !pair.core.ended; ++i) {
    pair.core_port->FromCore(seam::StreamClosed{StreamId(i + 1)});
  }
  EXPECT_TRUE(pair.core.WaitEnd(Code::kHostStalls));
}

TEST(Port, PositionsRewrittenInFlightEndTheChannelOnTheSideThatSeesThem) {
  Pair pair;
  seam::RingMemory ring = seam::RingAt(pair.memory, seam::Direction::kToCore, seam::Lane::kStream);
  *ring.written = UINT64_MAX / 2;
  pair.Start();
  EXPECT_TRUE(pair.core.WaitEnd(Code::kChannelBroken));
  pair.core_port->FromCore(seam::Ready{});  // after the end: dropped, no harm
}

TEST(Port, ARefusedMessageIsCountedAndTheOnesBehindItArrive) {
  Pair pair;
  seam::WireMessage bad =
      seam::Encode(seam::HostToCore(seam::StreamOpened{StreamId(1), seam::Listener::kUser}));
  bad.head[0] = 77;  // no such listener
  seam::LaneWriter by_hand(seam::RingAt(pair.memory, seam::Direction::kToCore, seam::Lane::kStream));
  by_hand.Push(std::move(bad));
  by_hand.Push(seam::Encode(seam::HostToCore(seam::StreamClosed{StreamId(1)})));
  bool wrote = false;
  ASSERT_TRUE(by_hand.Flush(&wrote));
  pair.Start();
  ASSERT_TRUE(pair.core.WaitCount(1));
  EXPECT_TRUE(std::holds_alternative<seam::StreamClosed>(pair.core.messages[0]));
  EXPECT_EQ(pair.core.refused, 1);
}

TEST(Port, AReplyThatTheTableDoesNotCarryBecomesAnErrorOfThatCall) {
  Pair pair;
  pair.Start();
  seam::StorageReply reply;
  reply.id = seam::RequestId(4);
  reply.operation = static_cast<uint8_t>(seam::StorageOperation::kList);
  reply.ok = true;
  for (int i = 0; i < 1000; ++i) reply.listing.objects.push_back({std::string(4000, 'a'), 1});
  pair.host_port->FromHost(std::move(reply));
  ASSERT_TRUE(pair.core.WaitCount(1));
  auto& got = std::get<seam::StorageReply>(pair.core.messages[0]);
  EXPECT_EQ(got.code, Code::kTooLarge);
  EXPECT_FALSE(got.ok);
}

TEST(Port, MemoryThatIsNotSealedOrOfAnotherSizeIsRefusedBeforeItIsMapped) {
  Host host;
  for (bool sealed : {false, true}) {
    Descriptors d = MakeDescriptors().value();
    ::close(d.memory);
    d.memory = ::memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ASSERT_EQ(::ftruncate(d.memory, static_cast<off_t>(seam::ChannelMemoryBytes() + (sealed ? 4096 : 0))), 0);
    if (sealed) {
      ASSERT_EQ(::fcntl(d.memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    }
    auto opened = CorePort::Open(d, {});
    ASSERT_FALSE(opened.has_value());
    EXPECT_EQ(opened.code(), Code::kChannelBroken);
    Close(d);
  }
}

TEST(Port, TheDeathOfTheOtherProcessEndsTheChannelAfterItsLastWords) {
  Host host;
  Descriptors d = MakeDescriptors().value();
  pid_t child = ::fork();
  if (child == 0) {
    ::close(d.life_host);
    Core core;
    auto port = CorePort::Open(d, {});
    if (!port) ::_exit(3);
    port.value()->Start(core);
    port.value()->FromCore(seam::CoreLog{Code::kTorn, 1, 2});
    ::kill(::getpid(), SIGKILL);
  }
  ::close(d.life_core);
  d.life_core = -1;
  auto port = HostPort::Open(d, host, host.Listen()).value();
  port->Start();
  EXPECT_TRUE(host.WaitEnd(Code::kPeerGone));
  ASSERT_EQ(host.messages.size(), 1u);
  EXPECT_EQ(std::get<seam::CoreLog>(host.messages[0]).code, Code::kTorn);
  port->Stop();
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
}

TEST(Port, AnIdleChannelSleeps) {
  Pair pair;
  pair.Start();
  pair.host_port->FromHost(seam::Tick{1, 1});
  ASSERT_TRUE(pair.core.WaitCount(1));
  uint64_t before = seam::Metrics().Get(seam::Metric::kChannelWakeups);
  ::poll(nullptr, 0, 200);
  EXPECT_LE(seam::Metrics().Get(seam::Metric::kChannelWakeups) - before, 2u);
}

}  // namespace
}  // namespace holdfast::channel
