#include "host/kv/dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

namespace fs = std::filesystem;

class Dir : public ::testing::Test {
 protected:
  Result<std::unique_ptr<seam::Storage>> Try(OpenMode mode, DirOptions options = {}) {
    return OpenDir(path(), mode, std::move(options));
  }
  std::unique_ptr<seam::Storage> Open(OpenMode mode, DirOptions options = {}) {
    auto opened = Try(mode, std::move(options));
    EXPECT_TRUE(opened) << CodeName(opened ? Code::kInternal : opened.code());
    return opened ? std::move(opened).value() : nullptr;
  }
  std::unique_ptr<seam::Storage> Create(DirOptions options = {}) {
    return Open(OpenMode::kCreate, std::move(options));
  }
  Code OpenCode(OpenMode mode) {
    auto opened = Try(mode);
    return opened ? Code::kInternal : opened.code();
  }
  std::string path(const std::string& name = "") const {
    return directory_.path("store") + (name.empty() ? "" : "/" + name);
  }
  static void Write(const std::string& file, const std::string& text) { std::ofstream(file) << text; }
  static mode_t Mode(const std::string& file) {
    struct stat st {};
    EXPECT_EQ(::stat(file.c_str(), &st), 0) << file;
    return st.st_mode & 07777;
  }
  std::vector<std::string> Names(seam::Storage& s) {
    std::vector<std::string> names;
    auto all = seam::ListAll(s, "");
    EXPECT_TRUE(all);
    if (all) {
      for (const seam::ObjectInfo& o : *all) names.push_back(o.name);
    }
    return names;
  }
  TestDirectory directory_;
};

using RuleC1 = Dir;
using RuleI1 = Dir;

TEST_F(RuleC1, ASecondOpenerIsRefusedAndTheHolderIsNamed) {
  EXPECT_EQ(LockHolder(path()), std::nullopt);
  auto store = Create();
  EXPECT_EQ(OpenCode(OpenMode::kReadWrite), Code::kInUse);
  EXPECT_EQ(OpenCode(OpenMode::kReadOnly), Code::kInUse);
  EXPECT_EQ(OpenCode(OpenMode::kCreate), Code::kInUse);
  EXPECT_EQ(LockHolder(path()), std::optional<int>(::getpid()));
  store.reset();
  EXPECT_EQ(LockHolder(path()), std::nullopt);
  EXPECT_TRUE(Try(OpenMode::kReadWrite));
}

TEST_F(RuleC1, TheHolderInAnotherProcessIsNamedAndItsDeathFreesTheStore) {
  Create().reset();
  int ready[2], finish[2];
  ASSERT_EQ(::pipe(ready), 0);
  ASSERT_EQ(::pipe(finish), 0);
  pid_t child = ::fork();
  if (child == 0) {
    auto opened = OpenDir(path(), OpenMode::kReadWrite);
    char c = opened ? 'y' : 'n';
    (void)!::write(ready[1], &c, 1);
    ::close(finish[1]);
    (void)!::read(finish[0], &c, 1);
    ::_exit(0);
  }
  char c = 0;
  ASSERT_EQ(::read(ready[0], &c, 1), 1);
  EXPECT_EQ(c, 'y');
  EXPECT_EQ(OpenCode(OpenMode::kReadWrite), Code::kInUse);
  EXPECT_EQ(LockHolder(path()), std::optional<int>(child));
  for (int fd : {ready[0], ready[1], finish[0], finish[1]}) ::close(fd);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(Try(OpenMode::kReadWrite));
}

TEST_F(RuleC1, ReadersShareAndKeepWritersOut) {
  Create().reset();
  auto one = Open(OpenMode::kReadOnly);
  auto two = Open(OpenMode::kReadOnly);
  EXPECT_EQ(OpenCode(OpenMode::kReadWrite), Code::kInUse);
  one.reset();
  two.reset();
  EXPECT_TRUE(Try(OpenMode::kReadWrite));
}

TEST_F(RuleC1, ThereIsNoLockFileAndTheLockDiesWithExec) {
  auto store = Create();
  EXPECT_TRUE(fs::is_empty(path()));
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (fs::read_symlink(entry.path(), gone) != fs::canonical(path())) continue;
    int fd = std::stoi(entry.path().filename());
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
  }
}

TEST_F(RuleC1, AReaderNeverWrites) {
  {
    auto store = Create();
    ASSERT_TRUE(store->Put("a", AsBytes("x")));
    ASSERT_TRUE(store->CreateAppendable("j", 512, Bytes(512)));
    ASSERT_TRUE(store->Barrier());
  }
  auto store = Open(OpenMode::kReadOnly);
  EXPECT_TRUE(store->capabilities().read_only);
  EXPECT_FALSE(store->capabilities().exclusive);
  EXPECT_EQ(store->Put("a", {}).code(), Code::kReadOnly);
  EXPECT_EQ(store->PutIfAbsent("b", {}).code(), Code::kReadOnly);
  EXPECT_EQ(store->PutIfVersion("b", {}, "").code(), Code::kReadOnly);
  EXPECT_EQ(store->Delete("a").code(), Code::kReadOnly);
  EXPECT_EQ(store->CreateAppendable("k", 0, {}).code(), Code::kReadOnly);
  EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kReadOnly);
  EXPECT_EQ(store->Trim("j", 0).code(), Code::kReadOnly);
  EXPECT_TRUE(store->Barrier());
  EXPECT_TRUE(store->GetVersioned("a"));
  EXPECT_EQ(Names(*store), (std::vector<std::string>{"a", "j"}));
}

TEST(RuleC1ProcLocks, FindsTheHolderByDeviceAndInode) {
  constexpr std::string_view kLocks =
      "1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF\n"
      "2: FLOCK  ADVISORY  READ  12 fe:00:77 0 EOF\n"
      "2: -> FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF\n"
      "3: FLOCK  ADVISORY  WRITE 14 fe:01:77 0 EOF\n"
      "4: FLOCK  ADVISORY  WRITE 15 fe:00:78 0 EOF\n"
      "5: FLOCK  ADVISORY  WRITE -1 fe:00:79 0 EOF\n"
      "6: FLOCK  ADVISORY  WRITE 16 fe:00:9x 0 EOF\n"
      "7: FLOCK\n";
  EXPECT_EQ(FindLockHolder(kLocks, 0xfe, 0, 77), std::optional<int>(12))
      << "not a POSIX lock, not one that waits";
  EXPECT_EQ(FindLockHolder(kLocks, 0xfe, 1, 77), std::optional<int>(14));
  EXPECT_EQ(FindLockHolder(kLocks, 0xfe, 0, 78), std::optional<int>(15));
  EXPECT_EQ(FindLockHolder(kLocks, 0xfe, 0, 79), std::nullopt)
      << "a holder in another pid namespace has no number";
  EXPECT_EQ(FindLockHolder(kLocks, 0xfe, 0, 9), std::nullopt);
  EXPECT_EQ(FindLockHolder("", 0, 0, 0), std::nullopt);
}

TEST_F(Dir, OpeningWhatIsNotThereCreatesNothing) {
  EXPECT_EQ(OpenCode(OpenMode::kReadWrite), Code::kNoStore);
  EXPECT_EQ(OpenCode(OpenMode::kReadOnly), Code::kNoStore);
  EXPECT_FALSE(fs::exists(path()));
  Write(path(), "a file, not a directory");
  EXPECT_EQ(OpenCode(OpenMode::kReadWrite), Code::kNoStore);
}

TEST_F(Dir, CreatingMakesParentsAndRefusesWhatHoldsAnything) {
  ASSERT_TRUE(OpenDir(path("x/y/"), OpenMode::kCreate));
  EXPECT_EQ(OpenCode(OpenMode::kCreate), Code::kNotEmpty);
  EXPECT_TRUE(OpenDir(path("x/y"), OpenMode::kCreate)) << "an empty one is as good as none";
  fs::create_directory(path("x/y/lost+found"));
  EXPECT_TRUE(OpenDir(path("x/y"), OpenMode::kCreate)) << "a fresh file system is empty";
  Write(path("x/y/.hidden"), "");
  auto refused = OpenDir(path("x/y"), OpenMode::kCreate);
  EXPECT_TRUE(!refused && refused.code() == Code::kNotEmpty);
}

TEST_F(Dir, ADirectoryThatCannotBeWrittenIsRefusedToAWriterOnly) {
  Create().reset();
  fs::permissions(path(), fs::perms::owner_read | fs::perms::owner_exec);
  if (::geteuid() == 0) {
    // Permissions do not bind root; be somebody else for a moment.
    fs::permissions(directory_.path(""), fs::perms::all);
    ASSERT_EQ(::chown(path().c_str(), 65534, 65534), 0);
    ASSERT_EQ(::seteuid(65534), 0);
  }
  Code writer = OpenCode(OpenMode::kReadWrite);
  bool reader = Try(OpenMode::kReadOnly).has_value();
  if (::getuid() == 0) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  fs::permissions(path(), fs::perms::owner_all);
  EXPECT_EQ(writer, Code::kPermission);
  EXPECT_TRUE(reader);
}

TEST_F(Dir, ModesAreThoseOfTheDataDirectory) {
  mode_t old = ::umask(022);
  auto store = Create();
  ASSERT_TRUE(store->Put("enclave-state/0/core-enclave", AsBytes("x")));
  ASSERT_TRUE(store->Put("encrypted-data-blobs/B/bin", AsBytes("x")));
  ASSERT_TRUE(store->Put("key-encryption-keys/T/000000000001", AsBytes("x")));
  ASSERT_TRUE(store->CreateAppendable("members/M/journal/1", 512, Bytes(512)));
  ::umask(old);
  EXPECT_EQ(Mode(path()), 0755u);
  for (const char* d : {"enclave-state", "enclave-state/0", "encrypted-data-blobs", "key-encryption-keys",
                        "members", "members/M", "members/M/journal"}) {
    EXPECT_EQ(Mode(path(d)), 0750u) << d;
  }
  EXPECT_EQ(Mode(path("encrypted-data-blobs/B")), 0700u);
  EXPECT_EQ(Mode(path("key-encryption-keys/T")), 0700u);
  EXPECT_EQ(Mode(path("enclave-state/0/core-enclave")), 0644u);
  EXPECT_EQ(Mode(path("members/M/journal/1")), 0644u);
}

TEST_F(Dir, StrangersAreListedAsTheyAreAndNeverFollowed) {
  auto store = Create();
  ASSERT_TRUE(store->Put("d/object", AsBytes("x")));
  std::string outside = directory_.path("outside");
  fs::create_directory(outside);
  Write(outside + "/secret", "not yours");
  fs::create_symlink(outside + "/secret", path("link"));
  fs::create_symlink(outside, path("linked-dir"));
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  Write(path("bad name\n"), "12345");
  fs::create_directory(path("empty"));
  EXPECT_EQ(Names(*store),
            (std::vector<std::string>{"bad name\n", "d/object", "fifo", "link", "linked-dir"}));
  EXPECT_EQ(store->Get("link").code(), Code::kNotFound);
  EXPECT_EQ(store->Get("fifo").code(), Code::kNotFound);
  EXPECT_EQ(store->Get("bad name\n").code(), Code::kInvalidArgument);
  EXPECT_FALSE(store->Get("linked-dir/secret"));
  EXPECT_EQ(store->Put("link", AsBytes("overwritten")).code(), Code::kInvalidArgument);
  EXPECT_EQ(store->Put("fifo", AsBytes("x")).code(), Code::kInvalidArgument);
  EXPECT_EQ(store->Put("d", AsBytes("x")).code(), Code::kInvalidArgument);
  EXPECT_EQ(store->Put("linked-dir/new", AsBytes("x")).code(), Code::kInvalidArgument);
  EXPECT_EQ(store->Append("link", 0, Bytes(512)).code(), Code::kInvalidArgument);
  EXPECT_EQ(store->PutIfAbsent("link", {}).code(), Code::kExists);
  EXPECT_TRUE(store->Delete("linked-dir/secret")) << "no such object, so it is absent already";
  EXPECT_TRUE(fs::exists(outside + "/secret"));
  EXPECT_EQ(fs::file_size(outside + "/secret"), 9u);
  EXPECT_TRUE(store->Delete("link"));
  EXPECT_TRUE(store->Put("fine", AsBytes("x"))) << "none of this poisons";
}

TEST_F(Dir, AChangeMadePastUsChangesTheVersion) {
  auto store = Create();
  auto version = store->PutIfVersion("v", AsBytes("1234"), "");
  ASSERT_TRUE(version);
  Write(path("v"), "12345");
  EXPECT_EQ(store->PutIfVersion("v", AsBytes("x"), *version).code(), Code::kVersionMismatch);
  auto now = store->GetVersioned("v");
  ASSERT_TRUE(now);
  fs::rename(path("v"), path("w"));
  EXPECT_EQ(store->PutIfVersion("v", AsBytes("x"), now->version).code(), Code::kVersionMismatch);
  fs::copy_file(path("w"), path("v"));
  EXPECT_EQ(store->PutIfVersion("v", AsBytes("x"), now->version).code(), Code::kVersionMismatch);
  fs::remove(path("v"));
  fs::rename(path("w"), path("v"));
  EXPECT_TRUE(store->PutIfVersion("v", AsBytes("x"), now->version)) << "the same file again";
}

TEST_F(Dir, ASmallRangeIsNeverOfAnObjectThatWeReplacedOrDeleted) {
  auto store = Create();
  UntrustedBytes bytes;
  for (int round = 0; round < 3; ++round) {
    std::string text = "round " + std::to_string(round);
    ASSERT_TRUE(store->Put("s", AsBytes(text)));
    for (int again = 0; again < 2; ++again) {
      ASSERT_TRUE(store->GetRangeInto("s", 0, 100, bytes));
      EXPECT_EQ(AsText(bytes.parse()), text);
    }
    if (round == 1) {
      ASSERT_TRUE(store->Delete("s"));
      EXPECT_EQ(store->GetRange("s", 0, 100).code(), Code::kNotFound);
    }
  }
  EXPECT_EQ(store->GetRange("s", UINT64_MAX, 100)->size(), 0u);
  EXPECT_EQ(store->GetRange("s", 6, 0)->size(), 0u);
}

TEST_F(Dir, WhatWasRemovedPastUsIsMissedByALargeRange) {
  auto store = Create();
  ASSERT_TRUE(store->Put("s", AsBytes("here")));
  ASSERT_TRUE(store->GetRange("s", 0, 4));
  fs::remove(path("s"));
  EXPECT_EQ(store->GetRange("s", 0, seam::kSmallRangeMax + 1).code(), Code::kNotFound);
  EXPECT_EQ(store->Get("s").code(), Code::kNotFound);
}

TEST_F(Dir, MoreObjectsThanDescriptorsAreReadAllTheSame) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  struct rlimit few = before;
  few.rlim_cur = 200;  // of which a quarter is kept for reading, or the least that makes sense
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  {
    auto store = Create();
    auto name = [](int i) { return "many/" + std::to_string(i); };
    for (int i = 0; i < 400; ++i) {
      ASSERT_TRUE(store->Put(name(i), AsBytes(name(i))));
      if (i % 50 != 49) continue;
      ASSERT_TRUE(store->Barrier());  // what is not durable yet holds one as well
    }
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 400; ++i) {
        auto got = store->GetRange(name(i), 0, 100);
        ASSERT_TRUE(got) << CodeName(got.code()) << " " << i;
        EXPECT_EQ(AsText(got->parse()), name(i));
      }
    }
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(Dir, AnObjectLargerThanOneAnswerIsRefusedButCanBeReadInParts) {
  auto store = Create();
  Write(path("huge"), "x");
  fs::resize_file(path("huge"), seam::kGetBytesMax + 1);  // sparse
  EXPECT_EQ(store->Get("huge").code(), Code::kTooLarge);
  auto end = store->GetRange("huge", seam::kGetBytesMax, 100);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->size(), 1u);
}

// Counts and fails the calls of one store.
struct Faults {
  int fsyncs = 0, fdatasyncs = 0;
  int fail_fsync = 0, fail_fdatasync = 0, fail_write = 0, fail_pwrite = 0,
      fail_allocate = 0;  // an errno, or 0
  DirOptions Options(bool whole_objects = false) {
    DirOptions o;
    o.whole_objects = whole_objects;
    FileCalls real;
    o.calls.fsync = [this, real](int fd) { return ++fsyncs, Fail(fail_fsync) ? -1 : real.fsync(fd); };
    o.calls.fdatasync = [this, real](int fd) {
      return ++fdatasyncs, Fail(fail_fdatasync) ? -1 : real.fdatasync(fd);
    };
    o.calls.write = [this, real](int fd, const void* b, size_t n) -> ssize_t {
      if (fail_write == 0)
        return real.write(fd, b, std::min<size_t>(n, 1000));  // short writes are no failure
      if (n <= 1000) return Fail(fail_write) ? -1 : 0;
      return real.write(fd, b, 1000);
    };
    o.calls.pwrite = [this, real](int fd, const void* b, size_t n, uint64_t at) -> ssize_t {
      return Fail(fail_pwrite) ? -1 : real.pwrite(fd, b, std::min<size_t>(n, 700), at);
    };
    o.calls.allocate = [this, real](int fd, uint64_t at, uint64_t n) {
      return Fail(fail_allocate) ? -1 : real.allocate(fd, at, n);
    };
    return o;
  }
  static bool Fail(int error) {
    if (error != 0) errno = error;
    return error != 0;
  }
};

TEST_F(RuleI1, AFailedFsyncPoisonsAndIsNeverRetried) {
  Faults faults;
  auto store = Create(faults.Options());
  ASSERT_TRUE(store->CreateAppendable("j", 4096, Bytes(512)));
  ASSERT_TRUE(store->Put("a", AsBytes("x")));
  faults.fail_fsync = EIO;
  EXPECT_EQ(store->Barrier().code(), Code::kIo);
  faults.fail_fsync = 0;  // the disk says it is well again; the page that was lost is still lost
  int before = faults.fsyncs + faults.fdatasyncs;
  EXPECT_EQ(store->Barrier().code(), Code::kPoisoned);
  EXPECT_EQ(store->Put("b", {}).code(), Code::kPoisoned);
  EXPECT_EQ(store->PutIfAbsent("b", {}).code(), Code::kPoisoned);
  EXPECT_EQ(store->PutIfVersion("b", {}, "").code(), Code::kPoisoned);
  EXPECT_EQ(store->Delete("a").code(), Code::kPoisoned);
  EXPECT_EQ(store->CreateAppendable("k", 0, {}).code(), Code::kPoisoned);
  EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kPoisoned);
  EXPECT_EQ(store->Trim("j", 512).code(), Code::kPoisoned);
  EXPECT_EQ(faults.fsyncs + faults.fdatasyncs, before);
  EXPECT_TRUE(store->Get("a")) << "reads go on";
  EXPECT_TRUE(store->List("", "", 10));
  store.reset();
  EXPECT_TRUE(Open(OpenMode::kReadWrite)->Put("b", {})) << "until it is reopened";
}

TEST_F(RuleI1, AFailedAppendPoisons) {
  for (int error : {EIO, ENOSPC}) {
    Faults faults;
    auto opened = OpenDir(path(std::to_string(error)), OpenMode::kCreate, faults.Options());
    ASSERT_TRUE(opened);
    auto store = std::move(opened).value();
    ASSERT_TRUE(store->CreateAppendable("j", 4096, Bytes(512)));
    faults.fail_pwrite = error;
    EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kIo)
        << "inside the reserve there is no kFull";
    faults.fail_pwrite = 0;
    EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kPoisoned);
  }
}

TEST_F(RuleI1, AFailedFdatasyncOfAnAppendPoisons) {
  Faults faults;
  auto store = Create(faults.Options());
  ASSERT_TRUE(store->CreateAppendable("j", 4096, Bytes(512)));
  faults.fail_fdatasync = EIO;
  EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kIo);
  faults.fail_fdatasync = 0;
  EXPECT_EQ(store->Append("j", 512, Bytes(512)).code(), Code::kPoisoned);
}

TEST_F(RuleI1, AFullDiskAbandonsTheObjectAndNothingElse) {
  for (bool whole_objects : {false, true}) {
    for (int error : {ENOSPC, EDQUOT}) {
      Faults faults;
      std::string root = path(std::to_string(error) + (whole_objects ? "w" : "a"));
      auto opened = OpenDir(root, OpenMode::kCreate, faults.Options(whole_objects));
      ASSERT_TRUE(opened);
      auto store = std::move(opened).value();
      ASSERT_TRUE(store->Put("old", AsBytes("x")));
      faults.fail_write = error;
      EXPECT_EQ(store->Put("segments/new", Bytes(5000)).code(), Code::kFull);
      EXPECT_EQ(store->PutIfAbsent("segments/new", Bytes(5000)).code(), Code::kFull);
      EXPECT_EQ(store->PutIfVersion("segments/new", Bytes(5000), "").code(), Code::kFull);
      EXPECT_FALSE(fs::exists(root + "/segments/new")) << "a new one is taken away again";
      faults.fail_write = 0;
      EXPECT_TRUE(store->Put("segments/new", Bytes(5000)));
      EXPECT_TRUE(store->Barrier());
      EXPECT_EQ(store->Get("segments/new")->size(), 5000u);
    }
  }
}

TEST_F(RuleI1, AFullDiskWhilePreallocatingAbandonsTheJournalFile) {
  Faults faults;
  auto store = Create(faults.Options());
  ASSERT_TRUE(store->CreateAppendable("j/1", 1024, Bytes(512)));
  faults.fail_allocate = ENOSPC;
  EXPECT_EQ(store->CreateAppendable("j/2", 4096, Bytes(512)).code(), Code::kFull);
  EXPECT_TRUE(store->Append("j/1", 512, Bytes(512))) << "the reserve is still good";
  EXPECT_EQ(store->Append("j/1", 1024, Bytes(512)).code(), Code::kFull) << "growing needs space";
  EXPECT_EQ(fs::file_size(path("j/1")), 1024u);
  faults.fail_allocate = 0;
  faults.fail_pwrite = ENOSPC;  // a file system that allocates but then has nothing
  EXPECT_EQ(store->CreateAppendable("j/2", 4096, Bytes(512)).code(), Code::kFull);
  EXPECT_FALSE(fs::exists(path("j/2")));
  faults.fail_pwrite = 0;
  EXPECT_TRUE(store->CreateAppendable("j/2", 4096, Bytes(512)));
  EXPECT_TRUE(store->Append("j/1", 1024, Bytes(512)));
}

TEST_F(RuleI1, AFailedWriteOfAnObjectPoisons) {
  Faults faults;
  auto store = Create(faults.Options());
  faults.fail_write = EIO;
  EXPECT_EQ(store->Put("a", Bytes(10)).code(), Code::kIo);
  faults.fail_write = 0;
  EXPECT_EQ(store->Put("a", Bytes(10)).code(), Code::kPoisoned);
}

TEST_F(Dir, ABarrierSyncsWhatWasTouchedAndNothingElse) {
  Faults faults;
  auto store = Create(faults.Options());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(store->Put("d/" + std::to_string(i), {}));
  ASSERT_TRUE(store->Barrier());
  int before = faults.fsyncs;
  ASSERT_TRUE(store->Barrier());
  EXPECT_EQ(faults.fsyncs, before);
  ASSERT_TRUE(store->Put("d/0", AsBytes("again")));
  ASSERT_TRUE(store->Put("d/0", AsBytes("and again")));
  ASSERT_TRUE(store->Barrier());
  EXPECT_EQ(faults.fsyncs, before + 1) << "one file, no new name";
  ASSERT_TRUE(store->Put("new/x", {}));
  ASSERT_TRUE(store->Barrier());
  EXPECT_EQ(faults.fsyncs, before + 4) << "the file, its new directory, and the one above";
  ASSERT_TRUE(store->Delete("d/1"));
  ASSERT_TRUE(store->Barrier());
  EXPECT_EQ(faults.fsyncs, before + 5);
}

TEST_F(Dir, AnAppendInsideTheReserveTouchesNoMetadata) {
  Faults faults;
  auto store = Create(faults.Options());
  ASSERT_TRUE(store->CreateAppendable("j", 3u << 20, Bytes(512)));
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(path("j").c_str(), &before), 0);
  EXPECT_GE(static_cast<uint64_t>(before.st_blocks) * 512, 3u << 20) << "really there, not a hole";
  int fsyncs = faults.fsyncs;
  ASSERT_TRUE(store->Append("j", 512, Bytes(512)));
  ASSERT_EQ(::stat(path("j").c_str(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_EQ(after.st_blocks, before.st_blocks);
  EXPECT_EQ(faults.fdatasyncs, 1);
  EXPECT_EQ(faults.fsyncs, fsyncs);
}

// Small and large ones in turns, on and off the blocks of the file system: through the zeros that were
// written ahead, and past the page cache.
TEST_F(Dir, AppendsOfEverySizeReadBackAndBehindThemAreZeros) {
  constexpr size_t kReserve = 8u << 20;
  auto store = Create();
  Bytes all(512, 'h');
  ASSERT_TRUE(store->CreateAppendable("j", kReserve, all));
  const size_t sizes[] = {512, 4096, 300u << 10, 512, (1u << 20) + 512, 512, 900u << 10, 1536, 2u << 20, 512};
  char letter = 'a';
  for (size_t size : sizes) {
    Bytes next(size, static_cast<uint8_t>(letter++));
    ASSERT_TRUE(store->Append("j", all.size(), next)) << size;
    Append(all, next);
  }
  for (int again = 0; again < 2; ++again) {
    auto got = store->Get("j");
    ASSERT_TRUE(got);
    Bytes read = std::move(*got).take();
    ASSERT_EQ(read.size(), kReserve);
    EXPECT_TRUE(std::equal(all.begin(), all.end(), read.begin()));
    EXPECT_TRUE(std::all_of(read.begin() + static_cast<ptrdiff_t>(all.size()), read.end(),
                            [](uint8_t b) { return b == 0; }));
    store.reset();
    store = Open(OpenMode::kReadWrite);
  }
  Bytes next(4096, 'z');
  EXPECT_TRUE(store->Append("j", all.size(), next)) << "of a file that somebody else began";
}

TEST_F(Dir, WholeObjectsModeSyncsBeforeItCloses) {
  Faults faults;
  auto store = Create(faults.Options(true));
  ASSERT_TRUE(store->Put("a", Bytes(5000)));
  EXPECT_GE(faults.fsyncs, 1);
  faults.fail_fsync = EINVAL;  // a mount that knows no fsync: there the close is the write
  EXPECT_TRUE(store->Put("b", Bytes(5000)));
  EXPECT_TRUE(store->Barrier());
  faults.fail_fsync = EIO;
  EXPECT_EQ(store->Put("c", Bytes(5000)).code(), Code::kIo);
  EXPECT_EQ(store->Put("d", Bytes(5000)).code(), Code::kPoisoned);
}

}  // namespace
}  // namespace holdfast::host
