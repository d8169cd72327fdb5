#include "core/session/tls_library.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/provider.h>

#include <array>
#include <string_view>
#include <vector>

namespace holdfast::session {
namespace {

constexpr const char* kProvider = "holdfast-tls";
constexpr int kOperationsEnd = OSSL_OP__HIGHEST + 1;

// The lists that OpenSSL asks for, each ended by an empty entry; made before anybody asks.
struct Lists {
  OSSL_PROVIDER* whole = nullptr;
  std::array<std::vector<OSSL_ALGORITHM>, kOperationsEnd> of;
};
Lists& TheLists() {
  static auto* const lists = new Lists;
  return *lists;
}

bool Has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

bool IsWanted(int operation, const OSSL_ALGORITHM& a) {
  std::string_view names = a.algorithm_names, properties = a.property_definition;
  std::string_view name = names.substr(0, names.find(':'));
  switch (operation) {
    case OSSL_OP_KEYMGMT:
      return name == "EC" || name == "X25519";
    case OSSL_OP_DECODER:  // of certificates and of the server's key
      return name == "EC" && Has(properties, "input=der") &&
             (Has(properties, "SubjectPublicKeyInfo") || Has(properties, "PrivateKeyInfo"));
    case OSSL_OP_ENCODER:
    case OSSL_OP_STORE:
    case OSSL_OP_ASYM_CIPHER:
    case OSSL_OP_KEM:
      return false;
    default:
      return true;
  }
}

const OSSL_ALGORITHM* Query(void*, int operation, int* no_cache) {
  *no_cache = 0;
  if (operation < 0 || operation >= kOperationsEnd) return nullptr;
  const auto& list = TheLists().of[static_cast<size_t>(operation)];
  return list.empty() ? nullptr : list.data();
}
int Capabilities(void*, const char* capability, OSSL_CALLBACK* each, void* argument) {
  return OSSL_PROVIDER_get_capabilities(TheLists().whole, capability, each, argument);
}
void Teardown(void*) {}

constexpr OSSL_ALGORITHM kEnd = {nullptr, nullptr, nullptr, nullptr};

int Begin(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out, void** context) {
  static const OSSL_DISPATCH kFunctions[] = {
      {OSSL_FUNC_PROVIDER_TEARDOWN, reinterpret_cast<void (*)()>(Teardown)},
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(Query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(Capabilities)},
      {0, nullptr}};
  Lists& lists = TheLists();
  lists.whole = OSSL_PROVIDER_load(nullptr, "default");
  if (lists.whole == nullptr) return 0;
  for (int operation = 1; operation < kOperationsEnd; ++operation) {
    int ignored = 0;
    auto& list = lists.of[static_cast<size_t>(operation)];
    const OSSL_ALGORITHM* a = OSSL_PROVIDER_query_operation(lists.whole, operation, &ignored);
    for (; a != nullptr && a->algorithm_names != nullptr; ++a) {
      if (IsWanted(operation, *a)) list.push_back(*a);
    }
    if (!list.empty()) list.push_back(kEnd);
  }
  *out = kFunctions;
  // The algorithms are the default provider's and are called with what is its own.
  *context = OSSL_PROVIDER_get0_provider_ctx(lists.whole);
  return 1;
}

}  // namespace

OSSL_LIB_CTX* TlsLibrary() {
  static OSSL_LIB_CTX* const library = []() -> OSSL_LIB_CTX* {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made == nullptr) return nullptr;
    if (OSSL_PROVIDER_add_builtin(made, kProvider, Begin) == 1 &&
        OSSL_PROVIDER_load(made, kProvider) != nullptr) {
      return made;
    }
    OSSL_LIB_CTX_free(made);
    return nullptr;
  }();
  return library;
}

}  // namespace holdfast::session
