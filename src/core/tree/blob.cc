#include <algorithm>

#include "base/limits.h"
#include "core/tree/read.h"

namespace holdfast::tree {

BlobReader::BlobReader(const StoredValue& value, const Root& shared)
    : length_(value.length), is_blob_(value.is_blob), is_shared_(value.is_shared), ref_(value.blob) {
  if (is_shared_) shared_ = shared;
  if (!is_blob_) out_ = ToBytes(value.inline_bytes);
}

// A row whose value is nowhere, or is another one: a forged tree, or our fault.
Step<bool> BlobReader::Resolve(NodeSource& source) {
  Step<std::optional<Found>> found = Lookup(shared_, ref_.address, source);
  if (found.needs()) return Need{found.need()};
  if (found.failed()) return found.error();
  if (!found.value()) return Code::kMalformed;
  const StoredValue& value = found.value()->value;
  if (value.is_shared || value.length != length_) return Code::kMalformed;
  is_blob_ = value.is_blob;
  ref_ = value.blob;
  if (!is_blob_) out_ = ToBytes(value.inline_bytes);
  is_shared_ = false;
  return true;
}

Step<Bytes> BlobReader::Run(NodeSource& source) {
  if (is_shared_) {
    Step<bool> resolved = Resolve(source);
    if (resolved.needs()) return Need{resolved.need()};
    if (resolved.failed()) return resolved.error();
  }
  if (!is_blob_) return out_;
  if (length_ > limits::kValueBytesMax) return Code::kMalformed;
  size_t chunks = std::max<size_t>(1, (length_ + limits::kBlobChunkBytes - 1) / limits::kBlobChunkBytes);
  if (chunks > 1 && list_ == nullptr) {
    list_ = source.Find(ref_);
    if (list_ == nullptr) return Need{ref_};
    if (list_->type() != NodeType::kChunkList || list_->count() != chunks) return Code::kMalformed;
  }
  for (; next_chunk_ < chunks; ++next_chunk_) {
    NodeRef ref = chunks == 1 ? ref_ : list_->child(next_chunk_);
    NodePtr node = source.Find(ref);
    if (node == nullptr) return Need{ref};
    if (node->type() != NodeType::kChunk) return Code::kMalformed;
    ByteView bytes = node->chunk();
    if (bytes.size() != std::min<uint64_t>(limits::kBlobChunkBytes, length_ - out_.size()))
      return Code::kMalformed;
    Append(out_, bytes);
  }
  return out_;
}

}  // namespace holdfast::tree
