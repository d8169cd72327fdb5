// Digests with which the host signs its own requests to a provider. The keys are the provider's (an access
// key), never the store's; nothing of the core passes through here, and nothing here encrypts.
#ifndef HOLDFAST_HOST_HTTP_DIGEST_H_
#define HOLDFAST_HOST_HTTP_DIGEST_H_

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace holdfast::host {

Digest Sha256(ByteView bytes);
Digest HmacSha256(ByteView key, ByteView bytes);

std::string HexLower(ByteView bytes);
std::string Base64(ByteView bytes);                       // RFC 4648 section 4, padded
std::optional<Bytes> ParseBase64(std::string_view text);  // nothing: not what Base64 writes

// RFC 3986: every byte but A-Z a-z 0-9 - . _ ~ (and '/', if asked for) as %XX.
std::string UriEncode(std::string_view text, bool keep_slashes = false);

// Eight random bytes as hexadecimal: not a secret, it only must not repeat.
std::string RandomHex();

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_HTTP_DIGEST_H_
