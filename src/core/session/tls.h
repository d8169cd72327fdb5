// TLS 1.3 that ends in the core: bytes in, bytes out, no descriptors. Mutual, ALPN "h2", no session tickets,
// no resumption, no early data. The certificate's time is not checked (rule J1); its serial must be on the
// allow list.
#ifndef HOLDFAST_CORE_SESSION_TLS_H_
#define HOLDFAST_CORE_SESSION_TLS_H_

#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "seam/channel.h"

namespace holdfast::session {

// Asked once in each handshake, from any thread; must not block. kRevoked, kUnauthenticated (unknown, or not
// an administrator where one is needed).
using ClientCheck = std::function<Status(const std::string& serial, seam::Listener listener)>;

// Shared by all connections; immutable.
class TlsContext {
 public:
  // kMalformed: a certificate or the key does not parse or they do not belong together.
  static Result<std::shared_ptr<TlsContext>> Make(ByteView ca_cert_der, ByteView server_cert_der,
                                                  ByteView server_key_der, ClientCheck check);
  ~TlsContext();

  struct State;
  State& state() { return *s_; }

 private:
  explicit TlsContext(std::unique_ptr<State> s);
  std::unique_ptr<State> s_;
};

// One connection. Not thread-safe. After an error only TakeCipher makes sense: it holds the alert.
class TlsConnection {
 public:
  TlsConnection(std::shared_ptr<TlsContext> context, seam::Listener listener);
  ~TlsConnection();

  void Feed(ByteView cipher);   // bytes from the peer
  size_t unread_bytes() const;  // fed and not yet looked at
  // Goes on with the handshake. True: finished, the client is known.
  // errors  kUnauthenticated, kRevoked, kMalformed (not TLS 1.3, no "h2", garbage)
  Result<bool> Handshake();
  // Plaintext, up to out.size() bytes; 0: feed more, or the peer has closed (closed()). kMalformed: the
  // connection is dead.
  Result<size_t> Read(MutableByteView out);
  bool closed() const;
  Status Write(ByteView plain);  // encrypts; kMalformed: the connection is dead
  void Close();                  // makes the close_notify
  // What must go to the peer, at most `bytes_max`.
  Bytes TakeCipher(size_t bytes_max);
  size_t cipher_bytes() const;

  const std::string& serial() const;  // of the client, after the handshake

  struct State;

 private:
  std::unique_ptr<State> s_;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_TLS_H_
