// holdfast-bench: the command line of holdfast, with other embedded engines to compare with. `holdfast bench
// engine
// --peers` becomes this program; nobody else needs it.
#include "bench/peers/peers.h"
#include "cli/cli.h"

int main(int argc, char** argv) {
  using namespace holdfast::bench;  // NOLINT: short, in main
  RegisterPeers({peers::RocksDb(), peers::LevelDb(), peers::Lmdb(), peers::Sqlite()});
  return holdfast::cli::Main(argc, argv);
}
