#include "honest_client.h"

#include <poll.h>

#include <atomic>

namespace holdfast::abuse {
namespace {

std::string Shown(const std::optional<std::string>& value) {
  return value ? "'" + value->substr(0, 60) + "' (" + std::to_string(value->size()) + " bytes)" : "nothing";
}

sdk::ClientConfig ConfigFor(HostileHost& host) {
  sdk::ClientConfig config;
  config.port = host.user_port();
  config.admin_port = host.admin_port();
  config.store_id = host.deployment().store().hex();
  config.ca_file = host.deployment().CaFile();
  config.client_file = host.deployment().ClientFile();
  return config;
}

}  // namespace

void Oracle::Attempts(const std::string& key, const std::string& value) {
  std::lock_guard lock(mutex_);
  entries_[key].attempted.insert(value);
}
void Oracle::Acknowledged(const std::string& key, const std::string& value) {
  std::lock_guard lock(mutex_);
  entries_[key].acknowledged = value;
  entries_[key].attempted.erase(value);
}
bool Oracle::Allows(const std::string& key, const std::optional<std::string>& value) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(key);
  if (it == entries_.end()) return !value.has_value();
  return value == it->second.acknowledged || (value && it->second.attempted.contains(*value));
}
bool Oracle::Uncertain(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(key);
  return it != entries_.end() && !it->second.attempted.empty();
}
std::set<std::string> Oracle::AcknowledgedKeys(const std::string& prefix) const {
  std::lock_guard lock(mutex_);
  std::set<std::string> keys;
  for (const auto& [key, entry] : entries_) {
    if (entry.acknowledged && key.starts_with(prefix)) keys.insert(key);
  }
  return keys;
}

HonestClient::HonestClient(HostileHost& host, Oracle& oracle, uint64_t timeout_ms)
    : host_(host),
      oracle_(oracle),
      timeout_ms_(timeout_ms),
      client_(std::make_unique<sdk::Client>(sdk::OpenUserChannel(ConfigFor(host)).value(), timeout_ms)) {}

Status HonestClient::SaveState() {
  sdk::AdminClient admin(sdk::OpenAdminChannel(ConfigFor(host_)).value(), timeout_ms_);
  auto saved = admin.SaveState();
  return saved ? Ok() : saved.error();
}

Status HonestClient::Put(const std::string& key, const std::string& value) {
  oracle_.Attempts(key, value);
  auto done = client_->Put(kTable, key, value);
  if (!done) return done.error();
  oracle_.Acknowledged(key, value);
  return Ok();
}

Status HonestClient::Get(const std::string& key) {
  auto got = client_->Get(kTable, key);
  if (!got) return got.error();
  std::optional<std::string> value = got->found ? std::optional(got->value) : std::nullopt;
  EXPECT_TRUE(oracle_.Allows(key, value)) << "a wrong answer: " << key << " is " << Shown(value);
  return Ok();
}

Status HonestClient::GetAll(const std::set<std::string>& keys) {
  Status first;
  for (const std::string& key : keys) {
    Status got = Get(key);
    if (first && !got) first = got;
  }
  return first;
}

Status HonestClient::Scan(const std::string& prefix) {
  std::set<std::string> missing = oracle_.AcknowledgedKeys(prefix);
  auto scanned = client_->Scan(kTable, {.prefix = prefix}, [&](const sdk::KeyValue& row) {
    EXPECT_TRUE(oracle_.Allows(row.key, row.value))
        << "a wrong row: " << row.key << " is " << Shown(row.value);
    missing.erase(row.key);
    return true;
  });
  if (!scanned) return scanned.error();
  EXPECT_TRUE(missing.empty()) << missing.size() << " rows are missing, the first is " << *missing.begin();
  return Ok();
}

Status HonestClient::Prepare() {
  auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto made = client_->CreateTable(kTable);
    if (made || made.code() == Code::kTableExists) return Ok();
    if (std::chrono::steady_clock::now() > until || !host_.Alive()) return made.error();
    ::poll(nullptr, 0, 20);
  }
}

::testing::AssertionResult HonestClient::Works() {
  static std::atomic<int> number{0};
  auto until = std::chrono::steady_clock::now() + kPatience;
  Code last{};
  while (std::chrono::steady_clock::now() < until && host_.Alive()) {
    std::string key = "works/" + std::to_string(++number);
    Status put = Put(key, ValueOf(key, 400));
    Status got = put ? Get(key) : put;
    if (got) return ::testing::AssertionSuccess();
    last = got.code();
    ::poll(nullptr, 0, 20);
  }
  return ::testing::AssertionFailure()
         << "no honest work is done any more: " << CodeName(last) << "; the core "
         << (host_.Alive() ? "lives" : host_.WaitEnd()) << "; " << host_.Stderr();
}

std::string ValueOf(const std::string& key, size_t bytes, uint64_t version) {
  std::string unit = key + "#" + std::to_string(version) + ";";
  std::string value;
  while (value.size() < bytes) value += unit;
  value.resize(bytes);
  return value;
}

}  // namespace holdfast::abuse
