// The command line, of any words: it is understood and a command is chosen, or it is refused with something
// to say. Nothing is run: the commands' own code is not in this program, and who calls it ends it.
//
//   input   words, each ended by a zero byte
#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "cli/cli.h"

namespace holdfast::cli {

// `bench` declares its cases by asking the benchmarks, which are not in this program either.
void AddBench(CLI::App&, Chosen&) {}

namespace {

constexpr size_t kWordsMax = 64;

enum class Outcome { kChosen, kRefused, kHelp };

// Declared once: that takes far longer than parsing.
struct CommandLine {
  CommandLine() { AddCommands(app, chosen); }
  CLI::App app;
  Chosen chosen;
};

Outcome Parse(std::vector<std::string> words) {
  static CommandLine& c = *new CommandLine();
  CLI::App& app = c.app;
  c.chosen = nullptr;
  std::reverse(words.begin(), words.end());  // as CLI11 wants them
  try {
    app.parse(std::move(words));
  } catch (const CLI::Success&) {  // --help, --version
    HF_CHECK(!app.help().empty());
    return Outcome::kHelp;
  } catch (const CLI::ParseError& e) {
    HF_CHECK(*e.what() != '\0' && e.get_exit_code() != 0);
    return Outcome::kRefused;
  }
  HF_CHECK(c.chosen != nullptr && app.get_subcommands().size() == 1);
  return Outcome::kChosen;
}

}  // namespace
}  // namespace holdfast::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;  // NOLINT: a fuzzer's one function
  std::string_view rest = AsText({data, size});
  std::vector<std::string> words;
  while (!rest.empty() && words.size() < cli::kWordsMax) {
    std::string_view word = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(word.size() + 1, rest.size()));
    words.emplace_back(word);
  }
  HF_CHECK(cli::Parse(words) == cli::Parse(words));
  return 0;
}
