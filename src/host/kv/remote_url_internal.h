// What the URLs of remote providers have in common. Parameters of all of them:
//
//   endpoint=https://host[:port][/path]   the service, if it is not the provider's own address
//   ca=/FILE                              PEM, instead of the system's roots
//   credentials=/FILE                     mode 0600 (host/http/credentials.h), instead of the environment
//   single-writer=true                    the operator's word that no second server opens this store; needed
//                                         only where the service has no conditional put
#ifndef HOLDFAST_HOST_KV_REMOTE_URL_INTERNAL_H_
#define HOLDFAST_HOST_KV_REMOTE_URL_INTERNAL_H_

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "host/http/client.h"
#include "host/kv/open.h"

namespace holdfast::host {

struct RemoteUrl {
  std::vector<std::string> path;  // of scheme://a/b/c: a, b, c; "" never
  std::string endpoint;           // without a '/' at the end; may be empty
  std::string ca, credentials;    // absolute paths, or empty
  bool single_writer = false;
  std::map<std::string, std::string, std::less<>> more;  // parameters of this kind alone
};

// kBadUrl: not scheme://…, `more` names no such parameter, a path that is not absolute, an endpoint that is
// none.
Result<RemoteUrl> ParseRemoteUrl(const StoreUrl& url, std::initializer_list<std::string_view> more);

// "host" or "host:port" as it stands in a Host header: without the port that the scheme implies.
std::string HostHeaderOf(std::string_view endpoint);
std::string PathOf(std::string_view endpoint);       // "" or "/path"
bool IsLoopbackOrTls(std::string_view endpoint);     // where a token or a password may be sent
bool IsPlainWord(std::string_view s, size_t bytes);  // [A-Za-z0-9._-]{1,bytes}, not "." or ".."

HttpOptions HttpOptionsOf(const RemoteUrl& url);

// 20150830T123600Z, and the other form: Sun, 30 Aug 2015 12:36:00 GMT
std::string AmzDateNow();
std::string HttpDateNow();

// What an answer means that no provider explains better. kIo: something unexpected.
Code CodeOfHttp(int status);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_REMOTE_URL_INTERNAL_H_
