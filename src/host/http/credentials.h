// What the host shows to a provider to be let in. Not a secret of the store: who has it can delete and roll
// back, and sees the same ciphertext as the provider. It comes from the environment or from a file, never
// from a URL, an option or a log.
//
//   # a line is `name = value`; blank lines, '#' and [sections] are passed over
//   aws_access_key_id = AKIA…             s3: dynamodb:       else AWS_ACCESS_KEY_ID
//   aws_secret_access_key = …                                 else AWS_SECRET_ACCESS_KEY
//   aws_session_token = …                                     else AWS_SESSION_TOKEN
//   account_key = … (Base64)              azure-table:        else AZURE_STORAGE_KEY
//   access_token = …                      firestore:          else FIRESTORE_ACCESS_TOKEN
//   password = …                          postgres:           else PGPASSWORD, ~/.pgpass
#ifndef HOLDFAST_HOST_HTTP_CREDENTIALS_H_
#define HOLDFAST_HOST_HTTP_CREDENTIALS_H_

#include <map>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "host/http/sigv4.h"

namespace holdfast::host {

using Credentials = std::map<std::string, std::string, std::less<>>;

inline constexpr size_t kCredentialsBytesMax = 64u << 10;  // a session token has some 2 KiB

// kBadConfig: a line that is none of those above, a name twice, a control character, too long.
Result<Credentials> ParseCredentials(std::string_view text);

// The names that are asked for, from `file`, or from the environment if that is empty.
//   errors  kCredentialsFileMode: readable by group or others. kNoCredentials: no file, or it or the
//           environment lacks one that `needed` says. kBadConfig as above.
struct CredentialName {
  std::string_view name;
  const char* variable;
  bool needed = true;
};
Result<Credentials> FindCredentials(const std::string& file, std::initializer_list<CredentialName> names);

// Of s3: and dynamodb:.
Result<AwsCredentials> FindAwsCredentials(const std::string& file);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_HTTP_CREDENTIALS_H_
