#pragma once

#include <string>

namespace graft::remote {

/// How an object of S3, or of a store that speaks its protocol, is asked for.
struct S3Request {
  std::string url;         ///< Over HTTP or HTTPS.
  std::string signature;   ///< "aws:amz:REGION:s3" for libcurl; empty: nothing is signed.
  std::string id, secret;  ///< Of the key.
  std::string token;       ///< Of a session; may be empty.
};

bool is_s3(const std::string& url);

/// Why "s3://BUCKET/KEY" is none; empty: it is one.
std::string fault_of_s3_url(const std::string& url);

/// Of a URL that is one. Endpoint, region and keys are those of the environment, by the names that other
/// programs read: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION or AWS_DEFAULT_REGION (us-east-1),
/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Without a key, nothing is signed. Throws
/// graft::Error for an endpoint that is no URL, a region that is no name, and half a key.
S3Request s3_request(const std::string& url);

}  // namespace graft::remote
