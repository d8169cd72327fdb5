// Answers in JSON: the first byte chooses the parser, the rest is what the provider sent. What is accepted is
// of the shape that the header promises; listings have a page at most; names go to keys and back.
#include "base/check.h"
#include "host/http/digest.h"
#include "host/kv/json_answers.h"

namespace holdfast::host {
namespace {

void CheckListing(const Result<JsonListing>& listing) {
  if (!listing) {
    HF_CHECK(listing.code() == Code::kMalformed);
    return;
  }
  HF_CHECK(listing->objects.size() <= seam::kListPageMax + 1);
  for (const seam::ObjectInfo& object : listing->objects) HF_CHECK(!object.name.empty());
}

void CheckRow(const Result<JsonRow>& row) {
  HF_CHECK(row ? !row->write.empty() : row.code() == Code::kMalformed);
}

void CheckOne(uint8_t kind, ByteView body) {
  switch (kind % 14) {
    case 0: {
      auto item = ParseDynamoItem(body);
      HF_CHECK(item || item.code() == Code::kMalformed);
      if (item && *item) CheckRow(Result<JsonRow>(**item));
      break;
    }
    case 1:
      return CheckListing(ParseDynamoListing(body));
    case 2:
      HF_CHECK(ParseDynamoError(body).size() + ParseDynamoTableStatus(body).size() <= 2 * body.size());
      break;
    case 3:
      return CheckRow(ParseAzureEntity(body));
    case 4:
      return CheckListing(ParseAzureListing(body));
    case 5:
      HF_CHECK(ParseAzureError(body).size() <= body.size());
      break;
    case 6:
      return CheckRow(ParseFirestoreDocument(body));
    case 7:
      return CheckListing(ParseFirestoreListing(body));
    case 8:
      HF_CHECK(ParseFirestoreError(body).size() <= body.size());
      break;
    case 9: {
      auto files = ParseHdfsListing(body);
      if (!files) break;
      for (const HdfsFile& file : *files)
        HF_CHECK(file.name.find('/') == std::string::npos && file.name != "..");
      break;
    }
    case 10: {
      auto file = ParseHdfsStatus(body);
      HF_CHECK(file || file.code() == Code::kMalformed);
      break;
    }
    case 11:
      HF_CHECK(ParseHdfsError(body).size() <= body.size());
      break;
    case 12: {
      HF_CHECK(NameOfKey(NameToKey(AsText(body))) == std::string(AsText(body)));
      auto name = NameOfKey(AsText(body));
      if (name) HF_CHECK(NameToKey(*name) == AsText(body));
      break;
    }
    default: {
      auto bytes = ParseBase64(AsText(body));
      if (bytes) HF_CHECK(Base64(*bytes) == AsText(body));
    }
  }
}

}  // namespace
}  // namespace holdfast::host

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) holdfast::host::CheckOne(data[0], {data + 1, size - 1});
  return 0;
}
