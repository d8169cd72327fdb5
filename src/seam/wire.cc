#include "seam/wire.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <type_traits>

#include "base/codec.h"
#include "seam/metrics.h"

namespace holdfast::seam {
namespace {

constexpr Kind kNone_ = Kind::kNone;
constexpr KindInfo kTable[] = {
#define HF_MESSAGE(name, number, direction, lane, head, body, reply, meaning) \
  {Kind::k##name, #name, Direction::direction, Lane::lane, head, body, Kind::k##reply},
#define HF_STORAGE_OPERATION(...)
#include "seam/catalogue.def"
#undef HF_STORAGE_OPERATION
#undef HF_MESSAGE
};

struct OperationInfo {
  uint8_t number;
  Lane lane;
  uint64_t request_body_max, reply_body_max;
};
constexpr OperationInfo kOperations[] = {
#define HF_MESSAGE(...)
#define HF_STORAGE_OPERATION(name, number, lane, request, reply) {number, Lane::lane, request, reply},
#include "seam/catalogue.def"
#undef HF_STORAGE_OPERATION
#undef HF_MESSAGE
};

const OperationInfo* OperationOf(uint8_t number) {
  for (const OperationInfo& o : kOperations) {
    if (o.number == number) return &o;
  }
  return nullptr;
}

bool HasId(Kind kind) {
  switch (kind) {
    case Kind::kMetricsRequest:
    case Kind::kMetricsReply:
    case Kind::kStreamOpened:
    case Kind::kStreamBytes:
    case Kind::kStreamClosed:
    case Kind::kStreamCredit:
    case Kind::kStorageRequest:
    case Kind::kStorageReply:
      return true;
    default:
      return false;
  }
}

bool KnownCode(uint16_t number) { return CodeName(static_cast<Code>(number)) != "kUnknown"; }

// -- fields of the heads, one function for each direction of the codec
struct Put {
  Writer w;
  void operator()(const bool& v) { w.U8(v ? 1 : 0); }
  void operator()(const uint8_t& v) { w.U8(v); }
  void operator()(const uint32_t& v) { w.U32(v); }
  void operator()(const uint64_t& v) { w.U64(v); }
  void operator()(const std::string& v) { w.Blob16(AsBytes(v)); }
  void operator()(const Code& v) { w.U16(static_cast<uint16_t>(v)); }
  void operator()(const Listener& v) { w.U8(static_cast<uint8_t>(v)); }
  void operator()(const Volume& v) { w.U8(static_cast<uint8_t>(v)); }
  void operator()(const std::vector<uint64_t>& v) {
    w.U32(static_cast<uint32_t>(v.size()));
    for (uint64_t x : v) w.U64(x);
  }
  void operator()(const std::vector<ObjectInfo>& v) {
    w.U32(static_cast<uint32_t>(v.size()));
    for (const ObjectInfo& o : v) w.Blob16(AsBytes(o.name)).U64(o.size_bytes);
  }
};
struct Take {
  Reader r;
  void operator()(bool& v) {
    uint8_t b = r.U8();
    if (b > 1) r.Fail();
    v = b == 1;
  }
  void operator()(uint8_t& v) { v = r.U8(); }
  void operator()(uint32_t& v) { v = r.U32(); }
  void operator()(uint64_t& v) { v = r.U64(); }
  void operator()(std::string& v) { v = ToText(r.Blob16()); }
  void operator()(Code& v) {
    uint16_t number = r.U16();
    if (number != 0 && !KnownCode(number)) r.Fail();
    v = static_cast<Code>(number);
  }
  void operator()(Listener& v) { v = static_cast<Listener>(Between(1, 2)); }
  void operator()(Volume& v) { v = static_cast<Volume>(Between(1, 2)); }
  void operator()(std::vector<uint64_t>& v) {
    uint32_t n = r.Count32(8);
    v.reserve(n);
    for (uint32_t i = 0; i < n && r.ok(); ++i) v.push_back(r.U64());
  }
  void operator()(std::vector<ObjectInfo>& v) {
    uint32_t n = r.Count32(10);
    if (n > kListPageMax) return r.Fail();
    v.reserve(n);
    for (uint32_t i = 0; i < n && r.ok(); ++i) {
      std::string name = ToText(r.Blob16());
      v.push_back({std::move(name), r.U64()});
    }
  }
  uint8_t Between(uint8_t low, uint8_t high) {
    uint8_t v = r.U8();
    if (v < low || v > high) r.Fail();
    return v;
  }
};

// What each kind carries in its head. The id and the operation travel in the envelope.
template <typename F, typename M>
void Fields(F& f, M& m) {
  using T = std::remove_const_t<M>;
  if constexpr (std::is_same_v<T, HostHello>) {
    f(m.version), f(m.save_period_ms), f(m.cache_bytes), f(m.discard_tail), f(m.has_anchor), f(m.providers);
  } else if constexpr (std::is_same_v<T, CoreHello>) {
    f(m.version), f(m.isolation);
  } else if constexpr (std::is_same_v<T, Tick>) {
    f(m.monotonic_us), f(m.wall_ms);
  } else if constexpr (std::is_same_v<T, MetricsReply>) {
    f(m.values);
  } else if constexpr (std::is_same_v<T, CoreNote>) {
    f(m.line);
  } else if constexpr (std::is_same_v<T, CoreLog>) {
    f(m.code), f(m.a), f(m.b);
  } else if constexpr (std::is_same_v<T, CoreStopped>) {
    f(m.clean), f(m.code);
  } else if constexpr (std::is_same_v<T, StreamOpened>) {
    f(m.listener);
  } else if constexpr (std::is_same_v<T, StreamCredit>) {
    f(m.bytes);
  } else if constexpr (std::is_same_v<T, StorageRequest>) {
    f(m.volume), f(m.provider), f(m.name), f(m.after), f(m.version), f(m.offset), f(m.length);
  } else if constexpr (std::is_same_v<T, StorageReply>) {
    f(m.ok), f(m.code), f(m.version), f(m.listing.objects), f(m.listing.complete);
    auto& c = m.capabilities;
    f(c.append), f(c.conditional_put), f(c.exclusive), f(c.strong_listing), f(c.read_only);
    f(c.value_bytes_preferred), f(c.value_bytes_max);
  }
}

template <typename M>
constexpr Kind KindOf() {
#define HF_MESSAGE(name, ...) \
  if constexpr (std::is_same_v<M, name>) return Kind::k##name;
#define HF_STORAGE_OPERATION(...)
#include "seam/catalogue.def"
#undef HF_STORAGE_OPERATION
#undef HF_MESSAGE
  return Kind::kNone;
}

template <typename M>
WireMessage EncodeOne(M& m) {
  WireMessage out;
  out.envelope.kind = static_cast<uint8_t>(KindOf<M>());
  if constexpr (requires { m.id; }) out.envelope.id = m.id.value;
  if constexpr (requires { m.operation; }) out.envelope.operation = m.operation;
  if constexpr (std::is_same_v<M, CoreNote>) m.line.resize(std::min<size_t>(m.line.size(), 2000));
  Put put{Writer(out.head)};
  Fields(put, std::as_const(m));
  if constexpr (requires { m.bytes.data(); }) out.body = std::move(m.bytes);
  out.envelope.head_bytes = out.head.size();
  out.envelope.body_bytes = out.body.size();
  return out;
}

template <typename M, typename Variant>
Result<Variant> DecodeOne(WireMessage& in) {
  M m;
  if constexpr (requires { m.id; }) m.id = decltype(m.id)(in.envelope.id);
  if constexpr (requires { m.operation; }) m.operation = in.envelope.operation;
  Take take{Reader(in.head)};
  Fields(take, m);
  if (!take.r.Finish()) return Code::kMessageRefused;
  if constexpr (requires { m.bytes.data(); }) m.bytes = std::move(in.body);
  return Variant(std::move(m));
}

template <typename Variant, size_t I = 0>
Result<Variant> DecodeKind(Kind kind, WireMessage& in) {
  if constexpr (I < std::variant_size_v<Variant>) {
    using M = std::variant_alternative_t<I, Variant>;
    if (KindOf<M>() == kind) return DecodeOne<M, Variant>(in);
    return DecodeKind<Variant, I + 1>(kind, in);
  } else {
    return Code::kMessageRefused;
  }
}

template <typename Variant>
Result<Variant> Decode(WireMessage& in, Direction direction) {
  Envelope e = in.envelope;
  if (e.head_bytes != in.head.size() || e.body_bytes != in.body.size()) return Code::kMessageRefused;
  if (e.kind == 0 || !LaneOf(e, direction)) return Code::kMessageRefused;
  return DecodeKind<Variant>(static_cast<Kind>(e.kind), in);
}

}  // namespace

const KindInfo* InfoOf(uint8_t kind) {
  for (const KindInfo& i : kTable) {
    if (static_cast<uint8_t>(i.kind) == kind && i.kind != kNone_) return &i;
  }
  return nullptr;
}

std::optional<Lane> LaneOf(const Envelope& e, Direction direction) {
  const KindInfo* info = InfoOf(e.kind);
  if (info == nullptr || (info->direction != direction && info->direction != Direction::kBoth)) return {};
  if (HasId(info->kind) != (e.id != 0)) return {};  // id 0 is nobody's
  if (e.head_bytes > info->head_bytes_max || e.body_bytes > info->body_bytes_max) return {};
  if (info->lane != Lane::kByOperation) return e.operation == 0 ? std::optional(info->lane) : std::nullopt;
  const OperationInfo* operation = OperationOf(e.operation);
  if (operation == nullptr) return {};
  uint64_t body_max =
      info->kind == Kind::kStorageRequest ? operation->request_body_max : operation->reply_body_max;
  return e.body_bytes <= body_max ? std::optional(operation->lane) : std::nullopt;
}

WireMessage Encode(HostToCore message) {
  return std::visit([](auto& m) { return EncodeOne(m); }, message);
}
WireMessage Encode(CoreToHost message) {
  return std::visit([](auto& m) { return EncodeOne(m); }, message);
}
Result<HostToCore> DecodeToCore(WireMessage message) {
  return Decode<HostToCore>(message, Direction::kToCore);
}
Result<CoreToHost> DecodeToHost(WireMessage message) {
  return Decode<CoreToHost>(message, Direction::kToHost);
}

}  // namespace holdfast::seam
