#include <chrono>
#include <functional>
#include <string_view>

#include "embedded/row_turns_internal.h"

namespace holdfast::inside {

RowTurns::Places RowTurns::PlaceOf(const TableId& table, ByteView key) {
  const std::hash<std::string_view> hash;
  const size_t of_table = hash(AsText(table.view())), of_key = hash(AsText(key));
  return Places{1} << ((of_table * 31 + of_key) % kPlaces);
}

void RowTurns::Show() {
  Places taken = 0;
  for (size_t i = 0; i < kPlaces; ++i) taken |= queues_[i].empty() ? 0 : Places{1} << i;
  taken_.store(taken, std::memory_order_release);
}

void RowTurns::Take(uint64_t who, Places places, uint64_t patience_ms) {
  sync::MutexLock lock(mutex_);
  for (size_t i = 0; i < kPlaces; ++i) {
    if ((places >> i & 1) != 0) TakeOne(who, queues_[i], patience_ms);
  }
}

void RowTurns::TakeOne(uint64_t who, std::deque<uint64_t>& queue, uint64_t patience_ms) {
  queue.push_back(who);
  Show();
  while (queue.front() != who) {
    const uint64_t before = queue.front();
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    while (queue.front() == before) {
      if (moved_.WaitUntil(mutex_, until) || queue.front() != before) continue;
      std::erase(queue, who);
      return;
    }
  }
}

void RowTurns::Give(uint64_t who) {
  sync::MutexLock lock(mutex_);
  for (std::deque<uint64_t>& queue : queues_) std::erase(queue, who);
  Show();
  moved_.NotifyAll();
}

}  // namespace holdfast::inside
