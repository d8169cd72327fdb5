// Admission: so many of a kind may be open at once. Whoever comes when all places are taken is refused with
// the kind's code; nobody queues.
#ifndef HOLDFAST_CORE_SESSION_PLACES_H_
#define HOLDFAST_CORE_SESSION_PLACES_H_

#include <atomic>
#include <utility>

#include "base/result.h"
#include "seam/metrics.h"

namespace holdfast::session {

// What a kind of place is called.
struct PlaceKind {
  seam::Metric open, open_max, refused;
  Code code;
};
inline constexpr PlaceKind kWatchPlaces = {seam::Metric::kWatches, seam::Metric::kWatchesMax,
                                           seam::Metric::kRefusedWatches, Code::kTooManyWatches};
inline constexpr PlaceKind kStreamPlaces = {seam::Metric::kSessionStreams, seam::Metric::kSessionStreamsMax,
                                            seam::Metric::kRefusedStreams, Code::kTooManyStreams};
inline constexpr PlaceKind kWaitPlaces = {seam::Metric::kWaits, seam::Metric::kWaitsMax,
                                          seam::Metric::kRefusedWaits, Code::kTooManyWaits};

// Thread-safe; two atomics a taking.
class Places {
 public:
  Places(const PlaceKind& kind, size_t max) : kind_(kind), max_(max) {
    seam::Metrics().Set(kind_.open_max, max_);
  }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  // False: all are taken; counted as a refusal.
  [[nodiscard]] bool Take() {
    size_t taken = taken_;
    do {
      if (taken >= max_) {
        seam::Metrics().Add(kind_.refused);
        return false;
      }
    } while (!taken_.compare_exchange_weak(taken, taken + 1));
    seam::Metrics().Add(kind_.open);
    return true;
  }
  void Leave() {
    taken_.fetch_sub(1);
    seam::Metrics().Sub(kind_.open);
  }
  size_t taken() const { return taken_; }
  Code code() const { return kind_.code; }

 private:
  const PlaceKind kind_;
  const size_t max_;
  std::atomic<size_t> taken_{0};
};

// One of them, or none; left when it goes.
class Place {
 public:
  Place() = default;
  explicit Place(Places& places) : places_(places.Take() ? &places : nullptr) {}
  Place(Place&& o) noexcept : places_(std::exchange(o.places_, nullptr)) {}
  Place& operator=(Place&& o) noexcept {
    std::swap(places_, o.places_);
    return *this;
  }
  ~Place() { Leave(); }
  explicit operator bool() const { return places_ != nullptr; }
  void Leave() {
    if (places_ != nullptr) std::exchange(places_, nullptr)->Leave();
  }

 private:
  Places* places_ = nullptr;
};

}  // namespace holdfast::session

#endif  // HOLDFAST_CORE_SESSION_PLACES_H_
