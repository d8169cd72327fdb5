#include "host/http/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "base/check.h"

namespace holdfast::host {
namespace {

void StartCurl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  HF_CHECK(started == CURLE_OK);
}

std::string Lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view Trimmed(std::string_view s) {
  auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!s.empty() && blank(s.front())) s.remove_prefix(1);
  while (!s.empty() && blank(s.back())) s.remove_suffix(1);
  return s;
}

// What the callbacks of one attempt fill.
struct Receiving {
  HttpAnswer answer;
  Bytes body;
  uint64_t body_bytes_max = 0;
  size_t header_bytes = 0;
  bool too_large = false;
};

size_t OnBody(char* data, size_t, size_t n, void* to) {
  Receiving& r = *static_cast<Receiving*>(to);
  if (n > r.body_bytes_max - r.body.size()) {
    r.too_large = true;
    return 0;
  }
  Append(r.body, AsBytes({data, n}));
  return n;
}

size_t OnHeader(char* data, size_t, size_t n, void* to) {
  Receiving& r = *static_cast<Receiving*>(to);
  r.header_bytes += n;
  if (r.header_bytes > HttpClient::kHeaderBytesMax) return 0;
  std::string_view line(data, n);
  if (line.starts_with("HTTP/")) r.answer.headers.clear();  // those of a 100 Continue are not the answer's
  size_t colon = line.find(':');
  if (colon != std::string_view::npos) {
    r.answer.headers.insert_or_assign(Lower(Trimmed(line.substr(0, colon))),
                                      std::string(Trimmed(line.substr(colon + 1))));
  }
  return n;
}

struct ListFreer {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListFreer>;

HeaderList ListOf(const std::map<std::string, std::string>& headers) {
  HeaderList list;
  auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    HF_CHECK(longer != nullptr);
    (void)list.release();
    list.reset(longer);
  };
  for (const auto& [name, value] : headers) add(value.empty() ? name + ";" : name + ": " + value);
  add("Expect:");  // a round trip for nothing
  if (!headers.contains("content-type")) add("Content-Type:");
  return list;
}

bool WorthAnotherTry(const HttpRequest& request, const HttpAnswer& answer) {
  switch (answer.status) {
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return request.throttled && request.throttled(answer);
  }
}

uint64_t RandomBelow(uint64_t n) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return n == 0 ? 0 : std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
}

// Whole seconds only; a date is not worth a clock that agrees.
uint64_t RetryAfterMs(const HttpAnswer& answer) {
  std::string_view text = answer.Header("retry-after");
  if (text.empty() || text.size() > 4) return 0;
  uint64_t seconds = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return 0;
    seconds = seconds * 10 + static_cast<uint64_t>(c - '0');
  }
  return seconds * 1000;
}

}  // namespace

std::string_view HttpAnswer::Header(std::string_view name) const {
  auto it = headers.find(name);
  return it == headers.end() ? std::string_view() : std::string_view(it->second);
}

struct HttpClient::Handle {
  Handle() : curl(curl_easy_init()) { HF_CHECK(curl != nullptr); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { curl_easy_cleanup(curl); }
  CURL* curl;
};

HttpClient::HttpClient(HttpOptions options)
    : options_(std::move(options)), tenths_(kRetryBudget * kAnswersForARetry) {
  StartCurl();
}
HttpClient::~HttpClient() = default;

bool HttpClient::TakeRetry() {
  int left = tenths_;
  while (left >= kAnswersForARetry) {
    if (tenths_.compare_exchange_weak(left, left - kAnswersForARetry)) return true;
  }
  return false;
}

void HttpClient::GiveBack() {
  int left = tenths_;
  while (left < kRetryBudget * kAnswersForARetry && !tenths_.compare_exchange_weak(left, left + 1)) {
  }
}

Result<HttpAnswer> HttpClient::Attempt(const HttpRequest& request, bool& again) {
  again = false;
  std::unique_ptr<Handle> handle;
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      handle = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!handle) handle = std::make_unique<Handle>();
  CURL* c = handle->curl;
  curl_easy_reset(c);  // keeps its connection
  Receiving receiving;
  receiving.body_bytes_max = request.answer_bytes_max;
  HeaderList headers = ListOf(request.headers);
  auto set = [&](auto option, auto value) { HF_CHECK(curl_easy_setopt(c, option, value) == CURLE_OK); };
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_PATH_AS_IS, 1L);  // a name may be "..."
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, options_.connect_timeout_ms);
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, options_.stall_timeout_s);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_WRITEFUNCTION, &OnBody);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&receiving));
  set(CURLOPT_HEADERFUNCTION, &OnHeader);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&receiving));
  if (request.method == "PUT" || request.method == "POST" || request.method == "PATCH") {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : AsText(request.body).data());
  }
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else {
    set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }

  CURLcode done = curl_easy_perform(c);
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  if (done == CURLE_OK) {
    std::lock_guard lock(mutex_);
    if (idle_.size() < kConnectionsKept) idle_.push_back(std::move(handle));
  }
  if (receiving.too_large) return Code::kTooLarge;
  if (done == CURLE_URL_MALFORMAT || done == CURLE_UNSUPPORTED_PROTOCOL) return Code::kBadUrl;
  if (done == CURLE_WEIRD_SERVER_REPLY || done == CURLE_WRITE_ERROR) return Code::kMalformed;
  again = done != CURLE_PEER_FAILED_VERIFICATION && done != CURLE_SSL_CACERT_BADFILE;
  if (done != CURLE_OK) return Code::kUnreachable;
  receiving.answer.status = static_cast<int>(status);
  receiving.answer.body = UntrustedBytes(std::move(receiving.body));
  return std::move(receiving.answer);
}

Result<HttpAnswer> HttpClient::Send(HttpRequest request, const std::function<void(HttpRequest&)>& sign) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options_.call_seconds_max);
  for (int attempt = 1;; ++attempt) {
    if (sign) sign(request);
    bool again = false;
    Result<HttpAnswer> answer = Attempt(request, again);
    if (answer) again = WorthAnotherTry(request, *answer);
    if (!again) {
      if (answer) GiveBack();
      return answer;
    }
    if (attempt >= options_.attempts_max || std::chrono::steady_clock::now() > until || !TakeRetry())
      return answer;
    uint64_t most = std::min(options_.backoff_most_ms, options_.backoff_first_ms << (attempt - 1));
    uint64_t asked = answer ? std::min(RetryAfterMs(*answer), options_.backoff_most_ms) : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(asked + RandomBelow(most + 1)));
  }
}

}  // namespace holdfast::host
