#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <graft/export.h>

namespace graft {

/// An error that ends the run: the message names what was wanted, what was got and a fix.
/// The runtime adds the stage, the plugin, the position in the config and the item.
class GRAFT_API Error : public std::runtime_error {
 public:
  explicit Error(const std::string& text) : std::runtime_error(text) {}
  ~Error() override;  // out of line: one type_info for every library that throws or catches it
};

/// An error that would hit every other item, too: thrown for an item, it ends the run instead of a reject.
/// For example, a stage has found that its own results are wrong.
class GRAFT_API FatalError : public Error {
 public:
  explicit FatalError(const std::string& text) : Error(text) {}
  ~FatalError() override;
};

/// The run was asked to stop (SIGINT, SIGTERM, SIGHUP): see Interruptible.
class GRAFT_API Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
  ~Interrupted() override;
};

/// An error of one item. The run continues; the item ends as a reject record with this code and text.
/// `code` is a short stable word for tables and filters (`truncated`, `not-an-image`), `what()` is for
/// people.
class GRAFT_API Reject : public Error {
 public:
  Reject(std::string code, const std::string& text) : Error(text), code_(std::move(code)) {}
  ~Reject() override;
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

}  // namespace graft
