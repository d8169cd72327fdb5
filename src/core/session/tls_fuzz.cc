// A client's TLS, bent on its way: the input edits what a real client sends, flight by flight, or stands in
// for it. Nobody gets through but the client on the list, and what is read is a beginning of what it wrote.
//
//   input   client 1: 0 on the list, 1 not on it, 2 without a certificate, 3 the input itself instead
//           then edits of five bytes: flight 1 | place 2 | operation 1 | value 1
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"
#include "core/session/openssl_internal.h"
#include "core/session/pki.h"
#include "core/session/tls.h"
#include "crypto/random.h"

namespace holdfast::session {
namespace {

constexpr int kRoundsMax = 12;  // a handshake takes two
constexpr size_t kAnswerBytesMax = 64u << 10;
constexpr std::string_view kPlain = "what the client has to say, in the clear";

enum class Who : uint8_t { kListed, kUnlisted, kNobody };

struct World {
  World() {
    crypto::SeededRandom random(1);
    SystemRows rows = NewStorePki(StoreId(), random).value();
    IssuedClient one = IssueClient(rows, "one", false, random).value();
    IssuedClient other = IssueClient(rows, "other", false, random).value();
    listed = one.serial;
    auto row = [&](std::string_view key) -> ByteView {
      return std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.first == key; })->second;
    };
    server = TlsContext::Make(row(kCaCertRow), row(kServerCertRow), row(kServerKeyRow),
                              [this](const std::string& serial, seam::Listener) {
                                return serial == listed ? Ok() : Status(Code::kUnauthenticated);
                              })
                 .value();
    clients[0] = ClientContext(&one.pem);
    clients[1] = ClientContext(&other.pem);
    clients[2] = ClientContext(nullptr);
  }
  static SslCtxPtr ClientContext(const SecretBytes* pem) {
    SslCtxPtr ctx(SSL_CTX_new(TLS_client_method()));
    static const unsigned char kAlpn[] = {2, 'h', '2'};
    HF_CHECK(ctx && SSL_CTX_set_alpn_protos(ctx.get(), kAlpn, sizeof kAlpn) == 0);
    if (pem == nullptr) return ctx;
    BioPtr bio(BIO_new_mem_buf(pem->view().data(), static_cast<int>(pem->view().size())));
    CertPtr cert(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    HF_CHECK(SSL_CTX_use_certificate(ctx.get(), cert.get()) == 1);
    HF_CHECK(SSL_CTX_use_PrivateKey(ctx.get(), key.get()) == 1);
    return ctx;
  }
  std::string listed;
  std::shared_ptr<TlsContext> server;
  SslCtxPtr clients[3];
};

World& TheWorld() {
  static World& world = *new World();
  return world;
}

class Client {
 public:
  explicit Client(Who who) : ssl_(SSL_new(TheWorld().clients[static_cast<int>(who)].get())) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }
  void Take(ByteView cipher) {
    if (!cipher.empty()) HF_CHECK(BIO_write(in_, cipher.data(), static_cast<int>(cipher.size())) > 0);
  }
  // What it sends next.
  Bytes Flight() {
    ERR_clear_error();
    if (SSL_do_handshake(ssl_.get()) == 1 && !spoken_) {
      spoken_ = SSL_write(ssl_.get(), kPlain.data(), static_cast<int>(kPlain.size())) > 0;
    }
    Bytes flight(BIO_ctrl_pending(out_));
    if (!flight.empty()) HF_CHECK(BIO_read(out_, flight.data(), static_cast<int>(flight.size())) > 0);
    return flight;
  }

 private:
  SslPtr ssl_;
  BIO* in_ = nullptr;  // both belong to ssl_
  BIO* out_ = nullptr;
  bool spoken_ = false;
};

void Edit(Bytes& flight, uint16_t place, uint8_t operation, uint8_t value) {
  if (flight.empty()) return;
  auto at = flight.begin() + place % static_cast<ptrdiff_t>(flight.size());
  switch (operation % 5) {
    case 0:
      *at = value;
      break;
    case 1:
      flight.erase(at, flight.end());
      break;
    case 2:
      flight.insert(at, value, value);
      break;
    case 3:
      flight.insert(flight.end(), flight.begin(), flight.begin() + (at - flight.begin()));  // sent again
      break;
    case 4:
      flight.erase(at, at + std::min<ptrdiff_t>(value, flight.end() - at));
      break;
  }
}

void ApplyEdits(ByteView edits, int flight_number, Bytes& flight) {
  Reader r(edits);
  while (r.remaining() >= 5) {
    bool ours = r.U8() % kRoundsMax == flight_number;
    uint16_t place = r.U16();
    uint8_t operation = r.U8(), value = r.U8();
    if (ours) Edit(flight, place, operation, value);
  }
}

// The server's end after one flight. False: it has given up.
class Server {
 public:
  explicit Server(std::optional<Who> peer) : peer_(peer), tls_(TheWorld().server, seam::Listener::kUser) {}
  bool Feed(ByteView cipher) {
    tls_.Feed(cipher);
    if (!open_) {
      Result<bool> done = tls_.Handshake();
      if (!done) return false;
      open_ = *done;
      if (!open_) return true;
      HF_CHECK(peer_ == Who::kListed && tls_.serial() == TheWorld().listed);
    }
    uint8_t buffer[100];
    for (;;) {
      Result<size_t> n = tls_.Read(buffer);
      if (!n) return false;
      if (*n == 0) return !tls_.closed();
      read_.append(AsText({buffer, *n}));
      HF_CHECK(kPlain.starts_with(read_));
    }
  }
  Bytes Answer() {
    HF_CHECK(tls_.cipher_bytes() <= kAnswerBytesMax);
    return tls_.TakeCipher(kAnswerBytesMax);
  }
  bool heard_all() const { return read_ == kPlain; }

 private:
  const std::optional<Who> peer_;
  TlsConnection tls_;
  bool open_ = false;
  std::string read_;
};

void Bent(Who who, ByteView edits) {
  Client client(who);
  Server server(who);
  bool alive = true;
  for (int round = 0; round < kRoundsMax && alive; ++round) {
    Bytes flight = client.Flight();
    ApplyEdits(edits, round, flight);
    alive = server.Feed(flight);
    client.Take(server.Answer());
  }
  if (edits.size() < 5) HF_CHECK(server.heard_all() == (who == Who::kListed));
}

}  // namespace
}  // namespace holdfast::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast::session;  // NOLINT: a fuzzer's one function
  if (size == 0) return 0;
  holdfast::ByteView rest(data + 1, size - 1);
  if (data[0] % 4 == 3) {
    Server server(std::nullopt);
    (void)server.Feed(rest);
    (void)server.Answer();
  } else {
    Bent(static_cast<Who>(data[0] % 4), rest);
  }
  return 0;
}
