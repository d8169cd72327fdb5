#include "seam/ring.h"

#include <algorithm>
#include <atomic>

#include "base/codec.h"

namespace holdfast::seam {
namespace {

constexpr size_t kLineBytes = 64;
constexpr size_t kHeaderBytes = 4096;  // flags and positions of all rings
constexpr size_t kPiece = limits::kRecordBytesMax;
constexpr uint64_t kReserveMax = 32u << 20;  // set aside for a body before its bytes are there

uint64_t Load(uint64_t* p) { return std::atomic_ref<uint64_t>(*p).load(std::memory_order_acquire); }
void Store(uint64_t* p, uint64_t v) { std::atomic_ref<uint64_t>(*p).store(v, std::memory_order_release); }

size_t RingBytes(Lane lane) {
  switch (lane) {
    case Lane::kControl:
      return kControlRingBytes;
    case Lane::kJournal:
      return kJournalRingBytes;
    case Lane::kStorage:
      return kStorageRingBytes;
    default:
      return kStreamRingBytes;
  }
}

}  // namespace

// -- one ring

std::optional<size_t> RingWriter::Free() {
  uint64_t taken = Load(m_.taken);
  // Backwards, or beyond what was written: room that is not there would overwrite records not yet taken.
  if (taken < taken_ || taken > published_) return {};
  taken_ = taken;
  return m_.size - static_cast<size_t>(at_ - taken_);
}

void RingWriter::Copy(ByteView bytes) {
  if (bytes.empty()) return;
  size_t from = static_cast<size_t>(at_) & (m_.size - 1);
  size_t first = std::min(bytes.size(), m_.size - from);
  std::memcpy(m_.data + from, bytes.data(), first);
  std::memcpy(m_.data, bytes.data() + first, bytes.size() - first);
  at_ += bytes.size();
}

void RingWriter::Publish() {
  published_ = at_;
  Store(m_.written, at_);
}

void RingWriter::WantRoom(bool on) {
  std::atomic_ref<uint32_t>(*m_.wants).store(on ? 1 : 0, std::memory_order_seq_cst);
}

std::optional<size_t> RingReader::Available() {
  uint64_t written = Load(m_.written);
  if (written < written_ || written - at_ > m_.size) return {};
  written_ = written;
  return static_cast<size_t>(written_ - at_);
}

void RingReader::Copy(uint8_t* to, size_t n) {
  size_t from = static_cast<size_t>(at_) & (m_.size - 1);
  size_t first = std::min(n, m_.size - from);
  std::memcpy(to, m_.data + from, first);
  std::memcpy(to + first, m_.data, n - first);
  at_ += n;
}

void RingReader::CopyInto(Bytes& to, size_t n) {
  size_t from = static_cast<size_t>(at_) & (m_.size - 1);
  size_t first = std::min(n, m_.size - from);
  to.insert(to.end(), m_.data + from, m_.data + from + first);
  to.insert(to.end(), m_.data, m_.data + (n - first));
  at_ += n;
}

void RingReader::Release() { Store(m_.taken, at_); }

bool RingReader::WriterWaits() const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return std::atomic_ref<uint32_t>(*m_.wants).load(std::memory_order_seq_cst) != 0;
}

// -- messages in

void LaneWriter::Push(WireMessage message) {
  waiting_bytes_ += message.head.size() + message.body.size() + kRecordHeaderBytes;
  queue_.push_back(std::move(message));
}

bool LaneWriter::Flush(bool* wrote) {
  while (!queue_.empty()) {
    bool progress = false;
    if (!WriteSome(&progress)) return false;
    if (!progress) return true;
    *wrote = true;
  }
  return true;
}

// One record of the first message, as long as what fits.
bool LaneWriter::WriteSome(bool* wrote) {
  const WireMessage& m = queue_.front();
  const uint64_t total = m.head.size() + m.body.size();
  std::optional<size_t> room = ring_.Free();
  if (!room) return false;
  size_t want = static_cast<size_t>(std::min<uint64_t>(total - sent_, kPiece));
  // A small rest waits for room rather than travel in crumbs.
  size_t least = std::min<size_t>(want, 4096);
  if (*room < kRecordHeaderBytes + least) return true;
  size_t size = std::min(want, *room - kRecordHeaderBytes);
  bool last = sent_ + size == total;
  uint8_t header[kRecordHeaderBytes] = {};
  StoreLittle<uint32_t>(header, static_cast<uint32_t>(size));
  header[4] = m.envelope.kind;
  header[5] = m.envelope.operation;
  header[6] = static_cast<uint8_t>((started_ ? 0 : kFirstRecord) | (last ? kLastRecord : 0));
  StoreLittle<uint64_t>(header + 8, m.envelope.id);
  StoreLittle<uint64_t>(header + 16, m.head.size());
  StoreLittle<uint64_t>(header + 24, m.body.size());
  ring_.Copy(header);
  size_t from_head = sent_ < m.head.size() ? std::min<size_t>(size, m.head.size() - sent_) : 0;
  ring_.Copy(ByteView(m.head).subspan(std::min<size_t>(sent_, m.head.size()), from_head));
  uint64_t body_at = sent_ + from_head - m.head.size();
  if (size > from_head) ring_.Copy(ByteView(m.body).subspan(body_at, size - from_head));
  ring_.Publish();
  *wrote = started_ = true;
  sent_ += size;
  if (last) {
    waiting_bytes_ -= total + kRecordHeaderBytes;
    queue_.pop_front();
    sent_ = 0;
    started_ = false;
  }
  return true;
}

// -- messages out

LaneReader::Step LaneReader::Begin(const Envelope& envelope, WireMessage* out) {
  envelope_ = envelope;
  head_.clear();
  body_.clear();
  got_ = 0;
  inside_ = true;
  skipping_ = false;
  std::optional<Lane> lane = LaneOf(envelope, direction_);
  std::optional<uint64_t> body_max = lane == lane_ ? permit_(envelope) : std::nullopt;
  if (body_max && envelope.body_bytes <= *body_max) return Step::kPart;
  skipping_ = true;
  out->envelope = envelope;
  return Step::kRefused;
}

LaneReader::Step LaneReader::Next(WireMessage* out) {
  std::optional<size_t> available = ring_.Available();
  if (!available) return Step::kBroken;
  if (*available == 0) return Step::kNothing;
  if (*available < kRecordHeaderBytes) return Step::kBroken;
  uint8_t h[kRecordHeaderBytes];
  ring_.Copy(h, sizeof h);
  size_t size = LoadLittle<uint32_t>(h);
  uint8_t flags = h[6];
  if (size > kPiece || size > *available - kRecordHeaderBytes || flags > 3 || h[7] != 0) return Step::kBroken;
  Envelope envelope{h[4], h[5], LoadLittle<uint64_t>(h + 8), LoadLittle<uint64_t>(h + 16),
                    LoadLittle<uint64_t>(h + 24)};
  Step step = Step::kPart;
  if ((flags & kFirstRecord) != 0) {
    if (inside_) return Step::kBroken;
    step = Begin(envelope, out);
  } else if (!inside_ || !(envelope == envelope_)) {
    return Step::kBroken;
  }
  bool last = (flags & kLastRecord) != 0;
  // Lengths near 2^64 are refused above for what is kept; what is skipped is not counted.
  if (!skipping_) {
    uint64_t left = envelope_.head_bytes + envelope_.body_bytes - got_;
    if (size > left || last != (size == left)) return Step::kBroken;
    size_t to_head = got_ < envelope_.head_bytes
                         ? static_cast<size_t>(std::min<uint64_t>(size, envelope_.head_bytes - got_))
                         : 0;
    if (to_head > 0) ring_.CopyInto(head_, to_head);
    if (size > to_head) {
      // Was permitted; growing by doubling would copy a segment twice.
      if (body_.empty()) {
        body_.reserve(static_cast<size_t>(std::min<uint64_t>(envelope_.body_bytes, kReserveMax)));
      }
      ring_.CopyInto(body_, size - to_head);
    }
    got_ += size;
  } else {
    ring_.Skip(size);
  }
  if (!last) return step;
  inside_ = false;
  if (skipping_) return step;
  out->envelope = envelope_;
  out->head = std::move(head_);
  out->body = std::move(body_);
  head_ = Bytes();
  body_ = Bytes();
  return Step::kMessage;
}

bool LaneReader::Empty() {
  std::optional<size_t> available = ring_.Available();
  return available && *available == 0;
}

bool LaneReader::Release() {
  ring_.Release();
  return ring_.WriterWaits();
}

// -- the layout

size_t ChannelMemoryBytes() {
  return kHeaderBytes + 2 * (kControlRingBytes + kJournalRingBytes + kStorageRingBytes + kStreamRingBytes);
}

RingMemory RingAt(uint8_t* memory, Direction direction, Lane lane) {
  const size_t to_host = direction == Direction::kToHost ? 1 : 0;
  const size_t index = to_host * kLanes + static_cast<size_t>(lane);
  uint8_t* positions = memory + 3 * kLineBytes + index * 3 * kLineBytes;
  size_t at = kHeaderBytes + to_host * (ChannelMemoryBytes() - kHeaderBytes) / 2;
  for (size_t l = 0; l < static_cast<size_t>(lane); ++l) at += RingBytes(static_cast<Lane>(l));
  RingMemory ring;
  ring.written = reinterpret_cast<uint64_t*>(positions);
  ring.taken = reinterpret_cast<uint64_t*>(positions + kLineBytes);
  ring.wants = reinterpret_cast<uint32_t*>(positions + 2 * kLineBytes);
  ring.data = memory + at;
  ring.size = RingBytes(lane);
  return ring;
}

uint32_t* ReaderSleeps(uint8_t* memory, Direction direction) {
  return reinterpret_cast<uint32_t*>(memory + (direction == Direction::kToHost ? kLineBytes : 0));
}

uint32_t* JournalReaderSleeps(uint8_t* memory) {
  return reinterpret_cast<uint32_t*>(memory + 2 * kLineBytes);
}

}  // namespace holdfast::seam
