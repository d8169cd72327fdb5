// The pump against a host that breaks the rules of the channel; the well-behaved case is tested end to end
// (src/sdk).
#include "core/session/edge.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "core/session/openssl_internal.h"
#include "core/session/pki.h"
#include "seam/metrics.h"

namespace holdfast::session {
namespace {

using seam::StreamId;

// Records what the core says, by stream.
class Host : public seam::HostEndpoint {
 public:
  struct Said {
    Bytes bytes;
    uint64_t credit = 0;
    int closed = 0;
  };
  void FromCore(seam::CoreToHost message) override {
    std::lock_guard lock(mutex_);
    if (auto* b = std::get_if<seam::StreamBytes>(&message)) Append(said_[b->id.value].bytes, b->bytes);
    if (auto* c = std::get_if<seam::StreamCredit>(&message)) said_[c->id.value].credit += c->bytes;
    if (auto* c = std::get_if<seam::StreamClosed>(&message)) ++said_[c->id.value].closed;
    changed_.notify_all();
  }
  bool WaitFor(uint64_t stream, const std::function<bool(Said&)>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return holds(said_[stream]); });
  }
  Said Get(uint64_t stream) {
    std::lock_guard lock(mutex_);
    return said_[stream];
  }
  Bytes TakeBytes(uint64_t stream) {
    std::lock_guard lock(mutex_);
    return std::exchange(said_[stream].bytes, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Said> said_;
};

// A client's TLS over memory, driven by hand.
class TlsClient {
 public:
  explicit TlsClient(const IssuedClient& who) : ctx_(SSL_CTX_new(TLS_client_method())) {
    BioPtr pem(BIO_new_mem_buf(who.pem.view().data(), static_cast<int>(who.pem.view().size())));
    CertPtr cert(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    KeyPtr key(PEM_read_bio_PrivateKey(pem.get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_certificate(ctx_.get(), cert.get());
    SSL_CTX_use_PrivateKey(ctx_.get(), key.get());
    ssl_.reset(SSL_new(ctx_.get()));
    const unsigned char h2[] = {2, 'h', '2'};
    SSL_set_alpn_protos(ssl_.get(), h2, sizeof h2);
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
  }
  bool Handshake() { return SSL_do_handshake(ssl_.get()) == 1; }
  void Feed(ByteView b) {
    if (!b.empty()) BIO_write(in_, b.data(), static_cast<int>(b.size()));
  }
  Bytes Take() {
    Bytes b(BIO_ctrl_pending(out_));
    if (!b.empty()) BIO_read(out_, b.data(), static_cast<int>(b.size()));
    return b;
  }
  void Write(ByteView b) { SSL_write(ssl_.get(), b.data(), static_cast<int>(b.size())); }
  size_t ReadAll() {
    char buffer[16384];
    size_t total = 0;
    for (int n; (n = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0;) total += static_cast<size_t>(n);
    return total;
  }

 private:
  SslCtxPtr ctx_;
  SslPtr ssl_;
  BIO* in_;
  BIO* out_;
};

class EdgeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto rows = NewStorePki(random.NewId<StoreId>(), random);
    ASSERT_TRUE(rows.has_value());
    auto issued = IssueClient(*rows, "c", false, random);
    ASSERT_TRUE(issued.has_value());
    client = std::make_unique<IssuedClient>(std::move(issued).value());
    std::map<std::string, Bytes> by_key(rows->begin(), rows->end());
    auto tls = TlsContext::Make(by_key[std::string(kCaCertRow)], by_key[std::string(kServerCertRow)],
                                by_key[std::string(kServerKeyRow)],
                                [](const std::string&, seam::Listener) { return Ok(); });
    ASSERT_TRUE(tls.has_value());
    edge = std::make_unique<Edge>(*tls, host, [this](int fd, seam::Listener) {
      std::lock_guard lock(adopted_mutex);
      adopted = fd;
      adopted_changed.notify_all();
    });
    ASSERT_TRUE(edge->Start().has_value());
  }
  void TearDown() override {
    edge->Stop();
    if (adopted >= 0) close(adopted);
  }

  // A stream whose handshake is done, and nothing said yet.
  std::unique_ptr<TlsClient> ShakeHands(uint64_t id) {
    edge->FromHost(seam::StreamOpened{StreamId(id), seam::Listener::kUser});
    edge->FromHost(seam::StreamCredit{StreamId(id), 1u << 20});
    auto tls = std::make_unique<TlsClient>(*client);
    EXPECT_FALSE(tls->Handshake());
    edge->FromHost(seam::StreamBytes{StreamId(id), tls->Take()});
    for (bool done = false; !done;) {
      EXPECT_TRUE(host.WaitFor(id, [](auto& s) { return !s.bytes.empty(); }));
      tls->Feed(host.TakeBytes(id));
      done = tls->Handshake();
    }
    edge->FromHost(seam::StreamBytes{StreamId(id), tls->Take()});
    return tls;
  }
  // One whose first byte gRPC has been given; our end of what it would own is in `adopted`.
  std::unique_ptr<TlsClient> Open(uint64_t id) {
    auto tls = ShakeHands(id);
    tls->Write(AsBytes("P"));
    edge->FromHost(seam::StreamBytes{StreamId(id), tls->Take()});
    std::unique_lock lock(adopted_mutex);
    EXPECT_TRUE(adopted_changed.wait_for(lock, std::chrono::seconds(10), [this] { return adopted >= 0; }));
    pollfd readable = {adopted, POLLIN, 0};
    char first = 0;
    EXPECT_EQ(poll(&readable, 1, 10'000), 1);
    EXPECT_EQ(read(adopted, &first, 1), 1);
    EXPECT_EQ(first, 'P');
    return tls;
  }
  bool Closed(uint64_t id) {
    return host.WaitFor(id, [](auto& s) { return s.closed == 1; });
  }

  crypto::SeededRandom random{7};
  Host host;
  std::unique_ptr<IssuedClient> client;
  std::mutex adopted_mutex;
  std::condition_variable adopted_changed;
  int adopted = -1;
  std::unique_ptr<Edge> edge;
};

TEST_F(EdgeTest, HandsOnADescriptorOnlyWhenTheClientIsKnown) {
  auto tls = Open(1);
  EXPECT_TRUE((fcntl(adopted, F_GETFL) & O_NONBLOCK) != 0) << "gRPC would hang on a blocking one";
  auto peer = edge->Identify(adopted);
  ASSERT_TRUE(peer.has_value());
  EXPECT_EQ(peer->serial, client->serial);
  EXPECT_EQ(peer->listener, seam::Listener::kUser);
  edge->FromHost(seam::StreamClosed{StreamId(1)});
  EXPECT_TRUE(Closed(1));
  EXPECT_FALSE(edge->Identify(adopted).has_value()) << "who has gone is nobody";
  char byte;
  EXPECT_EQ(read(adopted, &byte, 1), 0) << "gRPC sees the end";
}

TEST_F(EdgeTest, AClientThatShakesHandsAndSaysNothingIsUnknownToGrpcAndDroppedInTime) {
  edge->FromHost(seam::Tick{1'000'000, 0});
  auto tls = ShakeHands(1);
  edge->FromHost(seam::Tick{1'000'000 + kHandshakeMicrosecondsMax / 2, 0});
  auto other = Open(2);  // its descriptor is the first that is handed on
  EXPECT_EQ(edge->connections(), 2u);
  EXPECT_EQ(host.Get(1).closed, 0);
  edge->FromHost(seam::Tick{1'000'001 + kHandshakeMicrosecondsMax, 0});
  EXPECT_TRUE(Closed(1));
  EXPECT_EQ(host.Get(2).closed, 0);
}

TEST_F(EdgeTest, APeerThatTakesNothingIsDroppedWhenItsTimeIsOver) {
  edge->FromHost(seam::Tick{1'000'000, 0});
  auto slow = Open(1);
  Bytes piece(64u << 10, 'x');
  uint64_t before = seam::Metrics().Get(seam::Metric::kDroppedSlow);
  // Fills the credit of 1 MiB and what may wait behind it.
  for (int full = 0; full < 20;) {
    pollfd room = {adopted, POLLOUT, 0};
    full =
        poll(&room, 1, 50) == 1 && send(adopted, piece.data(), piece.size(), MSG_NOSIGNAL) > 0 ? 0 : full + 1;
  }
  edge->FromHost(seam::Tick{1'000'000 + limits::kSlowReaderMicroseconds / 2, 0});
  edge->FromHost(seam::StreamOpened{StreamId(3), seam::Listener::kUser});  // both loops have seen the tick
  ASSERT_TRUE(host.WaitFor(3, [](auto& s) { return s.credit > 0; }));
  EXPECT_EQ(host.Get(1).closed, 0);
  edge->FromHost(seam::Tick{1'000'002 + limits::kSlowReaderMicroseconds, 0});
  EXPECT_TRUE(Closed(1));
  EXPECT_GE(seam::Metrics().Get(seam::Metric::kDroppedSlow), before + 1);
}

TEST_F(EdgeTest, TicksThatGoBackwardsOrJumpToTheEndOfTimeHarmNobodyWhoIsAtWork) {
  auto tls = Open(1);
  for (uint64_t t : {uint64_t{5'000'000}, uint64_t{3}, UINT64_MAX, uint64_t{0}, uint64_t{77}}) {
    edge->FromHost(seam::Tick{t, t});
  }
  tls->Write(AsBytes("more"));
  edge->FromHost(seam::StreamBytes{StreamId(1), tls->Take()});
  pollfd readable = {adopted, POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 10'000), 1);
  EXPECT_EQ(host.Get(1).closed, 0);
}

TEST_F(EdgeTest, AHostThatSendsMoreThanItWasGrantedLosesTheStream) {
  edge->FromHost(seam::StreamOpened{StreamId(1), seam::Listener::kUser});
  ASSERT_TRUE(host.WaitFor(1, [](auto& s) { return s.credit == kStreamWindowBytes; }));
  edge->FromHost(seam::StreamBytes{StreamId(1), Bytes(kStreamWindowBytes + 1)});
  EXPECT_TRUE(Closed(1));
  EXPECT_EQ(edge->connections(), 0u);
}

TEST_F(EdgeTest, SendsNoMoreThanTheHostGranted) {
  auto tls = Open(1);
  uint64_t granted = 1u << 20, sent = 0;
  // gRPC writes 4 MiB; the socketpair, the high-water mark and the credit bound what leaves.
  Bytes piece(64u << 10, 'x');
  size_t taken = 0;
  for (int idle = 0; taken < (4u << 20) && idle < 100;) {
    ssize_t n = send(adopted, piece.data(), piece.size(), MSG_NOSIGNAL);
    if (n > 0) {
      taken += static_cast<size_t>(n);
      idle = 0;
    } else {
      ++idle;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  EXPECT_LT(taken, 4u << 20) << "gRPC is held back";
  sent = host.Get(1).bytes.size();
  EXPECT_LE(sent, granted);
  EXPECT_GT(sent, granted / 2);
  // With more credit all of it arrives.
  edge->FromHost(seam::StreamCredit{StreamId(1), 64u << 20});
  size_t read = 0;
  EXPECT_TRUE(host.WaitFor(1, [&](auto& s) {
    tls->Feed(std::exchange(s.bytes, {}));
    read += tls->ReadAll();
    return read == taken;
  }));
}

TEST_F(EdgeTest, GrantsNothingWhileGrpcDoesNotRead) {
  auto tls = Open(1);
  uint64_t sent = 0;
  Bytes piece(16u << 10, 'x');
  uint64_t at_start = host.Get(1).credit;
  ASSERT_EQ(at_start, kStreamWindowBytes) << "the handshake is too small to be credited";
  auto credit_left = [&] { return host.Get(1).credit - sent; };
  for (int idle = 0; idle < 100;) {
    if (credit_left() < (40u << 10)) {
      ++idle;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    tls->Write(piece);
    Bytes cipher = tls->Take();
    sent += cipher.size();
    edge->FromHost(seam::StreamBytes{StreamId(1), std::move(cipher)});
    idle = 0;
  }
  EXPECT_LT(sent, 4u << 20) << "the host is held back";
  // When gRPC reads again, credit comes again.
  Bytes buffer(1u << 20);
  size_t got = 0;
  EXPECT_TRUE(host.WaitFor(1, [&](auto& s) {
    for (ssize_t n; (n = read(adopted, buffer.data(), buffer.size())) > 0;) got += static_cast<size_t>(n);
    return s.credit > sent + kStreamWindowBytes / 2;
  }));
  EXPECT_GT(got, 0u);
}

TEST_F(EdgeTest, UnknownAndRepeatedStreamsAreIgnored) {
  edge->FromHost(seam::StreamBytes{StreamId(77), Bytes(100)});
  edge->FromHost(seam::StreamClosed{StreamId(77)});
  edge->FromHost(seam::StreamCredit{StreamId(77), UINT64_MAX});
  edge->FromHost(seam::StreamOpened{StreamId(0), seam::Listener::kUser});
  auto tls = Open(5);
  edge->FromHost(seam::StreamOpened{StreamId(5), seam::Listener::kAdmin});
  edge->FromHost(seam::StreamCredit{StreamId(5), UINT64_MAX});
  edge->FromHost(seam::StreamCredit{StreamId(5), UINT64_MAX});
  EXPECT_EQ(edge->connections(), 1u);
  EXPECT_EQ(edge->Identify(adopted)->listener, seam::Listener::kUser);
  EXPECT_EQ(host.Get(77).closed, 0);
}

TEST_F(EdgeTest, AtTheLimitOfConnectionsNewOnesAreClosed) {
  for (uint64_t i = 1; i <= limits::kConnectionsMax + 200; ++i) {
    edge->FromHost(seam::StreamOpened{StreamId(i), seam::Listener::kUser});
  }
  EXPECT_TRUE(Closed(1)) << "the oldest handshake makes room";
  EXPECT_TRUE(Closed(limits::kConnectionsMax - 400));
  EXPECT_LE(edge->connections(), 2 * kHandshakesMax);
}

TEST_F(EdgeTest, AfterRefuseNewAStreamIsClosedAtOnce) {
  edge->RefuseNew();
  edge->FromHost(seam::StreamOpened{StreamId(1), seam::Listener::kUser});
  EXPECT_TRUE(Closed(1));
}

TEST_F(EdgeTest, StoppingSaysFarewellToEveryStreamOnce) {
  auto tls = Open(1);
  edge->FromHost(seam::StreamOpened{StreamId(2), seam::Listener::kUser});
  edge->Stop();
  EXPECT_EQ(host.Get(1).closed, 1);
  EXPECT_FALSE(host.Get(1).bytes.empty()) << "the close_notify";
  EXPECT_EQ(host.Get(2).closed, 1);
  EXPECT_EQ(edge->connections(), 0u);
}

}  // namespace
}  // namespace holdfast::session
