#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <graft/random.h>
#include <graft/table.h>

namespace graft::training {

constexpr int kSide = 16;

/// Images of stripes, upright or lying, in random colours under noise: the label is the direction.
class Stripes final : public RowSet {
 public:
  Stripes(std::size_t rows, std::uint64_t seed, int side = kSide) : shape_{side, side, 3} {
    Random random(seed);
    for (std::size_t r = 0; r < rows; ++r) {
      keys_.push_back(std::to_string(seed) + "/" + std::to_string(r));
      labels_.push_back(static_cast<std::int32_t>(r % 2));
      const int phase = static_cast<int>(random.below(4));
      const double base = random.uniform(60, 130), strength = random.uniform(40, 60);
      for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x) {
          const bool bright = (((r % 2 ? x : y) + phase) / 2) % 2 == 0;
          for (int c = 0; c < 3; ++c)
            pixels_.push_back(static_cast<std::uint8_t>(
                std::clamp(base + (bright ? strength : 0.0) + random.uniform(-25, 25), 0.0, 255.0)));
        }
    }
  }
  std::size_t rows() const override { return labels_.size(); }
  const Shape& shape() const override { return shape_; }
  DType dtype() const override { return DType::U8; }
  std::string_view key(std::size_t row) const override { return keys_[row]; }
  std::uint32_t view(std::size_t) const override { return 0; }
  Split split(std::size_t) const override { return Split::Train; }
  std::span<const std::int32_t> labels(std::size_t row) const override {
    return {labels_.data() + row, labels_[row] < 0 ? 0u : 1u};
  }
  void read(std::size_t first, std::size_t count, float* out) const override {
    for (std::size_t i = 0; i < count * dim(); ++i) out[i] = pixels_[first * dim() + i];
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    std::memcpy(out, pixels_.data() + first * dim(), count * dim());
  }
  void set_label(std::size_t row, std::int32_t label) { labels_[row] = label; }

 private:
  Shape shape_;
  std::vector<std::string> keys_;
  std::vector<std::int32_t> labels_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace graft::training
