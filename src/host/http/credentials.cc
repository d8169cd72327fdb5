#include "host/http/credentials.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace holdfast::host {
namespace {

constexpr std::string_view kNames[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token",
                                       "account_key",       "access_token",          "password"};

std::string_view Trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r')) s.remove_suffix(1);
  return s;
}

Result<std::string> ReadSecretFile(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return Code::kNoCredentials;
  struct stat s {};
  std::string text(kCredentialsBytesMax + 1, '\0');
  size_t n = 0;
  bool ok = ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode), open_to_others = (s.st_mode & 077) != 0;
  while (ok && !open_to_others && n < text.size()) {
    ssize_t got = ::read(fd, text.data() + n, text.size() - n);
    if (got <= 0) break;
    n += static_cast<size_t>(got);
  }
  ::close(fd);
  if (!ok) return Code::kNoCredentials;
  if (open_to_others) return Code::kCredentialsFileMode;
  text.resize(n);
  return text;
}

}  // namespace

Result<Credentials> ParseCredentials(std::string_view text) {
  if (text.size() > kCredentialsBytesMax) return Code::kBadConfig;
  Credentials found;
  while (!text.empty()) {
    size_t n = text.find('\n');
    std::string_view line = Trimmed(text.substr(0, n));
    text.remove_prefix(n == std::string_view::npos ? text.size() : n + 1);
    if (line.empty() || line.front() == '#' || (line.front() == '[' && line.back() == ']')) continue;
    size_t equals = line.find('=');
    if (equals == std::string_view::npos) return Code::kBadConfig;
    std::string_view name = Trimmed(line.substr(0, equals)), value = Trimmed(line.substr(equals + 1));
    // A line break or another control character in a value would be one in a header.
    bool clean = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
      return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    });
    bool known = std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
    if (!clean || !known || !found.try_emplace(std::string(name), value).second) return Code::kBadConfig;
  }
  return found;
}

Result<Credentials> FindCredentials(const std::string& file, std::initializer_list<CredentialName> names) {
  Credentials found;
  if (!file.empty()) {
    HF_TRY(std::string text, ReadSecretFile(file));
    HF_TRY(found, ParseCredentials(text));
  } else {
    for (const CredentialName& n : names) {
      const char* value = ::secure_getenv(n.variable);
      if (value == nullptr || *value == '\0') continue;
      HF_TRY(Credentials one, ParseCredentials(std::string(n.name) + "=" + value));
      found.merge(one);
    }
  }
  for (const CredentialName& n : names) {
    if (n.needed && !found.contains(n.name)) return Code::kNoCredentials;
  }
  return found;
}

Result<AwsCredentials> FindAwsCredentials(const std::string& file) {
  HF_TRY(Credentials found, FindCredentials(file, {{"aws_access_key_id", "AWS_ACCESS_KEY_ID"},
                                                   {"aws_secret_access_key", "AWS_SECRET_ACCESS_KEY"},
                                                   {"aws_session_token", "AWS_SESSION_TOKEN", false}}));
  return AwsCredentials{found["aws_access_key_id"], found["aws_secret_access_key"],
                        found["aws_session_token"]};
}

}  // namespace holdfast::host
