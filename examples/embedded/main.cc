// A store in one file: written atomically, closed, opened again, read, scanned.
//
//   example FILE PASSPHRASE
#include <holdfast/holdfast.h>

#include <iostream>
#include <string>

using namespace holdfast::embedded;

namespace {

constexpr int kStock = 12;

int Fail(const std::string& what, const Status& status) {
  std::cerr << what << ": " << status.message() << " (" << name_of(status.code()) << ")\n";
  return 1;
}

Result<Store> Open(const std::string& file, const std::string& passphrase) {
  Options options;
  options.create = true;
  return Store::open(file, passphrase, options);
}

// Moves `amount` of an item between two shelves, or nothing.
Status Move(Transaction& t, const Table& shelves, const std::string& from, const std::string& to,
            int amount) {
  for (const auto& [shelf, change] : {std::pair(from, -amount), std::pair(to, amount)}) {
    auto there = t.get(shelves, shelf);
    if (!there) return there.status();
    int count = *there ? std::stoi(**there) : 0;
    if (count + change < 0) return Status(Code::kInvalidArgument, "not enough on shelf " + shelf);
    if (Status put = t.put(shelves, shelf, std::to_string(count + change)); !put) return put;
  }
  return {};
}

Status Write(Store& store) {
  auto shelves = store.open_table("shelves", true);
  if (!shelves) return shelves.status();
  // Both rows or none, and only if neither was there.
  Batch first;
  first.expect_absent(*shelves, "left").expect_absent(*shelves, "right");
  first.put(*shelves, "left", std::to_string(kStock)).put(*shelves, "right", "0");
  auto made = store.write(std::move(first));
  if (!made && made.code() != Code::kConflict) return made.status();
  // What was read is what it is when the writes happen; otherwise the function is called again.
  auto moved = store.atomic([&](Transaction& t) { return Move(t, *shelves, "left", "right", 1); });
  if (!moved) return moved.status();
  return store.close();
}

Status Read(Store& store) {
  auto shelves = store.open_table("shelves");
  if (!shelves) return shelves.status();
  auto scan = shelves->scan();
  if (!scan) return scan.status();
  for (Page page;;) {
    auto more = scan->next(page);
    if (!more) return more.status();
    if (!*more) return store.close();
    for (size_t i = 0; i < page.size(); ++i) std::cout << page.key(i) << " " << page.value(i) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: example FILE PASSPHRASE\n";
    return 2;
  }
  for (auto* work : {Write, Read}) {
    auto store = Open(argv[1], argv[2]);
    if (!store) return Fail("open", store.status());
    if (Status done = work(*store); !done) return Fail(work == Write ? "write" : "read", done);
  }
  return 0;
}
