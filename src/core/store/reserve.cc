#include "core/store/reserve.h"

#include "core/store/layout.h"

namespace holdfast::store {

bool CanReserve(seam::Storage& storage) {
  return storage.copies() == nullptr && storage.capabilities().append;
}

Status MakeReserve(seam::Storage& storage, uint64_t bytes) {
  HF_TRY(seam::Listing there, storage.List(kReserveName, "", 1));
  if (!there.objects.empty() && there.objects[0].name == kReserveName) {
    if (there.objects[0].size_bytes >= bytes) return Ok();
    HF_TRY_VOID(storage.Delete(kReserveName));  // torn by a crash, or of another size
  }
  Status made = storage.CreateAppendable(kReserveName, bytes, {});
  if (!made && made.code() == Code::kFull) HF_TRY_VOID(storage.Delete(kReserveName));
  return made;
}

bool GiveUpReserve(seam::Storage& storage) {
  if (!CanReserve(storage)) return false;
  auto there = storage.GetRange(kReserveName, 0, 1);
  if (!there) return false;
  // The barrier: file systems give blocks back when the delete is durable.
  return storage.Delete(kReserveName).has_value() && storage.Barrier().has_value();
}

}  // namespace holdfast::store
