#include "run/row_encoder.h"

#include <fmt/format.h>

#include <graft/error.h>

#include "plugin/plugin_call.h"

namespace graft {

bool encode_row(const StagePlan& stage, const char* label, const Collector& collector, const Item& item,
                const std::function<void(const RowFormat&)>& check, RowFormat& format,
                std::vector<std::uint8_t>& row, std::optional<StoredReject>& reject) {
  // False: the collector refuses the item.
  const auto call = [&](const char* function, const auto& body) {
    const CallScope scope(label, function, item.key());
    try {
      body();
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
  row.resize(row_bytes(format));
  return call("encode", [&] { collector.encode(item, row); });
}

}  // namespace graft
