#include "sdk/config.h"

#include <fcntl.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <charconv>
#include <map>
#include <set>

namespace holdfast::sdk {
namespace {

constexpr size_t kFileBytesMax = 1u << 20;

// What is quoted from the file may hold anything, and is shown on a terminal.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

class Refusal {
 public:
  explicit Refusal(std::string* what) : what_(what) {}
  Status operator()(const std::string& text) const {
    if (what_ != nullptr) *what_ = OneLine(text);
    return Code::kBadConfig;
  }

 private:
  std::string* what_;
};

std::string PathBelow(const std::string& folder, const std::string& path) {
  return path.empty() || path.front() == '/' || folder.empty() ? path : folder + "/" + path;
}

template <typename N>
bool ParseNumber(std::string_view text, N& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

Status ReadSection(const YAML::Node& section, const std::string& name,
                   const std::map<std::string, std::string*>& known, const Refusal& refuse) {
  if (!section.IsDefined() || section.IsNull()) return Ok();
  if (!section.IsMap()) return refuse(name + ": not a section of keys");
  std::set<std::string> seen;
  for (const auto& item : section) {
    std::string key = item.first.as<std::string>("");
    auto it = known.find(key);
    if (it == known.end()) return refuse(name + "." + key + ": unknown key");
    if (!seen.insert(key).second) return refuse(name + "." + key + ": given twice");
    if (!item.second.IsScalar()) return refuse(name + "." + key + ": not a single value");
    *it->second = item.second.Scalar();
  }
  return Ok();
}

Status Fill(const YAML::Node& root, const std::string& folder, const Refusal& refuse, ClientConfig& config) {
  if (!root.IsMap()) return refuse("no sections");
  std::set<std::string> seen;
  for (const auto& item : root) {
    std::string key = item.first.as<std::string>("");
    if (key != "Server" && key != "Administrator") return refuse(key + ": unknown key");
    if (!seen.insert(key).second) return refuse(key + ": given twice");
  }
  std::string port;
  HF_TRY_VOID(ReadSection(root["Server"], "Server",
                          {{"Address", &config.address},
                           {"PortFile", &config.port_file},
                           {"Port", &port},
                           {"StoreId", &config.store_id},
                           {"CaFile", &config.ca_file},
                           {"ClientFile", &config.client_file}},
                          refuse));
  HF_TRY_VOID(ReadSection(root["Administrator"], "Administrator",
                          {{"Address", &config.admin_address}, {"PortFile", &config.admin_port_file}},
                          refuse));
  if (!port.empty() && !ParseNumber(port, config.port)) return refuse("Server.Port: not a port");
  if (config.store_id.size() != 32 || !ParseHex(config.store_id)) {
    return refuse("Server.StoreId: not 32 hex digits");
  }
  if (config.ca_file.empty()) return refuse("Server.CaFile: missing");
  if (config.client_file.empty()) return refuse("Server.ClientFile: missing");
  for (std::string* path :
       {&config.port_file, &config.ca_file, &config.client_file, &config.admin_port_file}) {
    *path = PathBelow(folder, *path);
  }
  return Ok();
}

}  // namespace

Result<ClientConfig> ParseClientConfig(const std::string& yaml, const std::string& folder,
                                       std::string* what) {
  Refusal refuse(what);
  ClientConfig config;
  try {
    Status status = Fill(YAML::Load(yaml), folder, refuse, config);
    if (!status.has_value()) return status.error();
  } catch (const YAML::Exception& e) {
    refuse("line " + std::to_string(e.mark.line + 1) + ": not YAML").has_value();
    return Code::kBadConfig;
  }
  return config;
}

Result<ClientConfig> LoadClientConfig(const std::string& path, std::string* what) {
  HF_TRY(SecretBytes text, ReadSmallFile(path));
  size_t slash = path.rfind('/');
  return ParseClientConfig(ToText(text.view()), slash == std::string::npos ? "" : path.substr(0, slash),
                           what);
}

Result<uint16_t> ReadPortFile(const std::string& path) {
  auto text = ReadSmallFile(path);
  uint16_t port = 0;
  if (!text || !ParseNumber(AsText(text->view()), port) || port == 0) return Code::kServerUnreachable;
  return port;
}

Result<SecretBytes> ReadSmallFile(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? Code::kNotFound : (errno == EACCES ? Code::kPermission : Code::kIo);
  Bytes bytes(kFileBytesMax + 1);
  size_t size = 0;
  ssize_t n = 0;
  while (size < bytes.size() && (n = read(fd, bytes.data() + size, bytes.size() - size)) > 0) {
    size += static_cast<size_t>(n);
  }
  close(fd);
  SecretBytes out(ByteView(bytes.data(), size));
  Wipe(bytes.data(), size);
  if (n < 0) return Code::kIo;
  if (size > kFileBytesMax) return Code::kTooLarge;
  return out;
}

}  // namespace holdfast::sdk
