// Every limit has a name, a value and a reason. Nothing that a stranger can fill is without one.
#ifndef HOLDFAST_BASE_LIMITS_H_
#define HOLDFAST_BASE_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace holdfast::limits {

// The API (docs: contract).
inline constexpr size_t kTableNameBytesMax = 128;
inline constexpr size_t kKeyBytesMax = 1024;
inline constexpr size_t kValueBytesMax = 16u << 20;
inline constexpr size_t kBatchOpsMax = 10'000;
inline constexpr size_t kBatchBytesMax = 16u << 20;
inline constexpr size_t kTablesMax = 4096;  // the catalogue is rewritten at every save
inline constexpr size_t kTagNameBytesMax = 128;
inline constexpr size_t kTagsMax = 1024;           // each is a root of its own in the catalogue
inline constexpr size_t kIndexesPerTableMax = 16;  // each write to the table writes to each of them

// The tree.
inline constexpr size_t kInlineValueBytesMax = 224;   // seven 256-bit words (the source's figure)
inline constexpr size_t kBlobChunkBytes = 64u << 10;  // chunks of values larger than that
inline constexpr uint16_t kLeafRowsDefault = 16;
inline constexpr uint16_t kInnerChildrenDefault = 64;
inline constexpr uint16_t kOrderMin = 4;
inline constexpr uint16_t kOrderMax = 256;
inline constexpr uint8_t kTreeLevelsMax = 32;  // 4^32 rows: deeper is a forged node
inline constexpr size_t kLeafBytesMax =
    64u << 10;  // a leaf of long rows splits before it holds leaf_rows_max of them
inline constexpr size_t kNodeBytesMax = 1u << 20;  // 256 children x (1,024-byte key + references) fits

// Segments and journal.
inline constexpr size_t kSegmentBytesTarget = 16u << 20;
inline constexpr size_t kSegmentBytesMax = 64u << 20;
inline constexpr size_t kSectorBytes = 512;
inline constexpr size_t kFrameBytesMax = 40u << 20;  // two largest batches and their padding
inline constexpr size_t kFrameEntriesMax = 65'536;
inline constexpr size_t kJournalFileBytes = 16u << 20;  // preallocated; rolled when full
inline constexpr size_t kWaveBytesCap = 4u << 20;       // dirty bytes that close a wave at once
inline constexpr size_t kWavesInFlightMax = 2;          // local disk: one on its way, one behind it
inline constexpr size_t kPendingBytesMax =
    64u << 20;  // commands accepted but not yet in a frame; then `overloaded`
inline constexpr size_t kPendingCommandsMax = 100'000;
inline constexpr size_t kReserveBytes = 48u << 20;  // put aside for a full disk: a journal file, two segments
inline constexpr size_t kManifestBytesMax = 256u << 20;
inline constexpr size_t kManifestGroupsMax = 256u << 10;  // listed by one head

// Secondary indexes. A put reads the row that it replaces, and writes up to two rows for each index.
inline constexpr size_t kIndexesMax = 16;  // of one table
inline constexpr size_t kIndexPointerBytesMax = 256;
// An index is built by the entry that makes it, while nothing else is applied: about a second for these.
inline constexpr size_t kIndexBuildRowsMax = 1'000'000;
inline constexpr size_t kIndexBuildBytesMax = 64u << 20;  // of its rows: half of what begins a save

// Rows of transient tables: a quarter of the cache's size, within these, and on top of it. Then
// kTransientFull.
inline constexpr size_t kTransientBytesMin = 16u << 20, kTransientBytesMax = 256u << 20;

// Several providers for one store.
inline constexpr size_t kProvidersMax = 5;  // each has threads, queues and metrics of its own
inline constexpr size_t kProviderQueueBytesMax = 64u << 20;  // of each of its two queues; then it is behind
inline constexpr size_t kProviderQueueJobsMax = 4096;  // small frames too: what is behind is copied faster
inline constexpr size_t kProviderAppendBytesMax = 8u << 20;  // frames that one call to a provider carries
inline constexpr size_t kWavesInFlightSeveral = 8;  // distant providers: a wave each eighth of a round trip
inline constexpr uint64_t kProviderReadPatienceMs = 2'000;  // then another provider is asked
inline constexpr uint64_t kProviderRetryMsMin = 100;        // first pause before a failed call is made again;
inline constexpr uint64_t kProviderRetryMsMax = 10'000;     // it doubles up to this
inline constexpr uint64_t kProviderOpeningMs = 30'000;  // so long an opening waits for its barrier's quorum

// Atomic blocks: short, since they hold what others wait for.
inline constexpr size_t kAtomicDepthMax = 64;
inline constexpr uint64_t kAtomicMillisecondsMax = 5'000;

// Saves.
// Dirty bytes that trigger a save: about a row for each leaf there is, within these bounds. The cost of a
// fold is leaves read and written; with fewer changes than leaves each pays for a leaf of its own.
inline constexpr size_t kOverlayBytesFoldMin = 32u << 20;
inline constexpr size_t kOverlayBytesFold = 128u << 20;
inline constexpr size_t kOverlayBytesMax = 2 * kOverlayBytesFold;  // both overlays; then back-pressure
inline constexpr size_t kFoldWorkersMax = 4;           // threads of one fold; a commit needs a core as well
inline constexpr size_t kMemoryBytesMin = 192u << 20;  // of all that the core takes; less is refused
inline constexpr size_t kNodeCacheBytesDefault = 512u << 20;
inline constexpr size_t kPinsMax = 256;  // open snapshots
inline constexpr size_t kPinnedOverlayBytesMax =
    256u << 20;  // changes kept for open snapshots alone; the oldest end
inline constexpr uint64_t kPinMillisecondsMax = 600'000;

// Key derivation: stored parameters are host input.
inline constexpr uint32_t kArgonMemoryKiBMin = 8;         // libsodium's floor; tests use it
inline constexpr uint32_t kArgonMemoryKiBMax = 2u << 20;  // 2 GiB
inline constexpr uint32_t kArgonMemoryKiBDefault = 256u << 10;
inline constexpr uint32_t kArgonPassesMax = 16;
inline constexpr uint32_t kArgonPassesDefault = 3;
inline constexpr size_t kUnlockersMax = 16;
inline constexpr size_t kPassphraseBytesMax = 1024;

// Sessions and connections.
inline constexpr size_t kConnectionsMax = 1024;
inline constexpr size_t kConnectionBytesMax = 4u << 20;  // queued towards one peer; then it is not read from
inline constexpr size_t kStreamOpsOutstandingMax = 256;  // per Session stream
inline constexpr size_t kWatchQueueMax = 4096;           // changes queued to one watcher; then it is ended
inline constexpr size_t kWatchHistoryBytesMin = 8u << 20, kWatchHistoryBytesMax = 64u << 20;
inline constexpr uint64_t kWatchHistoryEntries =
    65'536;  // kept in memory for watchers that start in the past
inline constexpr size_t kSessionsMax = 10'000;
inline constexpr uint64_t kSessionExpiryEntries = 1'000'000;  // idempotency window, counted in the log

// Admission: what strangers may hold open in the core.
// Each has a gauge and a code (docs/operating.md).
inline constexpr size_t kPeerBytesQueuedMax = 128u << 20;  // encrypted, for all peers together; then the
                                                           // connection that holds most is dropped
inline constexpr uint64_t kSlowReaderMicroseconds = 20'000'000;  // taking nothing for so long: dropped
inline constexpr size_t kWatchesMax = 1024;                      // kTooManyWatches
inline constexpr size_t kSessionStreamsMax = 2048;               // kTooManyStreams
inline constexpr size_t kWaitsMax = 16'384;  // calls parked for an index or their commit: kTooManyWaits

// The channel between host and core (docs/protocol.md).
inline constexpr size_t kRecordBytesMax = 64u << 10;           // payload of one record; longer ones are split
inline constexpr size_t kChannelStreamQueueBytes = 16u << 20;  // beside the ring; then gRPC is read no more
inline constexpr size_t kChannelQueueMessagesMax = 65'536;     // beside a ring; then kHostStalls
inline constexpr size_t kEdgeInboxMax = 8192;                  // messages that one loop has not taken

// Locked memory for secrets: the kernel's default allowance is 8 MiB, on old systems 64 KiB.
inline constexpr size_t kSecretMemoryBytes = 1u << 20;

}  // namespace holdfast::limits

#endif  // HOLDFAST_BASE_LIMITS_H_
