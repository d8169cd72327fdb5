// How fast each provider is for what a store does with it (docs/benchmarks.md, Providers):
//
//   ninja -C build/release providers_speed && build/release/bin/providers_speed DIRECTORY [URL...]
//
// A URL's path is below DIRECTORY. Prints one line a provider.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "host/kv/leveldb.h"
#include "host/kv/open.h"
#include "host/kv/rocksdb.h"
#include "host/kv/sqlite.h"

namespace holdfast::host {
namespace {

constexpr size_t kSegmentBytes = 16u << 20;
constexpr int kSegments = 8;
constexpr uint64_t kRangeBytes = 1300;
constexpr size_t kFrameBytes = 8u << 10;
constexpr int kReads = 4000, kFrames = 600;

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

Bytes Noise(size_t n) {
  static std::mt19937_64 random(1);
  Bytes b(n);
  for (uint8_t& x : b) x = static_cast<uint8_t>(random());
  return b;
}

double PutSegments(seam::Storage& s) {
  std::vector<Bytes> segments(kSegments);
  for (Bytes& b : segments) b = Noise(kSegmentBytes);
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kSegments; ++i) {
    HF_CHECK(s.PutIfAbsent("segments/" + std::to_string(i), segments[static_cast<size_t>(i)]).has_value());
    HF_CHECK(s.Barrier().has_value());
  }
  return Seconds(start) / kSegments;
}

double ReadRanges(seam::Storage& s) {
  std::mt19937_64 random(2);
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kReads; ++i) {
    std::string name = "segments/" + std::to_string(random() % kSegments);
    auto got = s.GetRange(name, random() % (kSegmentBytes - kRangeBytes), kRangeBytes);
    HF_CHECK(got.has_value() && got->size() == kRangeBytes);
  }
  return Seconds(start) / kReads;
}

double WriteFrames(seam::Storage& s) {
  Bytes frame = Noise(kFrameBytes);
  auto start = std::chrono::steady_clock::now();
  if (s.capabilities().append) {
    HF_CHECK(s.CreateAppendable("members/M/journal/0", 16u << 20, frame).has_value());
    for (uint64_t i = 1; i < kFrames; ++i) {
      HF_CHECK(s.Append("members/M/journal/0", i * kFrameBytes, frame).has_value());
    }
  } else {
    for (int i = 0; i < kFrames; ++i) {
      HF_CHECK(s.PutIfAbsent("members/M/journal/" + std::to_string(100'000 + i), frame).has_value());
      HF_CHECK(s.Barrier().has_value());
    }
  }
  return Seconds(start) / kFrames;
}

void Measure(const std::string& what, seam::Storage& s) {
  double put = PutSegments(s), read = ReadRanges(s), frame = WriteFrames(s);
  std::printf("%-34s segment %6.0f ms  range %7.1f us  frames %6.0f a second\n", what.c_str(), put * 1e3,
              read * 1e6, 1 / frame);
  std::fflush(stdout);
}

template <typename Opened>
void MeasureAndForget(const std::string& what, const std::string& place, Opened opened) {
  HF_CHECK(opened.has_value());
  Measure(what, **opened);
  { auto closed = std::move(opened).value(); }
  std::filesystem::remove_all(place);
}

void MeasureParts(const std::string& directory) {
  for (uint64_t kib : {64u, 128u, 256u, 1024u}) {
    std::string place = directory + "/s.db", size = " parts of " + std::to_string(kib) + " KiB";
    for (int page : {4096, 8192, 16384, 32768}) {
      MeasureAndForget("sqlite" + size + ", pages " + std::to_string(page), place,
                       OpenSqlite(place, OpenMode::kCreate, {.part_bytes = kib << 10, .page_bytes = page}));
    }
    place = directory + "/rocks";
    MeasureAndForget("rocksdb" + size, place,
                     OpenRocksdb(place, OpenMode::kCreate, {.part_bytes = kib << 10}));
    place = directory + "/level";
    MeasureAndForget("leveldb" + size, place,
                     OpenLeveldb(place, OpenMode::kCreate, {.part_bytes = kib << 10}));
  }
}

int Main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: providers_speed DIRECTORY [--parts]\n", stderr), 2;
  std::string directory = argv[1];
  if (argc > 2) return MeasureParts(directory), 0;
  for (const char* url : {"dir:", "dir:?whole-objects=true", "sqlite:", "rocksdb:", "leveldb:"}) {
    std::string text = url, scheme = text.substr(0, text.find(':') + 1);
    std::string place = directory + "/store";
    MeasureAndForget(text, place,
                     OpenStorage(scheme + place + text.substr(scheme.size()), OpenMode::kCreate));
  }
  return 0;
}

}  // namespace
}  // namespace holdfast::host

int main(int argc, char** argv) { return holdfast::host::Main(argc, argv); }
