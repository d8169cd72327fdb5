#include <algorithm>
#include <map>
#include <tuple>

#include "core/journal/recovery.h"

namespace holdfast::journal {
namespace {

// Highest term, then longest. Frames of one term that carry no entry still make a chain longer.
using Rank = std::tuple<Term, LogIndex, FrameNumber>;
Rank RankOf(const Chain& c) {
  if (c.links.empty()) return {c.end.term, c.end.index, FrameNumber()};
  const Chain::Link& last = c.links.back();
  return {std::max(last.term, c.end.term), c.end.index, last.position.number};
}

// The first index at which two chains differ; nothing when one is a part of the other. Exact where both cut
// the log into the same frames, which providers of one member do (A3); otherwise the earliest that it can be.
std::optional<LogIndex> Parting(const Chain& a, const Chain& b) {
  if (a.links.empty() || b.links.empty()) return std::nullopt;  // nothing to say beyond the root
  std::map<LogIndex, Digest> of_a{{a.begin.index, a.begin.chain}};
  for (const Chain::Link& l : a.links) of_a.emplace(l.last_index, l.chain);
  LogIndex common;  // the values are chained: what is equal here is equal before
  auto meet = [&](LogIndex index, const Digest& chain) {
    auto it = of_a.find(index);
    if (it != of_a.end() && it->second == chain) common = std::max(common, index);
  };
  meet(b.begin.index, b.begin.chain);
  for (const Chain::Link& l : b.links) meet(l.last_index, l.chain);
  if (a.end.index <= common || b.end.index <= common) return std::nullopt;
  return common.next();
}

Code BlameOf(const std::vector<Chain>& chains) {
  for (const Chain& c : chains)
    for (const Finding& f : c.findings)
      if (c.tampered && f.kind == Finding::Kind::kTampered) return Code::kTampered;
  return Code::kMissing;
}

Head HeadOf(const Chain& c) {
  Term term = c.links.empty() ? c.end.term : std::max(c.end.term, c.links.back().term);
  return {term, c.end.index, c.end.chain};
}

}  // namespace

std::optional<Fork> ForkOf(const std::vector<Chain>& chains) {
  for (const Chain& c : chains) {
    if (c.fork) return c.fork;
  }
  for (size_t i = 0; i < chains.size(); ++i) {
    for (size_t j = i + 1; j < chains.size(); ++j) {
      auto at = Parting(chains[i], chains[j]);
      if (!at || chains[i].watermark < *at || chains[j].watermark < *at) continue;
      Fork fork{LogIndex(at->value - 1), {HeadOf(chains[i]), HeadOf(chains[j])}};
      if (fork.heads[0].term < fork.heads[1].term) std::swap(fork.heads[0], fork.heads[1]);
      return fork;
    }
  }
  return std::nullopt;
}

Result<size_t> AdoptTail(const std::vector<Chain>& chains, LogIndex known_durable, size_t enough) {
  if (ForkOf(chains)) return Code::kForked;
  std::optional<size_t> best;
  for (size_t i = 0; i < chains.size(); ++i) {
    if (chains[i].tampered) continue;
    if (!best || RankOf(chains[i]) > RankOf(chains[*best])) best = i;
  }
  if (!best) return BlameOf(chains);

  auto valid = static_cast<size_t>(
      std::count_if(chains.begin(), chains.end(), [](const Chain& c) { return !c.tampered; }));
  const Chain& adopted = chains[*best];
  for (const Chain& c : chains) {
    // What is bad there must be whole here: it may have been acknowledged.
    if (c.tampered && valid < enough && RankOf(c) >= RankOf(adopted)) return BlameOf(chains);
    if (adopted.end.index < std::max(c.watermark, known_durable)) return BlameOf(chains);
    // An index that only the other claims: its holders acknowledged what the adopted chain lacks.
    auto at = Parting(adopted, c);
    if (at && c.watermark >= *at) return Code::kTampered;
  }
  return *best;
}

}  // namespace holdfast::journal
