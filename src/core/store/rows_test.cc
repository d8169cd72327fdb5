#include "core/store/rows.h"

#include <gtest/gtest.h>

#include "base/codec.h"

namespace holdfast::store {
namespace {

TEST(Rows, AHeadHasTheBytesOfTheFormat) {
  HeadRow row{Term(3), {}};
  row.chain[0] = 0xAB;
  Bytes expected;
  Writer(expected).U64(3).Raw(row.chain);
  EXPECT_EQ(row.Encode(), expected);
  HeadRow back = HeadRow::Decode(expected).value();
  EXPECT_EQ(back.term, row.term);
  EXPECT_EQ(back.chain, row.chain);
}

TEST(Rows, ASessionHasTheBytesOfTheFormat) {
  SessionRow row{9, LogIndex(100), {{7, Code{}, 0}, {9, Code::kConflict, 2}}};
  Bytes expected;
  Writer(expected).U64(9).U64(100).U32(2).U64(7).U16(0).U64(0);
  Writer(expected).U64(9).U16(static_cast<uint16_t>(Code::kConflict)).U64(2);
  EXPECT_EQ(row.Encode(), expected);
  SessionRow back = SessionRow::Decode(expected).value();
  EXPECT_EQ(back.Encode(), expected);
  EXPECT_EQ(back.results[1].code, Code::kConflict);
}

TEST(Rows, EveryRowCutShortOrLengthenedIsMalformed) {
  Bytes session = SessionRow{9, LogIndex(100), {{7, Code{}, 0}}}.Encode(), head = HeadRow{}.Encode();
  for (size_t n = 0; n <= session.size() + 1; ++n) {
    Bytes cut = session;
    cut.resize(n);
    EXPECT_EQ(SessionRow::Decode(cut).has_value(), n == session.size()) << n;
    cut = head;
    cut.resize(n);
    EXPECT_EQ(HeadRow::Decode(cut).has_value(), n == head.size()) << n;
  }
}

}  // namespace
}  // namespace holdfast::store
