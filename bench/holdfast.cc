// Ours: `serve` as anybody starts it, and the C++ client. The Session stream is one connection with mutual
// TLS.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <semaphore>

#include "base/limits.h"
#include "bench/failure_internal.h"
#include "bench/load_internal.h"
#include "sdk/client.h"
#include "sdk/session_stream.h"

namespace holdfast::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBenchTable = "bench";
constexpr uint64_t kReadyMilliseconds = 60'000;

class Holdfast final : public Target {
 public:
  Holdfast(std::string name, std::string directory, std::string core)
      : Target(std::move(name)), directory_(std::move(directory)), core_(std::move(core)) {}

  void Start() override {
    bool is_new = !fs::exists(File("d"));
    if (is_new) Init();
    std::error_code ignored;
    fs::remove(File("d/temp/server-user.port"), ignored);
    std::vector<std::string> arguments = {OwnProgram(),        "serve",           "-c", File("d/server.yaml"),
                                          "--passphrase-file", File("passphrase")};
    if (!core_.empty()) arguments.insert(arguments.end(), {"--core", core_});
    process_.emplace(arguments, File("log"));
    AwaitPortFile();
    std::string what;
    auto config = sdk::LoadClientConfig(File("d/client.yaml"), &what);
    if (!config) Fail("bench: " + what, config.code());
    client_ = Take(sdk::Client::Connect(*config), name());
    if (is_new) (void)Take(client_->CreateTable(kBenchTable), name() + ": table");
    (void)Take(client_->Get(kBenchTable, "x"), name());
  }
  void Stop() override {
    client_.reset();
    if (process_) process_->Stop();
    process_.reset();
  }
  const Process& process() const override { return *process_; }

 protected:
  void Drive(const Load& load, uint64_t first, Stopwatch& watch) override {
    if (load.unary) {
      DriveUnary(load, first, watch);
    } else {
      DriveStream(load, first, watch);
    }
  }

 private:
  std::string File(const std::string& file) const { return directory_ + "/" + file; }

  void Init() {
    fs::create_directories(directory_);
    std::ofstream(File("passphrase")) << "of a store that is deleted at the end\n";
    fs::permissions(File("passphrase"), fs::perms::owner_read | fs::perms::owner_write);
    Process init({OwnProgram(), "init", "--dir", File("d"), "--passphrase-file", File("passphrase"),
                  "--kdf-memory-kib", std::to_string(limits::kArgonMemoryKiBMin)},
                 File("log"));
    init.Finish("bench: init");
  }
  void AwaitPortFile() {
    for (uint64_t waited = 0; !fs::exists(File("d/temp/server-user.port")); waited += 5) {
      if (!process_->Running())
        FailWith(Code::kInternal, "bench: " + name() + " ended: " + process_->LastLine());
      if (waited >= kReadyMilliseconds) Fail("bench: " + name() + " is not ready", Code::kDeadline);
      SleepMilliseconds(5);
    }
  }

  void DriveUnary(const Load& load, uint64_t first, Stopwatch& watch) {
    Dice dice(first);
    for (uint64_t i = 0; watch.GoesOn(i); ++i) {
      Row row(load.work == Load::Work::kGet ? dice.Below(load.rows) : first + i);
      uint64_t begun = Nanoseconds();
      if (load.work == Load::Work::kGet) {
        sdk::Value value = Take(client_->Get(kBenchTable, row.key()), name());
        watch.Answered(begun);
        if (!value.found || value.value != row.value()) watch.Broke(Code::kInternal);
      } else {
        (void)Take(client_->Put(kBenchTable, row.key(), row.value()), name());
        watch.Answered(begun);
      }
    }
  }

  // The stream itself waits for a place, which then counts as a part of one answer's time in 64. Of one in
  // one it would be all of the time before: there we wait for the answer first.
  void DriveStream(const Load& load, uint64_t first, Stopwatch& watch) {
    std::binary_semaphore answered(1);
    std::binary_semaphore* const one = load.outstanding == 1 ? &answered : nullptr;
    auto stream = Take(sdk::SessionStream::Open(client_->channel(), load.outstanding), name());
    Dice dice(first);
    for (uint64_t i = 0;; ++i) {
      if (one != nullptr) one->acquire();
      if (!watch.GoesOn(i)) break;
      Operation op{load.work == Load::Work::kGet ? dice.Below(load.rows) : first + i, Nanoseconds(), watch,
                   one};
      Need(Submit(*stream, load.work, op), name());
    }
    if (load.work == Load::Work::kStream) {
      Need(stream->Sync([&watch](const sdk::Answer& a) { Judge(a, watch); }), name());
    }
    Need(stream->Drain(), name());
  }

  struct Operation {
    uint64_t row, begun;
    Stopwatch& watch;
    std::binary_semaphore* answered;  // null: nobody waits for this one
    void Answered(const sdk::Answer& a) const {
      watch.Answered(begun);
      Judge(a, watch);
      if (answered != nullptr) answered->release();
    }
  };
  static Status Submit(sdk::SessionStream& stream, Load::Work work, const Operation& op) {
    Row row(op.row);
    switch (work) {
      case Load::Work::kGet:
        return stream.Get(kBenchTable, row.key(), [op](const sdk::Answer& a) {
          if (!a.value.found || a.value.value != Row(op.row).value()) op.watch.Broke(Code::kInternal);
          op.Answered(a);
        });
      case Load::Work::kPut:
        return stream.Put(kBenchTable, row.key(), row.value(), sdk::Wait::kDurable,
                          [op](const sdk::Answer& a) { op.Answered(a); });
      case Load::Work::kStream:
        return stream.Put(kBenchTable, row.key(), StreamValue(op.row), sdk::Wait::kNone,
                          [op](const sdk::Answer& a) { op.Answered(a); });
    }
    return Code::kInternal;
  }
  static void Judge(const sdk::Answer& a, Stopwatch& watch) {
    if (!a.status.has_value()) watch.Broke(a.status.code());
  }

  const std::string directory_, core_;
  std::optional<Process> process_;
  std::unique_ptr<sdk::Client> client_;
};

}  // namespace

std::unique_ptr<Target> MakeHoldfast(std::string name, std::string directory, std::string core) {
  return std::make_unique<Holdfast>(std::move(name), std::move(directory), std::move(core));
}

}  // namespace holdfast::bench
