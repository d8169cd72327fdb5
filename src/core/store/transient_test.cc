#include "core/store/transient.h"

#include <gtest/gtest.h>

#include "core/store/store_rig_internal.h"
#include "crypto/hash.h"

namespace holdfast::store {
namespace {

struct Table {
  explicit Table(size_t bytes_max = 1u << 20) : rows(bytes_max) {
    id.bytes[0] = 7;
    rows.AddTable(id);
  }
  Outcome Apply(std::vector<kernel::Operation> operations, std::vector<kernel::Compare> compares = {}) {
    batch.operations = std::move(operations);
    batch.compares = std::move(compares);
    changes.clear();
    erased.clear();
    return rows.Apply(batch, changes, erased);
  }
  kernel::Operation Put(std::string_view k, std::string_view v) const { return Rig::Put(id, k, v); }
  kernel::Operation Range(std::string_view k, std::string_view end) const {
    return {kernel::OperationKind::kDeleteRange, id, ToBytes(k), {}, ToBytes(end)};
  }
  std::string All(bool reverse = false, std::string_view from = "", std::string_view until = "") const {
    std::string all;
    rows.Scan(id, AsBytes(from), AsBytes(until), reverse, [&](ByteView k, ByteView v) {
      all += ToText(k) + "=" + ToText(v) + " ";
      return true;
    });
    return all;
  }
  TransientRows rows;
  TableId id;
  kernel::Batch batch;
  std::vector<Change> changes;
  std::deque<Bytes> erased;
};

TEST(TransientRows, ABatchIsAllOrNothing) {
  Table t;
  ASSERT_TRUE(t.Apply({t.Put("a", "1"), t.Put("b", "2"), t.Put("c", "3")}).ok());
  Outcome refused = t.Apply({t.Put("a", "9")}, {{kernel::CompareKind::kPresent, t.id, ToBytes("b"), {}},
                                                {kernel::CompareKind::kAbsent, t.id, ToBytes("c"), {}}});
  EXPECT_EQ(refused.code, Code::kConflict);
  EXPECT_EQ(refused.detail, 1u);
  EXPECT_TRUE(t.changes.empty());
  kernel::Operation elsewhere = t.Put("a", "9");
  elsewhere.table.bytes[0] = 8;
  EXPECT_EQ(t.Apply({t.Put("a", "9"), elsewhere}).code, Code::kNoTable);
  EXPECT_EQ(t.All(), "a=1 b=2 c=3 ");
  ASSERT_TRUE(t.Apply({t.Range("a", "c"), t.Put("b", "new")},
                      {{kernel::CompareKind::kEquals, t.id, ToBytes("a"), crypto::Sha256(AsBytes("1"))}})
                  .ok());
  EXPECT_EQ(t.All(), "b=new c=3 ");
  EXPECT_EQ(t.changes.size(), 3u) << "two rows of the range, one written";
  EXPECT_EQ(t.All(true), "c=3 b=new ");
  EXPECT_EQ(t.All(true, "a", "c"), "b=new ");
  EXPECT_EQ(t.All(false, "c", "a"), "");
}

TEST(TransientRows, AreCountedToTheByteAndNeverPassTheirLimit) {
  Table t(10 * (TransientRows::kRowOverheadBytes + 10));
  crypto::SeededRandom random(5);
  size_t refused = 0;
  for (int i = 0; i < 3'000; ++i) {
    std::vector<kernel::Operation> operations;
    for (uint64_t n = random.Below(4); n > 0; --n) {
      const std::string key(1, static_cast<char>('a' + random.Below(26)));
      switch (random.Below(4)) {
        case 0:
          operations.push_back(Rig::Del(t.id, key));
          break;
        case 1:
          operations.push_back(t.Range(key, std::string(1, static_cast<char>(key[0] + 3))));
          break;
        default:
          operations.push_back(t.Put(key, std::string(random.Below(40), 'v')));
      }
    }
    const std::string before = t.All();
    Outcome done = t.Apply(std::move(operations));
    if (!done.ok()) {
      ++refused;
      EXPECT_EQ(done.code, Code::kTransientFull);
      EXPECT_EQ(t.All(), before);
    }
    size_t bytes = 0;
    t.rows.Scan(t.id, {}, {}, false, [&](ByteView k, ByteView v) {
      bytes += k.size() + v.size() + TransientRows::kRowOverheadBytes;
      return true;
    });
    ASSERT_EQ(t.rows.bytes(), bytes);
    ASSERT_LE(bytes, t.rows.bytes_max());
  }
  EXPECT_GT(refused, 100u);
  t.rows.DropTable(t.id);
  EXPECT_EQ(t.rows.bytes(), 0u);
  EXPECT_EQ(t.Apply({t.Put("a", "1")}).code, Code::kNoTable);
}

TEST(TransientRows, DeletingSucceedsWhereNothingMoreFits) {
  Table t(TransientRows::kRowOverheadBytes + 2);
  ASSERT_TRUE(t.Apply({t.Put("a", "1")}).ok());
  EXPECT_EQ(t.Apply({t.Put("b", "1")}).code, Code::kTransientFull);
  EXPECT_EQ(t.Apply({t.Put("a", "12")}).code, Code::kTransientFull);
  EXPECT_TRUE(t.Apply({t.Put("a", "2")}).ok()) << "no larger than it was";
  EXPECT_TRUE(t.Apply({Rig::Del(t.id, "a")}).ok());
  EXPECT_TRUE(t.Apply({t.Put("b", "1")}).ok());
}

// Whoever proposed an entry: the log never says anything about a transient table's rows.
TEST(TransientRows, AnEntryThatWritesOrComparesThemChangesNothing) {
  Rig rig;
  ASSERT_TRUE(rig.Init());
  ASSERT_TRUE(rig.Open());
  tree::Descriptor d;
  d.transient = true;
  ASSERT_TRUE(rig.CreateTable("t", d));
  ASSERT_TRUE(rig.CreateTable("plain"));
  TableId t = rig.Table("t"), plain = rig.Table("plain");
  kernel::Batch batch;
  batch.operations = {Rig::Put(plain, "k", "v"), Rig::Put(t, "k", "v")};
  ASSERT_TRUE(rig.Append({Rig::EntryOf(batch)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kTransientMixed);
  batch.operations.pop_back();
  batch.compares = {{kernel::CompareKind::kAbsent, t, ToBytes("k"), {}}};
  ASSERT_TRUE(rig.Append({Rig::EntryOf(batch)}));
  EXPECT_EQ(rig.outcomes.at(0).code, Code::kTransientMixed);
  rig.ExpectRows("refused");
  ASSERT_TRUE(rig.Save());
  ASSERT_TRUE(rig.Close());
  rig.ExpectClean("closed");
  ASSERT_TRUE(rig.Open());
  EXPECT_TRUE(rig.s->state->tables().at(t).descriptor.transient);
  EXPECT_TRUE(rig.s->state->tables().at(t).root.empty);
}

}  // namespace
}  // namespace holdfast::store
