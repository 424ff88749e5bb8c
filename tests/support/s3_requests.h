#pragma once

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "range_server.h"

namespace graft::test {

using Variables = std::map<std::string, std::string>;

/// Variables of the environment, for as long as this lives.
class Environment {
 public:
  explicit Environment(const Variables& variables) {
    for (const char* name : {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION",
                             "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}) {
      const char* const known = std::getenv(name);
      known_[name] = known == nullptr ? std::optional<std::string>() : known;
      ::unsetenv(name);
    }
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Environment() {
    for (const auto& [name, value] : known_)
      if (value)
        ::setenv(name.c_str(), value->c_str(), 1);
      else
        ::unsetenv(name.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::map<std::string, std::optional<std::string>> known_;
};

inline std::string hmac(const std::string& key, const std::string& text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size);
  return {reinterpret_cast<const char*>(out), size};
}
inline std::string hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += two;
  }
  return out;
}
inline std::string sha256_hex(const std::string& text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), out, &size, EVP_sha256(), nullptr);
  return hex({reinterpret_cast<const char*>(out), size});
}

/// Whether a request is signed as AWS's "Signature Version 4" has it, computed from the request alone.
inline bool is_signed(const std::string& path, const std::string& head, const std::string& id,
                      const std::string& secret, const std::string& region) {
  const auto headers = headers_of(head);
  const auto authorization = headers.find("authorization");
  if (authorization == headers.end()) return false;
  const auto payload = headers.find("x-amz-content-sha256");
  if (payload == headers.end() || payload->second != sha256_hex("")) return false;  // as S3 does
  const auto part = [&](const std::string& name) {
    const std::size_t at = authorization->second.find(name + "=") + name.size() + 1;
    return authorization->second.substr(at, authorization->second.find_first_of(", ", at) - at);
  };
  const std::string time = headers.at("x-amz-date"), day = time.substr(0, 8);
  const std::string scope = day + "/" + region + "/s3/aws4_request";
  if (part("Credential") != id + "/" + scope) return false;
  const std::string names = part("SignedHeaders");
  std::string canonical = "GET\n" + path + "\n\n";
  std::istringstream each(names);
  for (std::string name; std::getline(each, name, ';');) canonical += name + ":" + headers.at(name) + "\n";
  canonical += "\n" + names + "\n" + payload->second;
  std::string key = hmac("AWS4" + secret, day);
  for (const std::string& word : {region, std::string("s3"), std::string("aws4_request")})
    key = hmac(key, word);
  return part("Signature") ==
         hex(hmac(key, "AWS4-HMAC-SHA256\n" + time + "\n" + scope + "\n" + sha256_hex(canonical)));
}

}  // namespace graft::test
