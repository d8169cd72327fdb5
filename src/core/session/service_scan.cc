// Scan: one snapshot, read piece by piece; the next piece is read when gRPC has taken the last one, so a slow
// reader holds one piece, its snapshot, and no thread.
#include "core/session/service_internal.h"

namespace holdfast::session {
namespace {

constexpr size_t kRowsPerPiece = 4096;

class Scan final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  Scan(Services& services, grpc::CallbackServerContext* context, v1::ScanRequest request)
      : services_(services),
        context_(context),
        request_(std::move(request)),
        deadline_(DeadlineOf(*context)) {
    if (!services_.reads.Submit([this] { Begin(); })) Finish(Failure(context_, Code::kOverloaded));
  }
  void OnWriteDone(bool ok) override {
    bytes_.Clear();
    if (!ok) return Finish(Failure(context_, Code::kCancelled));
    if (ended_) return Finish(grpc::Status::OK);
    services_.reads.Continue([this] { Next(); });
  }
  // Whoever runs the next step sees that it is cancelled and finishes.
  void OnCancel() override {}
  void OnDone() override { delete this; }

 private:
  void Begin() {
    Status status = Open();
    bool in_time = LeftMs(deadline_) > 0 && !context_->IsCancelled();
    if (!status.has_value() && status.code() == Code::kDeadline && in_time) {
      if (!waits_) waits_ = Place(services_.waits);
      if (!waits_) return Finish(Failure(context_, services_.waits.code()));
      return services_.parking->Add(
          LogIndex(request_.at_least()), deadline_, [this] { return context_->IsCancelled(); },
          [this] { Begin(); });
    }
    waits_.Leave();
    if (!status.has_value()) return Finish(Failure(context_, status.code()));
    reply_.set_index(snapshot_->index().value);
    Next();
  }

  Status Open() {
    HF_TRY(OpenedTable open, OpenTable(services_.backend, request_.table(), request_.tag()));
    table_ = open.table;
    snapshot_ = std::move(open.snapshot);
    HF_TRY(ScanRange range, RangeHere());
    if (snapshot_ == nullptr) {
      HF_TRY(snapshot_, services_.backend.TakeSnapshot(LogIndex(request_.at_least()), 0));
    }
    left_ = request_.limit() == 0 ? UINT64_MAX : request_.limit();
    from_ = std::move(range.from);
    until_ = std::move(range.until);
    ended_ = range.empty;
    return Ok();
  }

  // By an index: of its keys. Before the snapshot is taken, so that the snapshot has what the index has.
  Result<ScanRange> RangeHere() {
    if (!request_.has_by()) return RangeOf(request_);
    HF_TRY(tree::FieldBounds bounds, BoundsOf(request_));
    const std::string& name = request_.by().index();
    HF_TRY(index_, snapshot_ != nullptr ? snapshot_->FindIndex(table_, name)
                                        : services_.backend.FindIndex(table_, name));
    HF_TRY(tree::IndexRange range, tree::RangeOf(index_->value_type, bounds));
    return ScanRange{std::move(range.from), std::move(range.until), range.empty};
  }

  Status Read(size_t max_rows) {
    const bool reverse = request_.reverse();
    if (index_) {
      return snapshot_->ScanIndex(*index_, from_, until_, reverse, max_rows, kReplyBytesTarget, page_, last_);
    }
    HF_TRY_VOID(snapshot_->ScanPage(table_, from_, until_, reverse, max_rows, kReplyBytesTarget, page_));
    if (!page_.empty()) last_ = ToBytes(page_.key(page_.size() - 1));
    return Ok();
  }

  void Next() {
    if (context_->IsCancelled()) return Finish(Failure(context_, Code::kCancelled));
    reply_.clear_rows();
    if (!ended_) {
      size_t max_rows = left_ < kRowsPerPiece ? static_cast<size_t>(left_) : kRowsPerPiece;
      Status read = Read(max_rows);
      if (!read) return Finish(Failure(context_, read.code()));
      Take();
    }
    if (ended_) snapshot_.reset();  // the pin, as soon as may be
    if (ended_ && reply_.rows().empty() && !first_) return Finish(grpc::Status::OK);
    first_ = false;
    Encode(reply_, &bytes_);
    StartWrite(&bytes_);
  }

  void Take() {
    for (size_t i = 0; i < page_.size(); ++i) {
      v1::Row* to = reply_.add_rows();
      to->set_key(page_.key(i).data(), page_.key(i).size());
      to->set_value(page_.value(i).data(), page_.value(i).size());
    }
    left_ -= page_.size();
    ended_ = page_.empty() || left_ == 0;
    if (page_.empty()) return;
    if (request_.reverse()) {
      until_ = last_;
    } else {
      from_ = last_;
      from_.push_back(0);  // the next possible key
    }
  }

  Services& services_;
  grpc::CallbackServerContext* context_;
  const v1::ScanRequest request_;
  const gpr_timespec deadline_;  // of waiting for the snapshot
  Place waits_;                  // for the snapshot's index
  RowPage page_;
  v1::ScanReply reply_;
  grpc::ByteBuffer bytes_;  // of the reply, gRPC's until it is written
  TableId table_;
  std::unique_ptr<Snapshot> snapshot_;
  std::optional<IndexPlace> index_;
  Bytes from_, until_, last_;
  uint64_t left_ = 0;
  bool ended_ = false, first_ = true;
};

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* NewScan(Services& services, grpc::CallbackServerContext* context,
                                                    v1::ScanRequest request) {
  return new Scan(services, context, std::move(request));
}

}  // namespace holdfast::session
