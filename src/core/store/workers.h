// Work that may be done on several threads. The pure modules make none: who runs a save brings them.
#ifndef HOLDFAST_CORE_STORE_WORKERS_H_
#define HOLDFAST_CORE_STORE_WORKERS_H_

#include <cstddef>
#include <functional>

namespace holdfast::store {

class Workers {
 public:
  using Job = std::function<void(size_t worker, size_t i)>;
  virtual ~Workers() = default;
  virtual size_t count() const = 0;
  // job(w, i) for every i below n, once each, in any order; w < count(), and calls with one w never overlap.
  // Returns when all have returned; what they did is visible then.
  virtual void Run(size_t n, const Job& job) = 0;
};

// The caller's own thread, in order.
class NoWorkers : public Workers {
 public:
  size_t count() const override { return 1; }
  void Run(size_t n, const Job& job) override {
    for (size_t i = 0; i < n; ++i) job(0, i);
  }
};

}  // namespace holdfast::store

#endif  // HOLDFAST_CORE_STORE_WORKERS_H_
