// What DynamoDB, Azure Table, Firestore and WebHDFS answer in JSON, taken apart. Pure; every byte is the
// provider's. Nothing is believed: kMalformed for what is not of the expected shape, kTooLarge beyond a page.
#ifndef HOLDFAST_HOST_KV_JSON_ANSWERS_H_
#define HOLDFAST_HOST_KV_JSON_ANSWERS_H_

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "seam/storage.h"

namespace holdfast::host {

struct JsonRow {
  Bytes bytes;
  std::string write;  // the number of the write, as we stored it
  std::string stamp;  // Firestore's updateTime
};

struct JsonListing {
  std::vector<seam::ObjectInfo> objects;  // names as they stand there: of Azure and Firestore in hexadecimal
  bool more = false;
};

// DynamoDB. An item: nothing where the answer holds none.
Result<std::optional<JsonRow>> ParseDynamoItem(ByteView json);
Result<JsonListing> ParseDynamoListing(ByteView json);
std::string ParseDynamoError(ByteView json);        // "ResourceNotFoundException"; "" if it is none
std::string ParseDynamoTableStatus(ByteView json);  // "ACTIVE"

// Azure Table.
Result<JsonRow> ParseAzureEntity(ByteView json);
Result<JsonListing> ParseAzureListing(ByteView json);  // `more` stands in a header
std::string ParseAzureError(ByteView json);            // "EntityAlreadyExists"

// Firestore. A listing is the answer to :runQuery.
Result<JsonRow> ParseFirestoreDocument(ByteView json);
Result<JsonListing> ParseFirestoreListing(ByteView json);
std::string ParseFirestoreError(ByteView json);  // "ALREADY_EXISTS"

// WebHDFS.
struct HdfsFile {
  std::string name;  // in its directory; "" of the directory or file that was asked for
  bool directory = false;
  uint64_t size_bytes = 0;
};
Result<std::vector<HdfsFile>> ParseHdfsListing(ByteView json);  // of LISTSTATUS
Result<HdfsFile> ParseHdfsStatus(ByteView json);                // of GETFILESTATUS
std::string ParseHdfsError(ByteView json);                      // "FileNotFoundException"

// Names as keys of services that do not take '/': upper-case hexadecimal, which keeps their order.
std::string NameToKey(std::string_view name);
std::optional<std::string> NameOfKey(std::string_view key);

}  // namespace holdfast::host

#endif  // HOLDFAST_HOST_KV_JSON_ANSWERS_H_
