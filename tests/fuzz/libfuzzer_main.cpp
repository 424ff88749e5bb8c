// The program that libFuzzer drives. It is one target under the name of that target (a link), and under its
// own name prepares a folder for all: graft_fuzz --prepare FOLDER.

#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "fuzz.h"

namespace {

using graft::fuzz::Target;
namespace fs = std::filesystem;

const Target* chosen = nullptr;

// Bytes that the run of an input has taken and not given back, and how many it may.
std::atomic<std::int64_t> taken{0}, limit{0}, most{0};

void on_malloc(const volatile void*, std::size_t bytes) {
  const std::int64_t now = taken += static_cast<std::int64_t>(bytes);
  const std::int64_t allowed = limit;
  if (allowed == 0) return;
  if (now > most) most = now;
  if (now <= allowed) return;
  limit = 0;
  std::fprintf(stderr, "==FAULT: the input takes %lld bytes at once; it may take %lld\n",
               static_cast<long long>(now), static_cast<long long>(allowed));
  std::abort();
}

void on_free(const volatile void* block) {
  if (block != nullptr) taken -= static_cast<std::int64_t>(__sanitizer_get_allocated_size(block));
}

void write(const fs::path& path, const std::string& content) {
  std::ofstream out(path, std::ios::binary);
  out << content;
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
}

// FOLDER/targets/NAME is the program, FOLDER/seeds/NAME has its seeds; prints NAME and the longest input of
// each.
void prepare(const fs::path& folder) {
  fs::create_directories(folder / "targets");
  for (const Target& target : graft::fuzz::targets()) {
    const fs::path seeds = folder / "seeds" / target.name, link = folder / "targets" / target.name;
    fs::remove_all(seeds);
    fs::create_directories(seeds);
    std::size_t n = 0;
    for (const std::string& seed : target.seeds()) write(seeds / std::to_string(n++), seed);
    fs::remove(link);
    fs::create_symlink(fs::canonical("/proc/self/exe"), link);
    std::printf("%s %zu\n", target.name, target.longest);
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  if (*argc == 3 && std::string((*argv)[1]) == "--prepare") {
    prepare((*argv)[2]);
    std::exit(0);
  }
  const std::string name = fs::path((*argv)[0]).filename();
  for (const Target& target : graft::fuzz::targets())
    if (name == target.name) chosen = &target;
  if (chosen == nullptr) {
    std::fprintf(stderr, "%s: no target of that name; see tests/fuzz/README.md\n", name.c_str());
    std::exit(2);
  }
  // What is made once, plugins among it, is no input's.
  for (const std::string& seed : chosen->seeds()) graft::fuzz::run(*chosen, seed);
  __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  taken = most = 0;
  limit = static_cast<std::int64_t>(graft::fuzz::memory_limit(size));
  graft::fuzz::run(*chosen, {reinterpret_cast<const char*>(data), size});
  limit = 0;
  return 0;
}
