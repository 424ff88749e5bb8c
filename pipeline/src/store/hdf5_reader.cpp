#include "store/hdf5_reader.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>

#include "base/own_program.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMostAlive = 8;
/// A reader that neither computes nor answers: a file system that hangs.
constexpr timeval kLongestWait{600, 0};

std::recursive_mutex& reader_mutex() {
  static auto* shared = new std::recursive_mutex;  // outlives every static table
  return *shared;
}

/// Those whose process is alive, the one asked last at the end.
std::vector<Hdf5Reader*>& alive() {
  static auto* shared = new std::vector<Hdf5Reader*>;
  return *shared;
}

}  // namespace

Hdf5Reader::Hdf5Reader(const fs::path& path) : path_(path), file_(open_regular_file(path)) {
  if (!file_ && (errno == ENXIO || errno == ENOENT || errno == EISDIR || errno == ENOTDIR))
    throw Error(fmt::format("cannot open {}: no such regular file", path.string()));
  if (!file_) throw Error(file_error("open", path, errno));
}

Hdf5Reader::~Hdf5Reader() {
  const std::lock_guard lock(reader_mutex());
  stop();
}

void Hdf5Reader::start() {
  if (alive().size() >= kMostAlive) alive().front()->stop();
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  socket_ = FileHandle(ends[0]);
  const FileHandle theirs(ends[1]);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &kLongestWait, sizeof kLongestWait);
  // Without the variables that tell HDF5 where to find plugins, drivers and other files.
  pid_ = OwnProgram{"graft-hdf5-reader", "reads HDF5 files"}.start(
      {{file_.get(), STDIN_FILENO}, {theirs.get(), STDOUT_FILENO}}, "HDF5_");
  alive().push_back(this);
}

void Hdf5Reader::stop() {
  std::erase(alive(), this);
  socket_ = {};
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

/// Starts the process where it does not run; it must then find what it found before.
void Hdf5Reader::wake() {
  if (pid_ >= 0) {
    std::erase(alive(), this);
    alive().push_back(this);
    return;
  }
  start();
  send(Hdf5Request::Open, opening_);
  if (whole_answer() != opened_)
    throw Error(fmt::format("{}: has changed while it was being read; run again", path_.string()));
}

std::string Hdf5Reader::open(const std::string& request) {
  const std::lock_guard lock(reader_mutex());
  opening_ = request;
  start();
  send(Hdf5Request::Open, request);
  return opened_ = whole_answer();
}

std::string Hdf5Reader::ask(Hdf5Request kind, const std::string& request) {
  const std::lock_guard lock(reader_mutex());
  wake();
  send(kind, request);
  return whole_answer();
}

void Hdf5Reader::ask(Hdf5Request kind, const std::string& request, std::span<std::uint8_t> answer) {
  const std::lock_guard lock(reader_mutex());
  wake();
  send(kind, request);
  if (begin_answer() != answer.size()) report_end();
  receive(answer.data(), answer.size());
}

void Hdf5Reader::send(Hdf5Request kind, const std::string& request) {
  if (!send_message(socket_.get(), static_cast<std::uint64_t>(kind), request)) report_end();
}

/// The size of what follows.
std::uint64_t Hdf5Reader::begin_answer() {
  MessageFrame frame{};
  receive(&frame, sizeof frame);
  if (frame.kind == static_cast<std::uint64_t>(Hdf5Answer::Done)) return frame.bytes;
  if (frame.kind != static_cast<std::uint64_t>(Hdf5Answer::Refused) || frame.bytes > kMaxMessage)
    report_end();
  std::string why(static_cast<std::size_t>(frame.bytes), '\0');
  receive(why.data(), why.size());
  throw Error(why);
}

std::string Hdf5Reader::whole_answer() {
  const std::uint64_t bytes = begin_answer();
  if (bytes > kMaxMessage) report_end();
  std::string answer(static_cast<std::size_t>(bytes), '\0');
  receive(answer.data(), answer.size());
  return answer;
}

void Hdf5Reader::receive(void* to, std::size_t bytes) {
  auto* at = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t n = ::recv(socket_.get(), at, bytes, MSG_WAITALL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) report_end(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void Hdf5Reader::report_end(bool silent) {
  socket_ = {};
  // Who has closed the socket has ended, or is about to; who has not is ended by stop.
  int status = 0;
  pid_t ended = 0;
  for (int i = 0; i < 1000 && !silent && (ended = ::waitpid(pid_, &status, WNOHANG)) == 0; ++i)
    ::usleep(1000);
  if (ended == pid_) pid_ = -1;
  stop();
  std::string how = "gave an answer that makes no sense";
  if (silent)
    how = fmt::format("gave no answer for {} s", kLongestWait.tv_sec);
  else if (ended > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
    how = "found no end in a minute";
  else if (ended > 0 && WIFSIGNALED(status))
    how = fmt::format("crashed ({})", ::strsignal(WTERMSIG(status)));
  else if (ended > 0)
    how = fmt::format("ended with exit code {}", WEXITSTATUS(status));
  throw Error(
      fmt::format("{}: the HDF5 library {} while it read this file, in a process of its own; the file is "
                  "likely damaged: write it again with the software that made it",
                  path_.string(), how));
}

}  // namespace graft
