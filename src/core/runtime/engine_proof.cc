// Proofs are of saved states: what is only in the overlays has no digest yet.
#include "core/runtime/engine.h"
#include "core/tree/patricia_prove.h"

namespace holdfast::runtime {

using sync::ReaderLock;

// The save to prove from: the last one, or a new one where the key has changed since.
Result<store::VersionPtr> Engine::ProvableVersion(const TableId& table, ByteView key) {
  bool saved = false;
  {
    ReaderLock lock(state_lock_);
    auto it = state_->tables().find(table);
    if (it == state_->tables().end()) return Code::kNoTable;
    if (it->second.descriptor.layout != tree::Layout::kPatricia) return Code::kNoProof;
    store::View view = state_->CurrentView();
    saved = view.base->manifest.root.tables.contains(table) && !view.OverlayGet(table, key);
    if (saved) return view.base;
  }
  HF_TRY_VOID(SaveAndWait());
  store::VersionPtr base = CurrentView().base;
  if (!base->manifest.root.tables.contains(table)) return Code::kNoTable;
  return base;
}

Result<Bytes> Engine::Prove(const TableId& table, ByteView key, LogIndex at_least, uint64_t timeout_ms) {
  HF_TRY_VOID(WaitApplied(at_least, timeout_ms));
  HF_TRY(store::VersionPtr base, ProvableVersion(table, key));
  const tree::Root& root = base->manifest.root.tables.at(table).root;
  auto blinding = tree::patricia::Blinding::Of(base->keys.at(table));
  ReaderNodes nodes(storage_, base, nodes_);
  tree::patricia::Prover prover(root, key, blinding);
  HF_TRY(tree::Proof proof, store::Drive(nodes, [&] { return prover.Run(nodes); }));
  proof.store = store_;
  proof.table = table;
  proof.index = base->manifest.root.position.index;
  proof.root = tree::patricia::TableDigest(store_, table, root.rows, root.digest);
  return proof.Encode();
}

}  // namespace holdfast::runtime
