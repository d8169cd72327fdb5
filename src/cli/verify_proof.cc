// verify-proof: needs no server, no store and no key.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/proof_file.h"
#include "cli/text.h"
#include "core/tree/proof.h"

namespace holdfast::cli {
namespace {

struct ProofArguments {
  std::string file;
  std::vector<std::string> roots;
  bool json = false;
};

struct CloseFile {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Digest ParseRoot(const std::string& hex) {
  auto bytes = ParseHex(hex);
  Digest d;
  if (!bytes || bytes->size() != d.size()) FailWith(Code::kUsage, "usage: --root takes 64 hex digits");
  std::copy(bytes->begin(), bytes->end(), d.begin());
  return d;
}

void PrintClaim(const tree::Proof& proof, bool compared) {
  std::string claim = proof.included() ? "included\t" : "excluded\t";
  claim += Escape(proof.key);
  if (const auto* row = std::get_if<tree::Proof::Included>(&proof.end)) claim += "\t" + Escape(row->value);
  PrintLine(claim);
  PrintLine("root\t" + HexUpper(proof.root) + (compared ? "" : "\tnot compared: give --root, or compare it"));
  PrintLine("store\t" + proof.store.hex());
  PrintLine("table\t" + proof.table.hex());
  PrintLine("rows\t" + std::to_string(proof.rows));
  PrintLine("index\t" + std::to_string(proof.index.value));
}

void PrintJson(const tree::Proof& proof, bool compared) {
  JsonLine line;
  line.Bool("included", proof.included()).Text("key", Base64(proof.key));
  if (const auto* row = std::get_if<tree::Proof::Included>(&proof.end))
    line.Text("value", Base64(row->value));
  line.Text("root", HexUpper(proof.root)).Bool("root_compared", compared);
  line.Text("store", proof.store.hex()).Text("table", proof.table.hex());
  PrintLine(line.Number("rows", proof.rows).Number("index", proof.index.value).str());
}

int VerifyProof(const ProofArguments& a) {
  std::vector<Digest> roots;
  for (const std::string& hex : a.roots) roots.push_back(ParseRoot(hex));
  std::string bytes = ReadProofFile(a.file);
  auto proof = tree::Proof::Decode(AsBytes(bytes));
  if (!proof && proof.code() == Code::kBadInput) FailWith(Code::kBadInput, a.file + ": is not a proof");
  if (!proof) Fail(a.file, proof.code());
  Need(proof->Check(), a.file);
  bool trusted = std::find(roots.begin(), roots.end(), proof->root) != roots.end();
  if (!roots.empty() && !trusted)
    FailWith(Code::kProofRefused,
             a.file + ": the proof is of root " + HexUpper(proof->root) + ", which is none of those given");
  if (a.json) {
    PrintJson(*proof, trusted);
  } else {
    PrintClaim(*proof, trusted);
  }
  return 0;
}

}  // namespace

void WriteProofFile(const std::string& path, std::string_view bytes) {
  File opened(path == "-" ? nullptr : std::fopen(path.c_str(), "wb"));
  std::FILE* file = path == "-" ? stdout : opened.get();
  bool written = file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
                 std::fflush(file) == 0;
  if (!written) FailWith(Code::kIo, path + ": cannot be written");
}

std::string ReadProofFile(const std::string& path) {
  if (path == "-") return ReadAllStdin(tree::kProofBytesMax);
  File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) Fail(path, errno == ENOENT ? Code::kNotFound : Code::kIo);
  std::string bytes;
  char block[65'536];
  size_t n = 0;
  while ((n = std::fread(block, 1, sizeof(block), file.get())) > 0) {
    bytes.append(block, n);
    if (bytes.size() > tree::kProofBytesMax) Fail(path, Code::kTooLarge);
  }
  if (std::ferror(file.get()) != 0) Fail(path, Code::kIo);
  return bytes;
}

void AddProof(CLI::App& app, Chosen& chosen) {
  auto a = std::make_shared<ProofArguments>();
  CLI::App* c = app.add_subcommand(
      "verify-proof", "Say what a proof proves: that a row is in a table, or that none with a key is.");
  c->add_option("file", a->file, "written by kv get --proof (-: standard input)")->required();
  c->add_option("--root", a->roots, "roots you trust (kv root); the proof must be of one of them");
  c->add_flag("--json", a->json, "print one JSON object, key and value in base64");
  c->footer(
      "Example:\n  holdfast verify-proof sky.proof --root $(holdfast kv -c D/client.yaml root colours)\n\n"
      "Needs no server and no key. Exit codes: 0 it holds, 3 it does not (or is of another root). The index "
      "is\n"
      "what the prover says; everything else follows from the root.");
  c->callback([a, &chosen] { chosen = [a] { return VerifyProof(*a); }; });
}

}  // namespace holdfast::cli
