#include <algorithm>
#include <chrono>
#include <ctime>

#include "host/kv/remote_url_internal.h"

namespace holdfast::host {
namespace {

std::string_view WithoutScheme(std::string_view endpoint) {
  return endpoint.substr(endpoint.find("://") + 3);
}

bool IsWordByte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_';
}

// http(s)://host[:port][/path], nothing that a URL would take for something else (user@, ?, #).
bool IsEndpoint(std::string_view s) {
  if (!s.starts_with("http://") && !s.starts_with("https://")) return false;
  std::string_view rest = WithoutScheme(s);
  std::string_view host = rest.substr(0, rest.find('/'));
  return !host.empty() && std::all_of(rest.begin(), rest.end(), [](char c) {
    return IsWordByte(c) || c == ':' || c == '[' || c == ']' || c == '/';
  });
}

std::string Format(const char* format) {
  std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[64];
  return {text, std::strftime(text, sizeof(text), format, &parts)};
}

}  // namespace

Result<RemoteUrl> ParseRemoteUrl(const StoreUrl& url, std::initializer_list<std::string_view> more) {
  RemoteUrl out;
  std::string_view path = url.path;
  if (!path.starts_with("//")) return Code::kBadUrl;
  for (bool last = false; !last;) {
    path.remove_prefix(path.starts_with("//") && out.path.empty() ? 2 : 1);
    size_t n = path.find('/');
    last = n == std::string_view::npos;
    if (path.substr(0, n).empty()) return Code::kBadUrl;
    out.path.emplace_back(path.substr(0, n));
    if (!last) path.remove_prefix(n);
  }
  for (const auto& [name, value] : url.parameters) {
    if (name == "endpoint") {
      out.endpoint = value;
      while (out.endpoint.ends_with('/')) out.endpoint.pop_back();
      if (!IsEndpoint(out.endpoint)) return Code::kBadUrl;
    } else if (name == "ca" || name == "credentials") {
      if (!value.starts_with('/')) return Code::kBadUrl;
      (name == "ca" ? out.ca : out.credentials) = value;
    } else if (name == "single-writer") {
      if (value != "true" && value != "false") return Code::kBadUrl;
      out.single_writer = value == "true";
    } else if (std::find(more.begin(), more.end(), name) != more.end() && !value.empty()) {
      out.more[name] = value;
    } else {
      return Code::kBadUrl;
    }
  }
  return out;
}

std::string HostHeaderOf(std::string_view endpoint) {
  std::string_view host = WithoutScheme(endpoint);
  host = host.substr(0, host.find('/'));
  std::string_view implied = endpoint.starts_with("https:") ? ":443" : ":80";
  if (host.ends_with(implied)) host.remove_suffix(implied.size());
  return std::string(host);
}

std::string PathOf(std::string_view endpoint) {
  std::string_view rest = WithoutScheme(endpoint);
  size_t slash = rest.find('/');
  return slash == std::string_view::npos ? "" : std::string(rest.substr(slash));
}

bool IsLoopbackOrTls(std::string_view endpoint) {
  if (endpoint.starts_with("https:")) return true;
  std::string host = HostHeaderOf(endpoint);
  if (host.starts_with("[::1]")) return true;
  host = host.substr(0, host.find(':'));
  bool number =
      std::all_of(host.begin(), host.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return host == "localhost" || (number && host.starts_with("127."));
}

bool IsPlainWord(std::string_view s, size_t bytes) {
  return !s.empty() && s.size() <= bytes && s != "." && s != ".." &&
         std::all_of(s.begin(), s.end(), IsWordByte);
}

HttpOptions HttpOptionsOf(const RemoteUrl& url) {
  HttpOptions options;
  options.ca_file = url.ca;
  return options;
}

std::string AmzDateNow() { return Format("%Y%m%dT%H%M%SZ"); }
std::string HttpDateNow() { return Format("%a, %d %b %Y %H:%M:%S GMT"); }

Code CodeOfHttp(int status) {
  switch (status) {
    case 401:
      return Code::kRefusedByProvider;
    case 403:
      return Code::kPermission;
    case 404:
      return Code::kNotFound;
    case 413:
      return Code::kTooLarge;
    case 507:
      return Code::kFull;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return Code::kUnreachable;
    default:
      return Code::kIo;
  }
}

}  // namespace holdfast::host
