#include "sdk/client.h"

#include <cstdlib>

#include "holdfast/v1/admin.grpc.pb.h"
#include "sdk/rpc_internal.h"

namespace holdfast::sdk {

struct Client::State {
  std::unique_ptr<v1::Kv::Stub> stub;
  uint64_t timeout_ms;
};

namespace {

// One unary call: sets the timeout, translates the failure.
template <typename Stub, typename Request, typename Reply>
Result<Reply> Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                   const Request& request, uint64_t timeout_ms, uint64_t* detail = nullptr) {
  grpc::ClientContext context;
  SetTimeout(context, timeout_ms);
  Reply reply;
  grpc::Status status = (stub.*method)(&context, request, &reply);
  if (status.ok()) return reply;
  const auto& metadata = context.GetServerTrailingMetadata();
  if (auto it = metadata.find("holdfast-detail"); detail != nullptr && it != metadata.end()) {
    *detail = std::strtoull(std::string(it->second.data(), it->second.size()).c_str(), nullptr, 10);
  }
  return CodeOf(status, context);
}

v1::Type TypeOf(Type type) { return type == Type::kBytes ? v1::TYPE_BYTES : static_cast<v1::Type>(type); }
Type TypeOf(v1::Type type) {
  return type == v1::TYPE_BYTES || type > v1::TYPE_JSON ? Type::kBytes : static_cast<Type>(type);
}

void Fill(const Index& from, v1::Index* to) {
  to->set_name(from.name);
  to->set_pointer(from.pointer);
  to->set_unique(from.unique);
}
std::vector<Index> IndexesOf(const v1::TableInfo& t) {
  std::vector<Index> indexes;
  for (const v1::Index& i : t.indexes()) indexes.push_back({i.name(), i.pointer(), i.unique()});
  return indexes;
}
void Fill(const ScanOptions::By& from, v1::IndexBounds* to) {
  to->set_index(from.index);
  if (from.from) to->set_from(*from.from);
  if (from.until) to->set_until(*from.until);
  if (from.prefix) to->set_prefix(*from.prefix);
  if (from.equals) to->set_equals(*from.equals);
}

Table TableOf(const v1::TableInfo& t) {
  Layout layout = t.layout() == v1::LAYOUT_PATRICIA ? Layout::kPatricia : Layout::kBTree;
  return {t.table(),
          HexUpper(AsBytes(t.id())),
          t.rows(),
          {t.never_inline(), t.leaf_rows_max(), t.inner_children_max(), layout, TypeOf(t.key_type()),
           TypeOf(t.value_type()), t.transient(), IndexesOf(t), t.share_values()},
          HexUpper(AsBytes(t.root())),
          t.root_index()};
}

Result<Written> ToWritten(Result<v1::WriteReply> reply) {
  if (!reply) return reply.error();
  return FromProto(*reply);
}

}  // namespace

Result<std::unique_ptr<Client>> Client::Connect(const ClientConfig& config) {
  HF_TRY(auto channel, OpenUserChannel(config));
  return std::make_unique<Client>(std::move(channel));
}

Client::Client(std::shared_ptr<Channel> channel, uint64_t timeout_ms)
    : channel_(std::move(channel)), s_(new State{v1::Kv::NewStub(channel_->grpc_channel), timeout_ms}) {}
Client::~Client() = default;

Result<Value> Client::Get(const std::string& table, std::string_view key, uint64_t at_least,
                          const std::string& tag) {
  v1::GetRequest request;
  request.set_table(table);
  request.set_tag(tag);
  request.set_key(key.data(), key.size());
  request.set_at_least(at_least);
  auto reply = Call(*s_->stub, &v1::Kv::Stub::Get, request, s_->timeout_ms);
  if (!reply) return reply.error();
  return Value{reply->found(), std::move(*reply->mutable_value()), reply->index()};
}

Result<std::string> Client::Prove(const std::string& table, std::string_view key, uint64_t at_least) {
  v1::ProveRequest request;
  request.set_table(table);
  request.set_key(key.data(), key.size());
  request.set_at_least(at_least);
  auto reply = Call(*s_->stub, &v1::Kv::Stub::Prove, request, s_->timeout_ms);
  if (!reply) return reply.error();
  return std::move(*reply->mutable_proof());
}

Result<Written> Client::Put(const std::string& table, std::string_view key, std::string_view value,
                            Wait wait) {
  v1::PutRequest request;
  request.set_table(table);
  request.set_key(key.data(), key.size());
  request.set_value(value.data(), value.size());
  request.set_wait(ToProto(wait));
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::Put, request, s_->timeout_ms));
}

Result<Written> Client::Delete(const std::string& table, std::string_view key, Wait wait) {
  v1::DeleteRequest request;
  request.set_table(table);
  request.set_key(key.data(), key.size());
  request.set_wait(ToProto(wait));
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::Delete, request, s_->timeout_ms));
}

Result<Written> Client::Apply(const Batch& batch, Wait wait, uint64_t* failed) {
  v1::BatchRequest request;
  FillBatch(batch, &request);
  request.set_wait(ToProto(wait));
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::Batch, request, s_->timeout_ms, failed));
}

Result<Written> Client::Sync() {
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::Sync, v1::SyncRequest(), s_->timeout_ms));
}

Result<uint64_t> Client::Scan(const std::string& table, const ScanOptions& options,
                              const std::function<bool(KeyValue row)>& row) {
  v1::ScanRequest request;
  request.set_table(table);
  request.set_prefix(options.prefix);
  request.set_from(options.from);
  request.set_until(options.until);
  request.set_reverse(options.reverse);
  request.set_limit(options.limit);
  request.set_at_least(options.at_least);
  request.set_tag(options.tag);
  if (options.by) Fill(*options.by, request.mutable_by());
  grpc::ClientContext context;
  auto reader = s_->stub->Scan(&context, request);
  v1::ScanReply reply;
  uint64_t index = 0;
  bool enough = false;
  while (!enough && reader->Read(&reply)) {
    index = reply.index();
    for (v1::Row& r : *reply.mutable_rows()) {
      enough = !row({std::move(*r.mutable_key()), std::move(*r.mutable_value())});
      if (enough) break;
    }
  }
  if (enough) context.TryCancel();
  grpc::Status status = reader->Finish();
  if (!status.ok() && !enough) return CodeOf(status, context);
  return index;
}

Status Client::Watch(const std::string& table, std::string_view prefix, uint64_t from, uint64_t timeout_ms,
                     const std::function<bool(Change change)>& change, const std::function<void()>& started) {
  v1::WatchRequest request;
  request.set_table(table);
  request.set_prefix(prefix.data(), prefix.size());
  request.set_from(from);
  grpc::ClientContext context;
  SetTimeout(context, timeout_ms);
  auto reader = s_->stub->Watch(&context, request);
  reader->WaitForInitialMetadata();
  if (started) started();
  v1::WatchReply reply;
  while (reader->Read(&reply)) {
    for (v1::WatchEvent& e : *reply.mutable_events()) {
      Change c;
      c.index = e.index();
      c.key = std::move(*e.mutable_key());
      c.kind = e.has_mark() ? Change::Kind::kMark
                            : (e.has_deleted() ? Change::Kind::kDeleted : Change::Kind::kPut);
      if (e.has_put()) c.value = std::move(*e.mutable_put());
      if (change(std::move(c))) continue;
      context.TryCancel();
      reader->Finish().ok();
      return Ok();
    }
  }
  grpc::Status status = reader->Finish();
  return status.ok() ? Ok() : Status(CodeOf(status, context));
}

Result<Written> Client::CreateTable(const std::string& table, const TableOptions& options) {
  v1::CreateTableRequest request;
  request.set_table(table);
  request.set_never_inline(options.never_inline);
  request.set_leaf_rows_max(options.leaf_rows_max);
  request.set_inner_children_max(options.inner_children_max);
  request.set_layout(options.layout == Layout::kPatricia ? v1::LAYOUT_PATRICIA : v1::LAYOUT_BTREE);
  request.set_key_type(TypeOf(options.key_type));
  request.set_value_type(TypeOf(options.value_type));
  request.set_transient(options.transient);
  request.set_share_values(options.share_values);
  for (const Index& index : options.indexes) Fill(index, request.add_indexes());
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::CreateTable, request, s_->timeout_ms));
}

Result<Written> Client::CreateIndex(const std::string& table, const Index& index) {
  v1::CreateIndexRequest request;
  request.set_table(table);
  Fill(index, request.mutable_index());
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::CreateIndex, request, 0));
}

Result<Written> Client::DropIndex(const std::string& table, const std::string& index) {
  v1::DropIndexRequest request;
  request.set_table(table);
  request.set_index(index);
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::DropIndex, request, s_->timeout_ms));
}

Result<Written> Client::DropTable(const std::string& table) {
  v1::DropTableRequest request;
  request.set_table(table);
  return ToWritten(Call(*s_->stub, &v1::Kv::Stub::DropTable, request, s_->timeout_ms));
}

Result<std::vector<Table>> Client::ListTables() {
  auto reply = Call(*s_->stub, &v1::Kv::Stub::ListTables, v1::ListTablesRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  std::vector<Table> tables;
  for (const v1::TableInfo& t : reply->tables()) tables.push_back(TableOf(t));
  return tables;
}

Result<Table> Client::Describe(const std::string& table, const std::string& tag) {
  v1::ListTablesRequest request;
  request.set_table(table);
  request.set_tag(tag);
  auto reply = Call(*s_->stub, &v1::Kv::Stub::ListTables, request, s_->timeout_ms);
  if (!reply) return reply.error();
  if (table.empty() || reply->tables_size() != 1) return Code::kNoTable;
  return TableOf(reply->tables(0));
}

struct AdminClient::State {
  std::shared_ptr<Channel> channel;
  std::unique_ptr<v1::Admin::Stub> stub;
  uint64_t timeout_ms;
};

Result<std::unique_ptr<AdminClient>> AdminClient::Connect(const ClientConfig& config) {
  HF_TRY(auto channel, OpenAdminChannel(config));
  return std::make_unique<AdminClient>(std::move(channel));
}

AdminClient::AdminClient(std::shared_ptr<Channel> channel, uint64_t timeout_ms)
    : s_(new State{channel, v1::Admin::NewStub(channel->grpc_channel), timeout_ms}) {}
AdminClient::~AdminClient() = default;

Result<ServerStatus> AdminClient::GetStatus() {
  auto reply = Call(*s_->stub, &v1::Admin::Stub::Status, v1::StatusRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  ServerStatus s;
  s.store = HexUpper(AsBytes(reply->store()));
  s.member = HexUpper(AsBytes(reply->member()));
  s.term = reply->term();
  s.committed = reply->committed();
  s.applied = reply->applied();
  s.saved = reply->saved();
  s.save = reply->save();
  s.dirty_bytes = reply->dirty_bytes();
  s.cache_bytes = reply->cache_bytes();
  s.cache_bytes_max = reply->cache_bytes_max();
  s.segments = reply->segments();
  s.segment_bytes = reply->segment_bytes();
  s.live_bytes = reply->live_bytes();
  s.connections = reply->connections();
  s.full = reply->full();
  s.failed = reply->failed();
  s.freshness = reply->freshness();
  s.anchor = reply->anchor();
  for (const auto& [name, value] : reply->metrics()) s.metrics.emplace_back(name, value);
  std::sort(s.metrics.begin(), s.metrics.end());
  for (const v1::Series& m : reply->series()) {
    s.series.push_back({m.name(), m.label(), m.value(), m.nanoseconds()});
  }
  s.isolation = reply->isolation();
  return s;
}

Result<uint64_t> AdminClient::SaveState() {
  auto reply = Call(*s_->stub, &v1::Admin::Stub::SaveState, v1::SaveStateRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  return uint64_t{reply->index()};
}

Status AdminClient::Verify(bool require_fresh, const Bytes& anchor,
                           const std::function<void(const std::string& line)>& line) {
  v1::VerifyRequest request;
  request.set_require_fresh(require_fresh);
  request.set_anchor(anchor.data(), anchor.size());
  grpc::ClientContext context;
  auto reader = s_->stub->Verify(&context, request);
  v1::VerifyReply reply;
  while (reader->Read(&reply)) {
    for (const std::string& text : reply.lines()) line(text);
  }
  grpc::Status status = reader->Finish();
  return status.ok() ? Ok() : Status(CodeOf(status, context));
}

Result<uint64_t> AdminClient::CreateTag(const std::string& name) {
  v1::CreateTagRequest request;
  request.set_name(name);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::CreateTag, request, 0);
  if (!reply) return reply.error();
  return uint64_t{reply->index()};
}

Status AdminClient::DropTag(const std::string& name) {
  v1::DropTagRequest request;
  request.set_name(name);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::DropTag, request, 0);
  return reply ? Ok() : Status(reply.error());
}

namespace {

TagEntry FromProto(const v1::Tag& t) {
  return {t.name(), t.index(), t.tables(), t.rows(), t.alone_bytes(), t.deadlist_bytes()};
}

}  // namespace

Result<std::vector<TagEntry>> AdminClient::ListTags() {
  auto reply = Call(*s_->stub, &v1::Admin::Stub::ListTags, v1::ListTagsRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  std::vector<TagEntry> tags;
  for (const v1::Tag& t : reply->tags()) tags.push_back(FromProto(t));
  return tags;
}

Result<std::vector<std::pair<std::string, uint64_t>>> AdminClient::TagTables(const std::string& tag) {
  v1::ListTagsRequest request;
  request.set_tables_of(tag);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::ListTags, request, s_->timeout_ms);
  if (!reply) return reply.error();
  std::vector<std::pair<std::string, uint64_t>> tables;
  for (const v1::TagTable& t : reply->tables()) tables.emplace_back(t.table(), t.rows());
  return tables;
}

Status AdminClient::Diff(const std::string& from, const std::string& to, const std::string& table,
                         const std::function<bool(DiffEntry row)>& row) {
  v1::DiffRequest request;
  request.set_from(from);
  request.set_to(to);
  request.set_table(table);
  grpc::ClientContext context;
  auto reader = s_->stub->Diff(&context, request);
  v1::DiffReply reply;
  std::optional<DiffEntry> last;  // the next one may continue it
  bool enough = false;
  while (!enough && reader->Read(&reply)) {
    for (v1::DiffRow& r : *reply.mutable_rows()) {
      if (r.continued() && last) {
        last->after = std::move(*r.mutable_after());
        continue;
      }
      enough = last && !row(std::move(*last));
      if (enough) break;
      last.emplace(DiffEntry{std::move(*r.mutable_table()), std::move(*r.mutable_key()), {}, {}});
      if (r.has_before()) last->before = std::move(*r.mutable_before());
      if (r.has_after()) last->after = std::move(*r.mutable_after());
    }
  }
  if (enough) context.TryCancel();
  grpc::Status status = reader->Finish();
  if (enough) return Ok();
  if (!status.ok()) return CodeOf(status, context);
  if (last) (void)row(std::move(*last));
  return Ok();
}

Result<Providers> AdminClient::GetProviders(bool repair) {
  v1::ProvidersRequest request;
  request.set_repair(repair);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::Providers, request, repair ? 0 : s_->timeout_ms);
  if (!reply) return reply.error();
  Providers p;
  p.write_quorum = reply->write_quorum();
  p.bad_objects = reply->bad_objects();
  for (const v1::ProviderState& s : reply->providers()) {
    p.list.push_back({s.current(), s.why(), s.queued(), s.queued_bytes(), s.errors(), s.bad_objects(),
                      s.repaired(), s.milliseconds_since_success()});
  }
  return p;
}

Result<Garbage> AdminClient::CollectGarbage(bool collect) {
  v1::GarbageRequest request;
  request.set_collect(collect);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::Garbage, request, collect ? 0 : s_->timeout_ms);
  if (!reply) return reply.error();
  Garbage g{.save = reply->save(),
            .segments = reply->segments(),
            .bytes = reply->bytes(),
            .live_bytes = reply->live_bytes(),
            .tagged_bytes = reply->tagged_bytes(),
            .garbage_bytes = reply->garbage_bytes(),
            .condemned_segments = reply->condemned_segments(),
            .condemned_bytes = reply->condemned_bytes(),
            .victims = reply->victims(),
            .moved_bytes = reply->moved_bytes(),
            .freed_bytes = reply->freed_bytes(),
            .cleanings_owed = reply->cleanings_owed(),
            .list = {},
            .tags = {}};
  for (const v1::SegmentGarbage& s : reply->list()) {
    g.list.push_back({s.name(), s.bytes(), s.live_bytes(), s.tagged_bytes(), s.condemned(), s.victim()});
  }
  for (const v1::Tag& t : reply->tags()) g.tags.push_back(FromProto(t));
  return g;
}

namespace {
Status SendChange(v1::Admin::Stub& stub, uint64_t timeout_ms, v1::ChangePassphraseRequest::Change change,
                  const SecretBytes& passphrase, ByteView another, uint32_t number) {
  v1::ChangePassphraseRequest request;
  request.set_change(change);
  request.set_number(number);
  request.set_old_passphrase(ToText(passphrase.view()));
  request.set_new_passphrase(ToText(another));
  auto reply = Call(stub, &v1::Admin::Stub::ChangePassphrase, request, timeout_ms);
  Wipe(request.mutable_old_passphrase()->data(), request.old_passphrase().size());
  Wipe(request.mutable_new_passphrase()->data(), request.new_passphrase().size());
  return reply ? Ok() : Status(reply.error());
}
}  // namespace

Status AdminClient::ChangePassphrase(const SecretBytes& old_passphrase, const SecretBytes& new_passphrase) {
  return SendChange(*s_->stub, s_->timeout_ms, v1::ChangePassphraseRequest::REPLACE, old_passphrase,
                    new_passphrase.view(), 0);
}

Status AdminClient::AddPassphrase(const SecretBytes& passphrase, const SecretBytes& another) {
  return SendChange(*s_->stub, s_->timeout_ms, v1::ChangePassphraseRequest::ADD, passphrase, another.view(),
                    0);
}

Status AdminClient::RemoveUnlocker(const SecretBytes& passphrase, uint32_t number) {
  return SendChange(*s_->stub, s_->timeout_ms, v1::ChangePassphraseRequest::REMOVE, passphrase, {}, number);
}

Result<std::vector<Unlocker>> AdminClient::ListUnlockers() {
  auto reply = Call(*s_->stub, &v1::Admin::Stub::ListUnlockers, v1::ListUnlockersRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  std::vector<Unlocker> list;
  for (const v1::Unlocker& u : reply->unlockers())
    list.push_back({u.number(), u.passphrase(), u.memory_kib(), u.passes()});
  return list;
}

Result<NewClient> AdminClient::AddClient(const std::string& name, bool admin) {
  v1::AddClientRequest request;
  request.set_name(name);
  request.set_admin(admin);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::AddClient, request, s_->timeout_ms);
  if (!reply) return reply.error();
  NewClient client{reply->serial(), SecretBytes(AsBytes(reply->pem())), reply->ca_pem()};
  Wipe(reply->mutable_pem()->data(), reply->pem().size());
  return client;
}

Status AdminClient::RevokeClient(const std::string& serial) {
  v1::RevokeClientRequest request;
  request.set_serial(serial);
  auto reply = Call(*s_->stub, &v1::Admin::Stub::RevokeClient, request, s_->timeout_ms);
  return reply ? Ok() : Status(reply.error());
}

Result<std::vector<ClientEntry>> AdminClient::ListClients() {
  auto reply = Call(*s_->stub, &v1::Admin::Stub::ListClients, v1::ListClientsRequest(), s_->timeout_ms);
  if (!reply) return reply.error();
  std::vector<ClientEntry> clients;
  for (const v1::Client& c : reply->clients())
    clients.push_back({c.serial(), c.name(), c.admin(), c.revoked()});
  return clients;
}

}  // namespace holdfast::sdk
