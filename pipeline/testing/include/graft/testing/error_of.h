#pragma once

#include <functional>
#include <string>

#include <graft/error.h>

namespace graft::testing {

/// The text of the Error that the action throws; "no error" when it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace graft::testing
