#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <memory>
#include <thread>

#include "base/secret.h"
#include "bench/failure_internal.h"
#include "bench/handshake_internal.h"
#include "core/runtime/core.h"
#include "core/session/pki.h"
#include "sdk/config.h"

namespace holdfast::bench {
namespace {

template <auto Free>
struct OpenSslFree {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free>>;
using CertPtr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;

[[noreturn]] void FailOpenSsl() {
  FailWith(Code::kInternal, "bench: OpenSSL refuses a certificate or a key");
}

struct Identity {
  CertPtr cert;
  KeyPtr key;
};

BioPtr Memory(ByteView bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

CertPtr CertOfPem(ByteView pem) {
  return CertPtr(PEM_read_bio_X509(Memory(pem).get(), nullptr, nullptr, nullptr));
}
Identity IdentityOfPem(ByteView pem) {
  return {CertOfPem(pem), KeyPtr(PEM_read_bio_PrivateKey(Memory(pem).get(), nullptr, nullptr, nullptr))};
}

// TLS 1.3, the other side's certificate required and checked, nothing kept for a second handshake. The time
// of certificates is not looked at, as in our server.
ContextPtr MakeContext(const SSL_METHOD* method, X509* ca, const Identity& self) {
  ContextPtr context(SSL_CTX_new(method));
  if (!context || ca == nullptr || !self.cert || !self.key ||
      SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION) != 1 ||
      SSL_CTX_use_certificate(context.get(), self.cert.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), self.key.get()) != 1 ||
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), ca) != 1 ||
      X509_STORE_set_flags(SSL_CTX_get_cert_store(context.get()), X509_V_FLAG_NO_CHECK_TIME) != 1 ||
      SSL_CTX_set_num_tickets(context.get(), 0) != 1) {
    FailOpenSsl();
  }
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return context;
}

// Connect, handshake, first bytes, close. False: any of it failed.
bool OneHandshake(SSL_CTX* context, uint16_t port) {
  static constexpr unsigned char kH2[] = {2, 'h', '2'};
  // How HTTP/2 begins, and settings without a setting. A server need not speak before it has seen that.
  static constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";  // and one more 0
  ERR_clear_error();
  int fd = ConnectLoopback(port);
  SslPtr ssl(SSL_new(context));
  char first;
  bool ok = fd >= 0 && ssl && SSL_set_fd(ssl.get(), fd) == 1 &&
            SSL_set_alpn_protos(ssl.get(), kH2, sizeof kH2) == 0 && SSL_connect(ssl.get()) == 1 &&
            SSL_write(ssl.get(), kPreface, sizeof kPreface) > 0 && SSL_read(ssl.get(), &first, 1) == 1;
  if (ok) SSL_shutdown(ssl.get());
  CloseSocket(fd);
  return ok;
}

// What one side has written goes to the other.
struct Loop {
  Loop(SSL_CTX* server_context, SSL_CTX* client_context)
      : server(SSL_new(server_context)), client(SSL_new(client_context)) {
    BIO* to_server = BIO_new(BIO_s_mem());
    BIO* to_client = BIO_new(BIO_s_mem());
    HF_CHECK(server && client && to_server != nullptr && to_client != nullptr);
    BIO_set_mem_eof_return(to_server, -1);  // empty means "later", not "closed"
    BIO_set_mem_eof_return(to_client, -1);
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    SSL_set_bio(server.get(), to_server, to_client);
    SSL_set_bio(client.get(), to_client, to_server);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
  }
  SslPtr server, client;
};

bool Step(SSL* ssl) {
  int n = SSL_do_handshake(ssl);
  if (n != 1 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) {
    FailWith(Code::kInternal, "bench: OpenSSL's handshake with itself fails");
  }
  return n == 1;
}

}  // namespace

Handshakes MedianOf(const std::vector<Handshakes>& samples) {
  Handshakes median;
  for (double Handshakes::*field : {&Handshakes::per_second, &Handshakes::per_server_cpu_second,
                                    &Handshakes::server_cores, &Handshakes::client_cores}) {
    std::vector<double> values;
    values.reserve(samples.size());
    for (const Handshakes& s : samples) values.push_back(s.*field);
    std::sort(values.begin(), values.end());
    median.*field = values[values.size() / 2];
  }
  return median;
}

Handshakes AgainstServer(const Target& server, const std::string& directory, double seconds) {
  auto read = [&](const char* name) {
    return Take(sdk::ReadSmallFile(directory + name), "bench: handshake");
  };
  CertPtr ca = CertOfPem(read("/d/client/ca.pem").view());
  ContextPtr context =
      MakeContext(TLS_client_method(), ca.get(), IdentityOfPem(read("/d/client/admin.pem").view()));
  uint16_t port = Take(sdk::ReadPortFile(directory + "/d/temp/server-user.port"), "bench: handshake");

  std::atomic<uint64_t> done{0};
  std::atomic<bool> failed{false};
  double server_cpu = server.process().CpuSeconds(), client_cpu = OwnCpuSeconds();
  uint64_t begin = Nanoseconds(), until = begin + static_cast<uint64_t>(seconds * 1e9);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kHandshakeThreads; ++i) {
    threads.emplace_back([&] {
      while (!failed && Nanoseconds() < until) {
        if (OneHandshake(context.get(), port)) {
          ++done;
        } else {
          failed = true;
        }
      }
    });
  }
  for (std::thread& t : threads) t.join();
  double wall = static_cast<double>(Nanoseconds() - begin) * 1e-9;
  if (failed || done == 0) Fail("bench: handshake", Code::kServerUnreachable);
  server_cpu = server.process().CpuSeconds() - server_cpu;
  auto count = static_cast<double>(done.load());
  return {count / wall, count / server_cpu, server_cpu / wall, (OwnCpuSeconds() - client_cpu) / wall};
}

Handshakes OpenSslAlone(double seconds) {
  crypto::Random& random = runtime::SystemRandom();
  session::SystemRows rows =
      Take(session::NewStorePki(random.NewId<StoreId>(), random), "bench: certificates");
  session::IssuedClient issued =
      Take(session::IssueClient(rows, "bench", false, random), "bench: certificates");
  auto row = [&](std::string_view name) -> const Bytes& {
    auto found = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.first == name; });
    HF_CHECK(found != rows.end());
    return found->second;
  };
  auto parse_cert = [](const Bytes& der) {
    const unsigned char* at = der.data();
    return CertPtr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  };
  const unsigned char* key = row(session::kServerKeyRow).data();
  Identity server{
      parse_cert(row(session::kServerCertRow)),
      KeyPtr(d2i_AutoPrivateKey(nullptr, &key, static_cast<long>(row(session::kServerKeyRow).size())))};
  CertPtr ca = parse_cert(row(session::kCaCertRow));
  ContextPtr server_context = MakeContext(TLS_server_method(), ca.get(), server);
  ContextPtr client_context = MakeContext(TLS_client_method(), ca.get(), IdentityOfPem(issued.pem.view()));
  session::WipeRows(rows);

  uint64_t count = 0, begin = Nanoseconds(), until = begin + static_cast<uint64_t>(seconds * 1e9);
  double server_cpu = 0, begin_cpu = ThreadCpuSeconds();
  do {
    ERR_clear_error();
    double before = ThreadCpuSeconds();
    Loop loop(server_context.get(), client_context.get());
    server_cpu += (ThreadCpuSeconds() - before) / 2;  // both ends are made here
    for (bool server_done = false, client_done = false; !server_done || !client_done;) {
      client_done = Step(loop.client.get());
      before = ThreadCpuSeconds();
      server_done = Step(loop.server.get());
      server_cpu += ThreadCpuSeconds() - before;
    }
    before = ThreadCpuSeconds();
    loop.server.reset();
    server_cpu += ThreadCpuSeconds() - before;
    ++count;
  } while (Nanoseconds() < until);
  double wall = static_cast<double>(Nanoseconds() - begin) * 1e-9;
  auto n = static_cast<double>(count);
  return {n / wall, n / server_cpu, server_cpu / wall, (ThreadCpuSeconds() - begin_cpu - server_cpu) / wall};
}

}  // namespace holdfast::bench
