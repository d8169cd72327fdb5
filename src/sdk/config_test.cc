#include "sdk/config.h"

#include <gtest/gtest.h>

namespace holdfast::sdk {
namespace {

const char kWhole[] = R"(Server:
  Address: 127.0.0.2
  PortFile: temp/server-user.port
  StoreId: 0123456789ABCDEF0123456789ABCDEF
  CaFile: client/ca.pem
  ClientFile: /elsewhere/admin.pem
Administrator:
  PortFile: temp/server-admin.port
)";

std::string WhatIsWrongWith(const std::string& yaml) {
  std::string what;
  auto config = ParseClientConfig(yaml, "/d", &what);
  EXPECT_FALSE(config.has_value());
  EXPECT_EQ(config.code(), Code::kBadConfig);
  return what;
}

TEST(ClientConfig, PathsAreRelativeToTheFilesOwnFolder) {
  auto config = ParseClientConfig(kWhole, "/d", nullptr);
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->address, "127.0.0.2");
  EXPECT_EQ(config->port_file, "/d/temp/server-user.port");
  EXPECT_EQ(config->client_file, "/elsewhere/admin.pem");
  EXPECT_EQ(config->admin_address, "127.0.0.1");
  EXPECT_EQ(config->admin_port_file, "/d/temp/server-admin.port");
}

TEST(ClientConfig, UnknownKeysAreRefusedByName) {
  EXPECT_EQ(WhatIsWrongWith(std::string(kWhole) + "Sever:\n  Port: 1\n"), "Sever: unknown key");
  EXPECT_EQ(WhatIsWrongWith("Server:\n  Adress: 127.0.0.1\n"), "Server.Adress: unknown key");
  EXPECT_EQ(WhatIsWrongWith("Administrator:\n  Port: 1\n"), "Administrator.Port: unknown key");
}

TEST(ClientConfig, WhatIsGivenTwiceIsRefusedByName) {
  EXPECT_EQ(WhatIsWrongWith("Server:\n  Port: 1\n  Port: 2\n"), "Server.Port: given twice");
  EXPECT_EQ(WhatIsWrongWith(std::string(kWhole) + "Server:\n  Port: 1\n"), "Server: given twice");
}

TEST(ClientConfig, WhatIsWrongIsOneLineWhateverTheFileHolds) {
  EXPECT_EQ(WhatIsWrongWith("{\"a\\nb\\e[31m\": 1}"), "a?b?[31m: unknown key");
}

TEST(ClientConfig, WhatIsMissingOrMisshapenIsNamed) {
  EXPECT_EQ(WhatIsWrongWith("Server:\n  StoreId: 12\n"), "Server.StoreId: not 32 hex digits");
  EXPECT_EQ(WhatIsWrongWith("Server:\n  StoreId: 0123456789ABCDEF0123456789ABCDEF\n"),
            "Server.CaFile: missing");
  EXPECT_EQ(WhatIsWrongWith("Server:\n  Port: 70000\n"), "Server.Port: not a port");
  EXPECT_EQ(WhatIsWrongWith("Server: [1, 2]\n"), "Server: not a section of keys");
  EXPECT_EQ(WhatIsWrongWith("Server:\n  Port: [1]\n"), "Server.Port: not a single value");
  EXPECT_EQ(WhatIsWrongWith("just text"), "no sections");
  EXPECT_EQ(WhatIsWrongWith("Server:\n  - a\n b: {"), "line 3: not YAML");
}

TEST(ClientConfig, APortFileThatIsNotThereMeansNoServer) {
  EXPECT_EQ(ReadPortFile("/nonexistent/port").code(), Code::kServerUnreachable);
  EXPECT_EQ(LoadClientConfig("/nonexistent/client.yaml", nullptr).code(), Code::kNotFound);
}

}  // namespace
}  // namespace holdfast::sdk
