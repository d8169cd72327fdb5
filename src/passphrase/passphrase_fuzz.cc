// A passphrase file of any bytes: what is read is the file without its final newline (and a \r before that),
// within the limit, or the code that says why not.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "passphrase/passphrase.h"

namespace {

using holdfast::ByteView;
using holdfast::Code;

int FileOf(ByteView bytes) {
  static const int fd = ::memfd_create("passphrase", MFD_CLOEXEC);
  HF_CHECK(::fchmod(fd, 0600) == 0 && ::ftruncate(fd, 0) == 0 && ::lseek(fd, 0, SEEK_SET) == 0);
  HF_CHECK(::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

ByteView WithoutNewline(ByteView b) {
  if (b.empty() || b.back() != '\n') return b;
  b = b.first(b.size() - 1);
  return !b.empty() && b.back() == '\r' ? b.first(b.size() - 1) : b;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView file(data, size), expected = WithoutNewline(file);
  const int fd = FileOf(file);
  auto read = holdfast::passphrase::ReadPassphraseFile(fd);
  if (read) {
    HF_CHECK(holdfast::Equal(read->view(), expected));
    HF_CHECK(!expected.empty() && expected.size() <= holdfast::limits::kPassphraseBytesMax);
  } else if (expected.empty()) {
    HF_CHECK(read.code() == Code::kNoPassphrase);
  } else {
    HF_CHECK(read.code() == Code::kTooLarge && file.size() > holdfast::limits::kPassphraseBytesMax);
  }
  HF_CHECK(::fchmod(fd, 0640) == 0);
  HF_CHECK(holdfast::passphrase::ReadPassphraseFile(fd).code() == Code::kPassphraseFileMode);
  return 0;
}
