// Signatures of requests to services of the AWS kind: Signature Version 4, in the Authorization header
// (AWS, "Signature Version 4 signing process"; checked against its published test vectors).
//
//   canonical request   method \n path \n query \n headers \n signed names \n digest of the body
//   string to sign      AWS4-HMAC-SHA256 \n date \n scope \n SHA-256(canonical request)
//   key                 HMAC chain: "AWS4" secret, day, region, service, "aws4_request"
//
// Pure text: no clock, no sockets. Does not sign chunks and makes no presigned URLs.
#ifndef HOLDFAST_HOST_HTTP_SIGV4_H_
#define HOLDFAST_HOST_HTTP_SIGV4_H_

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::host {

struct AwsCredentials {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  // of temporary keys; may be empty
};

struct SigV4Request {
  std::string method;
  std::string path;                                        // as it is sent, encoded once
  std::vector<std::pair<std::string, std::string>> query;  // not encoded
  std::map<std::string, std::string> headers;              // lower-case names; all of them are signed
  std::string body_sha256;                                 // lower-case hexadecimal
};

struct SigV4Scope {
  std::string date;  // 20150830T123600Z
  std::string region;
  std::string service;
};

std::string SigV4CanonicalQuery(std::vector<std::pair<std::string, std::string>> query);
std::string SigV4CanonicalRequest(const SigV4Request& request);
std::string SigV4StringToSign(const SigV4Scope& scope, std::string_view canonical_request);
// The value of the Authorization header.
std::string SigV4Authorization(const SigV4Request& request, const SigV4Scope& scope,
                               const AwsCredentials& credentials);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_HTTP_SIGV4_H_
