#include "host/kv/s3.h"

#include <algorithm>
#include <utility>

#include "host/http/credentials.h"
#include "host/http/digest.h"
#include "host/kv/remote.h"
#include "host/kv/remote_url_internal.h"
#include "host/kv/s3_answer.h"

namespace holdfast::host {
namespace {

constexpr std::string_view kOurs = ".holdfast/";
constexpr std::string_view kWriteHeader = "x-amz-meta-holdfast-write";
constexpr uint64_t kObjectBytesMax = uint64_t{5} << 30;  // of one PUT, by AWS
constexpr uint64_t kListAnswerBytesMax = 4u << 20;       // 1,000 keys of 1 KiB, escaped
constexpr int kListPagesMax = 16;  // pages that hold nothing to show; more is a provider that does not end

class S3Engine : public RemoteEngine {
 public:
  S3Engine(const RemoteUrl& url, AwsCredentials credentials)
      : client_(HttpOptionsOf(url)), credentials_(std::move(credentials)), opener_(RandomHex()) {
    auto region = url.more.find("region");
    region_ = region == url.more.end() ? "us-east-1" : region->second;
    endpoint_ = url.endpoint.empty() ? "https://s3." + region_ + ".amazonaws.com" : url.endpoint;
    bucket_path_ = PathOf(endpoint_) + "/" + url.path[0];
    endpoint_.resize(endpoint_.size() - PathOf(endpoint_).size());
    for (size_t i = 1; i < url.path.size(); ++i) prefix_ += url.path[i] + "/";
  }

  RemoteTraits traits() const override {
    RemoteTraits traits;
    traits.create_if_absent = create_if_absent_;
    traits.conditional_put = conditional_put_;
    traits.value_bytes_max = kObjectBytesMax;
    return traits;
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

  void Probe();  // which conditions the service keeps

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  using Headers = std::map<std::string, std::string>;

  Result<HttpAnswer> Send(std::string method, std::string_view name, const Query& query, Headers headers,
                          ByteView body, uint64_t answer_bytes_max);
  Result<HttpAnswer> Put(std::string_view name, ByteView bytes, std::string_view write, Headers headers);
  Code CodeOf(const HttpAnswer& answer) const;
  static seam::ObjectVersion VersionOf(const HttpAnswer& answer) {
    return std::string(answer.Header("etag")) + " " + std::string(answer.Header(kWriteHeader));
  }

  HttpClient client_;
  const AwsCredentials credentials_;
  const std::string opener_;
  std::atomic<uint64_t> writes_ = 0;
  std::string region_, endpoint_, bucket_path_, prefix_;
  bool create_if_absent_ = false, conditional_put_ = false;
};

Result<HttpAnswer> S3Engine::Send(std::string method, std::string_view name, const Query& query,
                                  Headers headers, ByteView body, uint64_t answer_bytes_max) {
  std::string path = bucket_path_;
  if (!name.empty()) path += "/" + prefix_ + std::string(name);
  HttpRequest request;
  request.method = method;
  request.url = endpoint_ + path + (query.empty() ? "" : "?" + SigV4CanonicalQuery(query));
  request.body = body;
  request.answer_bytes_max = answer_bytes_max;
  headers["host"] = HostHeaderOf(endpoint_);
  headers["x-amz-content-sha256"] = HexLower(Sha256(body));
  if (!credentials_.session_token.empty()) headers["x-amz-security-token"] = credentials_.session_token;
  // A conditional write that ran into another one is to be sent again.
  request.throttled = [](const HttpAnswer& answer) {
    return answer.status == 409 && ParseS3ErrorCode(answer.body.parse()) == "ConditionalRequestConflict";
  };
  return client_.Send(std::move(request), [&](HttpRequest& r) {
    SigV4Scope scope{AmzDateNow(), region_, "s3"};
    headers["x-amz-date"] = scope.date;
    r.headers = headers;
    r.headers["authorization"] = SigV4Authorization(
        {method, path, query, headers, headers["x-amz-content-sha256"]}, scope, credentials_);
  });
}

Code S3Engine::CodeOf(const HttpAnswer& answer) const {
  std::string code = ParseS3ErrorCode(answer.body.parse());
  if (code == "NoSuchBucket") return Code::kNoStore;
  if (code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch" || code == "ExpiredToken" ||
      code == "InvalidToken" || code == "RequestTimeTooSkewed") {
    return Code::kRefusedByProvider;
  }
  if (code == "EntityTooLarge") return Code::kTooLarge;
  if (code == "QuotaExceeded" || code == "XMinioStorageFull") return Code::kFull;
  return CodeOfHttp(answer.status);
}

Result<seam::VersionedBytes> S3Engine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  if (name.starts_with(kOurs)) return Code::kInvalidArgument;
  Headers headers;
  bool whole = offset == 0 && length == UINT64_MAX;
  // Beyond what any object has, and nothing: only whether it is there.
  bool nothing = length == 0 || offset >= kObjectBytesMax * 1024;
  if (!whole && !nothing) {
    headers["range"] = "bytes=" + std::to_string(offset) + "-";
    if (length <= UINT64_MAX - offset) headers["range"] += std::to_string(offset + length - 1);
  }
  // A range of an empty object would be an error that bears no version.
  HF_TRY(HttpAnswer answer,
         Send(nothing ? "HEAD" : "GET", name, {}, std::move(headers), {}, seam::kGetBytesMax));
  if (answer.status == 416) return seam::VersionedBytes{{}, VersionOf(answer)};
  if (answer.status != 200 && answer.status != 206) return CodeOf(answer);
  seam::ObjectVersion version = VersionOf(answer);
  // 200 to a range: the service does not know ranges.
  return Cut(std::move(answer.body).take(), answer.status == 200 ? offset : 0, length, std::move(version));
}

Result<HttpAnswer> S3Engine::Put(std::string_view name, ByteView bytes, std::string_view write,
                                 Headers headers) {
  headers[std::string(kWriteHeader)] = write;
  headers["content-type"] = "application/octet-stream";
  return Send("PUT", name, {}, std::move(headers), bytes, 1u << 20);
}

Result<seam::ObjectVersion> S3Engine::Write(std::string_view name, ByteView bytes,
                                            const WriteCondition& condition) {
  using Kind = WriteCondition::Kind;
  if (name.starts_with(kOurs)) return Code::kInvalidArgument;
  Headers headers;
  Code refusal = condition.kind == Kind::kAbsent ? Code::kExists : Code::kVersionMismatch;
  if (condition.kind == Kind::kAbsent) headers["if-none-match"] = "*";
  if (condition.kind == Kind::kVersion) {
    Result<seam::VersionedBytes> there = Read(name, 0, 0);
    if (!there && there.code() != Code::kNotFound) return there.error();
    if (!there || there->version != condition.version) return refusal;
    headers["if-match"] = condition.version.substr(0, condition.version.find(' '));
  }
  std::string write = opener_ + "-" + std::to_string(++writes_);
  HF_TRY(HttpAnswer answer, Put(name, bytes, write, std::move(headers)));
  if (answer.ok()) return std::string(answer.Header("etag")) + " " + write;
  bool refused = condition.kind != Kind::kNone && (answer.status == 412 || answer.status == 404) &&
                 CodeOf(answer) != Code::kNoStore;
  if (!refused) return CodeOf(answer);
  // An earlier attempt, whose answer got lost, may have been what is in the way: one of ours or one of
  // curl's, which sends again unasked when a kept connection turns out to be closed.
  return UnlessOurs(Read(name, 0, 0), write, refusal);
}

Status S3Engine::Erase(std::string_view name) {
  if (name.starts_with(kOurs)) return Code::kInvalidArgument;
  HF_TRY(HttpAnswer answer, Send("DELETE", name, {}, {}, {}, 1u << 20));
  if (answer.ok()) return Ok();
  Code code = CodeOf(answer);
  return code == Code::kNotFound ? Ok() : Status(code);
}

Result<seam::Listing> S3Engine::List(std::string_view prefix, std::string_view after, size_t limit) {
  seam::Listing page;
  std::string from(after);
  for (int pages = 0; pages < kListPagesMax; ++pages) {
    Query query = {{"list-type", "2"},
                   {"encoding-type", "url"},
                   {"max-keys", std::to_string(limit - page.objects.size())},
                   {"prefix", prefix_ + std::string(prefix)}};
    if (!from.empty()) query.emplace_back("start-after", prefix_ + from);
    HF_TRY(HttpAnswer answer, Send("GET", "", query, {}, {}, kListAnswerBytesMax));
    if (!answer.ok()) return CodeOf(answer) == Code::kNotFound ? Error(Code::kNoStore) : CodeOf(answer);
    HF_TRY(S3Listing listing, ParseS3Listing(answer.body.parse()));
    for (S3Listing::Object& object : listing.objects) {
      if (!object.key.starts_with(prefix_)) return Code::kMalformed;
      std::string name = object.key.substr(prefix_.size());
      if (name <= from) return Code::kMalformed;
      from = name;
      if (!name.starts_with(kOurs) && !name.empty())
        page.objects.push_back({std::move(name), object.size_bytes});
    }
    page.complete = !listing.truncated;
    if (page.complete || page.objects.size() >= limit) return page;
    if (listing.objects.empty()) return Code::kMalformed;
  }
  return page;
}

void S3Engine::Probe() {
  std::string name = std::string(kOurs) + "probe-" + opener_;
  auto put = [&](const char* header, std::string value) {
    Headers headers;
    if (header != nullptr) headers[header] = std::move(value);
    return Put(name, AsBytes(name), opener_, std::move(headers));
  };
  auto said = [](const Result<HttpAnswer>& answer, int status) { return answer && answer->status == status; };
  // Each question may be asked twice without harm, since retries do. A 412 to the first is an answer that got
  // lost.
  Result<HttpAnswer> first = put("if-none-match", "*");
  bool made = said(first, 200) || said(first, 412);
  Result<HttpAnswer> there = Send("HEAD", name, {}, {}, {}, 1u << 20);
  create_if_absent_ = made && said(there, 200) && said(put("if-none-match", "*"), 412);
  conditional_put_ = create_if_absent_ &&
                     said(put("if-match", "\"00000000000000000000000000000000\""), 412) &&
                     said(put("if-match", std::string(there->Header("etag"))), 200);
  // If this fails the object stays; nobody sees it, and nobody's name is like it.
  (void)Send("DELETE", name, {}, {}, {}, 1u << 20).has_value();
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenS3(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {"region"}));
  for (const std::string& part : url.path) {
    if (!IsPlainWord(part, 255)) return Code::kBadUrl;
  }
  auto region = url.more.find("region");
  if (region != url.more.end() && !IsPlainWord(region->second, 64)) return Code::kBadUrl;
  HF_TRY(AwsCredentials credentials, FindAwsCredentials(url.credentials));
  auto engine = std::make_unique<S3Engine>(url, std::move(credentials));
  HF_TRY_VOID(CheckPlace(*engine, mode));
  if (mode != OpenMode::kReadOnly) engine->Probe();
  return std::unique_ptr<seam::Storage>(
      std::make_unique<RemoteStorage>(std::move(engine), mode, url.single_writer));
}

}  // namespace holdfast::host
