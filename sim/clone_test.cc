// A live clone: memory, randomness and disk of a running store copied, and both go on with different data
// (rule A1).
#include <gtest/gtest.h>

#include <set>

#include "core/seal/object.h"
#include "sim/disk.h"
#include "sim/world.h"

namespace holdfast::sim {
namespace {

// Passes everything on and keeps what was written.
class Recorder : public seam::Storage {
 public:
  explicit Recorder(seam::Storage& inner) : inner_(inner) {}
  struct Written {
    std::string name;
    Bytes bytes;
  };
  std::vector<Written> written;

  seam::Capabilities capabilities() const override { return inner_.capabilities(); }
  Result<UntrustedBytes> Get(std::string_view name) override { return inner_.Get(name); }
  Result<UntrustedBytes> GetRange(std::string_view name, uint64_t offset, uint64_t length) override {
    return inner_.GetRange(name, offset, length);
  }
  Result<seam::VersionedBytes> GetVersioned(std::string_view name) override {
    return inner_.GetVersioned(name);
  }
  Status Put(std::string_view name, ByteView bytes) override {
    return Keep(name, bytes), inner_.Put(name, bytes);
  }
  Status PutIfAbsent(std::string_view name, ByteView bytes) override {
    return Keep(name, bytes), inner_.PutIfAbsent(name, bytes);
  }
  Result<seam::ObjectVersion> PutIfVersion(std::string_view name, ByteView bytes,
                                           const seam::ObjectVersion& expected) override {
    return Keep(name, bytes), inner_.PutIfVersion(name, bytes, expected);
  }
  Status Delete(std::string_view name) override { return inner_.Delete(name); }
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.List(prefix, after, limit);
  }
  Status Barrier() override { return inner_.Barrier(); }
  Status CreateAppendable(std::string_view name, uint64_t reserve_bytes, ByteView first) override {
    return Keep(name, first), inner_.CreateAppendable(name, reserve_bytes, first);
  }
  Status Append(std::string_view name, uint64_t offset, ByteView bytes) override {
    return Keep(name, bytes), inner_.Append(name, offset, bytes);
  }
  Status Trim(std::string_view name, uint64_t size_bytes) override { return inner_.Trim(name, size_bytes); }

 private:
  void Keep(std::string_view name, ByteView bytes) { written.push_back({std::string(name), ToBytes(bytes)}); }
  seam::Storage& inner_;
};

// The sealed object in what was written, and where it begins: frames and keyrings have something in front.
struct Sealed {
  seal::ObjectHeader header;
  Bytes all;  // what the key and its nonces were used for: header, body, and the name it is bound to
  Bytes body;
};
std::optional<Sealed> SealedIn(const Recorder::Written& w) {
  size_t at = 0;
  seal::ObjectKind kind = seal::ObjectKind::kSegment;
  if (w.name.starts_with("members/")) {
    at = 32;
    kind = seal::ObjectKind::kFrame;
  } else if (w.name.ends_with("/core-enclave")) {
    kind = seal::ObjectKind::kManifest;
  } else if (w.name.ends_with("/key-enclave")) {
    at = 4 + LoadLittle<uint32_t>(w.bytes.data());
    kind = seal::ObjectKind::kKeyring;
  } else if (w.name.starts_with("manifest/")) {
    kind = seal::ObjectKind::kGroup;
  } else if (!w.name.starts_with("segments/")) {
    return std::nullopt;
  }
  auto header = seal::ObjectHeader::Decode(ByteView(w.bytes).subspan(at), kind);
  if (!header) return std::nullopt;
  Sealed s{*header, ToBytes(w.name), {}};
  s.all.insert(s.all.end(), w.bytes.begin(), w.bytes.end());
  size_t body = kind == seal::ObjectKind::kFrame ? 128 : at + seal::kHeaderBytes;
  s.body.assign(w.bytes.begin() + static_cast<ptrdiff_t>(body), w.bytes.end());
  return s;
}

seal::DomainKeys KeysOf(const World& world, seal::ObjectKind kind, const seal::ObjectHeader& header) {
  const store::OpenedStore& s = world.store();
  switch (kind) {
    case seal::ObjectKind::kFrame:
      return s.state->keyring().JournalKeys(header.epoch).value();
    case seal::ObjectKind::kManifest:
    case seal::ObjectKind::kGroup:
      return seal::DomainKeys::Derive(s.secrets.keys.slot_root);
    case seal::ObjectKind::kKeyring:
      return seal::DomainKeys::Derive(s.secrets.keys.keyring_root);
    case seal::ObjectKind::kSegment:
      break;
  }
  // Any table's keys: what counts here is that equal salts with unequal h give unequal keys under each of
  // them.
  return s.state->CurrentView().base->keys.begin()->second.Clone();
}

TEST(RuleA1, ALiveCloneNeverUsesOneKeyForTwoTexts) {
  uint64_t same_salt_other_text = 0, objects = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    std::vector<std::unique_ptr<SimDisk>> disks, anchors;
    std::vector<std::unique_ptr<Recorder>> recorders;
    std::vector<std::unique_ptr<World>> worlds;
    // A run is a function of its configuration: up to wave 40 these are one machine, down to the randomness.
    // From there on the clients differ, and the core of each draws the same "random" bytes.
    for (uint64_t fork = 0; fork < 3; ++fork) {
      disks.push_back(std::make_unique<SimDisk>());
      anchors.push_back(std::make_unique<SimDisk>());
      ASSERT_TRUE(World::Init(seed, *disks.back(), *anchors.back()));
      recorders.push_back(std::make_unique<Recorder>(*disks.back()));
      WorldConfig config{.seed = seed, .fork = fork, .fork_at_wave = 40, .waves = 160};
      config.kernel.save_period_ms = 150;
      worlds.push_back(std::make_unique<World>(config, *recorders.back(), *anchors.back()));
      ASSERT_TRUE(worlds.back()->Open());
      worlds.back()->Run();
      ASSERT_TRUE(worlds.back()->stopped());
      ASSERT_GT(worlds.back()->saves(), 3u);
    }
    std::map<std::string, Bytes> text_of_key;  // key || kind -> everything that was sealed under it
    std::map<std::string, Bytes> body_of_salt;
    for (size_t w = 0; w < worlds.size(); ++w) {
      for (const Recorder::Written& written : recorders[w]->written) {
        auto sealed = SealedIn(written);
        if (!sealed) continue;
        ++objects;
        Key key = seal::ObjectKey(KeysOf(*worlds[w], sealed->header.kind, sealed->header), sealed->header);
        std::string id = ToText(key.view()) + static_cast<char>(sealed->header.kind);
        auto [it, fresh] = text_of_key.emplace(id, sealed->all);
        // Under one key: the same bytes under the same name, so the same nonces for the same texts.
        EXPECT_TRUE(fresh || it->second == sealed->all)
            << "seed " << seed << ": " << written.name << " shares its key with another text";
        std::string salt = ToText(sealed->header.salt) + static_cast<char>(sealed->header.kind);
        auto [other, first] = body_of_salt.emplace(salt, sealed->body);
        if (first || other->second == sealed->body) continue;
        ++same_salt_other_text;
        // Beyond the keys: no 16-byte block of the two ciphertexts is equal at one place, as it would be
        // where two texts that agree there (padding, headers) met one keystream.
        size_t equal = 0, n = std::min(other->second.size(), sealed->body.size()) / 16;
        for (size_t b = 0; b < n; ++b)
          equal +=
              Equal(ByteView(other->second).subspan(b * 16, 16), ByteView(sealed->body).subspan(b * 16, 16));
        EXPECT_EQ(equal, 0u) << "seed " << seed << ": " << written.name << " shares a keystream";
      }
    }
  }
  EXPECT_GT(objects, 1000u);
  EXPECT_GT(same_salt_other_text, 50u)
      << "the clones did not meet one salt with two texts: nothing was shown";
}

}  // namespace
}  // namespace holdfast::sim
