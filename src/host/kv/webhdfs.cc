#include "host/kv/webhdfs.h"

#include <algorithm>
#include <utility>

#include "host/kv/json_answers.h"
#include "host/kv/remote.h"
#include "host/kv/remote_url_internal.h"

namespace holdfast::host {
namespace {

HF_NOT_YET("webhdfs: Kerberos (user.name is sent, and believed or not)");

constexpr uint64_t kAnswerBytesMax = 64u << 20;  // a large directory
constexpr int kDepthMax = 8;                     // our names have four parts at most
constexpr uint64_t kFileBytesMax = uint64_t{1} << 40;

class WebhdfsEngine : public RemoteEngine {
 public:
  explicit WebhdfsEngine(const RemoteUrl& url) : client_(HttpOptionsOf(url)), tls_(url.more.contains("tls")) {
    base_ = (tls_ ? "https://" : "http://") + url.path[0] + "/webhdfs/v1";
    for (size_t i = 1; i < url.path.size(); ++i) base_ += "/" + url.path[i];
    auto user = url.more.find("user");
    if (user != url.more.end()) user_ = "&user.name=" + user->second;
  }

  Status Open(OpenMode mode);

  RemoteTraits traits() const override {
    return {.create_if_absent = true,
            .conditional_put = false,
            .atomic = false,
            .value_bytes_max = kFileBytesMax};
  }
  Result<seam::VersionedBytes> Read(std::string_view name, uint64_t offset, uint64_t length) override;
  Result<seam::ObjectVersion> Write(std::string_view name, ByteView bytes,
                                    const WriteCondition& condition) override;
  Status Erase(std::string_view name) override;
  Result<seam::Listing> List(std::string_view prefix, std::string_view after, size_t limit) override;

 private:
  // One request to the name node; the second step, with `body`, to where it points.
  Result<HttpAnswer> Ask(const char* method, std::string_view name, const std::string& operation);
  Result<HttpAnswer> AskTwice(const char* method, std::string_view name, const std::string& operation,
                              ByteView body, uint64_t answer_bytes_max);
  Result<HdfsFile> StatusOf(std::string_view name);
  Status Walk(const std::string& directory, int depth, std::string_view prefix, std::string_view after,
              std::vector<seam::ObjectInfo>& found);
  static Code CodeOf(const HttpAnswer& answer);

  HttpClient client_;
  const bool tls_;
  std::string base_, user_;
};

Code WebhdfsEngine::CodeOf(const HttpAnswer& answer) {
  std::string error = ParseHdfsError(answer.body.parse());
  if (error == "FileNotFoundException") return Code::kNotFound;
  if (error == "FileAlreadyExistsException") return Code::kExists;
  if (error == "AccessControlException" || error == "SecurityException") return Code::kPermission;
  if (error == "DSQuotaExceededException" || error == "NSQuotaExceededException") return Code::kFull;
  if (error == "StandbyException" || error == "SafeModeException" || error == "RetriableException") {
    return Code::kUnreachable;
  }
  return CodeOfHttp(answer.status);
}

Result<HttpAnswer> WebhdfsEngine::Ask(const char* method, std::string_view name,
                                      const std::string& operation) {
  HttpRequest request;
  request.method = method;
  request.url = base_ + (name.empty() ? "" : "/" + std::string(name)) + "?op=" + operation + user_;
  request.answer_bytes_max = kAnswerBytesMax;
  request.throttled = [](const HttpAnswer& answer) {
    return answer.status == 403 && CodeOf(answer) == Code::kUnreachable;
  };
  return client_.Send(std::move(request));
}

Result<HttpAnswer> WebhdfsEngine::AskTwice(const char* method, std::string_view name,
                                           const std::string& operation, ByteView body,
                                           uint64_t answer_bytes_max) {
  HF_TRY(HttpAnswer first, Ask(method, name, operation));
  if (first.status != 307) return first.ok() ? Result<HttpAnswer>(Code::kIo) : std::move(first);
  HttpRequest second;
  second.method = method;
  second.url = first.Header("location");
  if (!second.url.starts_with(tls_ ? "https://" : "http://")) return Code::kPermission;
  second.body = body;
  second.answer_bytes_max = answer_bytes_max;
  if (!body.empty()) second.headers["content-type"] = "application/octet-stream";
  return client_.Send(std::move(second));
}

Result<HdfsFile> WebhdfsEngine::StatusOf(std::string_view name) {
  HF_TRY(HttpAnswer answer, Ask("GET", name, "GETFILESTATUS"));
  if (!answer.ok()) return CodeOf(answer);
  return ParseHdfsStatus(answer.body.parse());
}

Status WebhdfsEngine::Open(OpenMode mode) {
  if (mode == OpenMode::kCreate) {
    HF_TRY(HttpAnswer made, Ask("PUT", "", "MKDIRS&permission=700"));
    if (!made.ok()) return CodeOf(made);
  }
  Status place = CheckPlace(*this, mode);
  return !place && place.code() == Code::kNotFound ? Status(Code::kNoStore) : place;
}

Result<seam::VersionedBytes> WebhdfsEngine::Read(std::string_view name, uint64_t offset, uint64_t length) {
  // An offset behind the end is an error there, and a directory no object.
  bool whole = offset == 0 && length == UINT64_MAX;
  if (!whole) {
    HF_TRY(HdfsFile file, StatusOf(name));
    if (file.directory) return Code::kNotFound;
    if (offset >= file.size_bytes || length == 0) return seam::VersionedBytes{};
    length = std::min(length, file.size_bytes - offset);
  }
  std::string operation = "OPEN";
  if (!whole) operation += "&offset=" + std::to_string(offset) + "&length=" + std::to_string(length);
  HF_TRY(HttpAnswer answer, AskTwice("GET", name, operation, {}, seam::kGetBytesMax));
  if (!answer.ok()) return CodeOf(answer);
  return Cut(std::move(answer.body).take(), 0, length, {});
}

Result<seam::ObjectVersion> WebhdfsEngine::Write(std::string_view name, ByteView bytes,
                                                 const WriteCondition& condition) {
  bool absent = condition.kind == WriteCondition::Kind::kAbsent;
  std::string operation = std::string("CREATE&permission=600&overwrite=") + (absent ? "false" : "true");
  HF_TRY(HttpAnswer answer, AskTwice("PUT", name, operation, bytes, 1u << 20));
  if (answer.ok()) return seam::ObjectVersion();
  Code code = CodeOf(answer);
  if (!absent || code != Code::kExists) return code == Code::kNotFound ? Code::kIo : code;
  Result<seam::VersionedBytes> there = Read(name, 0, UINT64_MAX);
  if (!there) return there.code() == Code::kNotFound ? Error(Code::kExists) : there.error();
  return Equal(there->bytes.parse(), bytes) && !bytes.empty()
             ? Result<seam::ObjectVersion>(seam::ObjectVersion())
             : Code::kExists;
}

Status WebhdfsEngine::Erase(std::string_view name) {
  Result<HdfsFile> file = StatusOf(name);
  if (!file) return file.code() == Code::kNotFound ? Ok() : Status(file.error());
  if (file->directory) return Ok();
  HF_TRY(HttpAnswer answer, Ask("DELETE", name, "DELETE&recursive=false"));
  return answer.ok() || CodeOf(answer) == Code::kNotFound ? Ok() : Status(CodeOf(answer));
}

// Every file below `directory` ("" or "a/b/") that may belong to the page.
Status WebhdfsEngine::Walk(const std::string& directory, int depth, std::string_view prefix,
                           std::string_view after, std::vector<seam::ObjectInfo>& found) {
  if (depth > kDepthMax) return Code::kMalformed;
  HF_TRY(
      HttpAnswer answer,
      Ask("GET", std::string_view(directory).substr(0, directory.size() - !directory.empty()), "LISTSTATUS"));
  if (!answer.ok()) return CodeOf(answer) == Code::kNotFound && depth > 0 ? Ok() : Status(CodeOf(answer));
  HF_TRY(std::vector<HdfsFile> files, ParseHdfsListing(answer.body.parse()));
  for (HdfsFile& file : files) {
    if (file.name.empty()) return Code::kMalformed;
    std::string name = directory + file.name;
    if (file.directory) {
      name += "/";
      std::string_view common = std::string_view(name).substr(0, prefix.size());
      bool behind = name < after && !after.starts_with(name);  // all of it is
      if (prefix.starts_with(common) && !behind) HF_TRY_VOID(Walk(name, depth + 1, prefix, after, found));
    } else if (name.starts_with(prefix) && name > after) {
      found.push_back({std::move(name), file.size_bytes});
      if (found.size() * sizeof(seam::ObjectInfo) > seam::kListedBytesMax) return Code::kTooLarge;
    }
  }
  return Ok();
}

Result<seam::Listing> WebhdfsEngine::List(std::string_view prefix, std::string_view after, size_t limit) {
  std::vector<seam::ObjectInfo> found;
  HF_TRY_VOID(Walk("", 0, prefix, after, found));
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  seam::Listing page;
  page.complete = found.size() <= limit;
  if (!page.complete) found.resize(limit);
  page.objects = std::move(found);
  return page;
}

}  // namespace

Result<std::unique_ptr<seam::Storage>> OpenWebhdfs(const StoreUrl& text, OpenMode mode) {
  HF_TRY(RemoteUrl url, ParseRemoteUrl(text, {"user", "tls"}));
  std::string_view host = url.path[0];
  size_t colon = host.find(':');
  bool port = colon != host.npos && host.size() - colon - 1 <= 5 && colon + 1 < host.size() &&
              host.find_first_not_of("0123456789", colon + 1) == host.npos;
  if (!port || !IsPlainWord(host.substr(0, colon), 253) || url.path.size() < 2 || !url.endpoint.empty() ||
      !url.credentials.empty() || (url.more.contains("tls") && url.more["tls"] != "true") ||
      (url.more.contains("user") && !IsPlainWord(url.more["user"], 63))) {
    return Code::kBadUrl;
  }
  for (size_t i = 1; i < url.path.size(); ++i) {
    if (!IsPlainWord(url.path[i], 255)) return Code::kBadUrl;
  }
  auto engine = std::make_unique<WebhdfsEngine>(url);
  HF_TRY_VOID(engine->Open(mode));
  return std::unique_ptr<seam::Storage>(
      std::make_unique<RemoteStorage>(std::move(engine), mode, url.single_writer));
}

}  // namespace holdfast::host
