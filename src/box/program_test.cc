// What the core is made of, started after the filter and nowhere near a file: gRPC, TLS, key derivation. And
// the program itself, as people can start it.
#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_posix.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <spawn.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "box/child_internal.h"
#include "crypto/password.h"
#include "holdfast/v1/kv.grpc.pb.h"

namespace holdfast::box {
namespace {

using seam::Isolation;

#define NEED(cond)                            \
  do {                                        \
    if (!(cond)) return (__LINE__ % 200) + 1; \
  } while (false)

class Program : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "sanitizer builds have no filter";
  }
  // In the order of the core's main; nothing of gRPC's has run before.
  static Ended Sealed(const std::function<int()>& body) {
    return InChild([&] {
      if (GetParam()) BecomeNobody();
      pid_t parent = ::getppid();
      (void)Confine(parent, {});
      (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
      (void)LeaveTheMachine(parent);
      (void)LockSecrets();
      return (Filter() & Bit(Isolation::kFilter)) != 0 ? body() : 98;
    });
  }
};
INSTANTIATE_TEST_SUITE_P(As, Program, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "Nobody" : "Whoever"; });

class Echo : public v1::Kv::Service {
  grpc::Status Get(grpc::ServerContext*, const v1::GetRequest* request, v1::GetReply* reply) override {
    reply->set_found(true);
    reply->set_value(request->key());
    return grpc::Status::OK;
  }
  grpc::Status Session(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::SessionReply, v1::SessionRequest>* stream) override {
    for (v1::SessionRequest r; stream->Read(&r);) stream->Write(v1::SessionReply());
    return grpc::Status::OK;
  }
};

int OneConnection(grpc::Server* server) {
  int pair[2];
  NEED(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  grpc::AddInsecureChannelFromFd(server, pair[1]);
  auto stub = v1::Kv::NewStub(grpc::CreateInsecureChannelFromFd("core", pair[0]));
  auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(15);
  for (size_t bytes : {size_t{10}, size_t{1} << 20}) {
    grpc::ClientContext context;
    context.set_deadline(deadline);
    v1::GetRequest request;
    v1::GetReply reply;
    request.set_key(std::string(bytes, 'k'));
    NEED(stub->Get(&context, request, &reply).ok() && reply.value().size() == bytes);
  }
  grpc::ClientContext context;
  context.set_deadline(deadline);
  auto stream = stub->Session(&context);
  v1::SessionReply reply;
  for (int i = 0; i < 100; ++i) NEED(stream->Write(v1::SessionRequest()) && stream->Read(&reply));
  NEED(stream->WritesDone() && stream->Finish().ok());
  return 0;
}

TEST_P(Program, GrpcIsBuiltServesAndStopsUnderTheFilter) {
  Ended ended = Sealed([] {
    Echo echo;
    grpc::ServerBuilder builder;
    builder.RegisterService(&echo);
    builder.SetResourceQuota(grpc::ResourceQuota("holdfast").Resize(512u << 20));
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    NEED(server != nullptr);
    std::vector<std::thread> clients;
    std::atomic<int> failed{0};
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&] {
        for (int j = 0; j < 4; ++j) {
          if (int line = OneConnection(server.get()); line != 0) failed = line;
        }
      });
    }
    for (std::thread& c : clients) c.join();
    if (failed != 0) return failed.load();
    server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server->Wait();
    return 0;
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

// Moves what one side has written to the other, over memory.
void Carry(SSL* from, SSL* to) {
  std::array<char, 16384> block{};
  for (int n = 0; (n = BIO_read(SSL_get_wbio(from), block.data(), block.size())) > 0;) {
    (void)BIO_write(SSL_get_rbio(to), block.data(), n);
  }
}

int TlsInMemory() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  X509* certificate = X509_new();
  NEED(key != nullptr && certificate != nullptr && X509_set_pubkey(certificate, key) == 1);
  NEED(X509_gmtime_adj(X509_getm_notBefore(certificate), 0) &&
       X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
  NEED(X509_sign(certificate, key, EVP_sha256()) > 0);
  SSL_CTX* serves = SSL_CTX_new(TLS_server_method());
  SSL_CTX* calls = SSL_CTX_new(TLS_client_method());
  NEED(serves != nullptr && calls != nullptr);
  NEED(SSL_CTX_use_certificate(serves, certificate) == 1 && SSL_CTX_use_PrivateKey(serves, key) == 1);
  SSL *server = SSL_new(serves), *client = SSL_new(calls);
  for (SSL* s : {server, client}) SSL_set_bio(s, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(server);
  SSL_set_connect_state(client);
  for (int i = 0; i < 10 && !(SSL_is_init_finished(server) && SSL_is_init_finished(client)); ++i) {
    (void)SSL_do_handshake(client);
    Carry(client, server);
    (void)SSL_do_handshake(server);
    Carry(server, client);
  }
  NEED(std::string(SSL_get_version(server)) == "TLSv1.3" && SSL_is_init_finished(client));
  NEED(SSL_write(client, "abc", 3) == 3);
  Carry(client, server);
  char got[3];
  NEED(SSL_read(server, got, 3) == 3 && std::string(got, 3) == "abc");
  return 0;
}

TEST_P(Program, KeysAreDerivedAndTlsEndsUnderTheFilter) {
  Ended ended = Sealed([] {
    std::array<uint8_t, 32> random{};
    NEED(RAND_bytes(random.data(), random.size()) == 1 && RAND_priv_bytes(random.data(), random.size()) == 1);
    NEED(crypto::Argon2id(AsBytes("quite secret"), {}, {limits::kArgonMemoryKiBDefault, 1}));
    return TlsInMemory();
  });
  EXPECT_TRUE(ended.Exited(0)) << ended;
}

struct Said {
  Ended ended;
  std::string out, error;
};
// Runs holdfast-core to its end.
Said RunCore(
    std::vector<std::string> words, const std::function<void()>& before = [] {}) {
  std::string program = HF_BINARY_DIR "/bin/holdfast-core";
  std::array<char, 4096> block{};
  Said said;
  std::array<int, 2> out{}, error{};
  EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
  EXPECT_EQ(::pipe2(error.data(), O_CLOEXEC), 0);
  pid_t pid = Fork([&] {
    (void)::dup2(out[1], 1);
    (void)::dup2(error[1], 2);
    before();
    std::vector<char*> arguments = {program.data()};
    for (std::string& w : words) arguments.push_back(w.data());
    arguments.push_back(nullptr);
    (void)::execv(program.c_str(), arguments.data());
    return 97;
  });
  ::close(out[1]);
  ::close(error[1]);
  said.ended = WaitFor(pid);
  for (auto [fd, text] : {std::pair{out[0], &said.out}, {error[0], &said.error}}) {
    for (ssize_t n = 0; (n = ::read(fd, block.data(), block.size())) > 0;)
      text->append(block.data(), static_cast<size_t>(n));
    ::close(fd);
  }
  return said;
}

TEST(CoreProgram, StartedByHandIsRefusedInOneLine) {
  for (std::vector<std::string> words : {std::vector<std::string>{},
                                         {"--help"},
                                         {"3", "4", "5", "6", "7", "file"},
                                         {"3", "4", "5", "6", "7", "file", "1"}}) {
    Said said = RunCore(words);
    EXPECT_TRUE(said.ended.Exited(2)) << said.ended;
    EXPECT_EQ(said.out, "");
    EXPECT_EQ(said.error, "holdfast-core is started by holdfast serve\n");
  }
}

TEST(CoreProgram, ItsSelfTestSaysWhatThisMachineAllows) {
  for (bool nobody : {false, true}) {
    Said said = RunCore({"--self-test"}, [&] {
      if (nobody) BecomeNobody();
    });
    EXPECT_TRUE(said.ended.Exited(0)) << said.ended << " " << said.error;
    std::istringstream lines(said.out);
    std::string line;
    for (const seam::IsolationInfo& info : seam::IsolationTable()) {
      ASSERT_TRUE(std::getline(lines, line)) << said.out;
      std::string is = std::string(info.name) + ": in force",
                  is_not = std::string(info.name) + ": not in force";
      EXPECT_TRUE(line == is || line == is_not) << line;
      bool always = info.measure == Isolation::kOwnProcess || info.measure == Isolation::kNoNewPrivs ||
                    info.measure == Isolation::kNoDumps || info.measure == Isolation::kDiesWithHost ||
                    (info.measure == Isolation::kFilter && !kSanitized);
      EXPECT_TRUE(!always || line == is) << line;
    }
    EXPECT_FALSE(std::getline(lines, line)) << line;
  }
}

}  // namespace
}  // namespace holdfast::box
