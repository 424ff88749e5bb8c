#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <graft/export.h>

namespace graft {

/// The SHA-256 of bytes that come in pieces (FIPS 180-4, by libcrypto). Throws Error where libcrypto offers
/// none.
class GRAFT_API Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(const void* data, std::size_t size);
  /// 64 lower-case hexadecimal digits. Once, after the last piece.
  std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace graft
