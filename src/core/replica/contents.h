// What one provider holds, compared with what it should hold, and put right: by hash, without a key.
// Blocking; not thread-safe for one name.
#ifndef HOLDFAST_CORE_REPLICA_CONTENTS_H_
#define HOLDFAST_CORE_REPLICA_CONTENTS_H_

#include <functional>
#include <string>
#include <vector>

#include "seam/copies.h"

namespace holdfast::replica {

uint64_t LengthOf(const seam::Pieces& pieces);
bool IsJournal(std::string_view name);     // below members/
bool IsSegment(std::string_view name);     // below segments/
bool IsGroup(std::string_view name);       // below manifest/
bool IsSaveNumber(std::string_view name);  // the file that makes its slot valid: written last (rule D2)
std::string_view FolderOf(std::string_view name);  // with its last '/'

// How many leading pieces of `bytes` are as they should be.
size_t ValidPieces(ByteView bytes, const seam::Pieces& pieces);
inline bool Matches(ByteView bytes, const seam::Pieces& pieces) {
  return bytes.size() == LengthOf(pieces) && ValidPieces(bytes, pieces) == pieces.size();
}

// How many leading pieces lie there under `name`; 0 when there is nothing. Reads the object.
//   errors  of the storage, but for kNotFound and kTooLarge
Result<size_t> PiecesHeld(seam::Storage& storage, std::string_view name, const seam::Pieces& pieces);

// Bytes of an object that somebody else has. kUnreachable: nobody who answers has it.
using FetchObject = std::function<Result<Bytes>(std::string_view name, const seam::Pieces& pieces)>;

struct CatchUpWork {
  seam::Storage& storage;
  const seam::Catalogue& catalogue;  // of what is to be brought up
  const FetchObject& fetch;
  std::function<bool(std::string_view name)> suspect;  // compared by hash whatever it is
  std::function<void()> copied;                        // after each object that was put right
};

// Brings the journal up: durable when it returns. Frames that are there and whole are not written again, and
// none is taken away before it has been read elsewhere. What is not in the catalogue stays (rule B3: the
// writer's cut deletes it).
Status CatchUpJournal(const CatchUpWork& work, bool append);

// Brings everything else up, in the order in which a save writes: segments and groups, barrier, slot files,
// barrier, numbers, barrier; then deletes segments and groups that nothing names. Segments are compared by
// size, what is small by hash.
Status CatchUpObjects(const CatchUpWork& work);

}  // namespace holdfast::replica

#endif  // HOLDFAST_CORE_REPLICA_CONTENTS_H_
