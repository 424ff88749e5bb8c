#include <fcntl.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include <graft/error.h>

#include "base/files.h"

namespace graft {

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) throw Unreadable(file_error("open", path, errno));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!hash || EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr) != 1)
    throw Error("libcrypto offers no SHA-256: is its FIPS configuration complete?");
  std::vector<unsigned char> block(std::size_t{1} << 20);
  bool fine = true;
  std::size_t n = block.size();
  for (std::uint64_t at = 0; n == block.size(); at += n) {
    n = read_at(file.get(), block.data(), block.size(), at, path);
    fine = fine && EVP_DigestUpdate(hash.get(), block.data(), n) == 1;
  }
  std::array<unsigned char, 32> digest{};
  if (!fine || EVP_DigestFinal_ex(hash.get(), digest.data(), nullptr) != 1)
    throw Error(path.string() + ": libcrypto could not compute its SHA-256");
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace graft
