// What sqlite:, rocksdb: and leveldb: promise beyond the contract of every provider (conformance_test.cc):
// locks, rights, sizes on disk, damage, full disks, and that a write that returned was synced.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "host/kv/open.h"
#include "host/kv/sqlite.h"
#include "host/kv/test_directory_internal.h"

namespace holdfast::host {
namespace {

namespace fs = std::filesystem;

Bytes Pattern(size_t n, uint64_t seed) {
  Bytes b(n);
  for (uint8_t& x : b) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    x = static_cast<uint8_t>(seed >> 56);
  }
  return b;
}

std::string Contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Every file below `root` with its bytes.
std::map<std::string, std::string> Snapshot(const fs::path& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files[entry.path().string()] = Contents(entry.path());
  }
  return files;
}

// Names of the files that differ: what a failing test should print.
std::string Difference(const std::map<std::string, std::string>& a,
                       const std::map<std::string, std::string>& b) {
  std::string text;
  for (const auto& [name, bytes] : a) {
    auto it = b.find(name);
    if (it == b.end()) text += " -" + name;
    if (it != b.end() && it->second != bytes) {
      size_t at = static_cast<size_t>(
          std::mismatch(bytes.begin(), bytes.end(), it->second.begin(), it->second.end()).first -
          bytes.begin());
      text += " " + name + " at " + std::to_string(at);
    }
  }
  for (const auto& [name, bytes] : b) {
    if (!a.contains(name)) text += " +" + name;
  }
  return text;
}

class EmbeddedProvider : public ::testing::TestWithParam<std::string> {
 protected:
  std::string Url() const { return GetParam() + ":" + Path(); }
  std::string Path() const { return directory_.path("deep/store"); }
  std::string Root() const { return directory_.path("deep"); }
  std::unique_ptr<seam::Storage> Open(OpenMode mode) const {
    auto opened = OpenStorage(Url(), mode);
    EXPECT_TRUE(opened) << CodeName(opened ? Code::kInternal : opened.code());
    return opened ? std::move(opened).value() : nullptr;
  }
  std::string_view CodeOfOpening(OpenMode mode) const {
    auto opened = OpenStorage(Url(), mode);
    return opened ? "opened" : CodeName(opened.code());
  }
  // Ends without closing, as a kill would, and says how it ended.
  template <typename F>
  int InChild(F f) const {
    pid_t child = ::fork();
    if (child == 0) ::_exit(f());
    int status = 0;
    HF_CHECK(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void Fill(seam::Storage& s) {
    ASSERT_TRUE(s.Put("unlockers", Pattern(184, 1)));
    ASSERT_TRUE(s.Put("segments/A", Pattern(3u << 20, 2)));
    ASSERT_TRUE(s.PutIfAbsent("members/M/journal/1", Pattern(8192, 3)));
    ASSERT_TRUE(s.Barrier());
  }
  void ExpectFilled(seam::Storage& s) {
    for (auto [name, bytes] : {std::pair<const char*, Bytes>{"unlockers", Pattern(184, 1)},
                               {"segments/A", Pattern(3u << 20, 2)},
                               {"members/M/journal/1", Pattern(8192, 3)}}) {
      Result<UntrustedBytes> got = s.Get(name);
      ASSERT_TRUE(got) << name << " " << CodeName(got.code());
      EXPECT_TRUE(Equal(got->parse(), bytes)) << name;
    }
  }
  TestDirectory directory_{TestDirectory::WithoutDisk()};
};

INSTANTIATE_TEST_SUITE_P(Providers, EmbeddedProvider, ::testing::Values("sqlite", "rocksdb", "leveldb"),
                         [](const auto& provider) { return provider.param; });

TEST_P(EmbeddedProvider, SaysWhatItCan) {
  auto writer = Open(OpenMode::kCreate);
  seam::Capabilities c = writer->capabilities();
  EXPECT_FALSE(c.append);
  EXPECT_TRUE(c.conditional_put && c.exclusive && c.strong_listing && !c.read_only);
  EXPECT_EQ(c.value_bytes_max, UINT64_MAX);
  writer.reset();
  c = Open(OpenMode::kReadOnly)->capabilities();
  EXPECT_TRUE(c.read_only && !c.exclusive);
}

TEST_P(EmbeddedProvider, IsMadeWhereNothingIsAndForNobodyElse) {
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadWrite), "kNoStore");
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadOnly), "kNoStore");
  EXPECT_FALSE(fs::exists(Root())) << "nothing is made in passing";
  Fill(*Open(OpenMode::kCreate));
  struct stat st {};
  for (const fs::path& path : {fs::path(Root()), fs::path(Path())}) {
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, S_ISDIR(st.st_mode) ? 0700u : 0600u) << path;
  }
  EXPECT_EQ(CodeOfOpening(OpenMode::kCreate), "kNotEmpty");
  ExpectFilled(*Open(OpenMode::kReadWrite));
}

TEST_P(EmbeddedProvider, AnEmptyOneMayBeMadeAgain) {
  Open(OpenMode::kCreate).reset();
  Fill(*Open(OpenMode::kCreate));
}

TEST_P(EmbeddedProvider, WhatHoldsSomethingElseIsLeftAlone) {
  fs::create_directories(GetParam() == "sqlite" ? Root() : Path());
  std::string other = GetParam() == "sqlite" ? Path() : Path() + "/letter";
  std::ofstream(other) << "not yours";
  EXPECT_EQ(CodeOfOpening(OpenMode::kCreate), "kNotEmpty");
  auto code = CodeOfOpening(OpenMode::kReadWrite);
  EXPECT_TRUE(code == "kNoStore" || code == "kMalformed") << code;
  EXPECT_EQ(Contents(other), "not yours");
}

TEST_P(EmbeddedProvider, ASecondOpenerOfAnyKindIsTurnedAway) {
  auto writer = Open(OpenMode::kCreate);
  Fill(*writer);
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadWrite), "kInUse");
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadOnly), "kInUse");
  for (OpenMode mode : {OpenMode::kReadWrite, OpenMode::kReadOnly, OpenMode::kCreate}) {
    EXPECT_EQ(InChild([&] { return CodeOfOpening(mode) == "kInUse" ? 0 : 1; }), 0) << "another process";
  }
  ASSERT_TRUE(writer->Put("still", AsBytes("works")));
  ExpectFilled(*writer);
  writer.reset();
  auto reader = Open(OpenMode::kReadOnly);
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadWrite), "kInUse") << "not under a reader's feet";
}

TEST_P(EmbeddedProvider, WhatReturnedOutlivesTheProcessThatDidIt) {
  Open(OpenMode::kCreate).reset();
  EXPECT_EQ(InChild([&] {
              auto opened = OpenStorage(Url(), OpenMode::kReadWrite);
              if (!opened) return 1;
              Fill(**opened);
              (void)std::move(opened).value().release();
              return 0;
            }),
            0);
  ExpectFilled(*Open(OpenMode::kReadOnly));
  ExpectFilled(*Open(OpenMode::kReadWrite));
  ExpectFilled(*Open(OpenMode::kReadOnly));
}

TEST_P(EmbeddedProvider, AReaderChangesNoByteAndAddsNoFile) {
  Open(OpenMode::kCreate).reset();
  auto expect_untouched = [&](const char* when) {
    auto before = Snapshot(Root());
    {
      auto reader = Open(OpenMode::kReadOnly);
      ExpectFilled(*reader);
      EXPECT_EQ(reader->Put("a", {}).code(), Code::kReadOnly);
      EXPECT_EQ(reader->PutIfAbsent("a", {}).code(), Code::kReadOnly);
      EXPECT_EQ(reader->Delete("unlockers").code(), Code::kReadOnly);
      EXPECT_TRUE(reader->Barrier());
    }
    EXPECT_EQ(Difference(before, Snapshot(Root())), "") << when;
  };
  EXPECT_EQ(InChild([&] {
              auto opened = OpenStorage(Url(), OpenMode::kReadWrite);
              if (!opened) return 1;
              Fill(**opened);
              (void)std::move(opened).value().release();
              return 0;
            }),
            0);
  expect_untouched("after a crash");
  Open(OpenMode::kReadWrite).reset();
  expect_untouched("after a clean close");
}

TEST_P(EmbeddedProvider, VersionsOfAnEarlierOpenerNeverComeBack) {
  auto s = Open(OpenMode::kCreate);
  Result<seam::ObjectVersion> old = s->PutIfVersion("v", AsBytes("1"), "");
  ASSERT_TRUE(old);
  s.reset();
  s = Open(OpenMode::kReadWrite);
  EXPECT_EQ(s->GetVersioned("v")->version, *old) << "nobody wrote meanwhile";
  ASSERT_TRUE(s->Put("v", AsBytes("1")));
  EXPECT_EQ(s->PutIfVersion("v", AsBytes("2"), *old).code(), Code::kVersionMismatch);
}

TEST_P(EmbeddedProvider, ALargeObjectKilledHalfWayIsNotThereAndLeavesNothing) {
  auto s = Open(OpenMode::kCreate);
  Fill(*s);
  s.reset();
  for (uint64_t until : {1u, 9u}) {  // MiB; four at a time are one step for the database
    // The process ends between two parts: its rows are there, its index is not.
    EXPECT_EQ(
        InChild([&] {
          auto opened = OpenStorage(Url(), OpenMode::kReadWrite);
          if (!opened) return 1;
          std::thread writer([&] { (void)(*opened)->Put("segments/B", Pattern(24u << 20, 9)).has_value(); });
          for (uint64_t before = 0, grown = 0; grown < until << 20;) {
            uint64_t size = 0;
            std::error_code gone;
            for (fs::recursive_directory_iterator it(Root(), gone), end; it != end && !gone;
                 it.increment(gone)) {
              uintmax_t n = it->is_regular_file(gone) ? it->file_size(gone) : 0;
              if (!gone) size += n;
            }
            if (before == 0) before = size;
            grown = size > before ? size - before : 0;
          }
          ::_exit(0);
          return 0;
        }),
        0);
  }
  s = Open(OpenMode::kReadWrite);
  ExpectFilled(*s);
  Result<UntrustedBytes> got = s->Get("segments/B");
  if (got) {
    EXPECT_TRUE(Equal(got->parse(), Pattern(24u << 20, 9))) << "whole, if it got that far";
  } else {
    EXPECT_EQ(got.code(), Code::kNotFound);
  }
}

// -- damage

// Whatever is flipped in whichever file: opening or reading fails with a code, or the bytes are right. What a
// database cannot notice (SQLite's pages have no checksums) is the core's to find; here only: no crash, no
// bytes of another object, no object of another size.
TEST_P(EmbeddedProvider, AFlippedByteIsAnErrorNeverACrash) {
  Fill(*Open(OpenMode::kCreate));
  std::vector<std::string> files;
  for (const auto& [name, bytes] : Snapshot(Root())) {
    if (!bytes.empty()) files.push_back(name);
  }
  bool checksums = GetParam() != "sqlite";
  int noticed = 0, flips = 0;
  for (const std::string& file : files) {
    const std::string whole = Contents(file);
    for (int i = 0; i < 24; ++i) {
      std::string damaged = whole;
      size_t at = static_cast<size_t>(i) * (whole.size() - 1) / 23;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << (i % 8)));
      std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
      ++flips;
      auto opened = OpenStorage(Url(), OpenMode::kReadOnly);
      if (!opened) {
        ++noticed;
        continue;
      }
      bool bad = false;
      for (auto [name, bytes] : {std::pair<const char*, Bytes>{"unlockers", Pattern(184, 1)},
                                 {"segments/A", Pattern(3u << 20, 2)},
                                 {"members/M/journal/1", Pattern(8192, 3)}}) {
        Result<UntrustedBytes> got = (*opened)->Get(name);
        bad = bad || !got;
        EXPECT_TRUE(!got || !checksums || Equal(got->parse(), bytes)) << file << " at " << at;
      }
      noticed += bad ? 1 : 0;
    }
    std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
  }
  EXPECT_GT(noticed, 0) << "of " << flips;
  ExpectFilled(*Open(OpenMode::kReadWrite));
}

TEST_P(EmbeddedProvider, AFileThatWasCutIsAnErrorNeverACrash) {
  Fill(*Open(OpenMode::kCreate));
  for (const auto& [file, whole] : Snapshot(Root())) {
    for (size_t keep :
         {size_t{0}, size_t{1}, whole.size() / 3, whole.size() / 2, whole.size() - whole.size() / 9}) {
      if (whole.empty() || keep >= whole.size()) continue;
      fs::resize_file(file, keep);
      auto opened = OpenStorage(Url(), OpenMode::kReadOnly);
      if (opened) {
        for (const char* name : {"unlockers", "segments/A", "members/M/journal/1"}) {
          Result<UntrustedBytes> got = (*opened)->Get(name);
          EXPECT_TRUE(got || got.code() != Code::kInternal);
        }
      }
      std::ofstream(file, std::ios::binary | std::ios::trunc) << whole;
    }
  }
  ExpectFilled(*Open(OpenMode::kReadWrite));
}

// -- rights, space

TEST_P(EmbeddedProvider, WhatMayNotBeWrittenIsRefusedWithTheReason) {
  if (::geteuid() == 0) {
    // Root may do everything; somebody else, in a child.
    Fill(*Open(OpenMode::kCreate));
    EXPECT_EQ(InChild([&] {
                if (::setuid(65534) != 0) return 77;
                auto opened = OpenStorage(Url(), OpenMode::kReadWrite);
                return !opened && opened.code() == Code::kPermission ? 0 : 1;
              }),
              0);
    return;
  }
  Fill(*Open(OpenMode::kCreate));
  ASSERT_EQ(::chmod(Root().c_str(), 0500), 0);
  ASSERT_EQ(::chmod(Path().c_str(), 0500), 0);
  EXPECT_EQ(CodeOfOpening(OpenMode::kReadWrite), "kPermission");
  ASSERT_EQ(::chmod(Root().c_str(), 0700), 0);
}

TEST(SqliteProvider, AFullDiskRefusesTheObjectAndPoisonsNothing) {
  TestDirectory directory(TestDirectory::WithoutDisk());
  SqliteOptions options;
  options.pages_max = 300;  // of 8 KiB
  auto opened = OpenSqlite(directory.path("s.db"), OpenMode::kCreate, options);
  ASSERT_TRUE(opened);
  seam::Storage& s = **opened;
  ASSERT_TRUE(s.Put("kept", Pattern(1u << 20, 1)));
  ASSERT_TRUE(s.Put("old", Pattern(1u << 20, 2)));
  EXPECT_EQ(s.Put("large", Pattern(3u << 20, 3)).code(), Code::kFull);
  EXPECT_EQ(s.Put("old", Pattern((1u << 20) + 1, 4)).code(), Code::kFull);
  EXPECT_EQ(s.Get("large").code(), Code::kNotFound);
  EXPECT_TRUE(Equal(s.Get("old")->parse(), Pattern(1u << 20, 2)));
  ASSERT_TRUE(s.Barrier());
  ASSERT_TRUE(s.Delete("kept"));
  EXPECT_TRUE(s.Put("old", Pattern((1u << 20) + 1, 4))) << "there is room again";
  EXPECT_TRUE(Equal(s.Get("old")->parse(), Pattern((1u << 20) + 1, 4)));
}

TEST(SqliteProvider, ATableThatIsNotOursIsNotUsed) {
  TestDirectory directory(TestDirectory::WithoutDisk());
  std::string path = directory.path("s.db");
  OpenSqlite(path, OpenMode::kCreate).value().reset();
  std::string bytes = Contents(path);
  size_t at = bytes.find("version BLOB");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 12, "version TEXT");
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  auto opened = OpenSqlite(path, OpenMode::kReadWrite);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.code(), Code::kMalformed);
}

// -- durability, seen from outside

constexpr const char* kStrace = "/usr/bin/strace";
constexpr int kPuts = 20;

// On its own a short walk; below, what the traced process runs.
TEST_P(EmbeddedProvider, WritesOneByOne) {
  const char* traced = ::getenv("HF_TRACED_STORE");
  std::string url = GetParam() + ":" + (traced != nullptr ? std::string(traced) : Path());
  auto opened = OpenStorage(url, OpenMode::kCreate);
  ASSERT_TRUE(opened);
  for (int i = 0; i < kPuts; ++i) {
    (void)::access("/holdfast/put/begins", F_OK);
    ASSERT_TRUE((*opened)->Put("frame/" + std::to_string(i), Pattern(5000, static_cast<uint64_t>(i))));
    ASSERT_TRUE((*opened)->Barrier());
    (void)::access("/holdfast/put/ends", F_OK);
  }
}

TEST_P(EmbeddedProvider, EveryAcknowledgedWriteWasSyncedBeforeItReturned) {
  if (::access(kStrace, X_OK) != 0) GTEST_SKIP() << "no strace";
  std::string log = directory_.path("log"), exe = fs::read_symlink("/proc/self/exe").string();
  fs::create_directories(Root());
  int status = InChild([&] {
    ::setenv("HF_TRACED_STORE", Path().c_str(), 1);
    if (::freopen("/dev/null", "w", stdout) == nullptr) return 127;
    std::string filter = "--gtest_filter=Providers/EmbeddedProvider.WritesOneByOne/" + GetParam();
    ::execl(kStrace, kStrace, "-f", "-y", "-e",
            "trace=access,faccessat,faccessat2,write,pwrite64,writev,fsync,fdatasync", "-o", log.c_str(),
            exe.c_str(), filter.c_str(), static_cast<char*>(nullptr));
    return 127;
  });
  if (status != 0) GTEST_SKIP() << "strace may not trace here";
  std::istringstream lines(Contents(log));
  int synced = 0, puts = 0;
  bool inside = false, dirty = false, any = false;
  for (std::string line; std::getline(lines, line);) {
    bool ours = line.find(Path()) != std::string::npos;
    if (line.find("/holdfast/put/begins") != std::string::npos) {
      inside = true;
      dirty = any = false;
    } else if (line.find("/holdfast/put/ends") != std::string::npos) {
      ++puts;
      if (any && !dirty) ++synced;
      inside = false;
    } else if (inside && ours && line.find("sync(") != std::string::npos) {
      dirty = false;
    } else if (inside && ours && line.find("write") != std::string::npos) {
      dirty = any = true;
    }
  }
  EXPECT_EQ(puts, kPuts);
  EXPECT_EQ(synced, kPuts) << "each put wrote and then synced what it wrote";
}

}  // namespace
}  // namespace holdfast::host
