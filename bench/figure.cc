#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/failure_internal.h"
#include "bench/figure_internal.h"

namespace holdfast::bench {
namespace {

// Four digits say more than any of our figures knows.
double Rounded(double v) {
  if (v == 0 || !std::isfinite(v)) return 0;
  double unit = std::pow(10, 3 - std::floor(std::log10(std::fabs(v))));
  return std::round(v * unit) / unit;
}

std::string Text(double v) {
  char text[32];
  v = Rounded(v);
  (void)std::snprintf(text, sizeof text, std::fabs(v) < 100 ? "%.2f" : "%.0f", v);
  return text;
}

std::string Padded(const std::string& text, size_t width, bool left) {
  std::string space(text.size() < width ? width - text.size() : 0, ' ');
  return left ? text + space : space + text;
}

// Of RocksDB and LevelDB; 0: they were not both measured.
double BetterLsm(const Figure& f) {
  auto rocksdb = f.peers.find("rocksdb"), leveldb = f.peers.find("leveldb");
  if (rocksdb == f.peers.end() || leveldb == f.peers.end()) return 0;
  return f.less_is_better ? std::min(rocksdb->second, leveldb->second)
                          : std::max(rocksdb->second, leveldb->second);
}

}  // namespace

double RatioOf(const Figure& figure, double peer) {
  double over = figure.less_is_better ? peer : figure.ours,
         under = figure.less_is_better ? figure.ours : peer;
  return under > 0 ? over / under : 0;
}

std::string ToJson(const Figure& f) {
  nlohmann::ordered_json line = {{"case", f.name}, {"unit", f.unit}, {"ours", Rounded(f.ours)}};
  line["peers"] = nlohmann::ordered_json::object();
  line["ratio"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : f.peers) {
    line["peers"][name] = Rounded(value);
    line["ratio"][name] = Rounded(RatioOf(f, value));
  }
  if (double lsm = BetterLsm(f); lsm > 0) line["ratio_better_lsm"] = Rounded(RatioOf(f, lsm));
  line["durability"] = f.durability;
  line["rows"] = f.rows;
  line["value_bytes"] = f.value_bytes;
  line["threads"] = f.threads;
  line["commit"] = f.commit;
  for (const auto& [name, version] : f.versions) line["versions"][name] = version;
  for (const auto& [what, by_system] : f.more) {
    for (const auto& [name, value] : by_system) line[what][name] = Rounded(value);
  }
  return line.dump();
}

std::string ToText(const Figure& f) {
  std::string line =
      Padded(f.name, 22, true) + Padded(Text(f.ours), 9, false) + " " + Padded(f.unit, 12, true);
  for (const auto& [name, value] : f.peers) {
    line += "  " + name + " " + Text(value) + " (x" + Text(RatioOf(f, value)) + ")";
  }
  if (double lsm = BetterLsm(f); lsm > 0) line += "  better LSM (x" + Text(RatioOf(f, lsm)) + ")";
  for (const auto& [what, by_system] : f.more) {
    if (what.starts_with("ops_per_s")) continue;  // for those who read JSON
    line.append("\n    ").append(what).append(":");
    if (auto it = by_system.find("ours"); it != by_system.end())
      line.append(" ours ").append(Text(it->second));
    for (const auto& [name, value] : by_system) {
      if (name != "ours") line.append("  ").append(name).append(" ").append(Text(value));
    }
  }
  return line;
}

void Show(const Output& output, const Figure& figure) {
  if (output.line(output.json ? ToJson(figure) : ToText(figure))) return;
  FailWith(Code::kIo, "standard output: cannot be written");
}

}  // namespace holdfast::bench
