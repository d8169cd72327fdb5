// AdoptTail against a specification that compares entry by entry, over every small set of chains.
#include <gtest/gtest.h>

#include <functional>

#include "core/journal/recovery.h"
#include "crypto/random.h"

namespace holdfast::journal {
namespace {

struct ModelFrame {
  uint64_t term = 0;
  uint8_t variant = 0;  // two frames of one term that differ: a liar, or a broken promise of terms
  uint64_t entries = 1;
};
struct ModelChain {
  std::vector<ModelFrame> frames;
  uint64_t watermark = 0;
  enum { kWhole, kBad, kShort } state = kWhole;  // kBad: a frame behind it is changed; kShort: is missing
  uint64_t begin = 0;

  std::vector<std::pair<uint64_t, uint8_t>> entries() const {  // index begin + 1 and on
    std::vector<std::pair<uint64_t, uint8_t>> all;
    for (const auto& f : frames) all.insert(all.end(), f.entries, {f.term, f.variant});
    return all;
  }
  uint64_t end() const { return begin + entries().size(); }
  std::tuple<uint64_t, uint64_t, uint64_t> rank() const {
    return {frames.empty() ? 0 : frames.back().term, end(), frames.size()};
  }
};

Chain ToChain(const ModelChain& m) {
  Chain c;
  Digest chain{};
  c.begin.index = c.end.index = LogIndex(m.begin);
  uint64_t number = 0;
  for (const ModelFrame& f : m.frames) {
    for (uint64_t i = 0; i < f.entries; ++i) {
      // Any injective function of what came before will do for a hash.
      for (size_t b = sizeof(chain) - 1; b > 0; --b) chain[b] = chain[b - 1];
      chain[0] = static_cast<uint8_t>(f.term * 2 + f.variant);
      c.end.index = c.end.index.next();
      c.end.term = Term(f.term);
    }
    c.end.chain = chain;
    Chain::Link link;
    link.position.number = FrameNumber(++number);
    link.term = Term(f.term);
    link.last_index = c.end.index;
    link.chain = chain;
    c.links.push_back(link);
  }
  c.watermark = LogIndex(m.watermark);
  c.tampered = m.state != ModelChain::kWhole;
  if (m.state == ModelChain::kBad) c.findings.push_back({Finding::Kind::kTampered, "f", Code::kAuthFailed});
  if (m.state == ModelChain::kShort) c.findings.push_back({Finding::Kind::kMissing, "f", Code::kMissing});
  return c;
}

// What store-rules.md says, entry by entry. Answers the code, or the index chosen.
std::variant<Code, size_t> Specification(const std::vector<ModelChain>& chains, uint64_t known_durable) {
  auto differ = [](const ModelChain& a, const ModelChain& b, uint64_t index) {
    if (index <= a.begin || index > a.end() || index > b.end()) return false;
    return a.entries()[index - a.begin - 1] != b.entries()[index - b.begin - 1];
  };
  // C4: two chains that both claim durability for one index, and differ there.
  for (const auto& a : chains)
    for (const auto& b : chains)
      for (uint64_t i = 1; i <= std::min(a.watermark, b.watermark); ++i)
        if (differ(a, b, i)) return Code::kForked;

  bool any_bad = false;
  for (const auto& c : chains) any_bad = any_bad || c.state == ModelChain::kBad;
  Code blame = any_bad ? Code::kTampered : Code::kMissing;
  const ModelChain* best = nullptr;
  for (const auto& c : chains)
    if (c.state == ModelChain::kWhole && (best == nullptr || c.rank() > best->rank())) best = &c;
  if (best == nullptr) return blame;

  // Nothing that may have been acknowledged is given up: what some watermark covers, what a bad frame held.
  Code lost{};
  for (const auto& c : chains) {
    if (lost != Code{}) break;
    bool short_of = best->end() < std::max(known_durable, c.watermark);
    bool bad_unseen = c.state != ModelChain::kWhole && c.rank() >= best->rank();
    if (short_of || bad_unseen) lost = blame;
    for (uint64_t i = 1; lost == Code{} && i <= c.watermark; ++i)
      if (differ(*best, c, i)) lost = Code::kTampered;
  }
  if (lost != Code{}) return lost;
  return static_cast<size_t>(best - chains.data());
}

std::string Describe(const std::vector<ModelChain>& chains) {
  std::string s;
  for (const auto& c : chains) {
    s += "[";
    for (const auto& f : c.frames)
      s += std::to_string(f.term) + (f.variant ? "'" : "") +
           (f.entries != 1 ? "x" + std::to_string(f.entries) : "") + " ";
    s += "| watermark " + std::to_string(c.watermark) + " state " + std::to_string(c.state) + "] ";
  }
  return s;
}

bool Agrees(const std::vector<ModelChain>& models, const std::vector<Chain>& chains, uint64_t known_durable) {
  auto want = Specification(models, known_durable);
  auto got = AdoptTail(chains, LogIndex(known_durable));
  bool same = got ? want == std::variant<Code, size_t>(*got) : want == std::variant<Code, size_t>(got.code());
  if (!same)
    ADD_FAILURE() << Describe(models) << "known " << known_durable << ": "
                  << (got ? std::to_string(*got) : std::string(CodeName(got.code())));
  return same;
}

// Every chain of up to three frames with terms 1 to 3, every watermark, every state.
std::vector<ModelChain> AllChains(bool variants) {
  std::vector<ModelChain> all;
  std::function<void(ModelChain)> grow = [&](ModelChain m) {
    for (uint64_t w = 0; w <= m.frames.size(); ++w) {
      for (auto state : {ModelChain::kWhole, ModelChain::kBad, ModelChain::kShort}) {
        ModelChain c = m;
        c.watermark = w;
        c.state = state;
        all.push_back(c);
      }
    }
    if (m.frames.size() == 3) return;
    for (uint64_t t = m.frames.empty() ? 1 : m.frames.back().term; t <= 3; ++t) {
      for (uint8_t v = 0; v <= (variants ? 1 : 0); ++v) {
        ModelChain c = m;
        c.frames.push_back({t, v, 1});
        grow(c);
      }
    }
  };
  grow({});
  return all;
}

TEST(RuleC4, EveryPairOfSmallChainsIsJudgedAsTheRulesSay) {
  std::vector<ModelChain> models = AllChains(true);
  std::vector<Chain> chains;
  for (const auto& m : models) chains.push_back(ToChain(m));
  size_t forks = 0, adopted = 0;
  for (size_t i = 0; i < models.size(); i += 1) {
    for (size_t j = i % 3; j < models.size();
         j += 3) {  // a third of a million pairs is enough for one machine
      std::vector<ModelChain> m{models[i], models[j]};
      std::vector<Chain> c{chains[i], chains[j]};
      ASSERT_TRUE(Agrees(m, c, 0));
      auto got = AdoptTail(c, {});
      forks += !got && got.code() == Code::kForked;
      adopted += got.has_value();
    }
  }
  EXPECT_GT(forks, 1000u);
  EXPECT_GT(adopted, 1000u);
}

TEST(RuleC4, EveryTripleOfSmallChainsIsJudgedAsTheRulesSay) {
  std::vector<ModelChain> models = AllChains(false);
  std::erase_if(models, [](const ModelChain& m) { return m.state == ModelChain::kShort; });
  std::vector<Chain> chains;
  for (const auto& m : models) chains.push_back(ToChain(m));
  for (size_t i = 0; i < models.size(); ++i)
    for (size_t j = i; j < models.size(); ++j)
      for (size_t k = j; k < models.size(); ++k)
        ASSERT_TRUE(
            Agrees({models[i], models[j], models[k]}, {chains[i], chains[j], chains[k]}, (i + j + k) % 4));
}

TEST(RuleC4, ChainsWithEmptyAndLongFramesAreJudgedAsTheRulesSay) {
  crypto::SeededRandom random(5);
  for (int round = 0; round < 100'000; ++round) {
    std::vector<ModelChain> models;
    std::vector<Chain> chains;
    uint64_t begin = random.Below(2) * 6;
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      ModelChain m;
      if (!models.empty() && random.Below(2) == 0) m = models[0];  // forks share their beginning
      m.begin = begin;
      m.frames.resize(random.Below(m.frames.size() + 1));
      while (m.frames.size() < 4 && random.Below(4) != 0) {
        uint64_t low = m.frames.empty() ? 1 : m.frames.back().term;
        m.frames.push_back(
            {low + random.Below(4 - low), static_cast<uint8_t>(random.Below(8) == 0), random.Below(2)});
      }
      m.watermark = m.frames.empty() ? begin : begin + random.Below(m.entries().size() + 1);
      m.state = random.Below(4) == 0 ? ModelChain::kBad : ModelChain::kWhole;
      models.push_back(m);
      chains.push_back(ToChain(m));
    }
    ASSERT_TRUE(Agrees(models, chains, random.Below(3)));
  }
}

TEST(RuleC4, ASuffixOfLowerTermBeyondItsWatermarkIsPassedOverSilently) {
  Chain behind = ToChain({{{1}, {1}, {1}}, 1, ModelChain::kWhole, 0});
  Chain newer = ToChain({{{1}, {2}}, 1, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({behind, newer}, LogIndex(1)).value(), 1u);
}

TEST(RuleC4, TwoHistoriesThatBothClaimOneIndexAreAFork) {
  Chain a = ToChain({{{1}, {1}, {1}}, 2, ModelChain::kWhole, 0});
  Chain b = ToChain({{{1}, {2}, {2}}, 2, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({a, b}, {}).code(), Code::kForked);
}

TEST(RuleC4, AHigherTermDoesNotOutvoteWhatALowerOneAcknowledged) {
  Chain acknowledged = ToChain({{{1}, {1}, {1}}, 2, ModelChain::kWhole, 0});
  Chain later = ToChain({{{1}, {2}, {2}}, 1, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({acknowledged, later}, {}).code(), Code::kTampered);
}

TEST(AdoptTail, TakesABadFrameFromAProviderThatHasItWhole) {
  Chain bad = ToChain({{{1}, {1}}, 1, ModelChain::kBad, 0});
  Chain whole = ToChain({{{1}, {1}, {1}}, 1, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({bad, whole}, LogIndex(3)).value(), 1u);
  Chain as_short = ToChain({{{1}, {1}}, 1, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({bad, as_short}, LogIndex(2)).code(), Code::kTampered);
}

// Of n providers n - w + 1 whole ones cannot all lack what counted: the end of another one hides nothing.
TEST(RuleC2, WithEnoughWholeChainsABadEndIsNoReasonToRefuse) {
  Chain bad = ToChain({{{1}, {1}}, 1, ModelChain::kBad, 0});
  Chain whole = ToChain({{{1}, {1}}, 1, ModelChain::kWhole, 0});
  EXPECT_EQ(AdoptTail({bad, whole}, LogIndex(2), 2).code(), Code::kTampered);
  EXPECT_EQ(AdoptTail({bad, whole, whole}, LogIndex(2), 2).value(), 1u);
  Chain proves_more = ToChain({{{1}, {1}, {1}}, 3, ModelChain::kBad, 0});
  EXPECT_FALSE(AdoptTail({proves_more, whole, whole}, LogIndex(2), 2)) << "a watermark is a proof";
}

TEST(AdoptTail, NothingAtAllIsMissing) { EXPECT_EQ(AdoptTail({}, {}).code(), Code::kMissing); }

}  // namespace
}  // namespace holdfast::journal
