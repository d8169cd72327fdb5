// DirStorage: the state behind dir.h. Split in three sources: dir.cc (opening, reading, barrier), dir_put.cc
// (whole objects), dir_append.cc (appendables).
//
// Locks, in the order they are taken: barrier_mutex_ > a name's stripe > an appendable's mutex >
// state_mutex_. Beside one stripe another is only tried.
#ifndef HOLDFAST_HOST_KV_DIR_STORAGE_INTERNAL_H_
#define HOLDFAST_HOST_KV_DIR_STORAGE_INTERNAL_H_

#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <vector>

#include "host/kv/dir.h"
#include "host/kv/posix_internal.h"

namespace holdfast::host {

class DirStorage : public seam::Storage {
 public:
  DirStorage(Fd root, OpenMode mode, bool locked, DirOptions options)
      : root_(std::move(root)),
        read_only_(mode == OpenMode::kReadOnly),
        locked_(locked),
        options_(std::move(options)),
        readers_max_(ReadersMax()) {}

  seam::Capabilities capabilities() const override;
  Result<UntrustedBytes> Get(std::string_view name) override;
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override;
  Status GetRangeInto(std::string_view name, uint64_t offset, uint64_t length, UntrustedBytes& out) override;
  Result<seam::VersionedBytes> GetVersioned(std::string_view name) override;
  Status Put(std::string_view name, ByteView bytes) override;
  Status PutIfAbsent(std::string_view name, ByteView bytes) override;
  Result<seam::ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                           const seam::ObjectVersion& expected) override;
  Status Delete(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;
  Status Barrier() override;
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override;
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override;
  Status Trim(std::string_view name, uint64_t size_bytes) override;

 private:
  struct Appendable {
    std::mutex mutex;
    Fd fd;
    std::optional<uint64_t> end;  // append_end.h
    uint64_t size_bytes = 0;
    uint64_t written = 0;   // blocks below were written once: there an append has no metadata to sync
    uint64_t last_use = 0;  // guarded by state_mutex_
  };
  // A file that was just opened for writing, and where it lies.
  struct Opened {
    Fd parent;
    Fd file;
    bool created = false;
  };
  enum class IfThere { kRefuse, kReplace };

  static size_t ReadersMax();  // descriptors that are kept for reading
  // kInvalidArgument, kReadOnly, kPoisoned.
  Status CheckWrite(std::string_view name) const;
  Status CheckAppendable(std::string_view name) const;
  // After a failed write: poisons, and gives the error to return.
  Error Poison(int error);

  Result<Fd> OpenParent(std::string_view name);  // makes what is missing
  Result<Opened> OpenForWrite(std::string_view name, int access, IfThere if_there);
  Status WriteObject(std::string_view name, ByteView bytes, IfThere if_there);
  // Gives up a file that could not be written: kFull, the name removed if we made it; anything else poisons.
  Error Abandon(Opened& opened, std::string_view name, int error);
  Status SyncDirectory(std::string_view path);
  Status SyncDirectoriesAbove(std::string_view name);
  Status FinishWhole(Opened& opened, std::string_view name);    // whole-objects mode: sync and close now
  Status FinishGrouped(Opened& opened, std::string_view name);  // append mode: the next barrier syncs

  Result<seam::ObjectVersion> VersionOf(std::string_view name);  // kNotFound. REQUIRES: the stripe
  void NoteWritten(std::string_view name);

  int FillWithZeros(int fd, uint64_t from, uint64_t to);
  Result<std::shared_ptr<Appendable>> FindAppendable(std::string_view name);
  std::shared_ptr<Appendable> Remember(std::string_view name, std::shared_ptr<Appendable> appendable);
  void Forget(std::string_view name);  // REQUIRES: the stripe, exclusively
  Status Grow(Appendable& appendable, uint64_t to);

  // Names that share a lock (readers of an object against its writer), and of those that were read lately,
  // the descriptors.
  struct Stripe {
    std::shared_mutex mutex;
    std::vector<std::pair<std::string, Fd>> readers;
  };
  Stripe& StripeOf(std::string_view name) {
    return stripes_[std::hash<std::string_view>()(name) % stripes_.size()];
  }
  void KeepReader(Stripe& stripe, std::string_view name);
  void DropSomeReader(const Stripe& but);

  const Fd root_;
  const bool read_only_;
  const bool locked_;
  const DirOptions options_;
  std::atomic<bool> poisoned_ = false;

  std::mutex barrier_mutex_;
  std::array<Stripe, 256> stripes_;
  const size_t readers_max_;
  std::atomic<size_t> readers_ = 0, reader_hand_ = 0;

  std::mutex state_mutex_;  // everything below
  std::map<std::string, Fd, std::less<>> unsynced_files_;
  std::set<std::string, std::less<>> unsynced_directories_;
  std::map<std::string, std::shared_ptr<Appendable>, std::less<>> appendables_;
  std::map<std::string, uint64_t, std::less<>>
      writes_;          // our own writes to names that were asked for a version
  uint64_t clock_ = 0;  // counts writes and uses
};

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_DIR_STORAGE_INTERNAL_H_
