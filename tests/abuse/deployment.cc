#include "deployment.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "core/session/pki.h"
#include "core/store/layout.h"
#include "core/store/offline.h"

namespace holdfast::abuse {
namespace {

constexpr uint32_t kKdfMemoryKiB = 64;

std::filesystem::path NewFolder(uint64_t number) {
  auto folder = std::filesystem::temp_directory_path() /
                ("holdfast-abuse-" + std::to_string(::getpid()) + "-" + std::to_string(number));
  std::filesystem::create_directories(folder);
  return folder;
}

// Of the deployments of this process: no two are the same store.
uint64_t NextNumber() {
  static std::atomic<uint64_t> number{0};
  return number++;
}

}  // namespace

Deployment::Deployment(seam::Capabilities capabilities)
    : number_(NextNumber()),
      folder_(NewFolder(number_)),
      objects_(std::make_unique<host::MemoryStorage>(capabilities)),
      anchor_(std::make_unique<host::MemoryStorage>()) {
  crypto::SeededRandom random(static_cast<uint64_t>(::getpid()) << 20 | number_);
  store_ = random.NewId<StoreId>();
  store::InitOptions init;
  init.argon.memory_kib = kKdfMemoryKiB;
  init.argon.passes = 1;
  init.system_rows = session::NewStorePki(store_, random).value();
  session::IssuedClient client = session::IssueClient(init.system_rows, "admin", true, random).value();
  init.system_rows.push_back(client.row);
  auto made = store::InitStore(*objects_, store_, AsBytes(kPassphrase), init, random);
  EXPECT_TRUE(made.has_value());
  EXPECT_TRUE(anchor_->Put(store::kAnchorName, made->encoded_anchor).has_value());
  std::ofstream(CaFile(), std::ios::binary) << client.ca_pem;
  std::ofstream(ClientFile(), std::ios::binary) << AsText(client.pem.view());
}

Deployment::~Deployment() { std::filesystem::remove_all(folder_); }

int OpenPassphrase(std::string_view text) {
  int fd = ::memfd_create("passphrase", MFD_CLOEXEC);
  EXPECT_TRUE(fd >= 0 && ::fchmod(fd, 0600) == 0);
  EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  ::lseek(fd, 0, SEEK_SET);
  return fd;
}

Copy Deployment::CopyStore() {
  Copy copy;
  auto all = seam::ListAll(*objects_, "");
  EXPECT_TRUE(all.has_value());
  for (const seam::ObjectInfo& o : *all) copy[o.name] = objects_->Get(o.name).value().take();
  return copy;
}

void Deployment::PutBack(const Copy& copy) {
  const seam::Capabilities capabilities = objects_->capabilities();
  auto fresh = std::make_unique<host::MemoryStorage>(capabilities);
  for (const auto& [name, bytes] : copy) {
    bool appendable = capabilities.append && name.starts_with("members/");
    Status put = appendable ? fresh->CreateAppendable(name, bytes.size(), bytes) : fresh->Put(name, bytes);
    EXPECT_TRUE(put.has_value()) << name;
  }
  objects_ = std::move(fresh);
}

void Deployment::PutBack(const Copy& copy, std::string_view prefix) {
  Copy mixed = CopyStore();
  std::erase_if(mixed, [&](const auto& o) { return o.first.starts_with(prefix); });
  for (const auto& [name, bytes] : copy) {
    if (name.starts_with(prefix)) mixed[name] = bytes;
  }
  PutBack(mixed);
}

}  // namespace holdfast::abuse
