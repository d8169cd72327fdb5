// Mutual TLS 1.3 handshakes: against our server, and OpenSSL's own with itself.
#ifndef HOLDFAST_BENCH_HANDSHAKE_INTERNAL_H_
#define HOLDFAST_BENCH_HANDSHAKE_INTERNAL_H_

#include <cstddef>
#include <string>

#include "bench/load_internal.h"

namespace holdfast::bench {

struct Handshakes {
  double per_second = 0, per_server_cpu_second = 0, server_cores = 0, client_cores = 0;
};
Handshakes MedianOf(const std::vector<Handshakes>& samples);

inline constexpr size_t kHandshakeThreads = 4;

// Each thread: TCP connect, full handshake with both certificates checked, the first bytes of HTTP/2 in both
// directions (the server's come once it has accepted our certificate), close. No session is resumed.
// `directory`: the one Holdfast was made in.
Handshakes AgainstServer(const Target& server, const std::string& directory, double seconds);

// Server and client by turns on this thread, over memory; certificates as `init` makes them. Only the
// server's turns count: `per_second` is both sides'.
Handshakes OpenSslAlone(double seconds);

}  // namespace holdfast::bench

#endif  // HOLDFAST_BENCH_HANDSHAKE_INTERNAL_H_
