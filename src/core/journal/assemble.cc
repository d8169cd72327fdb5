// A journal that no provider has whole, put together from the frames that each has whole.
#include <map>

#include "core/journal/scan_internal.h"
#include "crypto/hash.h"

namespace holdfast::journal {
namespace {

// What was put together, to be read like any other storage. Gaps are zeros, as a crash leaves them.
class Assembled : public seam::Storage {
 public:
  explicit Assembled(bool append) { capabilities_.append = append; }

  // Of two whole frames at one place the one of higher term: the other was never acknowledged, or it is a
  // fork, which AdoptTail finds in the chains themselves.
  void Lay(const std::string& name, const Place& place, ByteView bytes) {
    Object& object = objects_[name];
    auto [at, fresh] = object.terms.try_emplace(place.offset, place.term);
    if (!fresh && at->second >= place.term) return;
    at->second = place.term;
    if (object.bytes.size() < place.offset + bytes.size()) object.bytes.resize(place.offset + bytes.size());
    std::copy(bytes.begin(), bytes.end(), object.bytes.begin() + static_cast<ptrdiff_t>(place.offset));
  }

  seam::Capabilities capabilities() const override { return capabilities_; }
  Result<UntrustedBytes> Get(std::string_view name) override { return GetRange(name, 0, UINT64_MAX); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    auto it = objects_.find(name);
    if (it == objects_.end()) return Code::kNotFound;
    ByteView bytes = it->second.bytes;
    bytes = bytes.subspan(std::min<uint64_t>(offset, bytes.size()));
    return UntrustedBytes(ToBytes(bytes.first(std::min<uint64_t>(length, bytes.size()))));
  }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t) override {
    seam::Listing all;
    for (const auto& [name, object] : objects_) {
      if (name.starts_with(prefix) && name > after) all.objects.push_back({name, object.bytes.size()});
    }
    return all;
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view) override { return Code::kUnsupported; }
  Status Put(std::string_view, ByteView) override { return Code::kReadOnly; }
  Status PutIfAbsent(std::string_view, ByteView) override { return Code::kReadOnly; }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view, ByteView, const seam::ObjectVersion&) override {
    return Code::kReadOnly;
  }
  Status Delete(std::string_view) override { return Code::kReadOnly; }
  Status Barrier() override { return Code::kReadOnly; }
  Status CreateAppendable(std::string_view, uint64_t, ByteView) override { return Code::kReadOnly; }
  Status Append(std::string_view, uint64_t, ByteView) override { return Code::kReadOnly; }
  Status Trim(std::string_view, uint64_t) override { return Code::kReadOnly; }

 private:
  struct Object {
    Bytes bytes;
    std::map<uint64_t, Term> terms;  // by offset
  };
  seam::Capabilities capabilities_;
  std::map<std::string, Object, std::less<>> objects_;
};

Status LayAll(seam::Storage& storage, const seal::Keyring& keyring, const Key& chain_key,
              const ReadOptions& options, Assembled& image) {
  HF_TRY(std::vector<seam::ObjectInfo> all, seam::ListAll(storage, JournalPrefix(options.id.member)));
  for (const seam::ObjectInfo& info : all) {
    auto number = FrameOfName(options.id.member, info.name);
    if (!number || *number > HighestCredible(options.start)) continue;
    HF_TRY(JournalObject object, ScanObject(storage, keyring, chain_key, options, info, *number));
    for (const Place& place : object.places) {
      if (!place.whole) continue;
      HF_TRY(UntrustedBytes bytes, storage.GetRange(info.name, place.offset, place.length));
      if (crypto::Sha256(bytes.parse()) == place.digest) image.Lay(info.name, place, bytes.parse());
    }
  }
  return Ok();
}

}  // namespace

Result<Chain> ReadAssembled(const std::vector<seam::Storage*>& storages, const seal::Keyring& keyring,
                            const Key& chain_key, const ReadOptions& options) {
  Assembled image(!options.whole_objects);
  for (seam::Storage* storage : storages) {
    Status laid = LayAll(*storage, keyring, chain_key, options, image);
    if (!laid && laid.code() != Code::kUnreachable) return laid.error();
  }
  return ReadChain(image, keyring, chain_key, options);
}

}  // namespace holdfast::journal
