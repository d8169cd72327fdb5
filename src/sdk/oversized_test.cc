// What a message may cost: a field is two bytes on the wire and a hundred in memory, so fields are counted
// before anything is decoded (core/request).
#include <grpcpp/generic/generic_stub.h>

#include <future>

#include "sdk/rpc_internal.h"
#include "sdk/test_server_internal.h"

namespace holdfast::sdk {
namespace {

constexpr size_t kMiB = 1u << 20;

std::string Repeated(std::string_view unit, size_t bytes) {
  std::string out;
  out.reserve(bytes);
  while (out.size() + unit.size() <= bytes) out += unit;
  return out;
}

// Memory of the process at its highest since this was made.
class PeakMemory {
 public:
  PeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }
  static size_t Bytes() {
    std::ifstream status("/proc/self/status");
    std::string word;
    while (status >> word && word != "VmHWM:") continue;
    size_t kib = 0;
    status >> kib;
    return kib * 1024;
  }
};

class Oversized : public testing::Test {
 protected:
  void SetUp() override {
    client = server.NewClient("user.pem");
    ASSERT_TRUE(client->CreateTable("t").has_value());
  }
  // One unary call with these bytes as its message, whatever they are.
  Code Send(const std::string& method, const std::string& bytes,
            grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) {
    grpc::GenericStub stub(client->channel()->grpc_channel);
    grpc::ClientContext context;
    context.set_compression_algorithm(compression);
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), reply;
    std::promise<grpc::Status> done;
    stub.UnaryCall(&context, "/holdfast.v1.Kv/" + method, {}, &request, &reply,
                   [&](grpc::Status s) { done.set_value(std::move(s)); });
    grpc::Status status = done.get_future().get();
    return status.ok() ? Code{} : CodeOf(status, context);
  }
  // The same as the first message of a Session stream.
  Code SendToSession(const std::string& bytes) {
    auto stub = v1::Kv::NewStub(client->channel()->grpc_channel);
    grpc::ClientContext context;
    auto stream = stub->Session(&context);
    v1::SessionRequest request;
    EXPECT_TRUE(request.ParseFromString(bytes));
    stream->Write(request);
    v1::SessionReply reply;
    while (stream->Read(&reply)) continue;
    grpc::Status status = stream->Finish();
    return status.ok() ? Code{} : CodeOf(status, context);
  }
  TestServer server;
  std::unique_ptr<Client> client;
};

TEST_F(Oversized, TenMillionEmptyOperationsAreRefusedAndCostLittleMoreThanTheirBytes) {
  std::string operations = Repeated(std::string_view("\x12\x00", 2), 20 * kMiB - 1024);
  PeakMemory peak;
  size_t before = PeakMemory::Bytes();
  EXPECT_EQ(Send("Batch", operations), Code::kBatchSize);
  EXPECT_LT(PeakMemory::Bytes() - before, 300 * kMiB) << "decoded, they take 720";
  EXPECT_TRUE(client->Put("t", "k", "v").has_value()) << "the connection goes on";
}

TEST_F(Oversized, WhatNobodyKnowsAndWhatIsNoMessageIsRefusedInEveryCall) {
  std::string unknown = Repeated(std::string_view("\x78\x00", 2), 60'000);  // field 15, a number
  std::string groups = Repeated("\x7b\x7c", 60'000), many_groups = Repeated("\x7b\x7c", kMiB);
  for (const char* method :
       {"Get", "Put", "Delete", "Batch", "Sync", "CreateTable", "DropTable", "ListTables", "Scan", "Watch"}) {
    bool batch = std::string_view(method) == "Batch";
    EXPECT_EQ(Send(method, batch ? many_groups : groups), Code::kInvalidArgument) << method;
    EXPECT_EQ(Send(method, "\x0A\x7F"), Code::kInvalidArgument) << method << ": cut off";
    if (!batch) {
      EXPECT_EQ(Send(method, unknown), Code::kTooLarge) << method;
    }
    if (!batch && std::string_view(method) != "Put") {
      EXPECT_EQ(Send(method, Repeated("x", 65'537)), Code::kTooLarge) << method;
    }
  }
  EXPECT_EQ(Send("Batch", Repeated(std::string_view("\x78\x00", 2), 2 * kMiB)), Code::kBatchSize);
}

TEST_F(Oversized, AFewUnknownFieldsAreForNewerClients) {
  v1::PutRequest put;
  put.set_table("t");
  put.set_key("k");
  put.set_value("v");
  EXPECT_EQ(Send("Put", put.SerializeAsString() + Repeated(std::string_view("\x78\x00", 2), 200)), Code{});
  EXPECT_TRUE(client->Get("t", "k")->found);
}

TEST_F(Oversized, ASessionMessageIsCountedTooWithTheBatchesInIt) {
  EXPECT_EQ(SendToSession(Repeated(std::string_view("\x0A\x00", 2), kMiB)), Code::kBatchSize);
  std::string inside = Repeated(std::string_view("\x12\x00", 2), 120);
  std::string operation = "\x3A" + std::string(1, static_cast<char>(inside.size())) + inside;
  std::string batches = "\x0A" + std::string(1, static_cast<char>(operation.size())) + operation;
  EXPECT_EQ(SendToSession(Repeated(batches, 4 * 122 * 1024)), Code::kBatchSize);
  EXPECT_EQ(SendToSession(Repeated(std::string_view("\x0A\x00", 2), 20)), Code::kInvalidArgument)
      << "few enough to be looked at: operations without an operation";
}

TEST_F(Oversized, TheLargestBatchHasRoom) {
  Batch batch;
  for (int i = 0; i < 10'000; ++i) {
    batch.compares.push_back({Compare::Kind::kAbsent, "t", "k" + std::to_string(i), ""});
    batch.operations.push_back({Operation::Kind::kPut, "t", "k" + std::to_string(i), "v"});
  }
  EXPECT_TRUE(client->Apply(batch).has_value());
  uint64_t failed = 0;
  EXPECT_EQ(client->Apply(batch, Wait::kDurable, &failed).code(), Code::kConflict);
}

TEST_F(Oversized, CompressedMessagesAreRefused) {
  v1::PutRequest put;
  put.set_table("t");
  put.set_key("k");
  put.set_value(std::string(16 * kMiB, 'x'));  // a few KiB on the wire
  for (auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    EXPECT_NE(Send("Put", put.SerializeAsString(), algorithm), Code{});
  }
  EXPECT_FALSE(client->Get("t", "k")->found);
}

TEST_F(Oversized, TheAdminPortTakesSmallMessagesOnly) {
  auto admin = server.NewAdmin();
  EXPECT_FALSE(admin->AddClient(std::string(100'000, 'n'), false).has_value());
  EXPECT_EQ(admin->AddClient(std::string(1'000, 'n'), false).code(), Code::kInvalidArgument);
  EXPECT_TRUE(admin->GetStatus().has_value());
}

}  // namespace
}  // namespace holdfast::sdk
