#include "core/runtime/save_workers.h"

#include <gtest/gtest.h>

#include "host/kv/memory.h"

namespace holdfast::runtime {
namespace {

tree::EncodedNode Leaf(const std::string& key) {
  tree::StoredValue v;
  v.length = 100;
  std::string value(100, 'v');
  v.inline_bytes = AsBytes(value);
  return tree::EncodeLeaf({{AsBytes(key), v}});
}

tree::Hint Place(uint32_t n) { return {1, 128 + 1024 * n, 600}; }

class KeptNodesTest : public testing::Test {
 protected:
  KeptNodesTest() {
    uint32_t n = 0;
    for (; !nodes.full(); ++n) {
      tree::EncodedNode e = Leaf("key " + std::to_string(n));
      nodes.Insert(Place(n), tree::Node::Decode(e.canonical, e.hints).value());
    }
    last = Place(n - 1);
    fold = kept.Of(storage, nullptr);
  }
  bool Has(const tree::Hint& h) { return nodes.Find(h) != nullptr; }
  tree::NodePtr FoldFinds(const tree::Hint& h) {
    tree::NodeRef ref;
    ref.hint = h;
    return fold->Find(ref);
  }

  host::MemoryStorage storage;
  SharedNodes nodes{256 << 10};
  KeptNodes kept{nodes};
  std::unique_ptr<store::NodeAccess> fold;
  tree::Hint last;
  const tree::Hint made{2, 128, 600}, made_too{2, 1152, 600};
};

TEST_F(KeptNodesTest, WhereNothingIsFreeALeafThatIsMadeOfColdOnesStaysOut) {
  fold->Keep(made, Leaf("a"));
  EXPECT_FALSE(Has(made));
  EXPECT_TRUE(Has(last));
}

TEST_F(KeptNodesTest, OneThatIsMadeOfALeafInMemoryTakesItsPlace) {
  EXPECT_NE(FoldFinds(last), nullptr);
  fold->Keep(made, Leaf("a"));
  fold->Keep(made_too, Leaf("b"));  // of none: there is one place
  EXPECT_TRUE(Has(made));
  EXPECT_FALSE(Has(last));
  EXPECT_FALSE(Has(made_too));
}

TEST_F(KeptNodesTest, WithRoomAllComeInAndInnerNodesAlways) {
  tree::NodeRef child;
  child.hint = Place(1);
  child.address[0] = 1;
  fold->Keep(made, tree::EncodeInner(1, {{{}, child, 1}}));
  EXPECT_TRUE(Has(made));
  nodes.Drop(std::vector<tree::Hint>{last});
  fold->Keep(made_too, Leaf("b"));
  EXPECT_TRUE(Has(made_too));
}

}  // namespace
}  // namespace holdfast::runtime
