// For tests: reads Prometheus' exposition format 0.0.4 back, strictly. An implementation of its own: it knows
// the format and nothing of how we write it.
#ifndef HOLDFAST_HOST_METRICS_EXPOSITION_INTERNAL_H_
#define HOLDFAST_HOST_METRICS_EXPOSITION_INTERNAL_H_

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace holdfast::host {

class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    EXPECT_TRUE(text.ends_with("\n")) << "the last line must end";
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("# HELP ")) {
        Help(line.substr(7));
      } else if (line.starts_with("# TYPE ")) {
        Type(line.substr(7));
      } else {
        Sample(line);
      }
    }
  }
  bool Has(const std::string& series) const { return values_.contains(series); }
  std::string Get(const std::string& series) const {
    EXPECT_TRUE(Has(series)) << series;
    return Has(series) ? values_.at(series) : "";
  }
  const std::vector<std::string>& families() const { return families_; }  // in order
  const std::map<std::string, std::string>& types() const { return types_; }
  size_t size() const { return values_.size(); }

 private:
  static std::string UpTo(const std::string& line, const char* ends) {
    return line.substr(0, line.find_first_of(ends));
  }
  static bool IsName(const std::string& s) {
    if (s.empty() || (s[0] >= '0' && s[0] <= '9')) return false;
    return s.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:") == s.npos;
  }
  void Help(const std::string& rest) {
    std::string name = UpTo(rest, " ");
    EXPECT_TRUE(IsName(name)) << rest;
    EXPECT_TRUE(helps_.insert(name).second) << "two HELP lines for " << name;
    for (size_t at = 0; (at = rest.find('\\', at)) != rest.npos; at += 2) {
      EXPECT_TRUE(at + 1 < rest.size() && (rest[at + 1] == '\\' || rest[at + 1] == 'n')) << rest;
    }
  }
  void Type(const std::string& rest) {
    std::string name = UpTo(rest, " "), type = rest.substr(name.size() + 1);
    EXPECT_TRUE(helps_.contains(name)) << "TYPE before HELP: " << name;
    EXPECT_TRUE(type == "counter" || type == "gauge") << rest;
    EXPECT_TRUE(types_.emplace(name, type).second) << "two TYPE lines for " << name;
    families_.push_back(name);
  }
  void Sample(const std::string& line) {
    std::string name = UpTo(line, "{ ");
    EXPECT_TRUE(IsName(name)) << line;
    ASSERT_FALSE(families_.empty()) << line;
    EXPECT_EQ(name, families_.back()) << "a value must stand below its own TYPE: " << line;
    size_t space = line.rfind(' ');
    ASSERT_NE(space, line.npos) << line;
    Labels(line.substr(name.size(), space - name.size()));
    std::string value = line.substr(space + 1);
    EXPECT_FALSE(value.empty());
    EXPECT_EQ(value.find_first_not_of("0123456789."), value.npos) << line;
    EXPECT_TRUE(values_.emplace(line.substr(0, space), value).second) << "twice: " << line;
  }
  // {a="b",c="d"}
  static void Labels(std::string text) {
    if (text.empty()) return;
    ASSERT_TRUE(text.size() > 2 && text.front() == '{' && text.back() == '}') << text;
    for (size_t at = 1; at < text.size();) {
      size_t equals = text.find("=\"", at);
      ASSERT_NE(equals, text.npos) << text;
      EXPECT_TRUE(IsName(text.substr(at, equals - at))) << text;
      size_t end = equals + 2;
      while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
      ASSERT_LT(end + 1, text.size()) << text;
      ASSERT_TRUE(text[end + 1] == ',' || end + 2 == text.size()) << text;
      at = end + 2;
    }
  }

  std::set<std::string> helps_;
  std::map<std::string, std::string> types_, values_;
  std::vector<std::string> families_;
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_METRICS_EXPOSITION_INTERNAL_H_
