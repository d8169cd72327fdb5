// ReadChain over a journal of three files that the input edits: a program of (operation, file, place, value).
// Whatever the disk shows, the chain is a prefix of a history that was written, and reading it ends.
#include <iterator>

#include "base/check.h"
#include "core/journal/journal_rig_internal.h"

namespace holdfast::journal {
namespace {

struct Written {
  Rig rig;
  TearingDisk append{true}, whole{false};
  std::vector<Entry> entries[2];
  Written() {
    for (TearingDisk* disk : {&append, &whole}) {
      for (int i = 0; i < 2; ++i) {
        Opener o(rig, *disk, 2048);
        HF_CHECK(bool(o.Open()));
        for (int w = 0; w < 3; ++w)
          HF_CHECK(bool(o.Write({"wave", std::string(static_cast<size_t>(w) * 200, 'x')})));
        auto& all = entries[disk == &whole];
        all.insert(all.end(), o.acknowledged.begin(), o.acknowledged.end());
      }
    }
  }
};

// One edit of `disk`: what a host can do without keys.
void Edit(TearingDisk& disk, uint8_t operation, uint8_t which, uint16_t place, uint8_t value) {
  if (disk.objects.empty()) return;
  auto it = std::next(disk.objects.begin(), which % disk.objects.size());
  Bytes& file = it->second;
  size_t at = file.empty() ? 0 : place % file.size();
  size_t sector = at / limits::kSectorBytes * limits::kSectorBytes;
  switch (operation % 7) {
    case 0:
      if (!file.empty()) file[at] = value;
      break;
    case 1:
      file.resize(at);
      break;
    case 2:
      file.resize(std::min<size_t>(file.size() + place, 1u << 16), value);
      break;
    case 3:
      std::fill_n(file.begin() + static_cast<ptrdiff_t>(sector),
                  std::min(limits::kSectorBytes, file.size() - sector), value);
      break;
    case 4: {  // a sector elsewhere
      auto to = std::next(disk.objects.begin(), value % disk.objects.size());
      ByteView from = ByteView(file).subspan(sector, std::min(limits::kSectorBytes, file.size() - sector));
      Bytes copy = ToBytes(from);
      size_t target = place / limits::kSectorBytes % 8 * limits::kSectorBytes;
      if (to->second.size() < target + copy.size()) to->second.resize(target + copy.size());
      std::copy(copy.begin(), copy.end(), to->second.begin() + static_cast<ptrdiff_t>(target));
      break;
    }
    case 5:
      disk.objects.erase(it);
      break;
    case 6: {  // a file under another number
      Bytes copy = file;
      std::string name = it->first;
      name.back() = static_cast<char>('0' + value % 10);
      disk.objects[name] = copy;
      break;
    }
  }
}

void Run(ByteView in) {
  static Written& w = *new Written();
  Reader r(in);
  uint8_t mode = r.U8();
  TearingDisk disk(mode & 1);
  disk.objects = (mode & 1 ? w.append : w.whole).objects;
  if (mode & 8) {  // the last file is the input itself
    disk.objects.rbegin()->second = ToBytes(r.Raw(r.remaining()));
  }
  while (r.remaining() >= 5) {
    uint8_t operation = r.U8(), which = r.U8();
    uint16_t place = r.U16();
    Edit(disk, operation, which, place, r.U8());
  }
  ReadOptions options = w.rig.Options();
  options.discard_tail = mode & 2;
  Chain chain = w.rig.Read(disk, options);
  const std::vector<Entry>& written = w.entries[mode & 1 ? 0 : 1];
  HF_CHECK(chain.end.index.value <= written.size());
  size_t n = 0;
  HF_CHECK(bool(Replay(disk, w.rig.keyring, w.rig.chain_key, options, chain,
                       [&](const Entry& e, const LogPosition&, const FramePosition&) {
                         HF_CHECK(n < written.size() && e == written[n]);
                         ++n;
                         return Ok();
                       })));
  HF_CHECK(n == chain.end.index.value);
  // Nothing that a readable watermark covers is given up silently.
  HF_CHECK(chain.tampered || chain.end.index >= chain.watermark);
  HF_CHECK(chain.tampered != AdoptTail({chain}, {}).has_value());
}

}  // namespace
}  // namespace holdfast::journal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::journal::Run({data, size});
  return 0;
}
