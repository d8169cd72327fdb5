#include "host/http/sigv4.h"

#include <algorithm>

#include "host/http/digest.h"

namespace holdfast::host {
namespace {

std::string SignedNames(const SigV4Request& request) {
  std::string names;
  for (const auto& [name, value] : request.headers) names += (names.empty() ? "" : ";") + name;
  return names;
}

// Blanks at the ends go, runs of them become one.
std::string Trimmed(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::string ScopeText(const SigV4Scope& scope) {
  return scope.date.substr(0, 8) + "/" + scope.region + "/" + scope.service + "/aws4_request";
}

}  // namespace

std::string SigV4CanonicalQuery(std::vector<std::pair<std::string, std::string>> query) {
  for (auto& [name, value] : query) {
    name = UriEncode(name);
    value = UriEncode(value);
  }
  std::sort(query.begin(), query.end());
  std::string out;
  for (const auto& [name, value] : query) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

std::string SigV4CanonicalRequest(const SigV4Request& request) {
  std::string out = request.method + "\n" + (request.path.empty() ? "/" : request.path) + "\n" +
                    SigV4CanonicalQuery(request.query) + "\n";
  for (const auto& [name, value] : request.headers) out += name + ":" + Trimmed(value) + "\n";
  return out + "\n" + SignedNames(request) + "\n" + request.body_sha256;
}

std::string SigV4StringToSign(const SigV4Scope& scope, std::string_view canonical_request) {
  return "AWS4-HMAC-SHA256\n" + scope.date + "\n" + ScopeText(scope) + "\n" +
         HexLower(Sha256(AsBytes(canonical_request)));
}

std::string SigV4Authorization(const SigV4Request& request, const SigV4Scope& scope,
                               const AwsCredentials& credentials) {
  std::string to_sign = SigV4StringToSign(scope, SigV4CanonicalRequest(request));
  Digest key = HmacSha256(AsBytes("AWS4" + credentials.secret_key), AsBytes(scope.date.substr(0, 8)));
  for (std::string_view step :
       {std::string_view(scope.region), std::string_view(scope.service), std::string_view("aws4_request")}) {
    key = HmacSha256(key, AsBytes(step));
  }
  return "AWS4-HMAC-SHA256 Credential=" + credentials.access_key + "/" + ScopeText(scope) +
         ", SignedHeaders=" + SignedNames(request) +
         ", Signature=" + HexLower(HmacSha256(key, AsBytes(to_sign)));
}

}  // namespace holdfast::host
