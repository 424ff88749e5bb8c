#include "run/libraries.h"

#include <link.h>
#include <openssl/crypto.h>
#include <xxhash.h>
#include <zlib.h>

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "graph/workers.h"
#include "store/hdf5.h"

namespace graft {
namespace {

struct LibrarySearch {
  std::string prefix;  ///< "libre2.so."
  std::string version;
};

int look_at_library(dl_phdr_info* loaded, std::size_t, void* data) {
  auto& search = *static_cast<LibrarySearch*>(data);
  std::error_code error;
  // The loader opens libre2.so.9, which is a link to libre2.so.9.0.0.
  const std::filesystem::path file = std::filesystem::canonical(loaded->dlpi_name, error);
  const std::string name = file.filename().string();
  if (error || !name.starts_with(search.prefix)) return 0;
  search.version = name.substr(search.prefix.size());
  return 1;
}

}  // namespace

std::string version_of_file(const std::string& library) {
  LibrarySearch search{library + ".so.", {}};
  ::dl_iterate_phdr(look_at_library, &search);
  return search.version.empty() ? "linked statically" : search.version;
}

std::vector<LibraryVersion> core_libraries() {
  const unsigned hash = XXH_versionNumber();
  return {{"oneTBB", tbb_version()},
          {"HDF5", hdf5_version()},
          {"OpenSSL", ::OpenSSL_version(OPENSSL_VERSION_STRING)},
          {"zlib", ::zlibVersion()},
          {"xxHash", fmt::format("{}.{}.{}", hash / 10000, hash / 100 % 100, hash % 100)},
          {"yaml-cpp", version_of_file("libyaml-cpp")},
          {"RE2", version_of_file("libre2")},
          {"fmt", version_of_file("libfmt")},
          // Headers alone.
          {"nlohmann/json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
                                        NLOHMANN_JSON_VERSION_PATCH)}};
}

std::string compiler() {
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace graft
