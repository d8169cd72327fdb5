// What `admin status` prints. Names of fields and metrics are a contract (docs/operating.md); the text for
// people is not.
#ifndef HOLDFAST_CLI_STATUS_H_
#define HOLDFAST_CLI_STATUS_H_

#include <string>
#include <vector>

#include "sdk/client.h"

namespace holdfast::cli {

std::string StatusJson(const sdk::ServerStatus& status);
std::vector<std::string> StatusLines(const sdk::ServerStatus& status);

}  // namespace holdfast::cli

#endif  // HOLDFAST_CLI_STATUS_H_
