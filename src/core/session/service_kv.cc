// The unary calls of Kv. Nothing here blocks: writes are answered by their completion, reads run on the pool.
#include "core/session/service_internal.h"

namespace holdfast::session {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// One call: its request decoded, its reply until that is encoded. Context, reactor and `out` live until the
// reactor has finished, and only Finish does that, once.
template <typename Request, typename Reply>
struct Call {
  CallbackServerContext* context;
  ServerUnaryReactor* reactor;
  ByteBuffer* out;
  Request request{};
  Reply reply{};

  void Fail(Code code, uint64_t detail = 0) { reactor->Finish(Failure(context, code, detail)); }
  void Finish() {
    Encode(reply, out);
    reactor->Finish(grpc::Status::OK);
  }
};
template <typename Request>
using WriteCall = Call<Request, v1::WriteReply>;
using GetCall = Call<v1::GetRequest, v1::GetReply>;
using ProveCall = Call<v1::ProveRequest, v1::ProveReply>;

// Ends a call that answers with a stream before it has begun.
class NoStream final : public grpc::ServerWriteReactor<ByteBuffer> {
 public:
  explicit NoStream(grpc::Status status) { Finish(std::move(status)); }
  void OnDone() override { delete this; }
};

// Requests come as bytes: messages_internal.h.
template <typename Base>
using RawTables = v1::Kv::WithRawCallbackMethod_CreateTable<
    v1::Kv::WithRawCallbackMethod_DropTable<v1::Kv::WithRawCallbackMethod_ListTables<
        v1::Kv::WithRawCallbackMethod_CreateIndex<v1::Kv::WithRawCallbackMethod_DropIndex<Base>>>>>;
template <typename Base>
using RawWrites = v1::Kv::WithRawCallbackMethod_Put<v1::Kv::WithRawCallbackMethod_Delete<
    v1::Kv::WithRawCallbackMethod_Batch<v1::Kv::WithRawCallbackMethod_Sync<Base>>>>;
template <typename Base>
using RawReads = v1::Kv::WithRawCallbackMethod_Get<v1::Kv::WithRawCallbackMethod_Scan<
    v1::Kv::WithRawCallbackMethod_Watch<v1::Kv::WithRawCallbackMethod_Prove<Base>>>>;
using RawKv = RawTables<RawWrites<RawReads<v1::Kv::WithRawCallbackMethod_Session<v1::Kv::Service>>>>;

class KvService final : public RawKv {
 public:
  explicit KvService(Services& services) : services_(services) {}

  ServerUnaryReactor* Get(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Begin<v1::GetRequest, v1::GetReply>(context, in, out, [this](auto call) {
      if (auto now = ReadNow(services_.backend, call->request, LogIndex()))
        return Tell(*call, std::move(*now));
      gpr_timespec deadline = DeadlineOf(*call->context);
      bool taken = services_.reads.Submit([this, call, deadline] { Read(call, deadline, false); });
      if (!taken) call->Fail(Code::kOverloaded);
    });
  }

  ServerUnaryReactor* Put(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Write<v1::PutRequest>(context, in, out);
  }
  ServerUnaryReactor* Delete(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Write<v1::DeleteRequest>(context, in, out);
  }
  ServerUnaryReactor* Batch(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Write<v1::BatchRequest>(context, in, out);
  }
  ServerUnaryReactor* Sync(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Begin<v1::SyncRequest, v1::WriteReply>(context, in, out, [this](auto call) {
      if (Park(call)) services_.backend.Sync(Answer(call));
    });
  }

  ServerUnaryReactor* CreateTable(CallbackServerContext* context, const ByteBuffer* in,
                                  ByteBuffer* out) override {
    return Begin<v1::CreateTableRequest, v1::WriteReply>(context, in, out, [this](auto call) {
      auto d = DescriptorOf(call->request);
      if (!d) return call->Fail(d.code());
      if (call->request.indexes_size() > static_cast<int>(limits::kIndexesMax))
        return call->Fail(Code::kTooManyIndexes);
      std::vector<IndexSpec> indexes;
      for (const v1::Index& index : call->request.indexes()) indexes.push_back(SpecOf(index));
      if (Park(call)) services_.backend.CreateTableWith(*d, indexes, Answer(call));
    });
  }
  ServerUnaryReactor* CreateIndex(CallbackServerContext* context, const ByteBuffer* in,
                                  ByteBuffer* out) override {
    return Begin<v1::CreateIndexRequest, v1::WriteReply>(context, in, out, [this](auto call) {
      const v1::CreateIndexRequest& request = call->request;
      if (Park(call)) services_.backend.CreateIndex(request.table(), SpecOf(request.index()), Answer(call));
    });
  }
  ServerUnaryReactor* DropIndex(CallbackServerContext* context, const ByteBuffer* in,
                                ByteBuffer* out) override {
    return Begin<v1::DropIndexRequest, v1::WriteReply>(context, in, out, [this](auto call) {
      if (Park(call)) services_.backend.DropIndex(call->request.table(), call->request.index(), Answer(call));
    });
  }
  ServerUnaryReactor* DropTable(CallbackServerContext* context, const ByteBuffer* in,
                                ByteBuffer* out) override {
    return Begin<v1::DropTableRequest, v1::WriteReply>(context, in, out, [this](auto call) {
      if (Park(call)) services_.backend.DropTable(call->request.table(), Answer(call));
    });
  }
  ServerUnaryReactor* ListTables(CallbackServerContext* context, const ByteBuffer* in,
                                 ByteBuffer* out) override {
    return Begin<v1::ListTablesRequest, v1::ListTablesReply>(context, in, out, [this](auto call) {
      if (call->request.table().empty()) {
        for (const TableInfo& table : services_.backend.ListTables()) {
          if (!table.descriptor.name.empty()) FillInfo(table, call->reply.add_tables());  // no system tables
        }
        return call->Finish();
      }
      auto table = services_.backend.Describe(call->request.table(), call->request.tag());
      if (!table) return call->Fail(table.code());
      FillInfo(*table, call->reply.add_tables());
      call->Finish();
    });
  }

  ServerUnaryReactor* Prove(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) override {
    return Begin<v1::ProveRequest, v1::ProveReply>(context, in, out, [this](auto call) {
      if (call->request.key().empty() || call->request.key().size() > limits::kKeyBytesMax)
        return call->Fail(Code::kKeySize);
      gpr_timespec deadline = DeadlineOf(*call->context);
      bool taken = services_.proofs.Submit([this, call, deadline] { MakeProof(call, deadline, false); });
      if (!taken) call->Fail(Code::kOverloaded);
    });
  }

  grpc::ServerWriteReactor<ByteBuffer>* Scan(CallbackServerContext* context, const ByteBuffer* in) override {
    v1::ScanRequest request;
    Status decoded = Decode(Own(in), &request);
    if (!decoded) return new NoStream(Failure(context, decoded.code()));
    return NewScan(services_, context, std::move(request));
  }
  grpc::ServerWriteReactor<ByteBuffer>* Watch(CallbackServerContext* context, const ByteBuffer* in) override {
    v1::WatchRequest request;
    Status decoded = Decode(Own(in), &request);
    if (!decoded) return new NoStream(Failure(context, decoded.code()));
    return NewWatch(services_, context, request);
  }
  grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* Session(CallbackServerContext* context) override {
    return NewSessionStream(services_, context);
  }

 private:
  // gRPC hands its own buffer as const and keeps it until the call ends; the bytes are not needed so long.
  static ByteBuffer* Own(const ByteBuffer* in) { return const_cast<ByteBuffer*>(in); }

  static IndexSpec SpecOf(const v1::Index& index) { return {index.name(), index.pointer(), index.unique()}; }

  static void FillInfo(const TableInfo& from, v1::TableInfo* to) {
    const tree::Descriptor& d = from.descriptor;
    to->set_table(d.name);
    to->set_id(from.id.bytes.data(), from.id.bytes.size());
    to->set_rows(from.rows);
    to->set_never_inline(!d.inline_values);
    to->set_leaf_rows_max(d.leaf_rows_max);
    to->set_inner_children_max(d.inner_children_max);
    to->set_key_type(ToProto(d.key_type));
    to->set_value_type(ToProto(d.value_type));
    to->set_transient(d.transient);
    to->set_share_values(d.values_in.has_value());
    for (const IndexSpec& index : from.indexes) {
      v1::Index* shown = to->add_indexes();
      shown->set_name(index.name);
      shown->set_pointer(index.pointer);
      shown->set_unique(index.unique);
    }
    if (d.layout != tree::Layout::kPatricia) return;
    to->set_layout(v1::LAYOUT_PATRICIA);
    if (from.saved == LogIndex()) return;
    to->set_root(from.public_root.data(), from.public_root.size());
    to->set_root_index(from.saved.value);
  }

  // `run` gets the call when its request is decoded, and answers it, now or later.
  template <typename Request, typename Reply, typename Run>
  static ServerUnaryReactor* Begin(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out,
                                   Run run) {
    ServerUnaryReactor* reactor = context->DefaultReactor();
    auto call = std::make_shared<Call<Request, Reply>>(Call<Request, Reply>{context, reactor, out});
    Status decoded = Decode(Own(in), &call->request);
    if (decoded) {
      run(std::move(call));
    } else {
      call->Fail(decoded.code());
    }
    return reactor;
  }

  // `waits`: has a place among those that wait for their index.
  void Read(const std::shared_ptr<GetCall>& call, gpr_timespec deadline, bool waits) {
    auto read = call->context->IsCancelled() ? Result<v1::GetReply>(Code::kCancelled)
                                             : ReadOne(services_.backend, call->request, LogIndex());
    if (!read && read.code() == Code::kDeadline && LeftMs(deadline) > 0) {
      if (!waits && !services_.waits.Take()) return call->Fail(services_.waits.code());
      return services_.parking->Add(
          LogIndex(call->request.at_least()), deadline, [call] { return call->context->IsCancelled(); },
          [this, call, deadline] { Read(call, deadline, true); });
    }
    if (waits) services_.waits.Leave();
    Tell(*call, std::move(read));
  }
  // May wait for a save, never for an index: so it has a thread of its own.
  void MakeProof(const std::shared_ptr<ProveCall>& call, gpr_timespec deadline, bool waits) {
    const v1::ProveRequest& request = call->request;
    LogIndex at_least(request.at_least());
    Result<TableId> table = services_.backend.FindTable(request.table());
    auto proof = call->context->IsCancelled() ? Result<Bytes>(Code::kCancelled)
                 : !table                     ? Result<Bytes>(table.error())
                          : services_.backend.Prove(*table, AsBytes(request.key()), at_least, 0);
    bool early = !proof && services_.backend.AppliedIndex() < at_least && proof.code() == Code::kDeadline;
    if (early && LeftMs(deadline) > 0) {
      if (!waits && !services_.waits.Take()) return call->Fail(services_.waits.code());
      return services_.parking->Add(
          at_least, deadline, [call] { return call->context->IsCancelled(); },
          [this, call, deadline] {
            services_.proofs.Continue([this, call, deadline] { MakeProof(call, deadline, true); });
          });
    }
    if (waits) services_.waits.Leave();
    if (!proof) return call->Fail(proof.code());
    call->reply.set_proof(proof->data(), proof->size());
    call->Finish();
  }
  static void Tell(GetCall& call, Result<v1::GetReply> read) {
    if (!read) return call.Fail(read.code());
    call.reply = std::move(read).value();
    call.Finish();
  }

  // False: too many wait already; the call has been told.
  template <typename Request>
  bool Park(const std::shared_ptr<WriteCall<Request>>& call) {
    if (services_.waits.Take()) return true;
    call->Fail(services_.waits.code());
    return false;
  }

  // Of a parked call. The backend calls it exactly once, and with it the place is left.
  template <typename Request>
  WriteDone Answer(std::shared_ptr<WriteCall<Request>> call) {
    return [call = std::move(call), &waits = services_.waits](const WriteReply& done) {
      waits.Leave();
      if (!done.status.has_value()) return call->Fail(done.status.code(), done.detail);
      FillReply(done, &call->reply);
      call->Finish();
    };
  }

  template <typename Request>
  ServerUnaryReactor* Write(CallbackServerContext* context, const ByteBuffer* in, ByteBuffer* out) {
    return Begin<Request, v1::WriteReply>(context, in, out, [this](auto call) {
      auto batch = BatchOf(services_.backend, call->request);
      if (!batch) return call->Fail(batch.code());
      if (!Park(call)) return;
      kernel::Wait wait = WaitOf(call->request.wait());
      call->request = Request();  // the batch has it all
      services_.backend.Write(std::move(batch).value(), wait, Answer(call));
    });
  }

  Services& services_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewKvService(Services& services) {
  return std::make_unique<KvService>(services);
}

}  // namespace holdfast::session
