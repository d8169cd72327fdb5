// The worked example of docs/format.md 11, read out of the document and opened.
#include <fstream>

#include "core/seal/anchor.h"
#include "core/seal/attack_internal.h"
#include "core/seal/keyring.h"
#include "core/seal/unlock.h"
#include "vector_file.h"

namespace holdfast::seal {
namespace {

constexpr std::string_view kKeyringName = "enclave-state/0/key-enclave";

struct Example {
  std::map<std::string, Bytes> values;  // "name = hex"
  std::map<std::string, Bytes> dumps;   // "name: n bytes", then "offset  hex  meaning"
  std::map<std::string, size_t> announced_sizes;
};

// The bytes of a dump line: at least one pair, pairs one space apart, ended by two spaces or the end of the
// line.
Bytes LineBytes(const std::string& line) {
  Bytes out;
  for (size_t at = 6; at + 2 <= line.size() && line[at] != ' '; at += 3) {
    std::optional<Bytes> one = ParseHex(std::string_view(line).substr(at, 2));
    HF_CHECK(one.has_value());
    out.push_back((*one)[0]);
  }
  return out;
}

void ReadBlockLine(const std::string& line, std::string& dump, Example& e) {
  size_t equals = line.find(" = ");
  size_t colon = line.find(": ");
  if (dump.empty() && equals != std::string::npos) {
    std::string name = line.substr(0, line.find_last_not_of(' ', equals) + 1);
    e.values[name] = ParseHex(line.substr(equals + 3)).value();
  } else if (dump.empty() && colon != std::string::npos) {
    dump = line.substr(0, colon);
    e.announced_sizes[dump] = std::stoul(line.substr(colon + 2));
  } else {
    EXPECT_EQ(std::stoul(line.substr(0, 4), nullptr, 16), e.dumps[dump].size()) << dump << ": " << line;
    Append(e.dumps[dump], LineBytes(line));
  }
}

const Example& Document() {
  static const Example example = [] {
    Example e;
    std::ifstream in(std::string(HF_SOURCE_DIR) + "/docs/format.md");
    bool here = false, in_block = false;
    std::string dump;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("## ")) here = line.starts_with("## 11.");
      if (!here) continue;
      if (line.starts_with("```")) {
        in_block = !in_block;
        dump.clear();
      } else if (in_block) {
        ReadBlockLine(line, dump, e);
      }
    }
    return e;
  }();
  return example;
}

const Bytes& Value(const char* name) { return Document().values.at(name); }
const Bytes& Dump(const char* name) { return Document().dumps.at(name); }
StoreId Store() { return StoreId::From(Value("store id")); }
StoreKeys Keys() { return StoreKeys::Derive(Key{ByteView(Value("master"))}, Store()); }

TEST(WorkedExample, HasAllItsDumpsAtTheSizesItSays) {
  ASSERT_EQ(Document().dumps.size(), 6u);
  for (const auto& [name, bytes] : Document().dumps)
    EXPECT_EQ(bytes.size(), Document().announced_sizes.at(name)) << name;
}

TEST(WorkedExample, ItsUnlockersOpenWithItsPassphrase) {
  EXPECT_EQ(UnlockersStore(Dump("unlockers")).value(), Store());
  Result<Key> master = Unlock(Dump("unlockers"), Value("passphrase"));
  ASSERT_TRUE(master);
  EXPECT_EQ(HexUpper(master->view()), HexUpper(Value("master")));
}

TEST(WorkedExample, ItsKeyringOpensToItsPlaintext) {
  StoreKeys keys = Keys();
  EXPECT_EQ(HexUpper(keys.keyring_root.view()), HexUpper(Value("keyring domain root")));
  DomainKeys domain = DomainKeys::Derive(keys.keyring_root);
  EXPECT_EQ(HexUpper(domain.seal.view()), HexUpper(Value("seal key")));
  EXPECT_EQ(HexUpper(domain.hash.view()), HexUpper(Value("hash key")));
  EXPECT_EQ(HexUpper(EncodeBinding({Store(), kKeyringName})), HexUpper(Value("binding")));
  ObjectHeader header = ObjectHeader::Decode(Dump("keyring"), ObjectKind::kKeyring).value();
  EXPECT_EQ(HexUpper(ObjectKey(domain, header).view()), HexUpper(Value("object key")));
  EXPECT_EQ(OpenObject(domain, ObjectKind::kKeyring, {Store(), kKeyringName}, Dump("keyring")).value(),
            Dump("keyring plaintext"));
  EXPECT_TRUE(Keyring::Open(keys.keyring_root, Store(), kKeyringName, Dump("keyring")));
}

TEST(WorkedExample, ItsAnchorIsGenuineAndSaysWhatItsLinesSay) {
  StoreKeys keys = Keys();
  EXPECT_EQ(HexUpper(keys.anchor.view()), HexUpper(Value("anchor key")));
  Anchor anchor = Anchor::Decode(keys.anchor, Store(), Dump("anchor")).value();
  EXPECT_EQ(anchor.term, Term(3));
  EXPECT_EQ(anchor.index, LogIndex(1000));
  EXPECT_EQ(anchor.save, SaveNumber(17));
}

}  // namespace
}  // namespace holdfast::seal
