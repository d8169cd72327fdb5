// Verify with many workers, in any order, says what it says alone.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/store/store_rig_internal.h"
#include "core/store/workers.h"

namespace holdfast::store {
namespace {

// The last job first, each with another worker than its neighbours; no threads, so that what fails fails
// again.
class BackwardWorkers : public Workers {
 public:
  size_t count() const override { return 3; }
  void Run(size_t n, const Job& job) override {
    for (size_t i = n; i-- > 0;) job(i % count(), i);
  }
};

std::vector<std::string> LinesOf(const VerifyReport& report) {
  std::vector<std::string> lines;
  for (const Finding& f : report.findings) lines.push_back(f.Line());
  std::sort(lines.begin(), lines.end());
  return lines;
}

Rows RandomRows(crypto::SeededRandom& random, size_t n, size_t bytes) {
  Rows rows;
  while (rows.size() < n) rows["key " + std::to_string(random.Below(1'000'000))] = TestValue(random, bytes);
  return rows;
}

// Small segments, two slots that differ, a tag, and values of every size: inline, a chunk, a list of chunks.
Image MakeStore() {
  Rig rig;
  rig.anchored = false;
  rig.options.placement.segment_bytes = 16u << 10;
  EXPECT_TRUE(rig.Init());
  EXPECT_TRUE(rig.Open());
  EXPECT_TRUE(rig.CreateTable("t"));
  crypto::SeededRandom data(5);
  EXPECT_TRUE(rig.PutRows("t", RandomRows(data, 1500, 100)));
  EXPECT_TRUE(rig.PutRows("t", {{"chunk", std::string(50'000, 'c')}, {"list", std::string(200'000, 'l')}}));
  EXPECT_TRUE(rig.CreateTag("tag"));
  EXPECT_TRUE(rig.PutRows("t", RandomRows(data, 300, 300)));
  EXPECT_TRUE(rig.Save());
  EXPECT_TRUE(rig.PutRows("t", RandomRows(data, 30, 100)));
  EXPECT_TRUE(rig.Save());
  EXPECT_TRUE(rig.Close());
  return ImageOf(*rig.disk);
}

void ExpectTheSame(const Image& image, const std::string& when, bool damaged) {
  auto disk = DiskOf(image);
  BackwardWorkers workers;
  VerifyOptions many;
  many.workers = &workers;
  auto alone = VerifyStore(*disk, AsBytes(kPassphrase), {});
  auto together = VerifyStore(*disk, AsBytes(kPassphrase), many);
  ASSERT_TRUE(alone) << when;
  ASSERT_TRUE(together) << when;
  EXPECT_EQ(LinesOf(*alone), LinesOf(*together)) << when;
  EXPECT_EQ(alone->verdict, together->verdict) << when;
  EXPECT_EQ(alone->verdict.has_value(), damaged) << when << Show(alone->findings);
  EXPECT_EQ(alone->nodes, together->nodes) << when;
  EXPECT_EQ(alone->segments, together->segments) << when;
  EXPECT_EQ(alone->segment_bytes, together->segment_bytes) << when;
  EXPECT_EQ(alone->bytes, together->bytes) << when;
}

TEST(Verify, SaysWithManyWorkersWhatItSaysAlone) {
  const Image image = MakeStore();
  ExpectTheSame(image, "as it was left", false);
  crypto::SeededRandom random(8);
  std::vector<std::string> names;
  for (const auto& [name, bytes] : image) {
    if (name.starts_with("segments/")) names.push_back(name);
  }
  ASSERT_GT(names.size(), 20u);
  for (int i = 0; i < 60; ++i) {
    Image broken = image;
    const std::string& name = names[random.Below(names.size())];
    Bytes& bytes = broken[name];
    std::string when = std::to_string(i) + ": " + name;
    switch (i % 4) {
      case 0:
        bytes[random.Below(bytes.size())] ^= 1;
        break;
      case 1:
        bytes.resize(random.Below(bytes.size()));
        break;
      case 2:
        broken.erase(name);
        break;
      case 3:
        std::swap(bytes, broken[names[(random.Below(names.size() - 1) + 1)]]);
        break;
    }
    if (broken != image) ExpectTheSame(broken, when, true);
  }
}

// What is changed in a leaf, in a chunk and in a list is named where it is, and each once.
TEST(Verify, NamesEveryNodeOfASegmentThatWasChanged) {
  const Image image = MakeStore();
  auto clean = VerifyStore(*DiskOf(image), AsBytes(kPassphrase), {});
  ASSERT_TRUE(clean);
  size_t named = 0;
  for (const auto& [name, bytes] : image) {
    if (!name.starts_with("segments/")) continue;
    Image broken = image;
    for (size_t at = 100; at < bytes.size(); at += 64) broken[name][at] ^= 1;  // every node
    auto report = VerifyStore(*DiskOf(broken), AsBytes(kPassphrase), {});
    ASSERT_TRUE(report) << name;
    std::vector<std::string> lines = LinesOf(*report);
    EXPECT_FALSE(lines.empty()) << name;
    EXPECT_EQ(std::adjacent_find(lines.begin(), lines.end()), lines.end()) << name << Show(report->findings);
    for (const Finding& f : report->findings) {
      EXPECT_TRUE(f.object.starts_with(name)) << f.Line();
      named += f.kind == Finding::Kind::kChanged;
    }
    EXPECT_LT(report->nodes, clean->nodes) << name;
  }
  // Those below a node that does not open are not reached, so not each of them is named.
  EXPECT_GT(named, clean->nodes / 2);
}

}  // namespace
}  // namespace holdfast::store
