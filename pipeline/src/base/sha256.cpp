#include "base/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include <graft/error.h>

#include "base/files.h"

namespace graft {

struct Sha256::Context {
  ~Context() { EVP_MD_CTX_free(hash); }
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  if (context_->hash == nullptr || EVP_DigestInit_ex(context_->hash, EVP_sha256(), nullptr) != 1)
    throw Error("libcrypto offers no SHA-256: is its FIPS configuration complete?");
}
Sha256::~Sha256() = default;

void Sha256::add(const void* data, std::size_t size) {
  if (EVP_DigestUpdate(context_->hash, data, size) != 1) throw Error("libcrypto could not compute a SHA-256");
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  if (EVP_DigestFinal_ex(context_->hash, digest.data(), nullptr) != 1)
    throw Error("libcrypto could not compute a SHA-256");
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) throw Unreadable(file_error("open", path, errno));
  Sha256 hash;
  std::vector<unsigned char> block(std::size_t{1} << 20);
  std::size_t n = block.size();
  for (std::uint64_t at = 0; n == block.size(); at += n) {
    n = read_at(file.get(), block.data(), block.size(), at, path);
    hash.add(block.data(), n);
  }
  return hash.hex();
}

}  // namespace graft
