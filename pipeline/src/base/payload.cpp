#include <graft/payload.h>

#include <graft/error.h>
#include <graft/item.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <new>
#include <utility>

namespace graft {
namespace {

// Cache-line aligned: vector loads in kernels never straddle the start of a buffer.
std::shared_ptr<void> allocate_aligned(std::size_t bytes) {
  constexpr std::align_val_t kAlign{64};
  return {::operator new(bytes == 0 ? 1 : bytes, kAlign), [](void* p) { ::operator delete(p, kAlign); }};
}

}  // namespace

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::U8:
      return 1;
    case DType::F16:
      return 2;
    case DType::F32:
      return 4;
    case DType::I64:
      return 8;
  }
  return 0;
}

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::U8:
      return "u8";
    case DType::F16:
      return "f16";
    case DType::F32:
      return "f32";
    case DType::I64:
      return "i64";
  }
  return "?";
}

std::int64_t elements(const Shape& shape) {
  // Of any type: the bytes fit, too.
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 8;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || n > kMost / extent)
      throw Error("no tensor has the shape " + to_string(shape) +
                  ": expected extents from 0 on, and at most " + std::to_string(kMost) + " elements");
    n *= extent;
  }
  return n;
}

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) out += (i ? "," : "") + std::to_string(shape[i]);
  return out + "]";
}

Image Image::allocate(int width, int height) {
  if (width <= 0 || height <= 0)
    throw Error("an image must have at least one pixel, got " + std::to_string(width) + " x " +
                std::to_string(height));
  Image image;
  image.width = width;
  image.height = height;
  image.stride = std::ptrdiff_t{3} * width;
  image.owner = allocate_aligned(image.bytes());
  image.data = static_cast<std::uint8_t*>(image.owner.get());
  return image;
}

Tensor Tensor::allocate(DType dtype, Shape shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.owner = allocate_aligned(tensor.bytes());
  tensor.data = tensor.owner.get();
  return tensor;
}

const char* kind_of(const Payload& payload) {
  static constexpr const char* kNames[] = {"nothing", "file", "bytes", "image", "tensor"};
  return kNames[payload.index()];
}

std::size_t bytes_of(const Payload& payload) {
  if (const auto* b = std::get_if<Bytes>(&payload)) return b->size;
  if (const auto* i = std::get_if<Image>(&payload)) return i->bytes();
  if (const auto* t = std::get_if<Tensor>(&payload)) return t->bytes();
  return 0;
}

const char* to_string(Split split) {
  static constexpr const char* kNames[] = {"train", "val", "test"};
  return kNames[static_cast<int>(split)];
}

// In either case and without blanks around. "eval" is not accepted: it may mean val or test.
std::optional<Split> split_from(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = std::min(text.find_first_not_of(kBlanks), text.size());
  std::string word(text.substr(first, text.find_last_not_of(kBlanks) + 1 - first));
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  static constexpr std::pair<std::string_view, Split> kNames[] = {
      {"train", Split::Train},     {"training", Split::Train}, {"val", Split::Val},
      {"valid", Split::Val},       {"validation", Split::Val}, {"dev", Split::Val},
      {"development", Split::Val}, {"test", Split::Test},      {"testing", Split::Test}};
  for (const auto& [name, split] : kNames)
    if (word == name) return split;
  return {};
}

}  // namespace graft
