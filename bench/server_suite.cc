// The server suite: which cases there are, and who takes part in each.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "bench/contest_internal.h"
#include "bench/failure_internal.h"
#include "bench/handshake_internal.h"
#include "bench/suites.h"

namespace holdfast::bench {
namespace {

using Work = Load::Work;
using Maker = std::function<std::unique_ptr<Target>(const std::string& directory)>;

constexpr size_t kStreamOutstanding = 16;  // 16 MiB under way: more than any of the servers takes in at once

struct System {
  std::string label;
  Maker make;
};

class ServerRun {
 public:
  ServerRun(const ServerSuite& suite, const Output& output)
      : suite_(suite),
        output_(output),
        seconds_(suite.seconds > 0 ? suite.seconds : (suite.quick ? 0.4 : 2)),
        rows_(suite.rows > 0 ? suite.rows : (suite.quick ? 10'000 : 100'000)),
        stream_mib_(suite.stream_mib > 0 ? suite.stream_mib : (suite.quick ? 64 : 1024)) {
    systems_.push_back({"ours", [](const std::string& d) { return MakeHoldfast("holdfast", d, ""); }});
    if (suite.peers) AddPeers();
    scratch_.emplace(suite.directory);
    for (const std::string& c : ServerCases()) {
      if (Wanted(c)) steps_ += static_cast<uint64_t>(suite.repetitions);
    }
  }

  void Run() {
    RowCases();
    if (Wanted("handshake")) HandshakeCase();
    if (Wanted("stream_in")) StreamCase("stream_in", systems_);
    if (Wanted("sandbox_cost")) SandboxCases();
  }

 private:
  bool Wanted(const std::string& name) const {
    const auto& cases = suite_.cases;
    return cases.empty() || std::find(cases.begin(), cases.end(), name) != cases.end();
  }

  void AddPeers() {
    auto find = [](const char* program, const char* package) {
      std::string path = FindProgram(program);
      if (!path.empty()) return path;
      FailWith(Code::kNotFound, std::string("bench --peers: no program ") + program +
                                    " in PATH: install the Debian package " + package);
    };
    std::string etcd = find("etcd", "etcd-server"), redis = find("redis-server", "redis-server");
    systems_.push_back({"etcd", [etcd](const std::string& d) { return MakeEtcd(d, etcd); }});
    systems_.push_back({"redis", [redis](const std::string& d) { return MakeRedis(d, redis); }});
  }

  std::string NewDirectory() { return scratch_->path() + "/" + std::to_string(++directories_); }

  void Step() {
    if (Interruptible::Interrupted()) Fail("bench", Code::kCancelled);
    step_ = std::min(step_ + 1, steps_);
    if (output_.progress) output_.progress(step_, steps_);
  }
  void Compete(const Load& load, std::vector<Contender>& contenders) {
    bench::Compete(load, suite_.repetitions, contenders, [this] { Step(); });
  }

  Load RowLoad(Work work, size_t outstanding, bool unary) const {
    Load load;
    load.work = work;
    load.outstanding = outstanding;
    load.rows = rows_;
    load.seconds = seconds_;
    load.unary = unary;
    return load;
  }

  // Filled, then started afresh: what filling leaves behind in the memory of one or another is no part of a
  // case.
  std::vector<std::unique_ptr<Target>> StartFilled(const std::vector<System>& systems) {
    std::vector<std::unique_ptr<Target>> targets;
    for (const System& s : systems) {
      targets.push_back(s.make(NewDirectory()));
      targets.back()->Start();
      targets.back()->Fill(rows_);
      targets.back()->Stop();
      targets.back()->Start();
    }
    return targets;
  }

  static Contender Entry(const std::string& label, Target& target) {
    return {label, [&target](const Load& load) { return target.Run(load); }};
  }
  static Contender UnaryEntry(const std::string& label, Target& target) {
    return {label, [&target](Load load) {
              load.unary = true;
              return target.Run(load);
            }};
  }

  // Reading first: a burst of writes makes some servers slower readers for a while.
  void RowCases() {
    if (!Wanted("get_o1") && !Wanted("get_o64") && !Wanted("put_o1") && !Wanted("put_o64")) return;
    std::vector<std::unique_ptr<Target>> targets = StartFilled(systems_);
    for (Work work : {Work::kGet, Work::kPut}) {
      const std::string verb = work == Work::kGet ? "get" : "put";
      if (Wanted(verb + "_o1")) OneOutstanding(verb, work, targets);
      if (Wanted(verb + "_o64")) ManyOutstanding(verb, work, targets);
    }
    for (auto& t : targets) t->Stop();
  }
  // Ours twice, over the stream and as calls; the peers know one way, and their figure serves for both.
  void OneOutstanding(const std::string& verb, Work work, std::vector<std::unique_ptr<Target>>& targets) {
    std::vector<Contender> all = {UnaryEntry("calls", *targets[0])};
    for (size_t i = 0; i < targets.size(); ++i) all.push_back(Entry(systems_[i].label, *targets[i]));
    Load load = RowLoad(work, 1, false);
    Compete(load, all);
    std::vector<const Contender*> streams, calls = {&all[0]};
    for (size_t i = 1; i < all.size(); ++i) streams.push_back(&all[i]);
    calls.insert(calls.end(), streams.begin() + 1, streams.end());
    Show(output_, FigureOf(verb + "_o1", Measure::kRate, load, streams));
    Show(output_, FigureOf(verb + "_unary_o1", Measure::kUsualTime, load, calls));
  }
  void ManyOutstanding(const std::string& verb, Work work, std::vector<std::unique_ptr<Target>>& targets) {
    std::vector<Contender> all;
    for (size_t i = 0; i < targets.size(); ++i) all.push_back(Entry(systems_[i].label, *targets[i]));
    Load load = RowLoad(work, 64, false);
    Compete(load, all);
    Show(output_, FigureOf(verb + "_o64", Measure::kRate, load, Pointers(all)));
  }

  void HandshakeCase() {
    std::string directory = NewDirectory();
    std::unique_ptr<Target> server = systems_[0].make(directory);
    server->Start();
    std::vector<Handshakes> ours, alone;
    (void)AgainstServer(*server, directory, seconds_ / 4);
    for (int r = 0; r < suite_.repetitions; ++r) {
      ours.push_back(AgainstServer(*server, directory, seconds_));
      alone.push_back(OpenSslAlone(seconds_ / 2));
      Step();
    }
    server->Stop();
    Show(output_, HandshakeFigure(MedianOf(ours), MedianOf(alone)));
  }
  static Figure HandshakeFigure(const Handshakes& ours, const Handshakes& openssl) {
    Figure f;
    f.name = "handshake";
    f.unit = "/server core s";
    f.ours = ours.per_server_cpu_second;
    f.peers["openssl"] = openssl.per_server_cpu_second;
    f.durability = f.commit = "none";
    f.threads = kHandshakeThreads;
    f.more["per_s"] = {{"ours", ours.per_second}, {"openssl", openssl.per_second}};
    f.more["server_cores"] = {{"ours", ours.server_cores}, {"openssl", openssl.server_cores}};
    f.more["client_cores"] = {{"ours", ours.client_cores}, {"openssl", openssl.client_cores}};
    return f;
  }

  // Each turn on a fresh server that runs alone: nobody pays for what another still has to write.
  Figure StreamFigure(const std::string& name, const std::vector<System>& systems) {
    std::vector<Contender> all;
    all.reserve(systems.size());
    for (const System& s : systems) {
      all.push_back({s.label, [this, make = s.make](const Load& load) {
                       std::string directory = NewDirectory();
                       std::unique_ptr<Target> target = make(directory);
                       target->Start();
                       Sample sample = target->Run(load);
                       target->Stop();
                       std::error_code ignored;
                       std::filesystem::remove_all(directory, ignored);
                       return sample;
                     }});
    }
    Load load;
    load.work = Work::kStream;
    load.outstanding = kStreamOutstanding;
    load.count = stream_mib_;
    Compete(load, all);
    return FigureOf(name, Measure::kMegabytes, load, Pointers(all));
  }
  void StreamCase(const std::string& name, const std::vector<System>& systems) {
    Show(output_, StreamFigure(name, systems));
  }

  // `serve` as it is by default, which has the core in a sandbox, beside itself without one.
  void SandboxCases() {
    if (!ServeKnowsCore()) {
      output_.note("bench: sandbox_cost left out: this build's serve has no option --core");
      return;
    }
    const std::vector<System> systems = {systems_[0], {"in-process", [](const std::string& d) {
                                                         return MakeHoldfast("in-process", d, "in-process");
                                                       }}};
    {
      std::vector<std::unique_ptr<Target>> targets = StartFilled(systems);
      SandboxRowCase("get_unary_o1", RowLoad(Work::kGet, 1, true), targets);
      SandboxRowCase("get_o64", RowLoad(Work::kGet, 64, false), targets);
      SandboxRowCase("put_o64", RowLoad(Work::kPut, 64, false), targets);
      for (auto& t : targets) t->Stop();
    }
    ShowLoss(StreamFigure("sandbox_cost.stream_in", systems));
  }
  void SandboxRowCase(const std::string& name, const Load& load,
                      std::vector<std::unique_ptr<Target>>& targets) {
    std::vector<Contender> both = {Entry("ours", *targets[0]), Entry("in-process", *targets[1])};
    Compete(load, both);
    Measure measure = load.unary ? Measure::kUsualTime : Measure::kRate;
    ShowLoss(FigureOf("sandbox_cost." + name, measure, load, {&both[0], &both[1]}));
  }
  // The share of the speed without a sandbox that is not there with it.
  void ShowLoss(Figure figure) {
    figure.more["lost_share"]["ours"] = 1 - RatioOf(figure, figure.peers.at("in-process"));
    Show(output_, figure);
  }
  bool ServeKnowsCore() {
    const std::string log = scratch_->path() + "/help";
    Process help({OwnProgram(), "serve", "--help"}, log);
    help.Finish("bench: serve --help");
    std::ifstream in(log);
    for (std::string line; std::getline(in, line);) {
      if (line.find("--core") != std::string::npos) return true;
    }
    return false;
  }

  const ServerSuite& suite_;
  const Output& output_;
  const double seconds_;
  const uint64_t rows_, stream_mib_;
  std::vector<System> systems_;  // ours first
  std::optional<Scratch> scratch_;
  uint64_t directories_ = 0, step_ = 0, steps_ = 0;
};

}  // namespace

const std::vector<std::string>& ServerCases() {
  static const std::vector<std::string> cases = {"get_o1",    "get_o64",   "put_o1",      "put_o64",
                                                 "handshake", "stream_in", "sandbox_cost"};
  return cases;
}

Status RunServerSuite(const ServerSuite& suite, const Output& output, std::string* why) {
  Interruptible interruptible;
  return Guarded([&] { ServerRun(suite, output).Run(); }, why);
}

}  // namespace holdfast::bench
