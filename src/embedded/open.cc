// Opening: where the store lies, whether it has to be made, whether it is the newest.
#include "host/kv/open.h"

#include <algorithm>

#include "base/memory_plan.h"
#include "core/store/offline.h"
#include "core/store/opener.h"
#include "embedded/state_internal.h"

namespace holdfast::embedded {
namespace {

using inside::Public;
using inside::State;

// A path is one file. A scheme is what stands before a colon in the first part, unless that begins as paths
// do.
std::string UrlOf(std::string_view text) {
  size_t colon = text.find(':'), slash = text.find('/');
  bool scheme = colon != std::string_view::npos && colon < slash && !text.starts_with('.');
  return (scheme ? "" : "sqlite:") + std::string(text);
}

Status Check(std::string_view passphrase, const Options& options) {
  if (passphrase.empty()) return Code::kNoPassphrase;
  if (passphrase.size() > limits::kPassphraseBytesMax) return Code::kInvalidArgument;
  if (options.memory_bytes < limits::kMemoryBytesMin || options.memory_bytes > SIZE_MAX / 2)
    return Code::kInvalidArgument;
  return {};
}

// A store that is made where an anchor says that there was one would hide that it is gone.
Status Make(State& s, std::string_view passphrase, const Options& options) {
  if (s.anchor != nullptr) {
    auto old = s.anchor->Get(host::kAnchorName);
    if (old) return {Code::kRolledBack, "the anchor " + options.anchor_file + " is of a store that is gone"};
    if (old.code() != holdfast::Code::kNotFound) return Public(old.code());
  }
  store::InitOptions init;
  init.argon.memory_kib = options.kdf_memory_kib;
  crypto::Random& random = inside::SystemRandom();
  auto made = store::InitStore(*s.storage, random.NewId<StoreId>(), AsBytes(passphrase), init, random);
  if (!made) return Public(made.code());
  if (s.anchor == nullptr) return {};
  return Public(s.anchor->Put(host::kAnchorName, made->encoded_anchor));
}

Status OpenPlace(State& s, const std::string& url, std::string_view passphrase, const Options& options) {
  auto storage = host::OpenStorage(url, host::OpenMode::kReadWrite);
  bool absent = !storage && storage.code() == holdfast::Code::kNoStore;
  if (absent && options.create) storage = host::OpenStorage(url, host::OpenMode::kCreate);
  if (!storage) return Public(storage.code());
  s.storage = std::move(storage).value();
  if (!options.create) return {};
  // Also a place that was made and then left empty, by a crash before the store was in it.
  auto there = store::PeekStore(*s.storage);
  if (there || there.code() != holdfast::Code::kNoStore) return {};
  return Make(s, passphrase, options);
}

runtime::EngineOptions EngineOptionsOf(const Options& options) {
  runtime::EngineOptions engine;
  engine.cache_bytes = memory_plan::CacheBytes(options.memory_bytes);
  engine.fold_workers = options.fold_workers;
  engine.kernel.save_period_ms = options.save_period_ms;
  return engine;
}

Status StartEngine(State& s, std::string_view passphrase, const Options& options) {
  crypto::Random& random = inside::SystemRandom();
  std::vector<store::Finding> findings;
  auto opened = store::OpenStore(*s.storage, s.anchor.get(), AsBytes(passphrase), {}, random, &findings);
  if (!opened) {
    std::string lines;
    for (const store::Finding& f : findings) lines += (lines.empty() ? "" : "\n") + f.Line();
    return {Public(opened.code()), std::move(lines)};
  }
  sync::WriterLock alone(s.lock);
  s.engine = std::make_unique<runtime::Engine>(
      *s.storage, s.anchor.get(), std::move(opened).value(), EngineOptionsOf(options), random,
      [](holdfast::Code, uint64_t, uint64_t) {});  // a program asks info()
  s.engine->Start();
  return {};
}

}  // namespace

Result<Store> Store::open(std::string_view url, std::string_view passphrase, const Options& options) {
  if (Status fits = Check(passphrase, options); !fits) return fits;
  auto state = std::make_shared<State>();
  if (!options.anchor_file.empty()) state->anchor = std::make_unique<host::AnchorFile>(options.anchor_file);
  if (Status there = OpenPlace(*state, UrlOf(url), passphrase, options); !there) return there;
  if (Status started = StartEngine(*state, passphrase, options); !started) return started;
  return Store(std::move(state));
}

Store::~Store() {
  if (state_ != nullptr) (void)state_->Close();
}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&& o) noexcept {
  std::shared_ptr<State> old = std::exchange(state_, std::exchange(o.state_, nullptr));
  if (old != nullptr && old != state_) (void)old->Close();
  return *this;
}

Status Store::close() { return state_ == nullptr ? Status() : state_->Close(); }

}  // namespace holdfast::embedded
