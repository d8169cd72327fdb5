#include "host/runtime/server_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/memory_plan.h"

namespace holdfast::host {
namespace {

constexpr const char* kWhole = R"(
Server: {Address: 0.0.0.0, Port: 7000}
AdministratorServer:
  Port: 7001
Metrics: {Address: '::1', Port: 8420}
Service:
  DataStore: dir:store?whole-objects=true
  TemporaryPath: temp
  StateSavePeriod: 5m
  AnchorFile: ../anchor
  CacheBytes: 1048576
Log: {Level: warn}
)";

TEST(ServerConfig, ReadsEveryKeyAndResolvesPathsAgainstItsDirectory) {
  std::string why;
  Result<ServerConfig> c = ParseServerConfig(kWhole, "/srv/d", &why);
  ASSERT_TRUE(c) << why;
  EXPECT_EQ(c->address, "0.0.0.0");
  EXPECT_EQ(c->port, 7000);
  EXPECT_EQ(c->admin_port, 7001);
  EXPECT_EQ(c->metrics_address, "::1");
  EXPECT_EQ(c->metrics_port, 8420);
  EXPECT_EQ(c->store_url, "dir:/srv/d/store?whole-objects=true");
  EXPECT_EQ(c->temporary_path, "/srv/d/temp");
  EXPECT_EQ(c->save_period_ms, 300'000u);
  EXPECT_EQ(c->anchor_file, "/srv/anchor");
  EXPECT_EQ(c->cache_bytes, 1'048'576u);
  EXPECT_EQ(c->log_level, "warn");
}

TEST(ServerConfig, SeveralProvidersAreAList) {
  auto parse = [](const std::string& stores, std::string* why) {
    return ParseServerConfig("Service: {DataStore: " + stores + ", TemporaryPath: t}", "/srv/d", why);
  };
  std::string why;
  Result<ServerConfig> c = parse("['dir:a', 'sqlite:/b/store', 'dir:../c']", &why);
  ASSERT_TRUE(c) << why;
  EXPECT_EQ(c->store_url, "dir:/srv/d/a");
  EXPECT_EQ(c->other_store_urls, (std::vector<std::string>{"sqlite:/b/store", "dir:/srv/c"}));
  for (const char* bad : {"[]", "['dir:a', 'dir:./a']", "['dir:a', '']", "['dir:a', {x: y}]",
                          "['dir:1', 'dir:2', 'dir:3', 'dir:4', 'dir:5', 'dir:6']"}) {
    EXPECT_EQ(parse(bad, &why).code(), Code::kBadConfig) << bad;
    EXPECT_NE(why.find("Service.DataStore"), std::string::npos) << why;
  }
}

TEST(ServerConfig, OneMemorySettingIsForAllOfTheCore) {
  auto parse = [](const std::string& service) {
    std::string why;
    return ParseServerConfig("Service: {DataStore: 'dir:s', TemporaryPath: t, " + service + "}", "/srv/d",
                             &why);
  };
  for (uint64_t mib : {192u, 200u, 256u, 600u, 1024u, 65'536u}) {
    uint64_t memory = mib << 20;
    Result<ServerConfig> c = parse("MemoryBytes: " + std::to_string(memory));
    ASSERT_TRUE(c.has_value()) << mib;
    EXPECT_LE(memory_plan::CoreBytes(c->cache_bytes), memory) << mib;
    EXPECT_GE(memory_plan::CoreBytes(c->cache_bytes), memory / 10 * 9) << mib;
  }
  EXPECT_EQ(parse("MemoryBytes: 201326591").code(), Code::kBadConfig);
  EXPECT_EQ(parse("MemoryBytes: 268435456, CacheBytes: 1").code(), Code::kBadConfig);
}

TEST(ServerConfig, DefaultsAreLoopbackAnyPortAndNoAnchor) {
  std::string why;
  Result<ServerConfig> c =
      ParseServerConfig("Service: {DataStore: 'dir:/s', TemporaryPath: /t}", "/srv", &why);
  ASSERT_TRUE(c) << why;
  EXPECT_EQ(c->address, "127.0.0.1");
  EXPECT_EQ(c->port, 0);
  EXPECT_EQ(c->admin_port, 0);
  EXPECT_EQ(c->anchor_file, "");
  EXPECT_EQ(c->store_url, "dir:/s");
}

TEST(ServerConfig, MetricsAreOffUnlessTheirSectionHasAKey) {
  constexpr const char* kRest = "\nService: {DataStore: 'dir:/s', TemporaryPath: /t}";
  struct {
    const char* section;
    std::optional<uint16_t> port;
  } cases[] = {{"Log: {Level: off}", {}},
               {"Metrics:", {}},
               {"Metrics: {}", {}},
               {"Metrics: {Address: 127.0.0.1}", 0},
               {"Metrics: {Port: 0}", 0},
               {"Metrics: {Port: 8420}", 8420},
               {"Metrics: {Port: 1, Address: 127.0.0.1}", 1}};
  for (const auto& c : cases) {
    std::string why;
    Result<ServerConfig> r = ParseServerConfig(std::string(c.section) + kRest, "/srv", &why);
    ASSERT_TRUE(r) << c.section << ": " << why;
    EXPECT_EQ(r->metrics_port, c.port) << c.section;
    EXPECT_EQ(r->metrics_address, "127.0.0.1") << c.section;
  }
}

struct BadCase {
  const char* yaml;
  const char* named;  // what the message must contain
};

TEST(ServerConfig, RefusesWhatIsWrongByTheNameOfTheKey) {
  const BadCase cases[] = {
      {"Servce: {Port: 1}", "unknown key 'Servce'"},
      {"Service: {DataStore: 'dir:/s', TemporaryPath: /t, StateSavePeroid: 5s}",
       "unknown key 'Service.StateSavePeroid'"},
      {"Server: {Port: 65536}", "'Server.Port'"},
      {"Server: {Port: -1}", "'Server.Port'"},
      {"Server: {Port: [1]}", "'Server.Port'"},
      {"Server: {Port: 1, Port: 2}", "'Server.Port' is given twice"},
      {"Server: {Port: 1}\nServer: {Address: '::1'}", "'Server' is given twice"},
      {"Metrics: {Port: 65536}", "'Metrics.Port'"},
      {"Metrics: {Address: ''}", "'Metrics.Address' is empty"},
      {"Metrics: {Path: /m}", "unknown key 'Metrics.Path'"},
      {"Server: 5", "'Server' is not a section"},
      {"Service: {DataStore: 'dir:/s', TemporaryPath: /t, StateSavePeriod: often}",
       "'Service.StateSavePeriod'"},
      {"Service: {DataStore: '', TemporaryPath: /t}", "'Service.DataStore' is empty"},
      {"Service: {TemporaryPath: /t}", "'Service.DataStore' is missing"},
      {"Service: {DataStore: 'dir:/s'}", "'Service.TemporaryPath' is missing"},
      {"Log: {Level: loud}", "'Log.Level'"},
      {"", "not a map"},
      {"Server: {Port: 1", "line 1"},
  };
  for (const BadCase& c : cases) {
    std::string why;
    Result<ServerConfig> r = ParseServerConfig(c.yaml, "/srv", &why);
    ASSERT_FALSE(r) << c.yaml;
    EXPECT_EQ(r.code(), Code::kBadConfig) << c.yaml;
    EXPECT_NE(why.find(c.named), std::string::npos) << c.yaml << " said: " << why;
  }
}

TEST(ServerConfig, WhatIsWrongIsOneLineWhateverTheFileHolds) {
  using namespace std::string_view_literals;
  for (std::string_view yaml : {"{\"a\\nb\\e[31m\": 1}"sv, "Log: {\"\\x7f\": 1}"sv, "\0\0\0\0S"sv}) {
    std::string why;
    EXPECT_FALSE(ParseServerConfig(yaml, "/", &why));
    EXPECT_FALSE(why.empty());
    for (char c : why) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << why;
  }
}

TEST(ServerConfig, AnAbsentFileIsNotFoundAndADirectoryIsNotReadable) {
  std::string why;
  EXPECT_EQ(ReadServerConfig("/nowhere/server.yaml", &why).code(), Code::kNotFound);
  EXPECT_EQ(ReadServerConfig("/tmp", &why).code(), Code::kPermission);
}

TEST(ServerConfig, PeriodsHaveUnitsAndALimit) {
  EXPECT_EQ(*ParsePeriod("0"), 0u);
  EXPECT_EQ(*ParsePeriod("90"), 90'000u);
  EXPECT_EQ(*ParsePeriod("250ms"), 250u);
  EXPECT_EQ(*ParsePeriod("2d"), 172'800'000u);
  for (const char* bad : {"", "s", "1w", "-1s", "1.5s", "99999999999999999999s", "4000d", "1 s"}) {
    EXPECT_FALSE(ParsePeriod(bad)) << bad;
  }
}

}  // namespace
}  // namespace holdfast::host
