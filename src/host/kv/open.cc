#include "host/kv/open.h"

#include <algorithm>
#include <utility>

#include "host/kv/azure_table.h"
#include "host/kv/dir.h"
#include "host/kv/dynamodb.h"
#include "host/kv/firestore.h"
#include "host/kv/leveldb.h"
#include "host/kv/memory.h"
#include "host/kv/postgres.h"
#include "host/kv/rocksdb.h"
#include "host/kv/s3.h"
#include "host/kv/sqlite.h"
#include "host/kv/webhdfs.h"

namespace holdfast::host {
namespace {

constexpr size_t kUrlBytesMax = 4096;  // PATH_MAX; nobody needs more

Status ParseParameters(std::string_view text, StoreUrl& url) {
  for (bool more = true; more;) {
    size_t n = text.find('&');
    more = n != std::string_view::npos;
    std::string_view one = text.substr(0, n);
    size_t equals = one.find('=');
    if (equals == 0 || equals == std::string_view::npos) return Code::kBadUrl;
    if (!url.parameters.try_emplace(std::string(one.substr(0, equals)), one.substr(equals + 1)).second) {
      return Code::kBadUrl;
    }
    if (more) text.remove_prefix(n + 1);
  }
  return Ok();
}

Result<std::unique_ptr<seam::Storage>> OpenDirUrl(const StoreUrl& url, OpenMode mode) {
  if (url.path.empty()) return Code::kBadUrl;
  DirOptions options;
  for (const auto& [name, value] : url.parameters) {
    if (name != "whole-objects" || (value != "true" && value != "false")) return Code::kBadUrl;
    options.whole_objects = value == "true";
  }
  return OpenDir(url.path, mode, std::move(options));
}

// sqlite: rocksdb: leveldb: take a path and nothing else.
template <typename Open>
Result<std::unique_ptr<seam::Storage>> OpenPathUrl(const StoreUrl& url, Open open) {
  if (url.path.empty() || !url.parameters.empty()) return Code::kBadUrl;
  return open(url.path);
}

}  // namespace

Result<StoreUrl> ParseStoreUrl(std::string_view text) {
  if (text.size() > kUrlBytesMax) return Code::kBadUrl;
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
    return Code::kBadUrl;
  }
  size_t colon = text.find(':');
  if (colon == 0 || colon == std::string_view::npos) return Code::kBadUrl;
  StoreUrl url;
  url.scheme = text.substr(0, colon);
  std::string_view rest = text.substr(colon + 1);
  size_t question = rest.find('?');
  url.path = rest.substr(0, question);
  if (question != std::string_view::npos) HF_TRY_VOID(ParseParameters(rest.substr(question + 1), url));
  return url;
}

Result<std::unique_ptr<seam::Storage>> OpenStorage(std::string_view text, OpenMode mode) {
  HF_TRY(StoreUrl url, ParseStoreUrl(text));
  if (url.scheme == "dir") return OpenDirUrl(url, mode);
  if (url.scheme == "memory") {
    if (!url.path.empty() || !url.parameters.empty()) return Code::kBadUrl;
    return std::unique_ptr<seam::Storage>(std::make_unique<MemoryStorage>());
  }
  if (url.scheme == "sqlite") return OpenPathUrl(url, [&](auto& path) { return OpenSqlite(path, mode); });
  if (url.scheme == "rocksdb") return OpenPathUrl(url, [&](auto& path) { return OpenRocksdb(path, mode); });
  if (url.scheme == "leveldb") return OpenPathUrl(url, [&](auto& path) { return OpenLeveldb(path, mode); });
  if (url.scheme == "s3") return OpenS3(url, mode);
  if (url.scheme == "postgres") return OpenPostgres(url, mode);
  if (url.scheme == "dynamodb") return OpenDynamodb(url, mode);
  if (url.scheme == "azure-table") return OpenAzureTable(url, mode);
  if (url.scheme == "firestore") return OpenFirestore(url, mode);
  if (url.scheme == "webhdfs") return OpenWebhdfs(url, mode);
  return Code::kBadUrl;
}

std::string DirectoryOf(std::string_view text) {
  Result<StoreUrl> url = ParseStoreUrl(text);
  return url && url->scheme == "dir" ? url->path : std::string();
}

}  // namespace holdfast::host
