// Reads from one provider, with patience: a provider that hangs holds up its own threads and nobody else's.
#ifndef HOLDFAST_CORE_REPLICA_READER_INTERNAL_H_
#define HOLDFAST_CORE_REPLICA_READER_INTERNAL_H_

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "core/replica/replicated.h"
#include "sync/mutex.h"

namespace holdfast::replica {

inline constexpr size_t kReadThreads = 2;  // for each provider; the host has as many

// What is wrong with it is kUnreachable: not there, or no answer in time. Writing is kReadOnly.
class Reader : public seam::Storage {
 public:
  // `storage` may be null.
  Reader(seam::Storage* storage, Threads threads, uint64_t patience_ms);
  ~Reader() override;

  bool slow() const;  // it did not answer in time, lately
  uint64_t errors() const { return errors_; }

  seam::Capabilities capabilities() const override;
  Result<UntrustedBytes> Get(std::string_view name) override;
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view, ByteView) override { return Code::kReadOnly; }
  Status PutIfAbsent(std::string_view, ByteView) override { return Code::kReadOnly; }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kReadOnly;
  }
  Status Delete(std::string_view) override { return Code::kReadOnly; }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status Barrier() override { return Code::kReadOnly; }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kReadOnly; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kReadOnly; }
  Status Trim(std::string_view, uint64_t) override { return Code::kReadOnly; }

 private:
  struct Call {  // outlives a caller that has lost its patience
    std::function<void(seam::Storage&)> work;
    bool done = false;
  };
  void Work();
  // True: `work` has run.
  bool Run(std::function<void(seam::Storage&)> work, uint64_t bytes);
  template <typename T>
  Result<T> Counted(Result<T> result);

  seam::Storage* const storage_;
  const uint64_t patience_ms_;
  std::atomic<uint64_t> errors_{0};
  mutable sync::Mutex mutex_;
  sync::CondVar wake_, done_;
  std::deque<std::shared_ptr<Call>> calls_ HF_GUARDED_BY(mutex_);
  sync::CondVar::Deadline slow_until_ HF_GUARDED_BY(mutex_){};
  size_t busy_ HF_GUARDED_BY(mutex_) = 0;
  bool stopping_ HF_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::replica

#endif  // HOLDFAST_CORE_REPLICA_READER_INTERNAL_H_
