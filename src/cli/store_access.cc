#include "cli/store_access.h"

#include <cstdio>
#include <filesystem>
#include <utility>

#include "cli/failure.h"
#include "core/replica/replicated.h"
#include "core/seal/anchor.h"
#include "host/kv/dir.h"
#include "host/kv/open.h"
#include "host/runtime/anchor_file.h"

namespace holdfast::cli {

void FailInUse(const std::string& url) {
  std::string directory = host::DirectoryOf(url);
  std::optional<int> pid = directory.empty() ? std::nullopt : host::LockHolder(directory);
  FailWith(Code::kInUse,
           "store in use" + (pid ? " by pid " + std::to_string(*pid) : std::string()) + " (" + url + ")");
}

std::unique_ptr<seam::Storage> OpenStoreUnlessInUse(const std::string& url, host::OpenMode mode) {
  Result<std::unique_ptr<seam::Storage>> storage = host::OpenStorage(url, mode);
  if (!storage && storage.code() == Code::kInUse) return nullptr;
  return Take(std::move(storage), url);
}

std::unique_ptr<seam::Storage> OpenStore(const std::string& url, host::OpenMode mode) {
  std::unique_ptr<seam::Storage> storage = OpenStoreUnlessInUse(url, mode);
  if (!storage) FailInUse(url);
  return storage;
}

namespace {

struct ProvidersOwned {
  std::vector<std::unique_ptr<seam::Storage>> providers;
  std::vector<seam::Storage*> pointers() const {
    std::vector<seam::Storage*> p;
    for (const auto& s : providers) p.push_back(s.get());
    return p;
  }
};

// The providers go after what stands on them.
class SeveralStores : private ProvidersOwned, public replica::ReplicatedStorage {
 public:
  explicit SeveralStores(ProvidersOwned owned)
      : ProvidersOwned(std::move(owned)),
        replica::ReplicatedStorage(pointers(), QuorumOf(providers.size()),
                                   {.threads = replica::Threads::kNone}) {}

 private:
  static seam::Quorum QuorumOf(size_t n) {
    auto count = static_cast<uint32_t>(n);
    return {count, seam::MajorityOf(count)};
  }
};

}  // namespace

StoreUrls UrlsOf(const host::ServerConfig& config) {
  StoreUrls urls = {config.store_url};
  urls.insert(urls.end(), config.other_store_urls.begin(), config.other_store_urls.end());
  return urls;
}

std::string ShowUrls(const StoreUrls& urls) {
  std::string all;
  for (const std::string& url : urls) all += (all.empty() ? "" : " ") + url;
  return all;
}

std::unique_ptr<seam::Storage> OpenStoresUnlessInUse(const StoreUrls& urls, host::OpenMode mode,
                                                     Missing missing) {
  if (urls.size() == 1) return OpenStoreUnlessInUse(urls.front(), mode);
  ProvidersOwned owned;
  for (const std::string& url : urls) {
    Result<std::unique_ptr<seam::Storage>> one = host::OpenStorage(url, mode);
    if (!one && one.code() == Code::kInUse) return nullptr;
    if (!one && one.code() == Code::kNoStore && missing == Missing::kMake)
      one = host::OpenStorage(url, host::OpenMode::kCreate);
    bool may_lack =
        mode != host::OpenMode::kCreate && !one &&
        (one.code() == Code::kNoStore || one.code() == Code::kUnreachable || one.code() == Code::kIo);
    if (!may_lack) {
      owned.providers.push_back(Take(std::move(one), url));
      continue;
    }
    std::fprintf(stderr, "holdfast: note: provider %zu does not answer: %s: %s\n", owned.providers.size() + 1,
                 url.c_str(), std::string(CodeText(one.code())).c_str());
    owned.providers.push_back(nullptr);
  }
  return std::make_unique<SeveralStores>(std::move(owned));
}

std::unique_ptr<seam::Storage> OpenStores(const StoreUrls& urls, host::OpenMode mode, Missing missing) {
  std::unique_ptr<seam::Storage> storage = OpenStoresUnlessInUse(urls, mode, missing);
  if (!storage) FailInUse(ShowUrls(urls));
  return storage;
}

host::ServerConfig ReadServerYaml(const std::string& path) {
  std::string why;
  Result<host::ServerConfig> config = host::ReadServerConfig(path, &why);
  if (!config) FailWith(config.code(), path + ": " + why);
  return std::move(config).value();
}

std::string AbsoluteUrl(const std::string& url) {
  std::error_code ignored;
  return host::ResolveStoreUrl(url, std::filesystem::current_path(ignored).string());
}

std::optional<Bytes> ReadAnchor(const std::string& text, bool must_exist) {
  if (seal::AnchorClaim::IsShort(AsBytes(text))) {
    if (Status typed = seal::AnchorClaim::CheckShort(text); !typed)
      FailWith(Code::kUsage, "usage: --anchor " + text + ": mistyped");
    return ToBytes(text);
  }
  Result<UntrustedBytes> anchor = host::AnchorFile(text).Get(host::kAnchorName);
  if (anchor) return std::move(anchor).value().take();
  if (anchor.code() == Code::kNotFound && !must_exist) return std::nullopt;
  Fail("anchor " + text, anchor.code());
}

std::string ClientYamlBeside(const std::string& server_yaml) {
  return (std::filesystem::path(server_yaml).parent_path() / "client.yaml").string();
}

}  // namespace holdfast::cli
