// bench: declared, not built.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/check.h"
#include "cli/cli.h"
#include "cli/failure.h"

namespace holdfast::cli {
namespace {

HF_NOT_YET("holdfast bench: the numbers side by side with other engines");

}  // namespace

void AddBench(CLI::App& app, Chosen& chosen) {
  struct Arguments {
    std::string suite;
    bool quick = false, json = false;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* c = app.add_subcommand("bench", "Numbers beside those of other engines (not built yet).");
  c->add_option("suite", a->suite, "engine or server");
  c->add_flag("--quick", a->quick, "fewer rows");
  c->add_flag("--json", a->json, "one JSON object a case");
  c->footer("Example:\n  holdfast bench engine --quick");
  c->callback([a, &chosen] { chosen = []() -> int { Fail("bench", Code::kUnsupported); }; });
}

}  // namespace holdfast::cli
