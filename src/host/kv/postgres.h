// `postgres://USER@HOST[:PORT]/DB?table=T&host=/DIR&ca=/FILE&credentials=/FILE` — two tables of a PostgreSQL
// database, or of one that speaks its protocol and takes this SQL (meant for CockroachDB, tested on
// PostgreSQL):
//
//   T(name BYTEA PRIMARY KEY, version BYTEA, value BYTEA)     in parts of 512 KiB at most (parts.h)
//   T_opener(id INT PRIMARY KEY, epoch INT8)                  one row: who may write
//
// T: [a-z_][a-z0-9_]*, "holdfast" by default. host=: the directory of a local socket. The password comes from
// the credentials file, else from where libpq looks (PGPASSWORD, ~/.pgpass). Over a network TLS is required
// and the server's name checked, against `ca` or the system's roots.
//
// Durability: synchronous_commit is set and read back; a server that runs without fsync is refused
// (kUnsupported). What a statement answered is on stable storage.
// Exclusive: an advisory lock for as long as the store is open (shared by readers): a second opener gets
// kInUse. Should that connection be lost, or the database not know such locks, the epoch decides: each opener
// raises it, and every write of ours asks for it in the same statement, under a row lock. A writer that was
// overtaken gets kFenced, and is poisoned. Conditions: one statement each. Serialisation failures (40001,
// 40P01) and broken connections are tried again (kAttempts); a condition that does not hold is believed only
// if the row does not bear our version. Failure: no space (53100) gives kFull and changes nothing.
//
// A connection for each call that is under way, kConnectionsKept idle. Thread-safe.
#ifndef HOLDFAST_HOST_KV_POSTGRES_H_
#define HOLDFAST_HOST_KV_POSTGRES_H_

#include <memory>

#include "host/kv/open.h"

namespace holdfast::host {

// kBadUrl kNoCredentials kCredentialsFileMode kRefusedByProvider kPermission kUnreachable kUnsupported
// kInUse. kNoStore: no such table, or nothing in it. kNotEmpty: kCreate, and something is there.
Result<std::unique_ptr<seam::Storage>> OpenPostgres(const StoreUrl& url, OpenMode mode);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_POSTGRES_H_
