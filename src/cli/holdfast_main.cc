#include "cli/cli.h"

int main(int argc, char** argv) { return holdfast::cli::Main(argc, argv); }
