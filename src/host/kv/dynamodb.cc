#include "host/kv/dynamodb.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "host/http/credentials.h"
#include "host/http/digest.h"
#include "host/kv/json_answers.h"
#include "host/kv/remote.h"
#include "host/kv/remote_url_internal.h"

namespace holdfast::host {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kItemBytes = 384u << 10;
constexpr uint64_t kAnswerBytesMax = 8u << 20;  // a page of a query; an item in Base64 is far below
constexpr int kTablePolls = 120;                // of half a second: a table is made within seconds
constexpr const char* kPartition = "o";

Json Text(std::string_view text) { return {{"S", std::string(text)}}; }

bool IsThrottled(const HttpAnswer& answer) {
  if (answer.status != 400) return false;
  std::string error = ParseDynamoError(answer.body.parse());
  return error == "ProvisionedThroughputExceededException" || error == "ThrottlingException" ||
         error == "RequestLimitExceeded" || error == "LimitExceededException" ||
         error == "TransactionConflictException";
}

class DynamodbEngine : public RemoteEngine {
 public:
  DynamodbEngine(const RemoteUrl& url, AwsCredentials credentials)
      : client_(HttpOptionsOf(url)),
        credentials_(std::move(credentials)),
        table_(url.path[0]),
        opener_(RandomHex()) {
    auto region = url.more.find("region");
    region_ = region == url.more.end() ? "us-east-1" : region->second;
    endpoint_ = url.endpoint.empty() ? "https://dynamodb." + region_ + ".amazonaws.com" : url.endpoint;
  }

  Status Open(OpenMode mode);

  RemoteTraits traits() const override {
    return {.create_if_absent = true, .conditional_put = true, .atomic = true, .value_bytes_max = kItemBytes};
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

 private:
  Result<HttpAnswer> Call(const char* operation, const Json& body);
  static Code CodeOf(const HttpAnswer& answer);
  Status MakeTable();
  static Json KeyOf(std::string_view name) { return {{"s", Text(kPartition)}, {"n", Text(name)}}; }

  HttpClient client_;
  const AwsCredentials credentials_;
  const std::string table_, opener_;
  std::string region_, endpoint_;
  std::atomic<uint64_t> writes_ = 0;
};

Result<HttpAnswer> DynamodbEngine::Call(const char* operation, const Json& body) {
  std::string text = body.dump();
  std::string path = PathOf(endpoint_) + "/";
  HttpRequest request;
  request.method = "POST";
  request.url = endpoint_ + "/";
  request.body = AsBytes(text);
  request.answer_bytes_max = kAnswerBytesMax;
  request.throttled = IsThrottled;
  std::map<std::string, std::string> headers = {
      {"host", HostHeaderOf(endpoint_)},
      {"content-type", "application/x-amz-json-1.0"},
      {"x-amz-content-sha256", HexLower(Sha256(request.body))},
      {"x-amz-target", std::string("DynamoDB_20120810.") + operation}};
  if (!credentials_.session_token.empty()) headers["x-amz-security-token"] = credentials_.session_token;
  return client_.Send(std::move(request), [&](HttpRequest& r) {
    SigV4Scope scope{AmzDateNow(), region_, "dynamodb"};
    headers["x-amz-date"] = scope.date;
    r.headers = headers;
    r.headers["authorization"] =
        SigV4Authorization({"POST", path, {}, headers, headers["x-amz-content-sha256"]}, scope, credentials_);
  });
}

Code DynamodbEngine::CodeOf(const HttpAnswer& answer) {
  std::string error = ParseDynamoError(answer.body.parse());
  if (error == "ResourceNotFoundException") return Code::kNoStore;
  if (error == "ItemCollectionSizeLimitExceededException") return Code::kFull;
  if (error == "AccessDeniedException") return Code::kPermission;
  if (error == "UnrecognizedClientException" || error == "InvalidSignatureException" ||
      error == "IncompleteSignatureException" || error == "MissingAuthenticationTokenException" ||
      error == "ExpiredTokenException") {
    return Code::kRefusedByProvider;
  }
  return IsThrottled(answer) ? Code::kUnreachable : CodeOfHttp(answer.status);
}

Status DynamodbEngine::MakeTable() {
  HF_TRY(HttpAnswer made, Call("CreateTable", {{"TableName", table_},
                                               {"BillingMode", "PAY_PER_REQUEST"},
                                               {"AttributeDefinitions",
                                                {{{"AttributeName", "s"}, {"AttributeType", "S"}},
                                                 {{"AttributeName", "n"}, {"AttributeType", "S"}}}},
                                               {"KeySchema",
                                                {{{"AttributeName", "s"}, {"KeyType", "HASH"}},
                                                 {{"AttributeName", "n"}, {"KeyType", "RANGE"}}}}}));
  if (!made.ok() && ParseDynamoError(made.body.parse()) != "ResourceInUseException") return CodeOf(made);
  for (int poll = 0; poll < kTablePolls; ++poll) {
    HF_TRY(HttpAnswer table, Call("DescribeTable", {{"TableName", table_}}));
    if (table.ok() && ParseDynamoTableStatus(table.body.parse()) == "ACTIVE") return Ok();
    if (!table.ok() && CodeOf(table) != Code::kNoStore) return CodeOf(table);
    std::this_thread::sleep_for(std::chrono::milliseconds(poll < 10 ? 20 : 500));
  }
  return Code::kUnreachable;
}

Status DynamodbEngine::Open(OpenMode mode) {
  if (mode == OpenMode::kCreate) {
    HF_TRY(HttpAnswer table, Call("DescribeTable", {{"TableName", table_}}));
    if (!table.ok() && CodeOf(table) != Code::kNoStore) return CodeOf(table);
    if (!table.ok() || ParseDynamoTableStatus(table.body.parse()) != "ACTIVE") HF_TRY_VOID(MakeTable());
  }
  return CheckPlace(*this, mode);
}

Result<seam::VersionedBytes> DynamodbEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  Json body = {{"TableName", table_}, {"Key", KeyOf(name)}, {"ConsistentRead", true}};
  if (length == 0) body["ProjectionExpression"] = "w";
  HF_TRY(HttpAnswer answer, Call("GetItem", body));
  if (!answer.ok()) return CodeOf(answer);
  HF_TRY(std::optional<JsonRow> row, ParseDynamoItem(answer.body.parse()));
  if (!row) return Code::kNotFound;
  return Cut(std::move(row->bytes), offset, length, std::move(row->write));
}

Result<seam::ObjectVersion> DynamodbEngine::Write(std::string_view name, ByteView bytes,
                                                  const WriteCondition& condition) {
  using Kind = WriteCondition::Kind;
  std::string write = opener_ + "-" + std::to_string(++writes_);
  Json item = KeyOf(name);
  item["w"] = Text(write);
  item["z"] = {{"N", std::to_string(bytes.size())}};
  if (!bytes.empty()) item["v"] = {{"B", Base64(bytes)}};
  Json body = {{"TableName", table_}, {"Item", std::move(item)}};
  if (condition.kind == Kind::kAbsent) body["ConditionExpression"] = "attribute_not_exists(n)";
  if (condition.kind == Kind::kVersion) {
    body["ConditionExpression"] = "w = :w";
    body["ExpressionAttributeValues"] = {{":w", Text(condition.version)}};
  }
  HF_TRY(HttpAnswer answer, Call("PutItem", body));
  if (answer.ok()) return write;
  if (ParseDynamoError(answer.body.parse()) != "ConditionalCheckFailedException") return CodeOf(answer);
  Code refusal = condition.kind == Kind::kAbsent ? Code::kExists : Code::kVersionMismatch;
  return UnlessOurs(Read(name, 0, 0), write, refusal);
}

Status DynamodbEngine::Erase(std::string_view name) {
  HF_TRY(HttpAnswer answer, Call("DeleteItem", {{"TableName", table_}, {"Key", KeyOf(name)}}));
  return answer.ok() ? Ok() : Status(CodeOf(answer));
}

Result<seam::Listing> DynamodbEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  // '!' sorts before every byte of a name, and U+10FFFF behind: an empty key is not allowed, and ">" cannot
  // be had together with an end.
  std::string low = after.empty() ? "" : std::string(after) + "!";
  low = std::max({low, std::string(prefix), std::string("!")});
  seam::Listing page;
  for (size_t pages = 0; pages <= limit; ++pages) {  // each but the last has one at least
    HF_TRY(HttpAnswer answer, Call("Query", {{"TableName", table_},
                                             {"ConsistentRead", true},
                                             {"KeyConditionExpression", "s = :s AND n BETWEEN :l AND :h"},
                                             {"ExpressionAttributeValues",
                                              {{":s", Text(kPartition)},
                                               {":l", Text(low)},
                                               {":h", Text(std::string(prefix) + "\xf4\x8f\xbf\xbf")}}},
                                             {"ProjectionExpression", "n, z"},
                                             {"Limit", limit - page.objects.size()}}));
    if (!answer.ok()) return CodeOf(answer);
    HF_TRY(JsonListing listing, ParseDynamoListing(answer.body.parse()));
    for (seam::ObjectInfo& object : listing.objects) {
      if (object.name < low || !object.name.starts_with(prefix)) return Code::kMalformed;
      low = object.name + "!";
      page.objects.push_back(std::move(object));
    }
    page.complete = !listing.more;
    if (page.complete || page.objects.size() >= limit) return page;
    if (listing.objects.empty()) return Code::kMalformed;
  }
  return page;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenDynamodb(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {"region"}));
  auto region = url.more.find("region");
  if (url.path.size() != 1 || !IsPlainWord(url.path[0], 255) || url.path[0].size() < 3 ||
      (region != url.more.end() && !IsPlainWord(region->second, 64))) {
    return Code::kBadUrl;
  }
  HF_TRY(AwsCredentials credentials, FindAwsCredentials(url.credentials));
  auto engine = std::make_unique<DynamodbEngine>(url, std::move(credentials));
  HF_TRY_VOID(engine->Open(mode));
  return OpenRemote(std::move(engine), mode, url.single_writer && mode != OpenMode::kReadOnly);
}

}  // namespace holdfast::host
