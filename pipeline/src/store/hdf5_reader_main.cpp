// graft-hdf5-reader: reads one HDF5 file from elsewhere for TableFile. Standard input is the file, standard
// output the socket to whom it answers. It never gives either another meaning, and it can open nothing else.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include <graft/error.h>

#include "store/hdf5_message.h"
#include "store/hdf5_table.h"

namespace {

using graft::Error;
using graft::Hdf5Request;
using graft::Hdf5Table;
using graft::MessageParser;
using graft::MessageWriter;

constexpr int kFile = STDIN_FILENO, kSocket = STDOUT_FILENO;
constexpr rlim_t kMemory = rlim_t{64} << 20, kMemoryPerByte = 8, kMostMemory = rlim_t{2} << 30;
constexpr timeval kProcessorTime{60, 0};

/// Sanitizers map memory and open files of their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

void limit(__rlimit_resource what, rlim_t to) {
  const rlimit both{to, to};
  ::setrlimit(what, &both);
}

/// What a process needs that computes and answers. Everything else fails with EPERM.
void allow_few_system_calls() {
#if defined(__x86_64__)
  static constexpr unsigned kAllowed[] = {
      SYS_read,         SYS_write,          SYS_mmap,       SYS_munmap,       SYS_mremap,
      SYS_mprotect,     SYS_madvise,        SYS_brk,        SYS_futex,        SYS_rt_sigreturn,
      SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_setitimer,  SYS_gettimeofday, SYS_clock_gettime,
      SYS_getrandom,    SYS_exit,           SYS_exit_group, SYS_getpid,       SYS_gettid};
  std::vector<sock_filter> filter{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const unsigned call : kAllowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM));
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  // A kernel without such filters leaves the limits, which are enough for a library that is merely wrong.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
#endif
}

/// From here on no descriptor can be made: a link or a dataset that lies in another file leads nowhere.
void lock_in(std::uint64_t file_bytes) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 0);
  if (kSanitized) return;
  limit(RLIMIT_DATA,
        std::min<rlim_t>(kMemory + kMemoryPerByte * std::min<rlim_t>(file_bytes, kMostMemory), kMostMemory));
  allow_few_system_calls();
}

/// False when nobody is there any more.
bool read_all(void* to, std::size_t bytes) {
  for (auto* at = static_cast<char*>(to); bytes > 0;) {
    const ssize_t n = ::read(kSocket, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void write_all(const void* from, std::size_t bytes) {
  for (const auto* at = static_cast<const char*>(from); bytes > 0;) {
    const ssize_t n = ::write(kSocket, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(0);
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void begin_answer(graft::Hdf5Answer kind, std::uint64_t bytes) {
  const graft::MessageFrame frame{static_cast<std::uint64_t>(kind), bytes};
  write_all(&frame, sizeof frame);
}

void answer(graft::Hdf5Answer kind, const std::string& body) {
  begin_answer(kind, body.size());
  write_all(body.data(), body.size());
}

class Reader {
 public:
  /// `why_not`: not empty where there is no image.
  Reader(std::span<const std::uint8_t> image, std::string why_not)
      : image_(image), why_not_(std::move(why_not)) {}

  void handle(Hdf5Request kind, const std::string& request) {
    MessageParser in(request);
    if (kind == Hdf5Request::Open) return open(in);
    const std::uint64_t first = in.number(), count = in.number();
    if (!table_ || first > table_->rows() || count > table_->rows() - first)
      throw Error(path_ + ": the file has no such rows");
    if (kind == Hdf5Request::Describe) return describe(first, count);
    read(first, count);
  }

  const std::string& path() const { return path_; }

 private:
  void open(MessageParser& in) {
    path_ = in.text();
    if (!why_not_.empty()) throw Error(path_ + ": cannot be mapped into memory: " + why_not_);
    graft::TableFile::Names names;
    names.features = in.text();
    names.labels = in.optional_text();
    names.keys = in.optional_text();
    names.splits = in.optional_text();
    names.views = in.optional_text();
    table_ = std::make_unique<Hdf5Table>(image_, path_, names);
    MessageWriter out;
    out.number(table_->rows());
    out.number(table_->shape().size());
    for (const std::int64_t extent : table_->shape()) out.number(static_cast<std::uint64_t>(extent));
    for (const bool has : {table_->has_labels(), table_->has_keys(), table_->has_splits(),
                           table_->has_views(), table_->has_numbered_labels()})
      out.number(has ? 1 : 0);
    out.number(table_->label_columns());
    out.number(table_->classes().size());
    for (const std::string& name : table_->classes()) out.text(name);
    out.number(table_->unread().size());
    for (const auto& [name, rows] : table_->unread()) {
      out.text(name);
      out.number(rows);
    }
    finish(out.body());
  }

  void describe(std::uint64_t first, std::uint64_t count) const {
    MessageWriter out;
    for (const Hdf5Table::Row& row : table_->describe(first, count)) {
      if (table_->has_keys()) out.text(row.key);
      if (table_->has_splits()) out.number(row.split ? static_cast<std::uint64_t>(*row.split) + 1 : 0);
      if (table_->has_views()) out.number(row.view);
      if (!table_->has_labels()) continue;
      if (!table_->has_numbered_labels()) {
        out.text(row.label);
        continue;
      }
      out.number(row.negative ? 1 : 0);
      out.number(row.classes.size());
      for (const std::uint32_t number : row.classes) out.number(number);
    }
    finish(out.body());
  }

  void read(std::uint64_t first, std::uint64_t count) const {
    const auto dim = static_cast<std::uint64_t>(graft::elements(table_->shape()));
    if (count > graft::kMaxMessage / sizeof(float) / dim)
      throw Error(path_ + ": too many rows for one answer");
    std::vector<float> block(count * dim);
    table_->read(first, count, block.data());
    begin_answer(graft::Hdf5Answer::Done, block.size() * sizeof(float));
    write_all(block.data(), block.size() * sizeof(float));
  }

  void finish(const std::string& body) const {
    if (body.size() > graft::kMaxMessage)
      throw Error(path_ + ": more than 64 MiB of texts at once; make keys, labels and class names shorter");
    answer(graft::Hdf5Answer::Done, body);
  }

  const std::span<const std::uint8_t> image_;
  const std::string why_not_;
  std::string path_;
  std::unique_ptr<Hdf5Table> table_;
};

void serve(Reader& reader) {
  for (graft::MessageFrame frame{}; read_all(&frame, sizeof frame);) {
    std::string request(static_cast<std::size_t>(std::min(frame.bytes, graft::kMaxMessage)), '\0');
    if (!read_all(request.data(), request.size())) return;
    const itimerval timer{{0, 0}, kProcessorTime};
    ::setitimer(ITIMER_PROF, &timer, nullptr);
    std::string why;
    try {
      reader.handle(static_cast<Hdf5Request>(frame.kind), request);
      continue;
    } catch (const std::bad_alloc&) {
      why = reader.path() + ": needs more memory to be read than a sound table of its size does";
    } catch (const std::exception& e) {
      why = e.what();
    }
    why.resize(std::min<std::size_t>(why.size(), graft::kMaxMessage));
    answer(graft::Hdf5Answer::Refused, why);
  }
}

}  // namespace

int main() {
  struct stat info {};
  if (::fstat(kFile, &info) != 0) return 1;
  const auto bytes = static_cast<std::size_t>(info.st_size);
  std::span<const std::uint8_t> image;
  std::string why_not;
  if (bytes > 0) {
    const void* const at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, kFile, 0);
    if (at == MAP_FAILED)
      why_not = std::strerror(errno) + std::string("; ulimit -v may be too low");
    else
      image = {static_cast<const std::uint8_t*>(at), bytes};
  }
  { const graft::Hdf5Lock set_up; }
  lock_in(bytes);
  Reader reader(image, why_not);
  serve(reader);
  ::_exit(0);  // HDF5 has much to say at an ordinary end, and nothing that matters
}
