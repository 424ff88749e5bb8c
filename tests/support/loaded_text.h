#pragma once

#include <string>
#include <variant>

#include <graft/error.h>
#include <graft/payload.h>
#include <graft/testing/stage_harness.h>

namespace graft::test {

/// ": content" of an entry, or ": [code] text" of its reject, loaded as the runtime does.
inline std::string loaded_text(testing::StageHarness& source, Entry& entry) {
  try {
    const auto bytes = std::get<Bytes>(source.load(entry));
    return ": " + std::string(bytes.data, bytes.data + bytes.size);
  } catch (const Reject& r) {
    return ": [" + r.code() + "] " + r.what();
  }
}

}  // namespace graft::test
