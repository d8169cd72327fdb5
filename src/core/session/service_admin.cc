// The administrator's calls. All of them run on a pool of their own: they are rare, long, and block.
#include "core/session/pki.h"
#include "core/session/service_internal.h"
#include "holdfast/v1/admin.grpc.pb.h"
#include "seam/metrics.h"
#include "sync/mutex.h"

namespace holdfast::session {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

constexpr size_t kValuesTogetherMax = 16u << 20;  // of one row of a diff: a message has at most 20 MiB
constexpr size_t kVerifyLinesHeld = 1024;         // then verification waits for its reader

class VerifyStream final : public grpc::ServerWriteReactor<v1::VerifyReply> {
 public:
  VerifyStream(Services& services, CallbackServerContext* context, VerifyQuestion question)
      : services_(services), context_(context), question_(std::move(question)) {
    if (!services_.admin.Submit([this] { Run(); })) {
      Finish(Failure(context_, Code::kOverloaded));
    }
  }
  void OnWriteDone(bool ok) override {
    std::optional<Status> end;
    {
      sync::MutexLock lock(mutex_);
      writing_ = false;
      if (!ok) cancelled_ = true;
      changed_.NotifyAll();
      Send();
      end = TakeEnd();
    }
    if (end) End(*end);
  }
  void OnCancel() override {
    sync::MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.NotifyAll();
  }
  void OnDone() override { delete this; }

 private:
  void Run() {
    Status status = services_.backend.Verify(question_, [this](const std::string& line) { AddLine(line); });
    std::optional<Status> end;
    {
      sync::MutexLock lock(mutex_);
      status_ = status;
      verified_ = true;
      end = TakeEnd();
    }
    if (end) End(*end);
  }
  void AddLine(const std::string& line) {
    sync::MutexLock lock(mutex_);
    while (!cancelled_ && lines_.size() >= kVerifyLinesHeld) changed_.Wait(mutex_);
    if (cancelled_) return;  // verification goes on to its end unheard
    lines_.push_back(line);
    Send();
  }
  void Send() HF_REQUIRES(mutex_) {
    if (writing_ || cancelled_ || lines_.empty()) return;
    reply_.clear_lines();
    for (std::string& line : lines_) *reply_.add_lines() = std::move(line);
    lines_.clear();
    writing_ = true;
    StartWrite(&reply_);
  }
  // How it ends, for the one caller whose turn that is. Whoever it is not, leaves: this may be gone at once.
  std::optional<Status> TakeEnd() HF_REQUIRES(mutex_) {
    if (!verified_ || writing_ || finished_ || (!lines_.empty() && !cancelled_)) return std::nullopt;
    finished_ = true;
    return status_;
  }
  void End(Status status) {
    Finish(status.has_value() ? grpc::Status::OK : Failure(context_, status.code()));
  }

  Services& services_;
  CallbackServerContext* context_;
  const VerifyQuestion question_;
  sync::Mutex mutex_{sync::LockName::kSession};
  sync::CondVar changed_;
  std::vector<std::string> lines_ HF_GUARDED_BY(mutex_);
  v1::VerifyReply reply_ HF_GUARDED_BY(mutex_);
  Status status_ HF_GUARDED_BY(mutex_);
  bool writing_ HF_GUARDED_BY(mutex_) = false, cancelled_ HF_GUARDED_BY(mutex_) = false,
                verified_ HF_GUARDED_BY(mutex_) = false, finished_ HF_GUARDED_BY(mutex_) = false;
};

// Rows come from a job on the pool, which waits while the reader has not taken what lies here.
class DiffStream final : public grpc::ServerWriteReactor<v1::DiffReply> {
 public:
  DiffStream(Services& services, CallbackServerContext* context, const v1::DiffRequest& request)
      : services_(services), context_(context), request_(request) {
    if (!services_.admin.Submit([this] { Run(); })) Finish(Failure(context_, Code::kOverloaded));
  }
  void OnWriteDone(bool ok) override {
    std::optional<Status> end;
    {
      sync::MutexLock lock(mutex_);
      writing_ = false;
      if (!ok) cancelled_ = true;
      changed_.NotifyAll();
      Send();
      end = TakeEnd();
    }
    if (end) End(*end);
  }
  void OnCancel() override {
    sync::MutexLock lock(mutex_);
    cancelled_ = true;
    changed_.NotifyAll();
  }
  void OnDone() override { delete this; }

 private:
  void Run() {
    Status status = services_.backend.Diff(request_.from(), request_.to(), request_.table(),
                                           [this](store::DiffRow row) { return Add(std::move(row)); });
    std::optional<Status> end;
    {
      sync::MutexLock lock(mutex_);
      status_ = status;
      compared_ = true;
      Send();
      end = TakeEnd();
    }
    if (end) End(*end);
  }
  bool Add(store::DiffRow row) {
    if (!row.before || !row.after || row.before->size() + row.after->size() <= kValuesTogetherMax)
      return Add(std::move(row), false);
    store::DiffRow second{row.table, row.key, std::nullopt, std::move(row.after)};
    row.after.reset();
    return Add(std::move(row), false) && Add(std::move(second), true);
  }
  bool Add(store::DiffRow row, bool continued) {
    sync::MutexLock lock(mutex_);
    while (!cancelled_ && bytes_ >= kReplyBytesTarget && writing_) changed_.Wait(mutex_);
    if (cancelled_) return false;
    bytes_ +=
        row.key.size() + (row.before ? row.before->size() : 0) + (row.after ? row.after->size() : 0) + 64;
    rows_.push_back({std::move(row), continued});
    if (bytes_ >= kReplyBytesTarget) Send();
    return true;
  }
  void Send() HF_REQUIRES(mutex_) {
    if (writing_ || cancelled_ || rows_.empty() || (bytes_ < kReplyBytesTarget && !compared_)) return;
    reply_.clear_rows();
    for (auto& [row, continued] : rows_) {
      v1::DiffRow* to = reply_.add_rows();
      to->set_continued(continued);
      to->set_table(std::move(row.table));
      to->set_key(row.key.data(), row.key.size());
      if (row.before) to->set_before(row.before->data(), row.before->size());
      if (row.after) to->set_after(row.after->data(), row.after->size());
    }
    rows_.clear();
    bytes_ = 0;
    writing_ = true;
    StartWrite(&reply_);
  }
  std::optional<Status> TakeEnd() HF_REQUIRES(mutex_) {
    if (!compared_ || writing_ || finished_ || (!rows_.empty() && !cancelled_)) return std::nullopt;
    finished_ = true;
    return status_;
  }
  void End(Status status) {
    Finish(status.has_value() ? grpc::Status::OK : Failure(context_, status.code()));
  }

  Services& services_;
  CallbackServerContext* context_;
  const v1::DiffRequest request_;
  sync::Mutex mutex_{sync::LockName::kSession};
  sync::CondVar changed_;
  std::vector<std::pair<store::DiffRow, bool>> rows_ HF_GUARDED_BY(mutex_);  // one may exceed the target
  size_t bytes_ HF_GUARDED_BY(mutex_) = 0;
  v1::DiffReply reply_ HF_GUARDED_BY(mutex_);
  Status status_ HF_GUARDED_BY(mutex_);
  bool writing_ HF_GUARDED_BY(mutex_) = false, cancelled_ HF_GUARDED_BY(mutex_) = false,
                compared_ HF_GUARDED_BY(mutex_) = false, finished_ HF_GUARDED_BY(mutex_) = false;
};

class AdminService final : public v1::Admin::CallbackService {
 public:
  explicit AdminService(Services& services) : services_(services) {}

  ServerUnaryReactor* Status(CallbackServerContext* context, const v1::StatusRequest*,
                             v1::StatusReply* reply) override {
    return OnPool(context, [this, reply] {
      services_.backend.SampleMetrics();
      FillStatus(services_.backend.Status_(), reply);
      FillSeries(reply);
      reply->set_connections(services_.edge->connections());
      return Ok();
    });
  }

  ServerUnaryReactor* SaveState(CallbackServerContext* context, const v1::SaveStateRequest*,
                                v1::SaveStateReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    services_.backend.SaveState([context, reactor, reply](const WriteReply& done) {
      if (!done.status.has_value()) return reactor->Finish(Failure(context, done.status.code()));
      reply->set_index(done.index.value);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

  grpc::ServerWriteReactor<v1::VerifyReply>* Verify(CallbackServerContext* context,
                                                    const v1::VerifyRequest* request) override {
    VerifyQuestion question;
    question.require_fresh = request->require_fresh();
    if (!request->anchor().empty()) question.anchor = ToBytes(request->anchor());
    return new VerifyStream(services_, context, std::move(question));
  }

  grpc::ServerWriteReactor<v1::DiffReply>* Diff(CallbackServerContext* context,
                                                const v1::DiffRequest* request) override {
    return new DiffStream(services_, context, *request);
  }

  ServerUnaryReactor* CreateTag(CallbackServerContext* context, const v1::CreateTagRequest* request,
                                v1::CreateTagReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    std::string name = request->name();
    services_.backend.CreateTag(name, [this, name, context, reactor, reply](const WriteReply& done) {
      if (!done.status.has_value()) return reactor->Finish(Failure(context, done.status.code()));
      // The save has it now; what it is, is asked where one may wait.
      StartOnPool(context, reactor, [this, name, reactor, reply] {
        for (const store::TagInfo& tag : services_.backend.ListTags()) {
          if (tag.name == name) reply->set_index(tag.index.value);
        }
        reactor->Finish(grpc::Status::OK);
      });
    });
    return reactor;
  }

  ServerUnaryReactor* DropTag(CallbackServerContext* context, const v1::DropTagRequest* request,
                              v1::DropTagReply*) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    services_.backend.DropTag(request->name(), [context, reactor](const WriteReply& done) {
      reactor->Finish(done.status.has_value() ? grpc::Status::OK : Failure(context, done.status.code()));
    });
    return reactor;
  }

  ServerUnaryReactor* ListTags(CallbackServerContext* context, const v1::ListTagsRequest* request,
                               v1::ListTagsReply* reply) override {
    std::string tables_of = request->tables_of();
    return OnPool(context, [this, tables_of, reply]() -> holdfast::Status {
      if (!tables_of.empty()) {
        HF_TRY(std::vector<store::TagTable> tables, services_.backend.TagTables(tables_of));
        for (const store::TagTable& t : tables) {
          v1::TagTable* table = reply->add_tables();
          table->set_table(t.name);
          table->set_rows(t.rows);
        }
      }
      for (const store::TagInfo& tag : services_.backend.ListTags()) FillTag(tag, reply->add_tags());
      return Ok();
    });
  }

  ServerUnaryReactor* Garbage(CallbackServerContext* context, const v1::GarbageRequest* request,
                              v1::GarbageReply* reply) override {
    bool collect = request->collect();
    return OnPool(context, [this, collect, reply]() -> holdfast::Status {
      HF_TRY(store::GarbageReport report, services_.backend.Garbage(collect));
      FillGarbage(report, reply);
      return Ok();
    });
  }

  ServerUnaryReactor* Providers(CallbackServerContext* context, const v1::ProvidersRequest* request,
                                v1::ProvidersReply* reply) override {
    bool repair = request->repair();
    return OnPool(context, [this, repair, reply]() -> holdfast::Status {
      HF_TRY(Backend::Providers providers, services_.backend.GetProviders(repair));
      reply->set_write_quorum(providers.quorum.write);
      reply->set_bad_objects(providers.bad_objects);
      for (const seam::CopyState& s : providers.states) {
        v1::ProviderState* to = reply->add_providers();
        to->set_current(s.current);
        to->set_why(static_cast<uint32_t>(s.why));
        to->set_queued(s.queued);
        to->set_queued_bytes(s.queued_bytes);
        to->set_errors(s.errors);
        to->set_bad_objects(s.bad_objects);
        to->set_repaired(s.repaired);
        to->set_milliseconds_since_success(s.milliseconds_since_success);
      }
      return Ok();
    });
  }

  ServerUnaryReactor* ChangePassphrase(CallbackServerContext* context,
                                       const v1::ChangePassphraseRequest* request,
                                       v1::ChangePassphraseReply*) override {
    auto old_passphrase = std::make_shared<SecretBytes>(AsBytes(request->old_passphrase()));
    auto new_passphrase = std::make_shared<SecretBytes>(AsBytes(request->new_passphrase()));
    // gRPC keeps copies of its own which we cannot reach; this one at least does not stay.
    WipeString(request->old_passphrase());
    WipeString(request->new_passphrase());
    return OnPool(context, [this, old_passphrase, new_passphrase]() -> holdfast::Status {
      if (new_passphrase->view().empty() || new_passphrase->view().size() > limits::kPassphraseBytesMax ||
          old_passphrase->view().size() > limits::kPassphraseBytesMax) {
        return Code::kInvalidArgument;
      }
      return services_.backend.ChangePassphrase(std::move(*old_passphrase), std::move(*new_passphrase));
    });
  }

  ServerUnaryReactor* AddClient(CallbackServerContext* context, const v1::AddClientRequest* request,
                                v1::AddClientReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    return StartOnPool(context, reactor, [this, context, reactor, request, reply] {
      auto issued = Issue(request->name(), request->admin());
      if (!issued) return reactor->Finish(Failure(context, issued.code()));
      reply->set_serial(issued->serial);
      reply->set_pem(ToText(issued->pem.view()));
      reply->set_ca_pem(issued->ca_pem);
      StoreClient({issued->serial, request->name(), request->admin(), false}, context, reactor);
    });
  }

  ServerUnaryReactor* RevokeClient(CallbackServerContext* context, const v1::RevokeClientRequest* request,
                                   v1::RevokeClientReply*) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    auto client = services_.clients.Find(request->serial());
    if (!client) {
      reactor->Finish(Failure(context, Code::kNoClient));
    } else {
      client->revoked = true;
      StoreClient(*client, context, reactor);
    }
    return reactor;
  }

  ServerUnaryReactor* ListClients(CallbackServerContext* context, const v1::ListClientsRequest*,
                                  v1::ListClientsReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    for (const ClientInfo& info : services_.clients.All()) {
      v1::Client* c = reply->add_clients();
      c->set_serial(info.serial);
      c->set_name(info.name);
      c->set_admin(info.admin);
      c->set_revoked(info.revoked);
    }
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  static void WipeString(const std::string& s) { Wipe(const_cast<char*>(s.data()), s.size()); }

  ServerUnaryReactor* StartOnPool(CallbackServerContext* context, ServerUnaryReactor* reactor,
                                  WorkPool::Job job) {
    if (!services_.admin.Submit(std::move(job))) reactor->Finish(Failure(context, Code::kOverloaded));
    return reactor;
  }
  template <typename Work>
  ServerUnaryReactor* OnPool(CallbackServerContext* context, Work work) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    return StartOnPool(context, reactor, [context, reactor, work]() mutable {
      holdfast::Status status = work();
      reactor->Finish(status.has_value() ? grpc::Status::OK : Failure(context, status.code()));
    });
  }

  // The CA's key is read for the occasion and wiped behind it.
  Result<IssuedClient> Issue(const std::string& name, bool admin) {
    HF_TRY(auto cert, services_.backend.GetSystem(kCaCertRow));
    HF_TRY(auto key, services_.backend.GetSystem(kCaKeyRow));
    if (!cert || !key) return Code::kMissing;
    auto issued = IssueClient(*cert, *key, name, admin, services_.random);
    Wipe(key->data(), key->size());
    return issued;
  }

  // Answers when the row is durable; only then do handshakes see it, and a revoked client's connections end.
  void StoreClient(const ClientInfo& client, CallbackServerContext* context, ServerUnaryReactor* reactor) {
    services_.backend.PutSystem({{std::string(kClientRowPrefix) + client.serial, EncodeClient(client)}},
                                [this, client, context, reactor](const WriteReply& done) {
                                  if (!done.status.has_value()) {
                                    return reactor->Finish(Failure(context, done.status.code()));
                                  }
                                  services_.clients.Put(client);
                                  if (client.revoked) services_.edge->EndClient(client.serial);
                                  reactor->Finish(grpc::Status::OK);
                                });
  }

  static void FillTag(const store::TagInfo& from, v1::Tag* to) {
    to->set_name(from.name);
    to->set_index(from.index.value);
    to->set_tables(from.tables);
    to->set_rows(from.rows);
    to->set_alone_bytes(from.alone_bytes);
    to->set_deadlist_bytes(from.deadlist_bytes);
  }

  static void FillGarbage(const store::GarbageReport& from, v1::GarbageReply* to) {
    to->set_save(from.save.value);
    to->set_segments(from.segments);
    to->set_bytes(from.bytes);
    to->set_live_bytes(from.live_bytes);
    to->set_tagged_bytes(from.tagged_bytes);
    to->set_garbage_bytes(from.garbage_bytes);
    to->set_condemned_segments(from.condemned_segments);
    to->set_condemned_bytes(from.condemned_bytes);
    to->set_victims(from.victims);
    to->set_moved_bytes(from.moved_bytes);
    to->set_freed_bytes(from.freed_bytes);
    to->set_cleanings_owed(from.cleanings_owed);
    for (const auto& s : from.list) {
      v1::SegmentGarbage* segment = to->add_list();
      segment->set_name(s.name);
      segment->set_bytes(s.bytes);
      segment->set_live_bytes(s.live_bytes);
      segment->set_tagged_bytes(s.tagged_bytes);
      segment->set_condemned(s.condemned);
      segment->set_victim(s.victim);
    }
    for (const store::TagInfo& tag : from.tags) FillTag(tag, to->add_tags());
  }

  static void FillStatus(const StoreStatus& from, v1::StatusReply* to) {
    to->set_store(from.store.bytes.data(), from.store.bytes.size());
    to->set_member(from.member.bytes.data(), from.member.bytes.size());
    to->set_term(from.term.value);
    to->set_committed(from.committed.value);
    to->set_applied(from.applied.value);
    to->set_saved(from.saved.value);
    to->set_save(from.save.value);
    to->set_dirty_bytes(from.dirty_bytes);
    to->set_cache_bytes(from.cache_bytes);
    to->set_cache_bytes_max(from.cache_bytes_max);
    to->set_segments(from.segments);
    to->set_segment_bytes(from.segment_bytes);
    to->set_live_bytes(from.live_bytes);
    to->set_full(from.full);
    to->set_failed(static_cast<uint32_t>(from.failed));
    to->set_freshness(from.freshness);
    to->set_anchor(from.anchor);
    to->set_isolation(from.isolation);
    auto& metrics = *to->mutable_metrics();
    metrics["waves"] = from.kernel.waves;
    metrics["entries"] = from.kernel.entries;
    metrics["wave_bytes"] = from.kernel.wave_bytes;
    metrics["overloaded"] = from.kernel.overloaded;
    metrics["saves"] = from.kernel.saves;
    metrics["full_retries"] = from.kernel.full_retries;
    metrics["commit_us_ewma"] = from.kernel.commit_us_ewma;
    metrics["pending_bytes"] = from.kernel.pending_bytes;
    metrics["in_flight"] = from.kernel.in_flight;
  }

  static void FillSeries(v1::StatusReply* to) {
    std::vector<uint64_t> values = seam::Metrics().Values();
    for (size_t i = 0; i < values.size(); ++i) {
      const seam::MetricInfo& info = seam::InfoOf(static_cast<seam::Metric>(i));
      v1::Series* series = to->add_series();
      series->set_name(info.name.data(), info.name.size());
      series->set_label(info.label.data(), info.label.size());
      series->set_value(values[i]);
      series->set_nanoseconds(info.unit == seam::MetricUnit::kNanoseconds);
    }
  }

  Services& services_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewAdminService(Services& services) {
  return std::make_unique<AdminService>(services);
}

}  // namespace holdfast::session
