// What can be asked of a store while a server has it: through the admin port, with the credentials that
// `init` wrote.
#ifndef HOLDFAST_CLI_SERVED_H_
#define HOLDFAST_CLI_SERVED_H_

#include <memory>
#include <string>

#include "base/bytes.h"
#include "sdk/client.h"

namespace holdfast::cli {

// Its admin port.
std::unique_ptr<sdk::AdminClient> ConnectAdmin(const std::string& server_yaml);

// Each finds client.yaml beside `server_yaml`. Fails with kServerUnreachable when nobody answers.
int VerifyServed(const std::string& server_yaml, bool require_fresh, const std::string& anchor, bool json);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_SERVED_H_
