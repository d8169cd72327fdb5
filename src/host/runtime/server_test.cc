#include "host/runtime/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <thread>

#include "host/kv/memory.h"
#include "host/runtime/anchor_file.h"
#include "host/runtime/saving_lock.h"
#include "host/runtime/storage_lanes.h"
#include "seam/metrics.h"

namespace holdfast::host {
namespace {

namespace fs = std::filesystem;
using seam::StorageOperation;

class TempDir {
 public:
  TempDir() {
    std::string name = ::testing::TempDir() + "/server.XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempDir() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string Get(const std::string& port_text, const std::string& path) {
  int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(std::stoi(port_text)));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  std::string request = "GET " + path + " HTTP/1.1\r\n\r\n", all;
  EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  char piece[4096];
  for (ssize_t n; (n = ::recv(fd, piece, sizeof piece, 0)) > 0;) all.append(piece, static_cast<size_t>(n));
  ::close(fd);
  return all;
}

seam::StorageRequest Request(uint64_t id, StorageOperation operation, std::string name,
                             std::string bytes = "", seam::Volume volume = seam::Volume::kStore) {
  seam::StorageRequest q;
  q.id = seam::RequestId(id);
  q.volume = volume;
  q.operation = static_cast<uint8_t>(operation);
  q.name = std::move(name);
  q.bytes = ToBytes(bytes);
  return q;
}

// Stands where the core does: remembers what it is told, answers a stop.
class FakeCore : public seam::CoreEndpoint {
 public:
  explicit FakeCore(seam::HostEndpoint& host) : host_(host) {}
  void FromHost(seam::HostToCore message) override {
    if (std::holds_alternative<seam::StopRequested>(message)) host_.FromCore(seam::CoreStopped{true, Code{}});
    if (auto* r = std::get_if<seam::MetricsRequest>(&message)) {
      host_.FromCore(seam::MetricsReply{r->id, std::vector<uint64_t>(seam::kMetrics, 5)});
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (std::holds_alternative<seam::Tick>(message)) ++ticks_;
    if (auto* r = std::get_if<seam::StorageReply>(&message)) replies_[r->id.value] = std::move(*r);
    changed_.notify_all();
  }
  seam::StorageReply Ask(seam::StorageRequest request) {
    uint64_t id = request.id.value;
    host_.FromCore(std::move(request));
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return replies_.contains(id); });
    return replies_[id];
  }
  void WaitForTicks(int n) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return ticks_ >= n; });
  }

 private:
  seam::HostEndpoint& host_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int ticks_ = 0;
  std::map<uint64_t, seam::StorageReply> replies_;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(dir_ / "store");
    config_.store_url = "dir:" + (dir_ / "store");
    config_.temporary_path = dir_ / "temp";
    config_.anchor_file = dir_ / "anchor";
    config_.log_level = "off";
    ASSERT_FALSE(fs::exists(config_.temporary_path));
  }
  std::unique_ptr<Server> Open() {
    std::string why;
    Result<std::unique_ptr<Server>> server = Server::Open(config_, &why);
    EXPECT_TRUE(server) << why;
    return std::move(*server);
  }
  TempDir dir_;
  ServerConfig config_;
};

TEST_F(ServerTest, PortFilesAppearWhenTheCoreIsReadyAndGoWithTheStop) {
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  std::thread main([&] {
    core.WaitForTicks(3);
    EXPECT_FALSE(fs::exists(dir_ / "temp/server-user.port")) << "nobody may connect before the core serves";
    server->FromCore(seam::Ready{});
    while (!fs::exists(dir_ / "temp/server-user.port")) std::this_thread::yield();
    std::string user = ReadAll(dir_ / "temp/server-user.port"),
                admin = ReadAll(dir_ / "temp/server-admin.port");
    EXPECT_FALSE(user.empty());
    EXPECT_FALSE(admin.empty());
    EXPECT_EQ(user.find_first_not_of("0123456789"), std::string::npos) << user;
    EXPECT_EQ(admin.find_first_not_of("0123456789"), std::string::npos) << admin;
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_TRUE(server->Run());
  main.join();
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-user.port"));
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-admin.port"));
  server->Shutdown();
}

TEST_F(ServerTest, TheMetricsPortIsKnownBeforeAnybodyIsToldThatWeServe) {
  config_.metrics_port = 0;
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  std::thread main([&] {
    server->FromCore(seam::Ready{});
    while (!fs::exists(dir_ / "temp/server-user.port")) std::this_thread::yield();
    std::string port = ReadAll(dir_ / "temp/server-metrics.port");
    EXPECT_FALSE(port.empty());
    EXPECT_EQ(port.find_first_not_of("0123456789"), std::string::npos) << port;
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_TRUE(server->Run());
  main.join();
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-metrics.port"));
  server->Shutdown();
}

TEST_F(ServerTest, MetricsShowWhatTheCoreSaidAndCountFailuresOfTheProviderButNotItsAnswers) {
  config_.metrics_port = 0;
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  std::string page;
  std::thread main([&] {
    core.Ask(Request(1, StorageOperation::kPut, "segments/A", "hello"));
    core.Ask(Request(2, StorageOperation::kGet, "segments/absent"));
    core.Ask(Request(3, StorageOperation::kPut, "../outside", "x"));
    server->FromCore(seam::Ready{});
    while (!fs::exists(dir_ / "temp/server-user.port")) std::this_thread::yield();
    page = Get(ReadAll(dir_ / "temp/server-metrics.port"), "/metrics");
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_TRUE(server->Run());
  main.join();
  server->Shutdown();
  for (const char* line :
       {"holdfast_core_up 1", "holdfast_connections 5", "holdfast_host_storage_requests_total 3",
        "holdfast_host_storage_errors_total 1", "holdfast_host_storage_in_flight 0"}) {
    EXPECT_NE(page.find(std::string("\n") + line + "\n"), page.npos) << line << "\n" << page;
  }
}

TEST_F(ServerTest, AMetricsAddressThatIsNoneStopsTheServerBeforeAnybodyIsToldThatWeServe) {
  config_.metrics_port = 0;
  config_.metrics_address = "localhost";
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  server->FromCore(seam::Ready{});
  Status end = server->Run();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.code(), Code::kInvalidArgument);
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-user.port"));
  server->Shutdown();
}

TEST_F(ServerTest, WithoutTheSectionThereIsNoMetricsPort) {
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  std::thread main([&] {
    server->FromCore(seam::Ready{});
    while (!fs::exists(dir_ / "temp/server-user.port")) std::this_thread::yield();
    EXPECT_FALSE(fs::exists(dir_ / "temp/server-metrics.port"));
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_TRUE(server->Run());
  main.join();
  server->Shutdown();
}

TEST_F(ServerTest, StalePortFilesAreGoneBeforeTheCoreStarts) {
  fs::create_directory(dir_ / "temp");
  std::ofstream(dir_ / "temp/server-metrics.port") << "1";
  std::ofstream(dir_ / "temp/server-user.port") << "1";
  std::ofstream(dir_ / "temp/server-admin.port") << "1";
  std::unique_ptr<Server> server = Open();
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-metrics.port"));
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-user.port"));
  EXPECT_FALSE(fs::exists(dir_ / "temp/server-admin.port"));
}

TEST_F(ServerTest, TheEndOfTheCoreIsTheEndOfTheServer) {
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  server->FromCore(seam::CoreStopped{false, Code::kPoisoned});
  Status end = server->Run();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.code(), Code::kPoisoned);
  server->Shutdown();
}

TEST_F(ServerTest, NeverTwoServersOnOneStore) {
  std::unique_ptr<Server> first = Open();
  std::string why;
  Result<std::unique_ptr<Server>> second = Server::Open(config_, &why);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.code(), Code::kInUse);
  EXPECT_EQ(why, config_.store_url);
}

TEST_F(ServerTest, AnAbsentStoreIsNeverCreated) {
  config_.store_url = "dir:" + (dir_ / "elsewhere");
  std::string why;
  Result<std::unique_ptr<Server>> server = Server::Open(config_, &why);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.code(), Code::kNoStore);
  EXPECT_FALSE(fs::exists(dir_ / "elsewhere"));
}

TEST_F(ServerTest, AnswersEachStorageRequestOnceWithItsOwnIdAndKind) {
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  seam::StorageReply r = core.Ask(Request(1, StorageOperation::kCapabilities, ""));
  EXPECT_TRUE(r.ok);
  EXPECT_TRUE(r.capabilities.append);
  EXPECT_TRUE(core.Ask(Request(2, StorageOperation::kPut, "segments/A", "hello")).ok);
  EXPECT_TRUE(core.Ask(Request(3, StorageOperation::kBarrier, "")).ok);
  r = core.Ask(Request(4, StorageOperation::kGet, "segments/A"));
  EXPECT_TRUE(r.ok);
  EXPECT_EQ(r.operation, static_cast<uint8_t>(StorageOperation::kGet));
  EXPECT_EQ(ToText(r.bytes), "hello");
  r = core.Ask(Request(5, StorageOperation::kGet, "segments/B"));
  EXPECT_FALSE(r.ok);
  EXPECT_EQ(r.code, Code::kNotFound);
  r = core.Ask(Request(6, static_cast<StorageOperation>(99), "segments/A"));
  EXPECT_EQ(r.code, Code::kInvalidArgument);
  seam::StorageRequest list = Request(7, StorageOperation::kList, "segments/");
  list.length = 10;
  r = core.Ask(std::move(list));
  ASSERT_EQ(r.listing.objects.size(), 1u);
  EXPECT_EQ(r.listing.objects[0].name, "segments/A");
  server->Shutdown();
}

TEST_F(ServerTest, TheAnchorLiesOutsideTheStoreAndHasOneName) {
  std::unique_ptr<Server> server = Open();
  FakeCore core(*server);
  server->Attach(core);
  auto anchor = seam::Volume::kAnchor;
  EXPECT_EQ(core.Ask(Request(1, StorageOperation::kGet, "anchor", "", anchor)).code, Code::kNotFound);
  EXPECT_TRUE(core.Ask(Request(2, StorageOperation::kPut, "anchor", "one", anchor)).ok);
  EXPECT_TRUE(core.Ask(Request(3, StorageOperation::kPut, "anchor", "two", anchor)).ok);
  EXPECT_EQ(ToText(core.Ask(Request(4, StorageOperation::kGet, "anchor", "", anchor)).bytes), "two");
  EXPECT_EQ(ReadAll(dir_ / "anchor"), "two");
  EXPECT_FALSE(fs::exists(dir_ / "anchor.new"));
  EXPECT_EQ(core.Ask(Request(5, StorageOperation::kPut, "../x", "no", anchor)).code, Code::kInvalidArgument);
  EXPECT_EQ(core.Ask(Request(6, StorageOperation::kDelete, "anchor", "", anchor)).code, Code::kUnsupported);
  EXPECT_TRUE(fs::is_empty(dir_ / "store"));
  server->Shutdown();
}

TEST(StorageLanes, AnAppendDoesNotWaitBehindASlowPut) {
  // A storage whose puts wait until somebody appended: one thread for all would never end.
  class SlowPut : public MemoryStorage {
   public:
    Status Put(std::string_view name, ByteView bytes) override {
      appended_.get_future().wait();
      return MemoryStorage::Put(name, bytes);
    }
    Status CreateAppendable(std::string_view name, uint64_t reserve, ByteView first) override {
      Status s = MemoryStorage::CreateAppendable(name, reserve, first);
      appended_.set_value();
      return s;
    }

   private:
    std::promise<void> appended_;
  } storage;
  std::mutex mutex;
  std::vector<uint64_t> done;
  {
    StorageLanes lanes(storage, nullptr, nullptr, [&](seam::StorageReply r) {
      std::lock_guard<std::mutex> lock(mutex);
      EXPECT_TRUE(r.ok);
      done.push_back(r.id.value);
    });
    lanes.Submit(Request(1, StorageOperation::kPut, "segments/A", "x"));
    lanes.Submit(Request(2, StorageOperation::kCreateAppendable, "members/A/journal/1", "x"));
  }
  // That both ended is the point; the put was let go before the append's own answer.
  std::sort(done.begin(), done.end());
  EXPECT_EQ(done, (std::vector<uint64_t>{1, 2}));
}

class SavingLockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = dir_ / "lock";
    Result<std::unique_ptr<SavingLock>> lock = SavingLock::Open(path_);
    ASSERT_TRUE(lock);
    lock_ = std::move(*lock);
  }
  bool Free() {
    int fd = ::open(path_.c_str(), O_RDWR);
    bool free = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
    ::close(fd);
    return free;
  }
  void Do(StorageOperation operation, const std::string& name, bool ok = true) {
    seam::StorageRequest q = Request(1, operation, name);
    lock_->Before(q);
    lock_->After(q, ok);
  }
  TempDir dir_;
  std::string path_;
  std::unique_ptr<SavingLock> lock_;
};

TEST_F(SavingLockTest, IsHeldFromTheFirstSlotWriteToTheBarrierBehindTheNumber) {
  Do(StorageOperation::kPut, "segments/A");
  EXPECT_TRUE(Free()) << "segments are not the state";
  Do(StorageOperation::kDelete, "enclave-state/0/state-save-number");
  EXPECT_FALSE(Free());
  Do(StorageOperation::kBarrier, "");
  Do(StorageOperation::kPutIfVersion, "enclave-state/0/core-enclave");
  Do(StorageOperation::kBarrier, "");
  EXPECT_FALSE(Free()) << "the number is not written yet";
  Do(StorageOperation::kPutIfVersion, "enclave-state/0/state-save-number");
  EXPECT_FALSE(Free()) << "the number is not durable yet";
  Do(StorageOperation::kBarrier, "");
  EXPECT_TRUE(Free());
}

TEST_F(SavingLockTest, ABarrierThatBeganBeforeTheNumberDoesNotEndTheSave) {
  Do(StorageOperation::kPut, "enclave-state/1/core-enclave");
  seam::StorageRequest barrier = Request(2, StorageOperation::kBarrier, "");
  lock_->Before(barrier);
  Do(StorageOperation::kPut, "enclave-state/1/state-save-number");
  lock_->After(barrier, true);
  EXPECT_FALSE(Free());
  Do(StorageOperation::kBarrier, "");
  EXPECT_TRUE(Free());
}

TEST_F(SavingLockTest, AFailedSaveGivesTheLockUp) {
  Do(StorageOperation::kPut, "enclave-state/1/core-enclave");
  Do(StorageOperation::kPut, "enclave-state/1/key-enclave", false);
  EXPECT_TRUE(Free());
}

}  // namespace
}  // namespace holdfast::host
