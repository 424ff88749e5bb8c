#include <network/input_size.h>

#include <charconv>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn {

std::optional<ImageSize> input_size_in(const std::string& shape) {
  const std::size_t open = shape.find('[');
  if (open == std::string::npos) return {};
  ImageSize size{};
  const char* const last = shape.data() + shape.size();
  const auto height = std::from_chars(shape.data() + open + 1, last, size.height);
  if (height.ec != std::errc() || height.ptr == last || *height.ptr != ',') return {};
  const auto width = std::from_chars(height.ptr + 1, last, size.width);
  if (width.ec != std::errc() || width.ptr == last || *width.ptr != ',') return {};
  if (size.height < 1 || size.width < 1) return {};
  return size;
}

Cost cost_for_input(const Architecture& network, ImageSize size) {
  try {
    return cost_of(network, size.height, size.width);
  } catch (const Error& fault) {
    const Extent usual = network.usual_size();
    throw Error(fmt::format(
        "the network does not take images of {} x {} px, which come from upstream: {}; it was trained on {} "
        "x {} px",
        size.width, size.height, fault.what(), usual.width, usual.height));
  }
}

}  // namespace graft::nn
