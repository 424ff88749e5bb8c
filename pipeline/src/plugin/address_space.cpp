#include "plugin/address_space.h"

#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include <graft/resources.h>

#include "plugin/child.h"
#include "plugin/elf_file.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// To this the address space that is left is known.
constexpr std::uint64_t kPiece = 1 << 20;
/// What a library allocates while it is opened, beside what OpenBLAS does.
constexpr std::uint64_t kSlackBytes = 16 << 20;

/// The program that loads libraries, as it was loaded itself.
std::string loader() {
  Dl_info info{};
  const auto base = reinterpret_cast<void*>(::getauxval(AT_BASE));  // NOLINT(performance-no-int-to-ptr)
  return ::dladdr(base, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

/// Paths of the libraries that a shared object needs, with those that they need.
std::set<std::string> libraries_of(const fs::path& file) {
  const std::string program = loader(), object = fs::absolute(file).string();
  Child child([&](int to) {
    ::dup2(to, STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), "--list", object.c_str(), nullptr);
  });
  std::set<std::string> out;
  std::istringstream lines(child.wait(std::chrono::seconds(5)).said);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t arrow = line.find("=> "), end = line.rfind(" (0x");
    if (arrow != std::string::npos && end != std::string::npos && arrow + 3 < end)
      out.insert(line.substr(arrow + 3, end - arrow - 3));
  }
  return out;
}

bool is_loaded(const std::string& library) {
  void* handle = ::dlopen(library.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

/// Threads for which OpenBLAS takes buffers when it is loaded.
std::uint64_t blas_threads() {
  // Its build on OpenMP goes by this variable, and by no other.
  const char* text = std::getenv("OMP_NUM_THREADS");
  std::uint64_t n = 0;
  if (text != nullptr && std::from_chars(text, text + std::strlen(text), n).ec == std::errc() && n > 0)
    return n;
  return static_cast<std::uint64_t>(usable_processors());
}

bool can_map(std::uint64_t bytes) {
  void* const at = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return false;
  ::munmap(at, bytes);
  return true;
}

rlim_t limit() {
  rlimit got{};
  return ::getrlimit(RLIMIT_AS, &got) == 0 ? got.rlim_cur : RLIM_INFINITY;
}

}  // namespace

bool is_address_space_limited() {
  return limit() != RLIM_INFINITY;
}

std::uint64_t address_space_limit() {
  return limit();
}

std::uint64_t address_space_left() {
  // The largest piece that can be mapped; nothing is written to it. It does without /proc.
  std::uint64_t low = 0, high = limit() / kPiece + 1;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (can_map(middle * kPiece) ? low : high) = middle;
  }
  return low * kPiece;
}

LibraryNeed need_of(const std::vector<fs::path>& files) {
  std::set<std::string> libraries;
  for (const fs::path& file : files) {
    libraries.insert(fs::absolute(file).string());
    libraries.merge(libraries_of(file));
  }
  LibraryNeed need;
  for (const std::string& library : libraries) {
    const bool blas = fs::path(library).filename().string().starts_with("libopenblas");
    need.has_blas = need.has_blas || blas;
    if (is_loaded(library)) continue;
    need.bytes += mapped_size(library);
    if (blas) need.bytes += blas_threads() * kBlasBufferBytes;
  }
  return need;
}

bool address_space_suffices(const fs::path& file, std::string& wanted, std::string& got, std::string& cure) {
  if (!is_address_space_limited()) return true;
  const LibraryNeed need = need_of({file});
  const std::uint64_t left = address_space_left();
  if (need.bytes + kSlackBytes <= left) return true;
  wanted = fmt::format(
      "{} MiB of address space to open it{}", (need.bytes + kSlackBytes) >> 20,
      need.has_blas ? fmt::format(" (OpenBLAS takes {} MiB per thread)", kBlasBufferBytes >> 20) : "");
  got = fmt::format("{} MiB, the rest of the {} MiB that ulimit -v allows", left >> 20, limit() >> 20);
  cure = "raise ulimit -v";
  return false;
}

}  // namespace graft
