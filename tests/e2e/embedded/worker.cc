// A program on libholdfast for embedded_test.py; knows the installed header alone.
//
//   worker write URL PASSPHRASE      four threads put rows durably and move amounts between two accounts
//   until
//                                    killed; "THREAD N" on stdout once row THREAD/N is acknowledged
//   worker check URL PASSPHRASE      every row "KEY VALUE", then "sum N", then verifies
//   worker hold URL PASSPHRASE       opens, tries to open a second time, says "held", waits for stdin to end
//   worker stores PASSPHRASE URL...  opens all at once from threads; each writes, saves and reads back its
//   own
//
// Exit code 1: the last line of stderr is the code's name.
#include <holdfast/holdfast.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast::embedded;

namespace {

constexpr int kThreads = 4, kAmount = 1000;

// The sum of both accounts at any time.
constexpr int kMoney = 2 * kAmount;

[[noreturn]] void Fail(const Status& status) {
  std::fprintf(stderr, "%s\n%s\n", status.message().c_str(), std::string(name_of(status.code())).c_str());
  std::_Exit(1);
}

template <typename T>
T Take(Result<T> result) {
  if (!result) Fail(result.status());
  return std::move(result).value();
}

void Need(const Status& status) {
  if (!status) Fail(status);
}

Store Open(const char* url, const char* passphrase) {
  Options options;
  options.create = true;
  options.kdf_memory_kib = 64;
  options.memory_bytes = 192u << 20;
  options.save_period_ms = 50;  // saves in the middle of everything
  return Take(Store::open(url, passphrase, options));
}

Status Move(Transaction& t, const Table& accounts, int amount) {
  for (const char* name : {"a", "b"}) {
    auto there = t.get(accounts, name);
    if (!there) return there.status();
    int now = *there ? std::stoi(**there) : kAmount;
    if (Status put = t.put(accounts, name, std::to_string(now + amount)); !put) return put;
    amount = -amount;
  }
  return {};
}

void WriteForEver(Store& store, int thread) {
  Table rows = Take(store.open_table("rows", true)), accounts = Take(store.open_table("accounts", true));
  for (int i = 0;; ++i) {
    Take(rows.put(std::to_string(thread) + "/" + std::to_string(i), std::to_string(i)));
    std::string line = std::to_string(thread) + " " + std::to_string(i) + "\n";
    if (::write(STDOUT_FILENO, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::_Exit(2);
    Take(store.atomic([&](Transaction& t) { return Move(t, accounts, thread + 1); }));
  }
}

int Write(Store store) {
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) threads.emplace_back([&store, n] { WriteForEver(store, n); });
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int Check(Store store) {
  Table rows = Take(store.open_table("rows", true)), accounts = Take(store.open_table("accounts", true));
  Scan scan = Take(rows.scan());
  for (Page page; Take(scan.next(page));) {
    for (size_t i = 0; i < page.size(); ++i)
      std::printf("%s %s\n", std::string(page.key(i)).c_str(), std::string(page.value(i)).c_str());
  }
  int sum = 0;
  for (const char* name : {"a", "b"})
    sum += std::stoi(Take(accounts.get(name)).value_or(std::to_string(kAmount)));
  std::printf("sum %s\n", sum == kMoney ? "right" : "wrong");
  Need(store.verify());
  Need(store.close());
  return 0;
}

int Hold(const char* url, const char* passphrase) {
  Store store = Open(url, passphrase);
  Options options;
  auto second = Store::open(url, passphrase, options);  // must neither open nor loosen the first one's lock
  std::printf("held %s\n", std::string(name_of(second.code())).c_str());
  std::fflush(stdout);
  for (char c; ::read(STDIN_FILENO, &c, 1) == 1;) continue;
  Table rows = Take(store.open_table("rows", true));
  Take(rows.put("held", "until the end"));
  Need(store.close());
  return 0;
}

void UseOne(const char* url, const char* passphrase, std::atomic<int>& open, int all) {
  Store store = Open(url, passphrase);
  for (++open; open < all;) std::this_thread::yield();
  Table rows = Take(store.open_table("rows", true));
  for (int i = 0; i < 100; ++i) Take(rows.put(std::to_string(i), url));
  Need(store.save());
  Scan scan = Take(rows.scan());
  int seen = 0;
  for (Page page; Take(scan.next(page));) {
    for (size_t i = 0; i < page.size(); ++i) seen += page.value(i) == url ? 1 : 0;
  }
  if (seen != 100) Fail(Status(Code::kInternal, "rows of another store"));
  Need(store.close());
}

int UseStores(int count, char** urls, const char* passphrase) {
  std::atomic<int> open{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&, i] { UseOne(urls[i], passphrase, open, count); });
  for (std::thread& thread : threads) thread.join();
  std::printf("used %d\n", count);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  if (std::strcmp(argv[1], "write") == 0) return Write(Open(argv[2], argv[3]));
  if (std::strcmp(argv[1], "check") == 0) return Check(Open(argv[2], argv[3]));
  if (std::strcmp(argv[1], "hold") == 0) return Hold(argv[2], argv[3]);
  if (std::strcmp(argv[1], "stores") == 0) return UseStores(argc - 3, argv + 3, argv[2]);
  return 2;
}
