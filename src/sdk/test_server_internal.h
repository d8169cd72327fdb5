// A whole server in this process: host/net on loopback, the seam, the session layer, a FakeBackend; and what
// a client of it needs, in a folder of its own.
#ifndef HOLDFAST_SDK_TEST_SERVER_INTERNAL_H_
#define HOLDFAST_SDK_TEST_SERVER_INTERNAL_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "core/session/fake_backend.h"
#include "core/session/pki.h"
#include "core/session/server.h"
#include "host/net/net.h"
#include "sdk/client.h"

namespace holdfast::sdk {

// Polls for what another thread is about to do; false after ten seconds.
inline bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < 2000; ++i) {
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return holds();
}

inline size_t OpenDescriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

class TestServer : public seam::CoreEndpoint, public seam::HostEndpoint {
 public:
  explicit TestServer(session::ServerOptions server_options = {})
      : options(server_options), random_(20'000 + static_cast<uint64_t>(getpid())) {
    folder = std::filesystem::temp_directory_path() / ("holdfast-sdk-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    store = random_.NewId<StoreId>();
    auto rows = session::NewStorePki(store, random_);
    EXPECT_TRUE(rows.has_value());
    auto admin_client = session::IssueClient(*rows, "administrator", true, random_);
    auto user_client = session::IssueClient(*rows, "user", false, random_);
    EXPECT_TRUE(admin_client.has_value() && user_client.has_value());
    admin_serial = admin_client->serial;
    user_serial = user_client->serial;
    pki_rows = *rows;
    backend.SeedSystem(*rows);
    backend.SeedSystem({admin_client->row, user_client->row});
    Save("ca.pem", admin_client->ca_pem);
    Save("admin.pem", ToText(admin_client->pem.view()));
    Save("user.pem", ToText(user_client->pem.view()));
    Start();
  }
  ~TestServer() override {
    Stop();
    std::filesystem::remove_all(folder);
  }

  void Start() {
    net = std::make_unique<host::Net>(*this);
    server = std::make_unique<session::SessionServer>(backend, *this, random_, options);
    ASSERT_TRUE(server->Start().has_value());
    ASSERT_TRUE(net->Start().has_value());
    auto user = net->Listen(seam::Listener::kUser, "127.0.0.1", user_port);
    auto admin = net->Listen(seam::Listener::kAdmin, "127.0.0.1", admin_port);
    ASSERT_TRUE(user.has_value() && admin.has_value());
    user_port = *user;
    admin_port = *admin;
  }
  void Stop() {
    if (!server) return;
    net->StopListening();
    server->Stop(200);
    net->Stop();
    server.reset();
    net.reset();
  }

  void FromHost(seam::HostToCore m) override {
    if (auto* b = std::get_if<seam::StreamBytes>(&m)) bytes_in += b->bytes.size();
    server->FromHost(std::move(m));
  }
  void FromCore(seam::CoreToHost m) override {
    if (auto* b = std::get_if<seam::StreamBytes>(&m)) {
      bytes_out += b->bytes.size();
      net->FromCore(std::move(*b));
    }
    if (auto* c = std::get_if<seam::StreamClosed>(&m)) net->FromCore(*c);
    if (auto* c = std::get_if<seam::StreamCredit>(&m)) net->FromCore(*c);
  }

  void Save(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name, std::ios::binary | std::ios::trunc) << text;
  }
  ClientConfig Config(const std::string& client_file = "admin.pem") const {
    ClientConfig c;
    c.port = user_port;
    c.admin_port = admin_port;
    c.store_id = store.hex();
    c.ca_file = folder / "ca.pem";
    c.client_file = folder / client_file;
    return c;
  }
  std::unique_ptr<Client> NewClient(const std::string& client_file = "admin.pem") const {
    auto client = Client::Connect(Config(client_file));
    EXPECT_TRUE(client.has_value());
    return std::move(client).value();
  }
  std::unique_ptr<AdminClient> NewAdmin(const std::string& client_file = "admin.pem") const {
    auto client = AdminClient::Connect(Config(client_file));
    EXPECT_TRUE(client.has_value());
    return std::move(client).value();
  }
  crypto::Random& random() { return random_; }

  const session::ServerOptions options;
  session::FakeBackend backend;
  StoreId store;
  session::SystemRows pki_rows;
  std::string admin_serial, user_serial;
  std::filesystem::path folder;
  std::unique_ptr<host::Net> net;
  std::unique_ptr<session::SessionServer> server;
  uint16_t user_port = 0, admin_port = 0;
  std::atomic<uint64_t> bytes_in{0}, bytes_out{0};

 private:
  crypto::SeededRandom random_;
};

}  // namespace holdfast::sdk

#endif  // HOLDFAST_SDK_TEST_SERVER_INTERNAL_H_
