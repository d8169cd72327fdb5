#include "cli/batch_file.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace holdfast::cli {
namespace {

TEST(BatchFile, ReadsChangesAndConditionsInTheirOrder) {
  std::string why;
  Result<sdk::Batch> batch =
      ParseBatchFile("put\tt\tk\\t1\tv\\n\n\nequals\tt\ta\tb\ndel\tt\tk2\nabsent\tt\tc\npresent\tt\td", &why);
  ASSERT_TRUE(batch.has_value()) << why;
  ASSERT_EQ(batch->operations.size(), 2u);
  ASSERT_EQ(batch->compares.size(), 3u);
  EXPECT_EQ(batch->operations[0].key, "k\t1");
  EXPECT_EQ(batch->operations[0].value, "v\n");
  EXPECT_EQ(batch->operations[1].kind, sdk::Operation::Kind::kDelete);
  EXPECT_EQ(batch->compares[0].value, "b");
  EXPECT_EQ(batch->compares[2].kind, sdk::Compare::Kind::kPresent);
}

TEST(BatchFile, NamesTheLineThatIsWrong) {
  std::string why;
  for (const char* bad : {"put\tt\tk", "put t k v", "drop\tt\tk", "del\tt\tk\tv", "absent", "\t\t"}) {
    Result<sdk::Batch> batch = ParseBatchFile(std::string("del\tt\tk\n\n") + bad + "\n", &why);
    EXPECT_EQ(batch.code(), Code::kBadInput) << bad;
    EXPECT_TRUE(why.starts_with("line 3: expected put|equals")) << why;
  }
  EXPECT_EQ(ParseBatchFile("del\tt\t\\q", &why).code(), Code::kBadInput);
  EXPECT_EQ(why, "line 1: a backslash that is no escape");
}

TEST(BatchFile, StopsAtWhatABatchMayHave) {
  std::string text, why;
  for (size_t i = 0; i < limits::kBatchOpsMax; ++i) text += "del\tt\tk\nabsent\tt\tk\n";
  EXPECT_TRUE(ParseBatchFile(text, &why).has_value()) << why;
  EXPECT_EQ(ParseBatchFile(text + "del\tt\tk\n", &why).code(), Code::kBatchSize);
  EXPECT_EQ(ParseBatchFile(text + "present\tt\tk", &why).code(), Code::kBatchSize);
  EXPECT_TRUE(why.starts_with("line 20001: ")) << why;
}

}  // namespace
}  // namespace holdfast::cli
