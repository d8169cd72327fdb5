#include "host/kv/postgres.h"

#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "host/http/credentials.h"
#include "host/http/digest.h"
#include "host/kv/remote.h"
#include "host/kv/remote_url_internal.h"

namespace holdfast::host {
namespace {

constexpr uint64_t kRowBytes = 512u << 10;  // CockroachDB asks for rows below 1 MiB
constexpr size_t kConnectionsKept = 16;     // more calls at once than the storage lanes make
constexpr int kAttempts = 6;                // with pauses of up to 50, 100, … ms: two seconds in all
constexpr const char* kSystemRoots = "/etc/ssl/certs/ca-certificates.crt";
constexpr uint64_t kOffsetMax = 1u << 30;  // of a row; ours are shorter

struct ConnectionCloser {
  void operator()(PGconn* c) const { PQfinish(c); }
};
using Connection = std::unique_ptr<PGconn, ConnectionCloser>;
struct ResultCleaner {
  void operator()(PGresult* r) const { PQclear(r); }
};
using Rows = std::unique_ptr<PGresult, ResultCleaner>;

ByteView Field(const Rows& rows, int row, int column) {
  return {reinterpret_cast<const uint8_t*>(PQgetvalue(rows.get(), row, column)),
          static_cast<size_t>(PQgetlength(rows.get(), row, column))};
}
// A number of ours: INT8, in binary.
uint64_t NumberField(const Rows& rows, int row, int column) {
  ByteView bytes = Field(rows, row, column);
  return bytes.size() == 8 ? LoadBig64(bytes.data()) : 0;
}

Bytes Number(uint64_t n) {
  Bytes bytes(8);
  StoreBig64(bytes.data(), n);
  return bytes;
}

Code CodeOfState(std::string_view state) {
  if (state == "53100" || state == "53200") return Code::kFull;
  if (state == "42P01" || state == "3D000") return Code::kNoStore;
  if (state == "42501") return Code::kPermission;
  if (state == "25006") return Code::kReadOnly;
  if (state.starts_with("28")) return Code::kRefusedByProvider;
  return Code::kIo;
}

// It failed without an effect, or its connection did: 40 serialisation, 08 and 57 connections, 53300 too
// many.
bool WorthAnotherTry(std::string_view state) {
  return state.empty() || state == "40001" || state == "40P01" || state.starts_with("08") ||
         state.starts_with("57P0") || state == "53300";
}

class PostgresEngine : public RemoteEngine {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;
  PostgresEngine(Settings settings, std::string table)
      : settings_(std::move(settings)), table_(std::move(table)), opener_(RandomHex()) {}

  Status Open(OpenMode mode);

  RemoteTraits traits() const override {
    return {.create_if_absent = true, .conditional_put = true, .atomic = true, .value_bytes_max = kRowBytes};
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status WriteNew(std::span<const PartRow> rows) override;

 private:
  Result<Connection> Connect() const;
  static Status GoDurable(PGconn* connection);
  // One statement, parameters and answer in binary, on a connection of the pool; tried again.
  Result<Rows> Run(const std::string& sql, const std::vector<ByteView>& parameters);
  Result<Rows> RunOn(PGconn* connection, const std::string& sql, const std::vector<ByteView>& parameters,
                     bool& again) const;
  // A statement that ends in `changed`, only while the epoch is ours. How many rows; kFenced.
  Result<uint64_t> Change(const std::string& changed, const std::vector<ByteView>& parameters);
  std::string NextVersion() { return opener_ + "-" + std::to_string(++writes_); }

  const Settings settings_;
  const std::string table_;
  const std::string opener_;
  Connection lock_;  // holds the advisory lock, and nothing else runs on it
  Bytes epoch_;
  std::atomic<uint64_t> writes_ = 0;
  std::mutex mutex_;  // idle_
  std::vector<Connection> idle_;
};

Result<Connection> PostgresEngine::Connect() const {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : settings_) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  Connection connection(PQconnectdbParams(names.data(), values.data(), 0));
  if (!connection) return Code::kUnreachable;
  PQsetNoticeProcessor(
      connection.get(), [](void*, const char*) {}, nullptr);  // it would go to stderr
  if (PQstatus(connection.get()) == CONNECTION_OK) return connection;
  // Before there is a session libpq keeps no state, only words.
  std::string_view said = PQerrorMessage(connection.get());
  if (said.find("password") != std::string_view::npos ||
      said.find("authentication") != std::string_view::npos) {
    return Code::kRefusedByProvider;
  }
  return said.find("does not exist") != std::string_view::npos ? Code::kNoStore : Code::kUnreachable;
}

Result<Rows> PostgresEngine::RunOn(PGconn* connection, const std::string& sql,
                                   const std::vector<ByteView>& parameters, bool& again) const {
  std::vector<const char*> values;
  std::vector<int> lengths, formats;
  for (ByteView p : parameters) {
    values.push_back(p.empty() ? "" : AsText(p).data());
    lengths.push_back(static_cast<int>(p.size()));
    formats.push_back(1);
  }
  Rows rows(PQexecParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                         lengths.data(), formats.data(), 1));
  ExecStatusType status = PQresultStatus(rows.get());
  again = false;
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return rows;
  const char* state = rows ? PQresultErrorField(rows.get(), PG_DIAG_SQLSTATE) : nullptr;
  std::string_view code = state == nullptr ? "" : state;
  again = WorthAnotherTry(code) || PQstatus(connection) != CONNECTION_OK;
  return again ? Code::kUnreachable : CodeOfState(code);
}

Result<Rows> PostgresEngine::Run(const std::string& sql, const std::vector<ByteView>& parameters) {
  for (int attempt = 1;; ++attempt) {
    Connection connection;
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        connection = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    bool again = true;
    Result<Rows> rows = Code::kUnreachable;
    if (!connection) {
      Result<Connection> made = Connect();
      Status ready = made ? GoDurable(made->get()) : Status(made.error());
      if (ready) connection = std::move(made).value();
      if (!ready && ready.code() != Code::kUnreachable) return ready.error();
    }
    if (connection) {
      rows = RunOn(connection.get(), sql, parameters, again);
      if (PQstatus(connection.get()) == CONNECTION_OK) {
        std::lock_guard lock(mutex_);
        if (idle_.size() < kConnectionsKept) idle_.push_back(std::move(connection));
      } else {
        std::lock_guard lock(mutex_);
        idle_.clear();  // the others broke with it
      }
    }
    if (rows || !again || attempt == kAttempts) return rows;
    std::this_thread::sleep_for(std::chrono::milliseconds(25 << attempt) +
                                std::chrono::milliseconds(writes_ * 7 % 13));
  }
}

// Read back, because a server may be set up to lose what it has answered for.
Status PostgresEngine::GoDurable(PGconn* connection) {
  auto shows = [&](const char* sql) -> std::string {
    Rows rows(PQexec(connection, sql));
    return PQresultStatus(rows.get()) == PGRES_TUPLES_OK && PQntuples(rows.get()) == 1
               ? ToText(Field(rows, 0, 0))
               : "";
  };
  Rows set(PQexec(connection, "SET synchronous_commit = on"));
  std::string commit = shows("SHOW synchronous_commit");
  if (PQstatus(connection) != CONNECTION_OK) return Code::kUnreachable;
  if (commit != "on" && !commit.empty()) return Code::kUnsupported;
  return shows("SHOW fsync") == "off" ? Status(Code::kUnsupported) : Ok();
}

Status PostgresEngine::Open(OpenMode mode) {
  HF_TRY_VOID(Run("SELECT 1", {}));  // is tried again: a server may be starting
  HF_TRY(lock_, Connect());
  Digest digest = Sha256(AsBytes("holdfast " + table_));
  std::string try_lock = mode == OpenMode::kReadOnly ? "pg_try_advisory_lock_shared" : "pg_try_advisory_lock";
  bool again = false;
  HF_TRY(Rows locked,
         RunOn(lock_.get(), "SELECT " + try_lock + "($1::INT8)", {ByteView(digest).first(8)}, again));
  ByteView got = PQntuples(locked.get()) == 1 ? Field(locked, 0, 0) : ByteView();
  if (got.size() != 1 || got[0] == 0) return Code::kInUse;
  if (mode == OpenMode::kCreate) {
    HF_TRY_VOID(Run("CREATE TABLE IF NOT EXISTS " + table_ +
                        "(name BYTEA PRIMARY KEY, version BYTEA NOT NULL, value BYTEA NOT NULL)",
                    {}));
    HF_TRY_VOID(
        Run("CREATE TABLE IF NOT EXISTS " + table_ + "_opener(id INT PRIMARY KEY, epoch INT8 NOT NULL)", {}));
    // Ciphertext is not worth compressing, and a range of what is stored plainly is read alone. Not everybody
    // has this.
    (void)Run("ALTER TABLE " + table_ + " ALTER COLUMN value SET STORAGE EXTERNAL", {}).has_value();
  }
  HF_TRY_VOID(CheckPlace(*this, mode));
  if (mode == OpenMode::kReadOnly) return Ok();
  HF_TRY(Rows raised, Run("INSERT INTO " + table_ + "_opener AS o(id, epoch) VALUES(1, 1) ON CONFLICT(id) " +
                              "DO UPDATE SET epoch = o.epoch + 1 RETURNING epoch",
                          {}));
  if (PQntuples(raised.get()) != 1) return Code::kIo;
  epoch_ = ToBytes(Field(raised, 0, 0));
  return Ok();
}

Result<seam::VersionedBytes> PostgresEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  bool whole = offset == 0 && length >= kOffsetMax;
  Bytes from = Number(std::min(offset, kOffsetMax) + 1), count = Number(std::min(length, kOffsetMax - 2));
  std::vector<ByteView> parameters = {AsBytes(name)};
  if (!whole) parameters.insert(parameters.end(), {from, count});
  HF_TRY(Rows rows,
         Run("SELECT version, " +
                 std::string(whole ? "value" : "substring(value FROM $2::INT8::INT4 FOR $3::INT8::INT4)") +
                 " FROM " + table_ + " WHERE name = $1::BYTEA",
             parameters));
  if (PQntuples(rows.get()) == 0) return Code::kNotFound;
  return seam::VersionedBytes{UntrustedBytes(ToBytes(Field(rows, 0, 1))), ToText(Field(rows, 0, 0))};
}

Result<uint64_t> PostgresEngine::Change(const std::string& changed, const std::vector<ByteView>& parameters) {
  std::vector<ByteView> all = {epoch_};
  all.insert(all.end(), parameters.begin(), parameters.end());
  // The row lock makes a new opener wait for this statement, or this statement see its epoch.
  HF_TRY(
      Rows rows,
      Run("WITH mine AS (SELECT id FROM " + table_ +
              "_opener WHERE id = 1 AND epoch = $1::INT8 FOR SHARE), changed AS (" + changed +
              " RETURNING 1) SELECT (SELECT count(*) FROM mine)::INT8, (SELECT count(*) FROM changed)::INT8",
          all));
  if (PQntuples(rows.get()) != 1) return Code::kIo;
  if (NumberField(rows, 0, 0) == 0) return Code::kFenced;
  return NumberField(rows, 0, 1);
}

Result<seam::ObjectVersion> PostgresEngine::Write(std::string_view name, ByteView bytes,
                                                  const WriteCondition& condition) {
  using Kind = WriteCondition::Kind;
  std::string version = NextVersion();
  std::vector<ByteView> parameters = {AsBytes(name), AsBytes(version), bytes};
  std::string sql =
      "INSERT INTO " + table_ + "(name, version, value) SELECT $2::BYTEA, $3::BYTEA, $4::BYTEA FROM mine ";
  if (condition.kind == Kind::kVersion) {
    sql = "UPDATE " + table_ +
          " SET version = $3::BYTEA, value = $4::BYTEA FROM mine WHERE name = $2::BYTEA AND version = "
          "$5::BYTEA";
    parameters.push_back(AsBytes(condition.version));
  } else if (condition.kind == Kind::kAbsent) {
    sql += "ON CONFLICT(name) DO NOTHING";
  } else {
    sql += "ON CONFLICT(name) DO UPDATE SET version = excluded.version, value = excluded.value";
  }
  HF_TRY(uint64_t changed, Change(sql, parameters));
  if (changed == 1) return version;
  if (condition.kind == Kind::kNone) return Code::kIo;
  // An attempt whose answer got lost may have been what is in the way.
  return UnlessOurs(Read(name, 0, 0), version,
                    condition.kind == Kind::kAbsent ? Code::kExists : Code::kVersionMismatch);
}

Status PostgresEngine::WriteNew(std::span<const PartRow> rows) {
  std::string sql = "INSERT INTO " + table_ + "(name, version, value) SELECT v.* FROM (VALUES ",
              version = NextVersion();
  std::vector<ByteView> parameters = {AsBytes(version)};
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string n = std::to_string(3 + 2 * i), m = std::to_string(4 + 2 * i);
    sql += (i == 0 ? "($" : ", ($") + n + "::BYTEA, $2::BYTEA, $" + m + "::BYTEA)";
    parameters.insert(parameters.end(), {AsBytes(rows[i].name), rows[i].bytes});
  }
  sql += ") AS v, mine ON CONFLICT(name) DO UPDATE SET version = excluded.version, value = excluded.value";
  Result<uint64_t> changed = Change(sql, parameters);
  if (!changed) return changed.error();
  return *changed == rows.size() ? Ok() : Status(Code::kIo);
}

Status PostgresEngine::Erase(std::string_view name) {
  Result<uint64_t> changed = Change(
      "DELETE FROM " + table_ + " WHERE name = $2::BYTEA AND EXISTS (SELECT 1 FROM mine)", {AsBytes(name)});
  return changed ? Ok() : Status(changed.error());
}

Result<seam::Listing> PostgresEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::string end = std::string(prefix) + '\x7f';  // behind every name: they are ASCII
  Bytes count = Number(limit + 1);
  HF_TRY(Rows rows,
         Run("SELECT name, octet_length(value)::INT8 FROM " + table_ +
                 " WHERE name >= $1::BYTEA AND name < $2::BYTEA AND name > $3::BYTEA ORDER BY name LIMIT "
                 "$4::INT8",
             {AsBytes(prefix), AsBytes(end), AsBytes(after), count}));
  seam::Listing page;
  int n = PQntuples(rows.get());
  for (int i = 0; i < n && page.objects.size() < limit; ++i) {
    page.objects.push_back({ToText(Field(rows, i, 0)), NumberField(rows, i, 1)});
  }
  page.complete = static_cast<size_t>(n) <= limit;
  return page;
}

bool IsTableName(std::string_view s) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  return !s.empty() && s.size() <= 48 && letter(s[0]) &&
         std::all_of(s.begin(), s.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

struct Authority {
  std::string user, host, port;
};
Result<Authority> AuthorityOf(std::string_view text) {
  Authority a;
  size_t at = text.find('@');
  if (at != std::string_view::npos) {
    a.user = text.substr(0, at);
    if (!IsPlainWord(a.user, 63)) return Code::kBadUrl;  // no ':': a password does not belong into a URL
    text.remove_prefix(at + 1);
  }
  size_t colon = text.find(':');
  a.host = text.substr(0, colon);
  if (colon != std::string_view::npos) a.port = text.substr(colon + 1);
  bool port_ok = a.port.size() <= 5 && a.port.find_first_not_of("0123456789") == std::string::npos;
  return port_ok && (a.host.empty() || IsPlainWord(a.host, 253)) ? Result<Authority>(a) : Code::kBadUrl;
}

Result<PostgresEngine::Settings> SettingsOf(const RemoteUrl& url) {
  HF_TRY(Authority a, AuthorityOf(url.path[0]));
  auto socket = url.more.find("host");
  bool local = socket != url.more.end();
  if (local == !a.host.empty() || (local && !socket->second.starts_with('/'))) return Code::kBadUrl;
  HF_TRY(Credentials credentials, FindCredentials(url.credentials, {{"password", "PGPASSWORD", false}}));
  PostgresEngine::Settings s = {{"host", local ? socket->second : a.host},
                                {"dbname", url.path[1]},
                                {"connect_timeout", "10"},
                                {"keepalives_idle", "20"},
                                {"tcp_user_timeout", "30000"},  // a server that is gone, not one that is slow
                                {"application_name", "holdfast"},
                                {"client_encoding", "UTF8"}};
  if (!a.user.empty()) s.emplace_back("user", a.user);
  if (!a.port.empty()) s.emplace_back("port", a.port);
  if (credentials.contains("password")) s.emplace_back("password", credentials["password"]);
  bool checked = !url.ca.empty() || (!local && !IsLoopbackOrTls("http://" + a.host));
  s.emplace_back("sslmode", checked ? "verify-full" : "prefer");
  if (checked) s.emplace_back("sslrootcert", url.ca.empty() ? kSystemRoots : url.ca);
  return s;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenPostgres(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {"table", "host"}));
  if (url.path.size() != 2 || !IsPlainWord(url.path[1], 63) || !url.endpoint.empty() || url.single_writer) {
    return Code::kBadUrl;
  }
  std::string table = url.more.contains("table") ? url.more["table"] : "holdfast";
  if (!IsTableName(table)) return Code::kBadUrl;
  HF_TRY(PostgresEngine::Settings settings, SettingsOf(url));
  auto engine = std::make_unique<PostgresEngine>(std::move(settings), std::move(table));
  HF_TRY_VOID(engine->Open(mode));
  return OpenRemote(std::move(engine), mode, mode != OpenMode::kReadOnly);
}

}  // namespace holdfast::host
