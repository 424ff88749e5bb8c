#include <cstring>

#include <openssl/sha.h>

#include "assets.h"
#include "markup.h"

namespace graft::page {

std::string digest_of(const char* text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  ::SHA256(reinterpret_cast<const unsigned char*>(text), std::strlen(text), digest);
  return base64({reinterpret_cast<const char*>(digest), sizeof digest});
}

}  // namespace graft::page
