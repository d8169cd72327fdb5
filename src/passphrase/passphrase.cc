#include "passphrase/passphrase.h"

#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/limits.h"

namespace holdfast::passphrase {
namespace {

// The buffer does not grow, so no copy is left behind; three bytes more than a passphrase: "\r\n", and one
// that shows that there is too much.
class LineBuffer {
 public:
  LineBuffer() = default;
  ~LineBuffer() { Wipe(bytes_.data(), bytes_.size()); }
  LineBuffer(const LineBuffer&) = delete;
  LineBuffer& operator=(const LineBuffer&) = delete;

  bool full() const { return used_ == bytes_.size(); }
  bool EndsWith(uint8_t c) const { return used_ > 0 && bytes_[used_ - 1] == c; }
  // How many bytes came, 0 at the end. REQUIRES: not full, at_most > 0.
  Result<size_t> Read(int fd, size_t at_most) {
    size_t room = bytes_.size() - used_;
    for (;;) {
      ssize_t n = ::read(fd, bytes_.data() + used_, at_most < room ? at_most : room);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Code::kIo;
      used_ += static_cast<size_t>(n);
      return static_cast<size_t>(n);
    }
  }
  Result<SecretBytes> Take() const {
    size_t n = used_;
    if (n > 0 && bytes_[n - 1] == '\n') --n;
    if (n > 0 && n < used_ && bytes_[n - 1] == '\r') --n;
    if (n > limits::kPassphraseBytesMax) return Code::kTooLarge;
    return SecretBytes(ByteView(bytes_.data(), n));
  }

 private:
  std::array<uint8_t, limits::kPassphraseBytesMax + 3> bytes_{};
  size_t used_ = 0;
};

void Say(int fd, std::string_view text) { (void)!::write(fd, text.data(), text.size()); }

// A terminal that does not echo, until it goes. The keys that would end the process end the line instead: a
// process that died here would leave the terminal mute, and the core does not hear SIGINT at all. The suspend
// key works as ever.
class Quiet {
 public:
  explicit Quiet(int fd) : fd_(fd), is_terminal_(::tcgetattr(fd, &old_) == 0) {
    if (!is_terminal_) return;
    struct termios quiet = old_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL);
    quiet.c_cc[VINTR] = quiet.c_cc[VQUIT] = _POSIX_VDISABLE;
    quiet.c_cc[VEOL] = old_.c_cc[VINTR];
    quiet.c_cc[VEOL2] = old_.c_cc[VQUIT];
    (void)::tcsetattr(fd_, TCSAFLUSH, &quiet);
  }
  ~Quiet() {
    if (is_terminal_) (void)::tcsetattr(fd_, TCSAFLUSH, &old_);
    Say(fd_, "\n");
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

  bool Cancels(const LineBuffer& line) const {
    if (!is_terminal_ || (old_.c_lflag & ISIG) == 0) return false;
    for (int key : {VINTR, VQUIT}) {
      if (old_.c_cc[key] != _POSIX_VDISABLE && line.EndsWith(old_.c_cc[key])) return true;
    }
    return false;
  }

 private:
  const int fd_;
  struct termios old_ {};
  const bool is_terminal_;
};

}  // namespace

Status CheckPassphraseFile(int fd) {
  struct stat s {};
  if (::fstat(fd, &s) != 0) return Code::kIo;
  if (!S_ISCHR(s.st_mode) && (s.st_mode & 077) != 0) return Code::kPassphraseFileMode;
  return Ok();
}

Result<SecretBytes> ReadPassphraseFile(int fd) {
  HF_TRY_VOID(CheckPassphraseFile(fd));
  LineBuffer all;
  while (!all.full()) {
    HF_TRY(size_t n, all.Read(fd, limits::kPassphraseBytesMax));
    if (n == 0) break;
  }
  HF_TRY(SecretBytes passphrase, all.Take());
  if (passphrase.view().empty()) return Code::kNoPassphrase;
  return passphrase;
}

Result<SecretBytes> AskPassphrase(int tty_fd, std::string_view prompt) {
  LineBuffer line;
  Quiet quiet(tty_fd);
  Say(tty_fd, prompt);  // once nothing is echoed and what was typed before is gone
  // Byte by byte: what follows the line belongs to the next who reads.
  while (!line.full() && !line.EndsWith('\n')) {
    HF_TRY(size_t n, line.Read(tty_fd, 1));
    if (quiet.Cancels(line)) return Code::kCancelled;
    if (n == 0) break;
  }
  return line.Take();
}

}  // namespace holdfast::passphrase
