#pragma once

#include <string>

#include <graft/error.h>

#include <image/sniff.h>

namespace graft::image {

/// The rejects that every reader of a format throws, with the same wording. `why` begins with a lower-case
/// letter.
[[noreturn]] inline void reject_truncated(Format format, const std::string& why) {
  throw Reject("truncated", std::string("the ") + to_string(format) + " file ends early: " + why +
                                "; copy or download it again");
}

[[noreturn]] inline void reject_corrupt(Format format, const std::string& why) {
  throw Reject("corrupt", std::string("the ") + to_string(format) + " file is damaged: " + why);
}

/// `what` names a valid image of a known format, `cure` a fix: "save it with 8".
[[noreturn]] inline void reject_unsupported(const std::string& what, const std::string& cure) {
  throw Reject("unsupported-format", what + " is not read; " + cure);
}

}  // namespace graft::image
