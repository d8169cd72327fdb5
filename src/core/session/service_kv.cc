// The unary calls of Kv. Nothing here blocks: writes are answered by their completion, reads run on the pool.
#include "core/session/service_internal.h"

namespace holdfast::session {
namespace {

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

class KvService final : public v1::Kv::CallbackService {
 public:
  explicit KvService(Services& services) : services_(services) {}

  ServerUnaryReactor* Get(CallbackServerContext* context, const v1::GetRequest* request,
                          v1::GetReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    if (auto now = ReadNow(services_.backend, *request, LogIndex())) {
      Tell(context, std::move(*now), reply, reactor);
      return reactor;
    }
    gpr_timespec deadline = DeadlineOf(*context);
    auto job = [this, context, request, reply, reactor, deadline] {
      Read(context, request, reply, reactor, deadline, false);
    };
    if (!services_.reads.Submit(std::move(job))) reactor->Finish(Failure(context, Code::kOverloaded));
    return reactor;
  }

  ServerUnaryReactor* Put(CallbackServerContext* context, const v1::PutRequest* request,
                          v1::WriteReply* reply) override {
    return Write(context, *request, reply);
  }
  ServerUnaryReactor* Delete(CallbackServerContext* context, const v1::DeleteRequest* request,
                             v1::WriteReply* reply) override {
    return Write(context, *request, reply);
  }
  ServerUnaryReactor* Batch(CallbackServerContext* context, const v1::BatchRequest* request,
                            v1::WriteReply* reply) override {
    return Write(context, *request, reply);
  }
  ServerUnaryReactor* Sync(CallbackServerContext* context, const v1::SyncRequest*,
                           v1::WriteReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    return Park(context, reactor, [&] { services_.backend.Sync(Answer(context, reactor, reply)); });
  }

  ServerUnaryReactor* CreateTable(CallbackServerContext* context, const v1::CreateTableRequest* request,
                                  v1::WriteReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    auto d = DescriptorOf(*request);
    if (!d) {
      reactor->Finish(Failure(context, d.code()));
      return reactor;
    }
    return Park(context, reactor,
                [&] { services_.backend.CreateTable(*d, Answer(context, reactor, reply)); });
  }
  ServerUnaryReactor* DropTable(CallbackServerContext* context, const v1::DropTableRequest* request,
                                v1::WriteReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    return Park(context, reactor,
                [&] { services_.backend.DropTable(request->table(), Answer(context, reactor, reply)); });
  }
  ServerUnaryReactor* ListTables(CallbackServerContext* context, const v1::ListTablesRequest*,
                                 v1::ListTablesReply* reply) override {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    for (const TableInfo& table : services_.backend.ListTables()) {
      if (table.descriptor.name.empty()) continue;  // system tables
      v1::TableInfo* info = reply->add_tables();
      info->set_table(table.descriptor.name);
      info->set_id(table.id.bytes.data(), table.id.bytes.size());
      info->set_rows(table.rows);
      info->set_never_inline(!table.descriptor.inline_values);
      info->set_leaf_rows_max(table.descriptor.leaf_rows_max);
      info->set_inner_children_max(table.descriptor.inner_children_max);
    }
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerWriteReactor<v1::ScanReply>* Scan(CallbackServerContext* context,
                                                const v1::ScanRequest* request) override {
    return NewScan(services_, context, request);
  }
  grpc::ServerWriteReactor<v1::WatchReply>* Watch(CallbackServerContext* context,
                                                  const v1::WatchRequest* request) override {
    return NewWatch(services_, context, request);
  }
  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionReply>* Session(
      CallbackServerContext* context) override {
    return NewSessionStream(services_, context);
  }

 private:
  // `waits`: has a place among those that wait for their index.
  void Read(CallbackServerContext* context, const v1::GetRequest* request, v1::GetReply* reply,
            ServerUnaryReactor* reactor, gpr_timespec deadline, bool waits) {
    auto read = context->IsCancelled() ? Result<v1::GetReply>(Code::kCancelled)
                                       : ReadOne(services_.backend, *request, LogIndex(), kWaitSliceMs);
    if (!read && read.code() == Code::kDeadline && LeftMs(deadline) > 0) {
      if (!waits && !services_.waits.Take()) {
        return reactor->Finish(Failure(context, services_.waits.code()));
      }
      return services_.reads.Continue([=, this] { Read(context, request, reply, reactor, deadline, true); });
    }
    if (waits) services_.waits.Leave();
    Tell(context, std::move(read), reply, reactor);
  }
  static void Tell(CallbackServerContext* context, Result<v1::GetReply> read, v1::GetReply* reply,
                   ServerUnaryReactor* reactor) {
    if (!read) return reactor->Finish(Failure(context, read.code()));
    *reply = std::move(read).value();
    reactor->Finish(grpc::Status::OK);
  }

  // A call that waits until its command is answered: `submit` hands its Answer to the backend, which calls it
  // exactly once, and with it the place is left.
  template <typename Submit>
  ServerUnaryReactor* Park(CallbackServerContext* context, ServerUnaryReactor* reactor, Submit submit) {
    if (services_.waits.Take()) {
      submit();
    } else {
      reactor->Finish(Failure(context, services_.waits.code()));
    }
    return reactor;
  }

  // Context and reply live until the reactor has finished, and only this finishes it.
  WriteDone Answer(CallbackServerContext* context, ServerUnaryReactor* reactor, v1::WriteReply* reply) {
    return [context, reply, reactor, &waits = services_.waits](const WriteReply& done) {
      waits.Leave();
      if (!done.status.has_value()) return reactor->Finish(Failure(context, done.status.code(), done.detail));
      FillReply(done, reply);
      reactor->Finish(grpc::Status::OK);
    };
  }

  template <typename Request>
  ServerUnaryReactor* Write(CallbackServerContext* context, const Request& request, v1::WriteReply* reply) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    auto batch = BatchOf(services_.backend, request);
    if (!batch) {
      reactor->Finish(Failure(context, batch.code()));
      return reactor;
    }
    return Park(context, reactor, [&] {
      services_.backend.Write(std::move(batch).value(), WaitOf(request.wait()),
                              Answer(context, reactor, reply));
    });
  }

  Services& services_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewKvService(Services& services) {
  return std::make_unique<KvService>(services);
}

}  // namespace holdfast::session
