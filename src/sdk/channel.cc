#include <grpc/support/log.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "sdk/rpc_internal.h"

namespace holdfast::sdk {
namespace {

constexpr int kMessageBytesMax = 20 << 20;

// gRPC tells stderr of every connection that fails, which callers hear of anyway. GRPC_VERBOSITY brings it
// back.
void QuietLog() {
  static const bool once = [] {
    if (std::getenv("GRPC_VERBOSITY") != nullptr) return false;
    gpr_set_log_function([](gpr_log_func_args* line) {
      if (std::string_view(line->message).starts_with("assertion failed")) {
        std::fprintf(stderr, "%s:%d: %s\n", line->file, line->line, line->message);
      }
    });
    return true;
  }();
  (void)once;
}

Result<std::shared_ptr<Channel>> Open(const ClientConfig& config, const std::string& address, uint16_t port,
                                      const std::string& port_file) {
  QuietLog();
  if (port == 0) {
    HF_TRY(port, ReadPortFile(port_file));
  }
  HF_TRY(SecretBytes ca, ReadSmallFile(config.ca_file));
  HF_TRY(SecretBytes client, ReadSmallFile(config.client_file));
  if (AsText(ca.view()).find("BEGIN CERTIFICATE") == std::string_view::npos ||
      AsText(client.view()).find("PRIVATE KEY") == std::string_view::npos) {
    return Code::kBadConfig;
  }
  grpc::SslCredentialsOptions ssl;
  ssl.pem_root_certs = ToText(ca.view());
  ssl.pem_cert_chain = ssl.pem_private_key = ToText(client.view());
  grpc::ChannelArguments args;
  args.SetSslTargetNameOverride(config.store_id + ".holdfast");
  args.SetMaxReceiveMessageSize(kMessageBytesMax);
  args.SetMaxSendMessageSize(kMessageBytesMax);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);     // a write may have happened: the caller decides (rule H4)
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a proxy of the environment has no business in between
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // one connection for each channel
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10'000);  // in truth: how long a connection attempt may take
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  std::string target =
      (address.find(':') != std::string::npos ? "ipv6:[" + address + "]" : "ipv4:" + address) + ":" +
      std::to_string(port);
  auto channel = grpc::CreateCustomChannel(target, grpc::SslCredentials(ssl), args);
  Wipe(ssl.pem_private_key.data(), ssl.pem_private_key.size());
  Wipe(ssl.pem_cert_chain.data(), ssl.pem_cert_chain.size());
  return std::make_shared<Channel>(std::move(channel));
}

}  // namespace

Result<std::shared_ptr<Channel>> OpenUserChannel(const ClientConfig& config) {
  return Open(config, config.address, config.port, config.port_file);
}
Result<std::shared_ptr<Channel>> OpenAdminChannel(const ClientConfig& config) {
  return Open(config, config.admin_address, config.admin_port, config.admin_port_file);
}

Code CodeOfNumber(uint32_t number) {
  switch (number) {
#define HF_CODE(name, n, exit, text) case n:
#include "base/codes.def"
#undef HF_CODE
    return static_cast<Code>(number);
    default:
      return Code::kInternal;
  }
}

Code CodeOf(const grpc::Status& status, const grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  if (auto it = metadata.find("holdfast-code"); it != metadata.end()) {
    return CodeOfNumber(static_cast<uint32_t>(
        std::strtoul(std::string(it->second.data(), it->second.size()).c_str(), nullptr, 10)));
  }
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return Code::kServerUnreachable;
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return Code::kDeadline;
    case grpc::StatusCode::CANCELLED:
      return Code::kCancelled;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return Code::kTooLarge;  // gRPC's own limit on messages
    case grpc::StatusCode::UNIMPLEMENTED:
      return Code::kUnsupported;
    default:
      return Code::kInternal;
  }
}

void SetTimeout(grpc::ClientContext& context, uint64_t timeout_ms) {
  if (timeout_ms == 0) return;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
}

void FillBatch(const Batch& from, v1::BatchRequest* to) {
  for (const Compare& c : from.compares) {
    v1::Compare* out = to->add_compares();
    out->set_table(c.table);
    out->set_key(c.key);
    if (c.kind == Compare::Kind::kAbsent) out->set_absent(true);
    if (c.kind == Compare::Kind::kPresent) out->set_present(true);
    if (c.kind == Compare::Kind::kEquals) out->set_equals(c.value);
  }
  for (const Operation& o : from.operations) {
    v1::Operation* out = to->add_operations();
    out->set_table(o.table);
    out->set_key(o.key);
    if (o.kind == Operation::Kind::kPut) out->set_put(o.value);
    if (o.kind == Operation::Kind::kDelete) out->set_delete_(true);
    if (o.kind == Operation::Kind::kDeleteRange) out->set_delete_until(o.value);
  }
}

}  // namespace holdfast::sdk
