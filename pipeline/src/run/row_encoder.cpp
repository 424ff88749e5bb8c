#include "run/row_encoder.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/error.h>

#include "plugin/plugin_call.h"

namespace graft {
namespace {

/// Behind the row, to see whether the collector writes there.
constexpr std::size_t kGuardBytes = 64;
constexpr std::uint8_t kGuard = 0xa5;

}  // namespace

bool encode_row(const StagePlan& stage, const char* label, const Collector& collector, const Item& item,
                const std::function<void(const RowFormat&)>& check, RowFormat& format,
                std::vector<std::uint8_t>& row, std::optional<StoredReject>& reject) {
  // False: the collector refuses the item.
  const auto call = [&](const char* function, const auto& body) {
    CallScope scope(label, function, item.key());
    try {
      body();
      scope.check_thread();
      return true;
    } catch (const Reject& e) {
      if (stage.on_error == OnError::Fail)
        throw StageError(label, fmt::format("item '{}': {} [{}]", item.key(), e.what(), e.code()));
      reject = StoredReject{stage.id, e.code(), e.what()};
      return false;
    } catch (...) {
      throw StageError(label, fmt::format("item '{}': {}", item.key(), text_of_exception(function)));
    }
  };
  if (!call("format", [&] { format = collector.format(item); })) return false;
  check(format);
  const auto bytes = static_cast<std::size_t>(row_bytes(format));
  row.assign(bytes + kGuardBytes, 0);
  std::fill(row.end() - kGuardBytes, row.end(), kGuard);
  const bool is_encoded = call("encode", [&] {
    collector.encode(item, {row.data(), bytes});
    if (std::any_of(row.end() - kGuardBytes, row.end(), [](std::uint8_t b) { return b != kGuard; }))
      throw Error(fmt::format("encode writes outside of its row of {} bytes", bytes));
  });
  row.resize(bytes);
  return is_encoded;
}

}  // namespace graft
