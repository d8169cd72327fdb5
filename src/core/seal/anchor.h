// A point of the log that is kept outside the store, to find a rollback. Two forms:
//   whole  112 bytes, what the anchor file holds
//   short  one line to write down or to carry on paper, "hf1:01ab-…". It leaves out the chain, which the
//   store
//          itself has at that index, and proves it by its tag: what it names can be checked only beside the
//          store.
// Source: docs/format.md 9; rules F1-F3.
#ifndef HOLDFAST_CORE_SEAL_ANCHOR_H_
#define HOLDFAST_CORE_SEAL_ANCHOR_H_

#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

namespace holdfast::seal {

inline constexpr size_t kAnchorBytes = 112;
inline constexpr std::string_view kShortAnchorPrefix = "hf1:";
inline constexpr size_t kShortAnchorTagBytes = 12;
inline constexpr size_t kShortAnchorTextMax = 128;  // longer text is none; it has about 60 letters

struct Anchor {
  StoreId store;
  Term term;
  LogIndex index;
  Digest chain{};
  SaveNumber save;
  friend bool operator==(const Anchor&, const Anchor&) = default;

  Bytes Encode(const Key& anchor_key) const;           // kAnchorBytes
  std::string ShortForm(const Key& anchor_key) const;  // ASCII, no spaces
  // errors  kMalformed   not an anchor
  //         kForeign     of another store
  //         kAuthFailed  MAC does not fit
  static Result<Anchor> Decode(const Key& anchor_key, const StoreId& store, ByteView untrusted);
};

// What an anchor of either form says before the log has been asked. Of the short form alone, term, index and
// save are what somebody wrote down: only Names proves them.
struct AnchorClaim {
  Term term;
  LogIndex index;
  SaveNumber save;
  // Whether the log of `store` with that term and chain at `index` is the one that the anchor was made from.
  bool Names(const Key& anchor_key, const StoreId& store, Term at_term, const Digest& at_chain) const;

  // Text that begins with "hf1:" is read as the short form (case, spaces, line ends and hyphens do not
  // matter; o is 0, i and l are 1); everything else as the whole one.
  //   errors  as Anchor::Decode; kChecksum: the short form was mistyped
  static Result<AnchorClaim> Read(const Key& anchor_key, const StoreId& store, ByteView untrusted);

  // Whether such text could have been printed by ShortForm, without any key: for a command line.
  //   errors  kMalformed, kChecksum (mistyped)
  static Status CheckShort(std::string_view text);
  static bool IsShort(ByteView untrusted);  // begins with "hf1:"

  Digest chain{};                                                // of the whole form
  std::optional<std::array<uint8_t, kShortAnchorTagBytes>> tag;  // of the short one
};

}  // namespace holdfast::seal

#endif  // HOLDFAST_CORE_SEAL_ANCHOR_H_
