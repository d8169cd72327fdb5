#include "host/kv/azure_table.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "host/http/credentials.h"
#include "host/http/digest.h"
#include "host/kv/json_answers.h"
#include "host/kv/remote.h"
#include "host/kv/remote_url_internal.h"

namespace holdfast::host {
namespace {

using Json = nlohmann::json;
using Headers = std::map<std::string, std::string>;

constexpr uint64_t kPropertyBytes = 64u << 10;
// An entity has 1 MiB, which some services count as base 64, with the names.
constexpr uint64_t kEntityBytes = 11 * kPropertyBytes;
constexpr uint64_t kAnswerBytesMax = 8u << 20;
constexpr int kListPagesMax = 1000;  // a page may be empty and yet not the last

class AzureTableEngine : public RemoteEngine {
 public:
  AzureTableEngine(const RemoteUrl& url, Bytes key)
      : client_(HttpOptionsOf(url)),
        account_(url.path[0]),
        table_(url.path[1]),
        key_(std::move(key)),
        opener_(RandomHex()) {
    endpoint_ = url.endpoint.empty() ? "https://" + account_ + ".table.core.windows.net" : url.endpoint;
    base_ = PathOf(endpoint_);
    endpoint_.resize(endpoint_.size() - base_.size());
    if (!HostHeaderOf(endpoint_).starts_with(account_ + ".") && base_.empty()) base_ = "/" + account_;
  }

  Status Open(OpenMode mode);

  RemoteTraits traits() const override {
    return {
        .create_if_absent = true, .conditional_put = true, .atomic = true, .value_bytes_max = kEntityBytes};
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

 private:
  Result<HttpAnswer> Send(const char* method, const std::string& path, const std::string& query,
                          Headers headers, const std::string& body);
  static Code CodeOf(const HttpAnswer& answer);
  std::string EntityPath(std::string_view name) const {
    return "/" + table_ + "(PartitionKey='o',RowKey='" + NameToKey(name) + "')";
  }
  std::string EntityOf(std::string_view name, ByteView bytes, const std::string& write) const;

  HttpClient client_;
  const std::string account_, table_;
  const Bytes key_;
  const std::string opener_;
  std::string endpoint_, base_;
  std::atomic<uint64_t> writes_ = 0;
};

Result<HttpAnswer> AzureTableEngine::Send(const char* method, const std::string& path,
                                          const std::string& query, Headers headers,
                                          const std::string& body) {
  HttpRequest request;
  request.method = method;
  std::string whole = base_ + path;
  request.url = endpoint_ + whole + (query.empty() ? "" : "?" + query);
  request.body = AsBytes(body);
  request.answer_bytes_max = kAnswerBytesMax;
  headers["host"] = HostHeaderOf(endpoint_);
  headers["accept"] = "application/json;odata=nometadata";
  headers["dataserviceversion"] = "3.0;NetFx";
  headers["x-ms-version"] = "2019-02-02";
  if (!body.empty()) headers["content-type"] = "application/json";
  return client_.Send(std::move(request), [&](HttpRequest& r) {
    std::string date = HttpDateNow();
    r.headers = headers;
    r.headers["x-ms-date"] = date;
    std::string to_sign = date + "\n/" + account_ + whole;
    r.headers["authorization"] =
        "SharedKeyLite " + account_ + ":" + Base64(HmacSha256(key_, AsBytes(to_sign)));
  });
}

Code AzureTableEngine::CodeOf(const HttpAnswer& answer) {
  std::string error = ParseAzureError(answer.body.parse());
  if (error == "TableNotFound" || error == "TableBeingDeleted") return Code::kNoStore;
  if (answer.status == 403) return Code::kRefusedByProvider;
  return CodeOfHttp(answer.status);
}

Status AzureTableEngine::Open(OpenMode mode) {
  if (mode == OpenMode::kCreate) {
    HF_TRY(HttpAnswer made, Send("POST", "/Tables", "", {{"prefer", "return-no-content"}},
                                 Json{{"TableName", table_}}.dump()));
    if (!made.ok() && ParseAzureError(made.body.parse()) != "TableAlreadyExists") return CodeOf(made);
  }
  return CheckPlace(*this, mode);
}

Result<seam::VersionedBytes> AzureTableEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  HF_TRY(HttpAnswer answer, Send("GET", EntityPath(name), length == 0 ? "$select=w" : "", {}, ""));
  if (!answer.ok()) return CodeOf(answer);
  HF_TRY(JsonRow row, ParseAzureEntity(answer.body.parse()));
  return Cut(std::move(row.bytes), offset, length, std::string(answer.Header("etag")) + " " + row.write);
}

std::string AzureTableEngine::EntityOf(std::string_view name, ByteView bytes,
                                       const std::string& write) const {
  Json entity = {{"PartitionKey", "o"}, {"RowKey", NameToKey(name)}, {"w", write}, {"z", bytes.size()}};
  for (size_t i = 0; i * kPropertyBytes < bytes.size(); ++i) {
    std::string property = "v" + std::to_string(i);
    ByteView piece = bytes.subspan(i * kPropertyBytes);
    entity[property] = Base64(piece.first(std::min<size_t>(piece.size(), kPropertyBytes)));
    entity[property + "@odata.type"] = "Edm.Binary";
  }
  return entity.dump();
}

Result<seam::ObjectVersion> AzureTableEngine::Write(std::string_view name, ByteView bytes,
                                                    const WriteCondition& condition) {
  using Kind = WriteCondition::Kind;
  std::string write = opener_ + "-" + std::to_string(++writes_);
  std::string body = EntityOf(name, bytes, write);
  bool insert = condition.kind == Kind::kAbsent;
  Headers headers;
  if (insert) headers["prefer"] = "return-no-content";
  size_t space = condition.version.rfind(' ');
  if (condition.kind == Kind::kVersion) headers["if-match"] = condition.version.substr(0, space);
  if (condition.kind == Kind::kVersion && (space == std::string::npos || space == 0))
    return Code::kVersionMismatch;
  HF_TRY(HttpAnswer answer, Send(insert ? "POST" : "PUT", insert ? "/" + table_ : EntityPath(name), "",
                                 std::move(headers), body));
  if (answer.ok()) return std::string(answer.Header("etag")) + " " + write;
  Code code = CodeOf(answer);
  bool refused =
      (insert && answer.status == 409 && ParseAzureError(answer.body.parse()) == "EntityAlreadyExists") ||
      (condition.kind == Kind::kVersion &&
       (answer.status == 412 || (answer.status == 404 && code != Code::kNoStore) ||
        // An ETag that is none of its own.
        answer.status == 400));
  if (!refused) return code;
  return UnlessOurs(Read(name, 0, 0), write, insert ? Code::kExists : Code::kVersionMismatch);
}

Status AzureTableEngine::Erase(std::string_view name) {
  HF_TRY(HttpAnswer answer, Send("DELETE", EntityPath(name), "", {{"if-match", "*"}}, ""));
  if (answer.ok()) return Ok();
  Code code = CodeOf(answer);
  return code == Code::kNotFound ? Ok() : Status(code);
}

Result<seam::Listing> AzureTableEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::string low = NameToKey(prefix), high = low + "G", last = NameToKey(after), next;
  seam::Listing page;
  for (int pages = 0; pages < kListPagesMax; ++pages) {
    std::string filter = "PartitionKey eq 'o' and RowKey ge '" + low + "' and RowKey lt '" + high + "'";
    if (!last.empty()) filter += " and RowKey gt '" + last + "'";
    std::string query = "$filter=" + UriEncode(filter) +
                        "&$select=RowKey,z&$top=" + std::to_string(limit + 1 - page.objects.size());
    if (!next.empty()) query += "&NextPartitionKey=" + UriEncode("o") + "&NextRowKey=" + UriEncode(next);
    HF_TRY(HttpAnswer answer, Send("GET", "/" + table_ + "()", query, {}, ""));
    if (!answer.ok()) return CodeOf(answer) == Code::kNotFound ? Code::kNoStore : CodeOf(answer);
    HF_TRY(JsonListing listing, ParseAzureListing(answer.body.parse()));
    for (seam::ObjectInfo& object : listing.objects) {
      if (object.name <= last || !object.name.starts_with(low)) return Code::kMalformed;
      last = object.name;
      if (page.objects.size() == limit) {
        page.complete = false;
        return page;
      }
      // What is no key of ours is listed as it is, and no name.
      std::optional<std::string> name = NameOfKey(object.name);
      page.objects.push_back({name ? std::move(*name) : object.name, object.size_bytes});
    }
    next = answer.Header("x-ms-continuation-nextrowkey");
    if (next.empty()) return page;
  }
  return Code::kMalformed;
}

bool IsAccount(std::string_view s) {
  return s.size() >= 3 && s.size() <= 63 &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == s.npos;
}
bool IsTable(std::string_view s) {
  return s.size() >= 3 && s.size() <= 63 && (s[0] < '0' || s[0] > '9') && s != "Tables" &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == s.npos;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenAzureTable(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {}));
  if (url.path.size() != 2 || !IsAccount(url.path[0]) || !IsTable(url.path[1])) return Code::kBadUrl;
  HF_TRY(Credentials found, FindCredentials(url.credentials, {{"account_key", "AZURE_STORAGE_KEY"}}));
  std::optional<Bytes> key = ParseBase64(found["account_key"]);
  if (!key) return Code::kBadConfig;
  auto engine = std::make_unique<AzureTableEngine>(url, std::move(*key));
  HF_TRY_VOID(engine->Open(mode));
  return OpenRemote(std::move(engine), mode, url.single_writer && mode != OpenMode::kReadOnly);
}

}  // namespace holdfast::host
