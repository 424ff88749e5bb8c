#include <remote/s3.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <graft/error.h>
#include <graft/text.h>
#include <remote/transfer.h>

namespace graft::remote {
namespace {

constexpr std::string_view kScheme = "s3://";
constexpr std::size_t kLongestKey = 1024;

/// The first variable that is set and not empty.
std::string s3_variable(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* const text = std::getenv(name); text != nullptr && *text != '\0') return text;
  return {};
}

bool is_label(std::string_view text, std::string_view more) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != std::string_view::npos;
  });
}

std::pair<std::string, std::string> bucket_and_key(const std::string& url) {
  const std::size_t slash = std::min(url.find('/', kScheme.size()), url.size());
  return {url.substr(kScheme.size(), slash - kScheme.size()), url.substr(std::min(slash + 1, url.size()))};
}

/// As S3 asks for: every byte but letters, digits and "-_.~/" as %XX.
std::string percent_encoded(std::string_view key) {
  constexpr const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter || (c != '\0' && std::string_view("-_.~/").find(c) != std::string_view::npos))
      out += c;
    else
      ((out += '%') += kDigits[byte >> 4]) += kDigits[byte & 15];
  }
  return out;
}

}  // namespace

bool is_s3(const std::string& url) {
  return url.starts_with(kScheme);
}

std::string fault_of_s3_url(const std::string& url) {
  const auto [bucket, key] = bucket_and_key(url);
  if (bucket.size() < 3 || bucket.size() > 63 || !is_label(bucket, ".-") ||
      !is_label(bucket.substr(0, 1), "") || bucket.find("..") != std::string::npos)
    return "expected s3://BUCKET/KEY with a bucket of 3 to 63 small letters, digits, dots and hyphens";
  if (key.empty() || key.size() > kLongestKey)
    return "expected s3://BUCKET/KEY with a key of 1 to 1024 bytes";
  return {};
}

S3Request s3_request(const std::string& url) {
  S3Request out;
  const auto [bucket, key] = bucket_and_key(url);
  std::string region = s3_variable({"AWS_REGION", "AWS_DEFAULT_REGION"});
  if (region.empty()) region = "us-east-1";
  if (!is_label(region, "-"))
    throw Error("AWS_REGION: expected small letters, digits and hyphens, such as eu-central-1, got '" +
                shortened(region) + "'");
  std::string endpoint = s3_variable({"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  if (!endpoint.empty()) {
    if (is_s3(endpoint) || !fault_of_url(endpoint).empty() ||
        endpoint.find_first_of("?#") != std::string::npos)
      throw Error(
          "AWS_ENDPOINT_URL: expected a URL that begins with http:// or https://, without a user, a query "
          "and a fragment");
    while (endpoint.ends_with('/')) endpoint.pop_back();
    out.url = endpoint + "/" + bucket;
  } else if (bucket.find('.') == std::string::npos) {
    out.url = "https://" + bucket + ".s3." + region + ".amazonaws.com";
  } else {  // the certificate is good for one name before .s3
    out.url = "https://s3." + region + ".amazonaws.com/" + bucket;
  }
  out.url += "/" + percent_encoded(key);
  out.id = s3_variable({"AWS_ACCESS_KEY_ID"});
  out.secret = s3_variable({"AWS_SECRET_ACCESS_KEY"});
  out.token = s3_variable({"AWS_SESSION_TOKEN"});
  if (out.id.empty() != out.secret.empty())
    throw Error(
        std::string("expected both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither, got only ") +
        (out.id.empty() ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID"));
  if ((out.id + out.token).find_first_of("\r\n") != std::string::npos)
    throw Error("AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN: expected no line end in them");
  if (!out.id.empty()) out.signature = "aws:amz:" + region + ":s3";
  return out;
}

}  // namespace graft::remote
