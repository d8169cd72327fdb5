// Who may connect, and what happens to peers that misbehave.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <thread>

#include "sdk/test_server_internal.h"

namespace holdfast::sdk {
namespace {

// A bare TCP connection; closes itself.
class Socket {
 public:
  explicit Socket(uint16_t port) : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected = connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
    timeval patience{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  ~Socket() { close(fd); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  // Reads until the server closes; false when it does not within ten seconds.
  bool ReadToEnd() const {
    char buffer[4096];
    ssize_t n;
    while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
  }
  int fd;
  bool connected;
};

struct TlsOptions {
  int version = TLS1_3_VERSION;
  std::string alpn = std::string("\x02h2", 3);
  std::string client_file = "admin.pem";
};

// The handshake as a stranger would make it. Returns what the server said: "" = it answered with HTTP/2.
std::string Handshake(const TestServer& server, uint16_t port, const TlsOptions& options) {
  Socket s(port);
  if (!s.connected) return "no connection";
  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(ctx, options.version);
  if (!options.client_file.empty()) {
    std::string path = server.folder / options.client_file;
    SSL_CTX_use_certificate_file(ctx, path.c_str(), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(ctx, path.c_str(), SSL_FILETYPE_PEM);
  }
  SSL* ssl = SSL_new(ctx);
  if (!options.alpn.empty()) {
    SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned>(options.alpn.size()));
  }
  SSL_set_fd(ssl, s.fd);
  ERR_clear_error();
  std::string said;
  // With TLS 1.3 the client is done before the server has looked at its certificate: only reading tells.
  unsigned char first = 0;
  if (SSL_connect(ssl) != 1 ||
      SSL_write(ssl, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33) != 33 ||
      SSL_read(ssl, &first, 1) != 1) {
    const char* reason = ERR_reason_error_string(ERR_get_error());
    said = reason != nullptr ? reason : "closed";
  }
  SSL_free(ssl);
  SSL_CTX_free(ctx);
  ERR_clear_error();
  return said;
}

class Connection : public testing::Test {
 protected:
  bool Idle() {
    return Eventually([this] { return server.server->connections() == 0 && server.net->connections() == 0; });
  }
  TestServer server;
};

Code CodeIn(const Result<std::vector<Table>>& r) { return r.has_value() ? Code{} : r.code(); }

TEST_F(Connection, AStrangerWithAClientCertificateIsAnswered) {
  EXPECT_EQ(Handshake(server, server.user_port, {}), "");
  EXPECT_EQ(Handshake(server, server.admin_port, {}), "");
  EXPECT_TRUE(Idle());
}

TEST_F(Connection, TlsBelowOnePointThreeIsRefused) {
  TlsOptions options;
  options.version = TLS1_2_VERSION;
  EXPECT_EQ(Handshake(server, server.user_port, options), "tlsv1 alert protocol version");
  EXPECT_TRUE(Idle());
}

TEST_F(Connection, WithoutHttp2InAlpnNothingIsServed) {
  TlsOptions options;
  options.alpn = std::string("\x08http/1.1", 9);
  EXPECT_EQ(Handshake(server, server.user_port, options), "tlsv1 alert no application protocol");
  options.alpn.clear();
  EXPECT_NE(Handshake(server, server.user_port, options), "");
  EXPECT_TRUE(Idle());
}

TEST_F(Connection, ACertificateIsNeededAndMustBeOfThisStore) {
  TlsOptions options;
  options.client_file.clear();
  EXPECT_EQ(Handshake(server, server.user_port, options), "tlsv13 alert certificate required");
  // Of another store, with the same names.
  auto foreign_rows = session::NewStorePki(server.store, server.random());
  auto foreign = session::IssueClient(*foreign_rows, "administrator", true, server.random());
  ASSERT_TRUE(foreign.has_value());
  server.Save("foreign.pem", ToText(foreign->pem.view()));
  options.client_file = "foreign.pem";
  EXPECT_NE(Handshake(server, server.user_port, options), "");
  EXPECT_EQ(CodeIn(server.NewClient("foreign.pem")->ListTables()), Code::kServerUnreachable);
  // Of this store's CA, but on no list.
  auto unlisted = session::IssueClient(server.pki_rows, "unlisted", true, server.random());
  ASSERT_TRUE(unlisted.has_value());
  server.Save("unlisted.pem", ToText(unlisted->pem.view()));
  options.client_file = "unlisted.pem";
  EXPECT_NE(Handshake(server, server.user_port, options), "");
  EXPECT_TRUE(Idle());
}

TEST_F(Connection, TheServersOwnCertificateIsNoClient) {
  // Its key usage says server only, whoever may have got hold of it.
  SSL_CTX* probe = SSL_CTX_new(TLS_method());
  ASSERT_NE(probe, nullptr);
  SSL_CTX_free(probe);
  std::string pem;
  for (const auto& [key, value] : server.pki_rows) {
    if (key != session::kServerCertRow && key != session::kServerKeyRow) continue;
    const unsigned char* at = value.data();
    BIO* bio = BIO_new(BIO_s_mem());
    if (key == session::kServerCertRow) {
      X509* cert = d2i_X509(nullptr, &at, static_cast<long>(value.size()));
      PEM_write_bio_X509(bio, cert);
      X509_free(cert);
    } else {
      EVP_PKEY* pkey = d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(value.size()));
      PEM_write_bio_PrivateKey(bio, pkey, nullptr, nullptr, 0, nullptr, nullptr);
      EVP_PKEY_free(pkey);
    }
    char* text = nullptr;
    long n = BIO_get_mem_data(bio, &text);
    pem.append(text, static_cast<size_t>(n));
    BIO_free(bio);
  }
  server.Save("server.pem", pem);
  TlsOptions options;
  options.client_file = "server.pem";
  EXPECT_NE(Handshake(server, server.user_port, options), "");
}

TEST_F(Connection, AClientRefusesAServerOfAnotherStore) {
  ClientConfig config = server.Config();
  config.store_id = std::string(32, '0');
  auto client = Client::Connect(config);
  ASSERT_TRUE(client.has_value());
  EXPECT_EQ(CodeIn((*client)->ListTables()), Code::kServerUnreachable);
}

TEST_F(Connection, ARevokedClientLosesItsLiveConnectionsAndGetsNoNewOne) {
  auto user = server.NewClient("user.pem");
  ASSERT_TRUE(user->CreateTable("t").has_value());
  Code ended{};
  std::atomic<bool> started{false};
  std::thread watcher([&] {
    Status status = user->Watch(
        "t", "", 0, 60'000, [](Change) { return true; }, [&] { started = true; });
    if (!status.has_value()) ended = status.code();
  });
  ASSERT_TRUE(Eventually([&] { return started.load(); }));
  auto admin = server.NewAdmin();
  ASSERT_TRUE(admin->RevokeClient(server.user_serial).has_value());
  watcher.join();
  EXPECT_EQ(ended, Code::kServerUnreachable);
  EXPECT_EQ(CodeIn(user->ListTables()), Code::kServerUnreachable);
  TlsOptions options;
  options.client_file = "user.pem";
  EXPECT_EQ(Handshake(server, server.user_port, options), "sslv3 alert certificate revoked");
  EXPECT_EQ(CodeIn(server.NewClient("admin.pem")->ListTables()), Code{}) << "others go on";
}

TEST_F(Connection, ARevocationInTheLogIsSeenWhenTheServerIsTold) {
  auto user = server.NewClient("user.pem");
  ASSERT_EQ(CodeIn(user->ListTables()), Code{});
  session::ClientInfo info{server.user_serial, "user", false, true};
  server.backend.SeedSystem({{"client/" + server.user_serial, session::EncodeClient(info)}});
  EXPECT_EQ(CodeIn(user->ListTables()), Code{});
  server.server->RevocationsChanged();
  EXPECT_TRUE(Eventually([&] { return CodeIn(user->ListTables()) == Code::kServerUnreachable; }));
}

TEST_F(Connection, AdminIsNotOnTheUserPortNorKvOnTheAdminPortNorForOthers) {
  ClientConfig crossed = server.Config();
  std::swap(crossed.port, crossed.admin_port);
  auto admin_on_user_port = AdminClient::Connect(crossed);
  EXPECT_EQ((*admin_on_user_port)->GetStatus().code(), Code::kUnsupported);
  auto kv_on_admin_port = Client::Connect(crossed);
  EXPECT_EQ(CodeIn((*kv_on_admin_port)->ListTables()), Code::kUnsupported);
  EXPECT_EQ(server.NewAdmin("user.pem")->GetStatus().code(), Code::kServerUnreachable);
  TlsOptions options;
  options.client_file = "user.pem";
  EXPECT_NE(Handshake(server, server.admin_port, options), "");
  EXPECT_EQ(Handshake(server, server.user_port, options), "");
}

TEST_F(Connection, GarbageIsDroppedAndOthersAreServed) {
  std::vector<std::string> garbage = {std::string(4096, '\0'), "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                                      std::string("\x16\x03\x01\xff\xff", 5) + std::string(70'000, 'A')};
  for (const std::string& text : garbage) {
    Socket s(server.user_port);
    ASSERT_TRUE(s.connected);
    [[maybe_unused]] ssize_t n = send(s.fd, text.data(), text.size(), MSG_NOSIGNAL);
    EXPECT_TRUE(s.ReadToEnd());
  }
  EXPECT_EQ(CodeIn(server.NewClient()->ListTables()), Code{});
}

TEST_F(Connection, AHandshakeThatStandsStillIsEndedAtItsLimit) {
  Socket silent(server.user_port);
  ASSERT_TRUE(silent.connected);
  ASSERT_TRUE(Eventually([&] { return server.server->connections() == 1; }));
  server.server->FromHost(seam::Tick{1'000'000, 0});
  server.server->FromHost(seam::Tick{10'900'000, 0});
  auto client = server.NewClient();
  EXPECT_EQ(CodeIn(client->ListTables()), Code{});
  EXPECT_EQ(server.server->connections(), 2u) << "not yet";
  server.server->FromHost(seam::Tick{11'100'000, 0});
  EXPECT_TRUE(silent.ReadToEnd());
  EXPECT_EQ(CodeIn(client->ListTables()), Code{}) << "an open connection has no such limit";
}

TEST_F(Connection, TooManyHandshakesDropTheOldestAndLetCertificatesThrough) {
  std::vector<std::unique_ptr<Socket>> silent;
  for (int i = 0; i < 400; ++i) silent.push_back(std::make_unique<Socket>(server.user_port));
  EXPECT_TRUE(silent.front()->ReadToEnd());
  EXPECT_EQ(CodeIn(server.NewClient()->ListTables()), Code{});
  silent.clear();
  EXPECT_TRUE(Idle());
}

TEST_F(Connection, AHundredConnectionsComeAndGoAndLeaveNoDescriptor) {
  ASSERT_EQ(CodeIn(server.NewClient()->ListTables()), Code{});
  ASSERT_TRUE(Idle());
  size_t before = OpenDescriptors();
  for (int round = 0; round < 2; ++round) {
    std::vector<std::unique_ptr<Client>> held;
    for (int i = 0; i < 100; ++i) {
      held.push_back(server.NewClient(i % 2 == 0 ? "user.pem" : "admin.pem"));
      ASSERT_EQ(CodeIn(held.back()->ListTables()), Code{});
    }
    EXPECT_EQ(server.server->connections(), 100u);
    held.clear();
    EXPECT_TRUE(Idle());
  }
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before; }))
      << OpenDescriptors() << " > " << before;
}

TEST_F(Connection, AReaderThatStandsStillStopsItsSenderAndNothingElse) {
  auto client = server.NewClient();
  ASSERT_TRUE(client->CreateTable("t").has_value());
  std::string value(1u << 20, 'v');
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(client->Put("t", "k" + std::to_string(i), value).has_value());
  auto slow = server.NewClient("user.pem");
  std::mutex gate;
  gate.lock();
  size_t rows = 0;
  std::atomic<bool> reading{false};
  std::thread reader([&] {
    auto index = slow->Scan("t", {}, [&](KeyValue row) {
      reading = true;
      std::lock_guard wait(gate);
      EXPECT_EQ(row.value.size(), size_t{1} << 20);
      ++rows;
      return true;
    });
    EXPECT_TRUE(index.has_value());
  });
  ASSERT_TRUE(Eventually([&] { return reading.load(); }));
  // The counter comes to rest although 64 MiB wait to be sent.
  uint64_t last = 0;
  int still = 0;
  EXPECT_TRUE(Eventually([&] {
    uint64_t now = server.bytes_out;
    still = now == last ? still + 1 : 0;
    last = now;
    return still > 60;
  }));
  EXPECT_LT(last, 24u << 20);
  EXPECT_TRUE(client->Get("t", "k1")->found) << "others are served meanwhile";
  gate.unlock();
  reader.join();
  EXPECT_EQ(rows, 64u);
}

TEST_F(Connection, StoppingEndsOpenStreamsAndRefusesNewOnes) {
  auto client = server.NewClient();
  ASSERT_TRUE(client->CreateTable("t").has_value());
  std::atomic<bool> started{false};
  Code ended{};
  std::thread watcher([&] {
    Status status = client->Watch(
        "t", "", 0, 60'000, [](Change) { return true; }, [&] { started = true; });
    if (!status.has_value()) ended = status.code();
  });
  ASSERT_TRUE(Eventually([&] { return started.load(); }));
  server.Stop();
  watcher.join();
  EXPECT_NE(ended, Code{});
  EXPECT_EQ(CodeIn(client->ListTables()), Code::kServerUnreachable);
  server.Start();
  EXPECT_TRUE(Eventually([&] { return CodeIn(client->ListTables()) == Code{}; }))
      << "the client finds it again";
}

}  // namespace
}  // namespace holdfast::sdk
