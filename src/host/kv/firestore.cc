#include "host/kv/firestore.h"

#include <algorithm>
#include <mutex>
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

HF_NOT_YET("firestore: access tokens made from a service account's key (a file with a token is read)");

constexpr uint64_t kDocumentBytes = 960u << 10;
constexpr uint64_t kAnswerBytesMax = 8u << 20;

Result<std::string> FindToken(const std::string& file) {
  HF_TRY(Credentials found, FindCredentials(file, {{"access_token", "FIRESTORE_ACCESS_TOKEN"}}));
  return found["access_token"];
}

class FirestoreEngine : public RemoteEngine {
 public:
  FirestoreEngine(const RemoteUrl& url, std::string token)
      : client_(HttpOptionsOf(url)),
        documents_("projects/" + url.path[0] + "/databases/(default)/documents"),
        collection_(url.path[1]),
        token_file_(url.credentials),
        opener_(RandomHex()),
        token_(std::move(token)) {
    std::string endpoint = url.endpoint.empty() ? "https://firestore.googleapis.com" : url.endpoint;
    base_ = endpoint + "/v1/" + documents_;
  }

  RemoteTraits traits() const override {
    return {
        .create_if_absent = true, .conditional_put = true, .atomic = true, .value_bytes_max = kDocumentBytes};
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

 private:
  Result<HttpAnswer> Send(const char* method, const std::string& path, const std::string& body);
  static Code CodeOf(const HttpAnswer& answer);
  std::string PathOfDocument(std::string_view name) const {
    return "/" + collection_ + "/" + NameToKey(name);
  }

  HttpClient client_;
  const std::string documents_, collection_, token_file_, opener_;
  std::string base_;
  std::atomic<uint64_t> writes_ = 0;
  std::mutex mutex_;  // token_
  std::string token_;
};

Result<HttpAnswer> FirestoreEngine::Send(const char* method, const std::string& path,
                                         const std::string& body) {
  for (bool fresh = false;; fresh = true) {
    HttpRequest request;
    request.method = method;
    request.url = base_ + path;
    request.body = AsBytes(body);
    request.answer_bytes_max = kAnswerBytesMax;
    {
      std::lock_guard lock(mutex_);
      request.headers["authorization"] = "Bearer " + token_;
    }
    if (!body.empty()) request.headers["content-type"] = "application/json";
    request.throttled = [](const HttpAnswer& answer) {
      return answer.status == 409 && ParseFirestoreError(answer.body.parse()) == "ABORTED";
    };
    Result<HttpAnswer> answer = client_.Send(std::move(request));
    if (!answer || answer->status != 401 || fresh || token_file_.empty()) return answer;
    HF_TRY(std::string token, FindToken(token_file_));
    std::lock_guard lock(mutex_);
    token_ = std::move(token);
  }
}

Code FirestoreEngine::CodeOf(const HttpAnswer& answer) {
  return ParseFirestoreError(answer.body.parse()) == "RESOURCE_EXHAUSTED" ? Code::kUnreachable
                                                                          : CodeOfHttp(answer.status);
}

Result<seam::VersionedBytes> FirestoreEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  HF_TRY(HttpAnswer answer,
         Send("GET", PathOfDocument(name) + (length == 0 ? "?mask.fieldPaths=w" : ""), ""));
  if (!answer.ok()) return CodeOf(answer);
  HF_TRY(JsonRow row, ParseFirestoreDocument(answer.body.parse()));
  return Cut(std::move(row.bytes), offset, length, row.stamp + " " + row.write);
}

Result<seam::ObjectVersion> FirestoreEngine::Write(std::string_view name, ByteView bytes,
                                                   const WriteCondition& condition) {
  using Kind = WriteCondition::Kind;
  std::string write = opener_ + "-" + std::to_string(++writes_);
  Json fields = {{"w", {{"stringValue", write}}}, {"z", {{"integerValue", std::to_string(bytes.size())}}}};
  if (!bytes.empty()) fields["v"] = {{"bytesValue", Base64(bytes)}};
  std::string path = PathOfDocument(name);
  size_t space = condition.version.rfind(' ');
  if (condition.kind == Kind::kAbsent) path += "?currentDocument.exists=false";
  if (condition.kind == Kind::kVersion) {
    if (space == std::string::npos || space == 0) return Code::kVersionMismatch;
    path += "?currentDocument.updateTime=" + UriEncode(condition.version.substr(0, space));
  }
  HF_TRY(HttpAnswer answer, Send("PATCH", path, Json{{"fields", std::move(fields)}}.dump()));
  if (answer.ok()) {
    HF_TRY(JsonRow row, ParseFirestoreDocument(answer.body.parse()));
    return row.stamp + " " + write;
  }
  std::string error = ParseFirestoreError(answer.body.parse());
  bool refused = (condition.kind == Kind::kAbsent && error == "ALREADY_EXISTS") ||
                 (condition.kind == Kind::kVersion &&
                  (error == "FAILED_PRECONDITION" || error == "NOT_FOUND" || error == "INVALID_ARGUMENT"));
  if (!refused) return CodeOf(answer);
  return UnlessOurs(Read(name, 0, 0), write,
                    condition.kind == Kind::kAbsent ? Code::kExists : Code::kVersionMismatch);
}

Status FirestoreEngine::Erase(std::string_view name) {
  HF_TRY(HttpAnswer answer, Send("DELETE", PathOfDocument(name), ""));
  return answer.ok() || CodeOf(answer) == Code::kNotFound ? Ok() : Status(CodeOf(answer));
}

Result<seam::Listing> FirestoreEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  auto cursor = [&](const std::string& key, bool before) {
    return Json{{"values", {{{"referenceValue", documents_ + "/" + collection_ + "/" + key}}}},
                {"before", before}};
  };
  std::string low = NameToKey(prefix), last = NameToKey(after);
  Json query = {{"from", {{{"collectionId", collection_}}}},
                {"select", {{"fields", {{{"fieldPath", "z"}}}}}},
                {"orderBy", {{{"field", {{"fieldPath", "__name__"}}}, {"direction", "ASCENDING"}}}},
                {"limit", limit + 1}};
  // Behind `last`, or from the prefix on, to the first that cannot have it.
  if (!last.empty() && last >= low) {
    query["startAt"] = cursor(last, false);
  } else if (!low.empty()) {
    query["startAt"] = cursor(low, true);
  }
  if (!low.empty()) query["endAt"] = cursor(low + "G", true);
  HF_TRY(HttpAnswer answer, Send("POST", ":runQuery", Json{{"structuredQuery", std::move(query)}}.dump()));
  if (!answer.ok()) return CodeOf(answer);
  HF_TRY(JsonListing listing, ParseFirestoreListing(answer.body.parse()));
  seam::Listing page;
  for (seam::ObjectInfo& object : listing.objects) {
    if (object.name <= last || !object.name.starts_with(low)) return Code::kMalformed;
    last = object.name;
    if (page.objects.size() == limit) {
      page.complete = false;
      break;
    }
    // What is no key of ours is listed as it is, and no name.
    std::optional<std::string> name = NameOfKey(object.name);
    page.objects.push_back({name ? std::move(*name) : object.name, object.size_bytes});
  }
  return page;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenFirestore(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {}));
  if (url.path.size() != 2 || !IsPlainWord(url.path[0], 63) || !IsPlainWord(url.path[1], 255) ||
      (!url.endpoint.empty() && !IsLoopbackOrTls(url.endpoint))) {
    return Code::kBadUrl;
  }
  HF_TRY(std::string token, FindToken(url.credentials));
  auto engine = std::make_unique<FirestoreEngine>(url, std::move(token));
  HF_TRY_VOID(CheckPlace(*engine, mode));
  return OpenRemote(std::move(engine), mode, url.single_writer && mode != OpenMode::kReadOnly);
}

}  // namespace holdfast::host
