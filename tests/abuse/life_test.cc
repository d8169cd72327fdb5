// The beginning and the end of a core, as a hostile host would have them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "honest_client.h"

namespace holdfast::abuse {
namespace {

using seam::Metric;

constexpr auto kEndsWithin = std::chrono::seconds(2);

class Life : public ::testing::Test {
 protected:
  Deployment store;
  Oracle oracle;
};

TEST_F(Life, AHelloOfAnotherVersionIsRefusedWithBothNumbers) {
  for (uint32_t version : {seam::kChannelVersion - 1, seam::kChannelVersion + 1, 0u, UINT32_MAX}) {
    HostileHost host(store, How{.hello = {.version = version}});
    auto log = host.WaitLog(Code::kChannelVersion);
    ASSERT_TRUE(log);
    EXPECT_EQ(log->a, version);
    EXPECT_EQ(log->b, seam::kChannelVersion);
    auto stopped = host.WaitStopped();
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->code, Code::kChannelVersion);
    EXPECT_EQ(host.WaitEnd(), "exited with 1");
  }
}

TEST_F(Life, AFirstMessageThatIsNoHelloIsRefused) {
  const seam::HostToCore firsts[] = {seam::Tick{1, 1}, seam::StopRequested{},
                                     seam::MetricsRequest{seam::RequestId(1)},
                                     seam::StreamOpened{seam::StreamId(1), seam::Listener::kUser},
                                     seam::StreamBytes{seam::StreamId(1), Bytes(100)}};
  for (const seam::HostToCore& first : firsts) {
    HostileHost host(store, How{.say_hello = false});
    host.core().FromHost(first);
    // Too late; lanes have an order each, and none among them.
    if (seam::LaneOf(seam::Encode(first).envelope, seam::Direction::kToCore) == seam::Lane::kControl)
      host.Hello();
    EXPECT_TRUE(host.WaitLog(Code::kMessageRefused));
    auto stopped = host.WaitStopped();
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->code, Code::kMessageRefused);
    EXPECT_FALSE(host.WaitHello());
    EXPECT_EQ(host.WaitEnd(), "exited with 1");
  }
}

TEST_F(Life, RepliesBeforeTheHelloAreRefusedAndTheHelloIsStillTaken) {
  HostileHost host(store, How{.by_hand = true, .say_hello = false});
  for (uint8_t operation = 1; operation <= 13; ++operation) {
    seam::StorageReply reply;
    reply.id = seam::RequestId(operation);
    reply.operation = operation;
    reply.ok = true;
    host.core().FromHost(std::move(reply));
  }
  EXPECT_TRUE(host.Eventually([&] { return host.hand().Taken(); }));
  host.Hello();
  ASSERT_TRUE(host.WaitReady());
  EXPECT_TRUE(host.Reaches(Metric::kChannelRefused, 13));
}

TEST_F(Life, ACoreThatHearsNoHelloWaitsAndEndsWithItsHost) {
  HostileHost host(store, How{.say_hello = false});
  EXPECT_EQ(host.WaitEnd(std::chrono::milliseconds(500)), "");
  auto before = std::chrono::steady_clock::now();
  host.HangUp();
  EXPECT_EQ(host.WaitEnd(), "exited with 1");
  EXPECT_LT(std::chrono::steady_clock::now() - before, kEndsWithin);
}

TEST_F(Life, AHostThatHangsUpWhileItIsServedEndsTheCoreAndLosesNothing) {
  {
    HostileHost host(store);
    ASSERT_TRUE(host.WaitReady());
    HonestClient client(host, oracle);
    ASSERT_TRUE(client.Prepare());
    ASSERT_TRUE(client.Works());
    auto before = std::chrono::steady_clock::now();
    host.HangUp();
    EXPECT_EQ(host.WaitEnd(), "exited with 1");
    EXPECT_LT(std::chrono::steady_clock::now() - before, kEndsWithin);
  }
  HostileHost again(store);
  ASSERT_TRUE(again.WaitReady());
  HonestClient client(again, oracle);
  EXPECT_TRUE(client.GetAll(oracle.AcknowledgedKeys()));
}

TEST_F(Life, ALifelineThatIsClosedIsItsEndThoughAllElseStaysOpen) {
  HostileHost host(store, How{.by_hand = true});
  ASSERT_TRUE(host.WaitReady());
  int other = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(::dup2(other, host.descriptors().life_host), 0);
  ::close(other);
  EXPECT_EQ(host.WaitEnd(), "exited with 1");
}

TEST_F(Life, StopsThatAreRepeatedAndMessagesAfterThemChangeNothing) {
  HostileHost host(store);
  ASSERT_TRUE(host.WaitReady());
  {
    HonestClient client(host, oracle);
    ASSERT_TRUE(client.Prepare());
    ASSERT_TRUE(client.Works());
  }
  for (int i = 0; i < 200; ++i) {
    host.core().FromHost(seam::StopRequested{});
    host.core().FromHost(seam::StreamOpened{seam::StreamId(host.NewStream()), seam::Listener::kUser});
    host.core().FromHost(seam::Tick{static_cast<uint64_t>(i) << 30, 0});
    host.core().FromHost(seam::MetricsRequest{seam::RequestId(1)});
  }
  EXPECT_EQ(host.Stop(), Code{});
  EXPECT_EQ(host.WaitEnd(), "exited with 0");
}

// -- how it is started

struct Ends {
  std::string how, said;
};
// Starts the core with these; nothing more is said to it.
Ends StartWith(channel::Descriptors d, int passphrase = -1) {
  int said = ::memfd_create("stderr", MFD_CLOEXEC), before = ::dup(STDERR_FILENO);
  (void)::dup2(said, STDERR_FILENO);
  auto process = host::CoreProcess::Start(HF_BINARY_DIR "/bin/holdfast-core", d, passphrase, false);
  (void)::dup2(before, STDERR_FILENO);
  ::close(before);
  Ends ends;
  ends.how = process.value()->Wait(20'000);
  ends.said.resize(1000);
  ends.said.resize(static_cast<size_t>(std::max<ssize_t>(0, ::pread(said, ends.said.data(), 1000, 0))));
  ::close(said);
  channel::Close(d);
  return ends;
}

TEST_F(Life, MemoryOfAnotherSizeOrThatCanShrinkIsRefused) {
  const off_t right = static_cast<off_t>(seam::ChannelMemoryBytes());
  const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  struct {
    off_t size;
    int seals;
  } const files[] = {{right - 1, all}, {right + 4096, all},    {0, all},
                     {right, 0},       {right, F_SEAL_SHRINK}, {right, F_SEAL_GROW | F_SEAL_SEAL}};
  for (const auto& file : files) {
    channel::Descriptors d = channel::MakeDescriptors().value();
    int memory = ::memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ASSERT_TRUE(memory >= 0 && ::ftruncate(memory, file.size) == 0);
    ASSERT_EQ(::fcntl(memory, F_ADD_SEALS, file.seals), 0);
    ::close(std::exchange(d.memory, memory));
    Ends ends = StartWith(d);
    EXPECT_EQ(ends.how, "exited with " + std::to_string(CodeExit(Code::kChannelBroken))) << file.size;
    EXPECT_TRUE(ends.said.starts_with("holdfast-core: kChannelBroken: ")) << ends.said;
  }
}

TEST_F(Life, MemoryThatIsNoMemoryFileIsRefused) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  for (int other :
       {::open("/dev/zero", O_RDWR | O_CLOEXEC), pipe[0], ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)}) {
    channel::Descriptors d = channel::MakeDescriptors().value();
    ::close(std::exchange(d.memory, other));
    Ends ends = StartWith(d);
    EXPECT_TRUE(ends.how.starts_with("exited with ")) << ends.how;
    EXPECT_NE(ends.how, "exited with 0");
    EXPECT_TRUE(ends.said.starts_with("holdfast-core: kChannelBroken: ")) << ends.said;
  }
  ::close(pipe[1]);
}

TEST_F(Life, DescriptorsInEachOthersPlacesAreNoCrash) {
  for (int turn = 0; turn < 4; ++turn) {
    channel::Descriptors d = channel::MakeDescriptors().value();
    if (turn == 0) std::swap(d.wake_core, d.life_core);
    if (turn == 1) std::swap(d.wake_host, d.life_core);
    if (turn == 2) std::swap(d.memory, d.wake_core);
    if (turn == 3) {
      ::close(d.life_core);
      d.life_core = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    auto process = host::CoreProcess::Start(HF_BINARY_DIR "/bin/holdfast-core", d, -1, false);
    ASSERT_TRUE(process.has_value());
    std::string how = (*process)->Wait(300);
    EXPECT_TRUE(how.empty() || how.starts_with("exited with ")) << turn << ": " << how;
    if (how.empty()) ::kill((*process)->pid(), SIGKILL);  // it waits for a hello
    channel::Close(d);
  }
}

TEST_F(Life, NoPassphraseAndAWrongOneAreSaidToBeSo) {
  {
    HostileHost host(store, How{.give_passphrase = false});
    auto stopped = host.WaitStopped();
    ASSERT_TRUE(stopped);
    EXPECT_EQ(stopped->code, Code::kNoPassphrase);
  }
  HostileHost host(store, How{.passphrase = "another passphrase"});
  EXPECT_FALSE(host.WaitReady());
  EXPECT_EQ(host.WaitStopped().value_or(seam::CoreStopped{}).code, Code::kWrongPassphrase);
}

TEST_F(Life, AHandfulOfDescriptorsRefusesConnectionsAndNothingElse) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  auto host = std::make_unique<HostileHost>(store);  // raises the limit, as every host here
  host.reset();
  struct rlimit few {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &few), 0);
  const struct rlimit many = few;
  few.rlim_cur = 100;
  // For the child alone: it inherits what we have while we start it.
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  host = std::make_unique<HostileHost>(store, How{.by_hand = true, .keep_limits = true});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &many), 0);
  ASSERT_TRUE(host->WaitReady());
  HonestClient client(*host, oracle);
  ASSERT_TRUE(client.Prepare());
  {
    std::vector<std::unique_ptr<HonestClient>> crowd;
    for (int i = 0; i < 60; ++i) {
      crowd.push_back(std::make_unique<HonestClient>(*host, oracle, 150));
      (void)crowd.back()->Get("works/1");
    }
    EXPECT_TRUE(client.Works());
  }
  HonestClient after(*host, oracle);
  EXPECT_TRUE(after.Works());
}

// -- how it ends

enum class Host { kSilent, kServing, kBlocking };

// A host in a process of its own, with a core; killed when the core has come so far. How long the core
// outlived it.
std::optional<std::chrono::milliseconds> OutlivesItsHost(Deployment& store, Host kind) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  pid_t child = ::fork();
  if (child == 0) {
    HostileHost host(store, How{.by_hand = true, .say_hello = kind != Host::kSilent});
    if (kind != Host::kSilent && !host.WaitReady()) ::_exit(1);
    if (kind == Host::kBlocking) {
      host.FreezeTicks(true);
      host.hand().TakeNothing(true);
      uint64_t full = UINT64_MAX - 1;
      (void)!::write(host.descriptors().wake_host, &full, sizeof full);
      (void)::fcntl(host.descriptors().wake_host, F_SETFL, 0);
      host.core().FromHost(seam::MetricsRequest{seam::RequestId(1)});
      if (!host.Eventually([&] { return host.hand().Taken(); })) ::_exit(1);
    }
    pid_t core = host.pid();
    (void)!::write(pipe[1], &core, sizeof core);
    for (;;) ::pause();
  }
  pid_t core = -1;
  pollfd heard = {pipe[0], POLLIN, 0};
  bool told = ::poll(&heard, 1, 20'000) == 1 && ::read(pipe[0], &core, sizeof core) == sizeof core;
  int pidfd = told ? static_cast<int>(::syscall(SYS_pidfd_open, core, 0)) : -1;
  auto before = std::chrono::steady_clock::now();
  ::kill(child, SIGKILL);
  (void)::waitpid(child, nullptr, 0);
  ::close(pipe[0]);
  ::close(pipe[1]);
  pollfd gone = {pidfd, POLLIN, 0};
  bool ended = pidfd >= 0 && ::poll(&gone, 1, 20'000) == 1;
  if (pidfd >= 0) ::close(pidfd);
  if (!ended) return {};
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - before);
}

TEST_F(Life, AHostThatIsKilledTakesTheCoreWithIt) {
  for (Host kind : {Host::kSilent, Host::kServing}) {
    auto outlived = OutlivesItsHost(store, kind);
    ASSERT_TRUE(outlived);
    EXPECT_LT(*outlived, kEndsWithin);
  }
}

// eventfds are shared, and with them whether they block: the one way that a host has to hold a thread of the
// core in the kernel. It holds up what silence would hold up, and not the core's end.
TEST_F(Life, AHostWhoseWakeUpsBlockTakesTheCoreWithItAllTheSame) {
  auto outlived = OutlivesItsHost(store, Host::kBlocking);
  ASSERT_TRUE(outlived);
  EXPECT_LT(*outlived, kEndsWithin);
}

}  // namespace
}  // namespace holdfast::abuse
