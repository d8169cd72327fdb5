// client.yaml: where a server is and who we are. Relative paths are relative to the file's own folder.
//
//   Server:                       # programs
//     Address: 127.0.0.1          # default
//     PortFile: temp/server-user.port
//     Port: 0                     # instead of PortFile
//     StoreId: <32 hex digits>    # the server must prove to be <StoreId>.holdfast
//     CaFile: client/ca.pem
//     ClientFile: client/admin.pem
//   Administrator:
//     Address: 127.0.0.1
//     PortFile: temp/server-admin.port
#ifndef HOLDFAST_SDK_CONFIG_H_
#define HOLDFAST_SDK_CONFIG_H_

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace holdfast::sdk {

struct ClientConfig {
  std::string address = "127.0.0.1", port_file;
  uint16_t port = 0;  // 0: look into port_file
  std::string store_id, ca_file, client_file;
  std::string admin_address = "127.0.0.1", admin_port_file;
  uint16_t admin_port = 0;  // not in the file; for embedding
};

// Keys that nobody knows are refused by name, so that a typing error is no silent default.
// errors  kNotFound (no such file), kPermission, kBadConfig; `what` (may be null) then says "Server.Adress:
// unknown key"
Result<ClientConfig> LoadClientConfig(const std::string& path, std::string* what);
Result<ClientConfig> ParseClientConfig(const std::string& yaml, const std::string& folder, std::string* what);

// The decimal digits of a port file. kServerUnreachable: not there (the server does not run), or not a port.
Result<uint16_t> ReadPortFile(const std::string& path);
// A whole file of at most 1 MiB. kNotFound, kPermission, kIo, kTooLarge.
Result<SecretBytes> ReadSmallFile(const std::string& path);

}  // namespace holdfast::sdk

#endif  // HOLDFAST_SDK_CONFIG_H_
