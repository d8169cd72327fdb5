#include "cli/status.h"

#include <array>
#include <cstdio>

#include "base/result.h"
#include "cli/text.h"
#include "seam/metrics.h"

namespace holdfast::cli {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

bool InForce(const sdk::ServerStatus& s, const seam::IsolationInfo& i) {
  return (s.isolation & seam::Bit(i.measure)) != 0;
}

std::string Failed(const sdk::ServerStatus& s) {
  return s.failed == 0 ? "" : std::string(CodeName(static_cast<Code>(s.failed)));
}

// Of the metrics that the server knows; 0 for one it does not.
class Numbers {
 public:
  explicit Numbers(const sdk::ServerStatus& s) : s_(s) {}
  uint64_t Of(std::string_view name, const std::string& label = "") const {
    for (const sdk::Series& m : s_.series) {
      if (m.name == name && m.label == label) return m.value;
    }
    return 0;
  }
  uint64_t Sum(std::string_view name) const {
    uint64_t sum = 0;
    for (const sdk::Series& m : s_.series) {
      if (m.name == name) sum += m.value;
    }
    return sum;
  }
  // "order" of each metric of that name, in the server's order.
  std::vector<std::string> LabelsOf(std::string_view name, const std::string& key) const {
    std::vector<std::string> values;
    for (const sdk::Series& m : s_.series) {
      if (m.name != name || !m.label.starts_with(key + "=\"") || !m.label.ends_with('"')) continue;
      values.push_back(m.label.substr(key.size() + 2, m.label.size() - key.size() - 3));
    }
    return values;
  }

 private:
  const sdk::ServerStatus& s_;
};

std::string Label(const std::string& key, const std::string& value) { return key + "=\"" + value + "\""; }

std::string ExactSeconds(uint64_t ns) {
  std::string fraction = std::to_string(ns % kSecond);
  return std::to_string(ns / kSecond) + "." + std::string(9 - fraction.size(), '0') + fraction;
}

std::string Seconds(uint64_t ns) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", static_cast<double>(ns) / 1e9);
  return text.data();
}

std::string Left(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}
std::string Right(const std::string& text, size_t width) {
  return std::string(width - std::min(width, text.size()), ' ') + text;
}

// Both halves have a row for each of what they count; neither says anything about the other.
std::vector<std::string> ActivityTable(const Numbers& n) {
  constexpr std::string_view kCpu = "holdfast_cpu_seconds_total", kWaits = "holdfast_lock_waits_total",
                             kWaited = "holdfast_lock_wait_seconds_total";
  std::vector<std::string> activities = n.LabelsOf(kCpu, "activity"), locks = n.LabelsOf(kWaits, "lock");
  std::vector<std::string> lines;
  if (activities.empty() && locks.empty()) return lines;
  uint64_t all = std::max<uint64_t>(1, n.Sum(kCpu));
  lines.push_back("lock waits and CPU by activity");
  lines.push_back("  activity        cpu s  share     lock            waits       wait s");
  for (size_t i = 0; i < std::max(activities.size(), locks.size()); ++i) {
    std::string line(32, ' ');
    if (i < activities.size()) {
      uint64_t used = n.Of(kCpu, Label("activity", activities[i]));
      std::string share = std::to_string((used * 100 + all / 2) / all) + "%";
      line = "  " + Left(activities[i], 9) + Right(Seconds(used), 12) + Right(share, 7) + "  ";
    }
    if (i < locks.size()) {
      std::string label = Label("lock", locks[i]);
      line += "   " + Left(locks[i], 9) + Right(Thousands(n.Of(kWaits, label)), 12) +
              Right(Seconds(n.Of(kWaited, label)), 13);
    }
    lines.push_back(line.substr(0, line.find_last_not_of(' ') + 1));
  }
  return lines;
}

std::string OpenOf(const Numbers& n, const char* what, const std::string& metric) {
  return std::string(what) + " " + Thousands(n.Of(metric)) + " of " + Thousands(n.Of(metric + "_max"));
}

std::vector<std::string> IsolationLines(const sdk::ServerStatus& s) {
  std::string in_force;
  std::vector<std::string> lines;
  for (const seam::IsolationInfo& i : seam::IsolationTable()) {
    if (InForce(s, i)) {
      in_force += (in_force.empty() ? "" : " ") + std::string(i.name);
    } else {
      lines.push_back("  missing    " + std::string(i.name) + " (" + std::string(i.text) + ")");
    }
  }
  lines.insert(lines.begin(), "isolation    " + (in_force.empty() ? "none in force" : in_force));
  return lines;
}

std::string SecretLine(const sdk::ServerStatus& s, const Numbers& n) {
  bool locked = (s.isolation & seam::Bit(seam::Isolation::kLockedKeys)) != 0;
  uint64_t given = n.Of("holdfast_secret_bytes_max"), outside = n.Of("holdfast_secrets_outside_total");
  std::string line = "secrets      ";
  if (given == 0) return line + "on the heap: no memory is set aside for them";
  line += HumanBytes(n.Of("holdfast_secret_bytes")) + " of " + HumanBytes(given) +
          (locked ? " of locked memory" : " of memory that is not locked");
  if (outside != 0) line += "; " + Thousands(outside) + " were put on the heap for want of space";
  return line;
}

}  // namespace

std::string StatusJson(const sdk::ServerStatus& s) {
  JsonLine metrics, secrets, isolation;
  for (const auto& [name, value] : s.metrics) metrics.Number(name, value);
  for (const sdk::Series& m : s.series) {
    std::string name = m.label.empty() ? m.name : m.name + "{" + m.label + "}";
    metrics.Raw(name, m.nanoseconds ? ExactSeconds(m.value) : std::to_string(m.value));
  }
  std::vector<std::string> in_force, missing;
  for (const seam::IsolationInfo& i : seam::IsolationTable()) {
    if (InForce(s, i)) {
      in_force.push_back(JsonString(i.name));
    } else {
      missing.push_back(JsonLine().Text("name", i.name).Text("text", i.text).str());
    }
  }
  isolation.Raw("in_force", JsonArray(in_force)).Raw("missing", JsonArray(missing));
  Numbers n(s);
  secrets.Bool("locked", (s.isolation & seam::Bit(seam::Isolation::kLockedKeys)) != 0);
  secrets.Number("bytes", n.Of("holdfast_secret_bytes"));
  secrets.Number("bytes_max", n.Of("holdfast_secret_bytes_max"));
  secrets.Number("outside", n.Of("holdfast_secrets_outside_total"));
  JsonLine line;
  line.Text("store", s.store).Text("member", s.member).Number("term", s.term);
  line.Number("committed", s.committed).Number("applied", s.applied);
  line.Number("saved", s.saved).Number("save", s.save);
  line.Number("dirty_bytes", s.dirty_bytes).Number("cache_bytes", s.cache_bytes);
  line.Number("cache_bytes_max", s.cache_bytes_max).Number("segments", s.segments);
  line.Number("segment_bytes", s.segment_bytes).Number("live_bytes", s.live_bytes);
  line.Number("connections", s.connections).Bool("full", s.full).Text("failed", Failed(s));
  line.Text("freshness", s.freshness)
      .Text("anchor", s.anchor)
      .Raw("isolation", isolation.str())
      .Raw("secrets", secrets.str());
  return line.Raw("metrics", metrics.str()).str();
}

std::vector<std::string> StatusLines(const sdk::ServerStatus& s) {
  Numbers n(s);
  std::vector<std::string> lines = {
      "store        " + s.store,
      "log          committed " + Thousands(s.committed) + ", applied " + Thousands(s.applied) + ", term " +
          std::to_string(s.term),
      "saved        up to index " + Thousands(s.saved) + " as save " + std::to_string(s.save),
      "memory       " + HumanBytes(s.dirty_bytes) + " unsaved, cache " + HumanBytes(s.cache_bytes) + " of " +
          HumanBytes(s.cache_bytes_max),
      "segments     " + Thousands(s.segments) + ", " + HumanBytes(s.segment_bytes) + ", of which live " +
          HumanBytes(s.live_bytes),
      "connections  " + std::to_string(s.connections),
      "freshness    " + s.freshness,
      "anchor       " + s.anchor,
  };
  if (n.Of("holdfast_transient_bytes") != 0) {
    lines.insert(lines.begin() + 4, "transient    " + HumanBytes(n.Of("holdfast_transient_bytes")) + " of " +
                                        HumanBytes(n.Of("holdfast_transient_bytes_max")) +
                                        " in tables that a stop empties");
  }
  if (s.full) lines.push_back("writes       refused: no space left on the provider; reads go on");
  if (s.failed != 0)
    lines.push_back("writes       stopped: " + std::string(CodeText(static_cast<Code>(s.failed))));
  if (s.series.empty()) return lines;
  lines.push_back("open         " + OpenOf(n, "streams", "holdfast_session_streams") + ", " +
                  OpenOf(n, "watches", "holdfast_watches") + ", " +
                  OpenOf(n, "waiting calls", "holdfast_waits") + ", " +
                  OpenOf(n, "pending commands", "holdfast_pending_commands"));
  lines.push_back("refused      " + Thousands(n.Sum("holdfast_refused_total")) + " at a limit, " +
                  Thousands(n.Sum("holdfast_dropped_total")) + " connections dropped");
  lines.push_back(SecretLine(s, n));
  for (std::string& line : IsolationLines(s)) lines.push_back(std::move(line));
  for (std::string& line : ActivityTable(n)) lines.push_back(std::move(line));
  return lines;
}

}  // namespace holdfast::cli
