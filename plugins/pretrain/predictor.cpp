#include "predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <graft/error.h>

#include "pixels.h"

namespace graft {
namespace {

constexpr std::size_t kBlock = 64;  // rows that one thread scores at a time

const Value& fact(const Value& facts, const char* name) {
  if (const Value* found = facts.find(name)) return *found;
  throw Error(
      fmt::format("the bundle does not say `{}`: it was not written by pretrain, or it was damaged", name));
}

}  // namespace

Architecture architecture_of(const Value& facts) {
  const std::string& name = fact(facts, "architecture").as_string();
  const auto height = static_cast<int>(fact(facts, "image_height").as_int());
  const auto width = static_cast<int>(fact(facts, "image_width").as_int());
  Architecture net =
      make_architecture(name, static_cast<int>(fact(facts, "width").as_int()),
                        static_cast<int>(fact(facts, "class_count").as_int()), std::min(height, width));
  if (net.side != 0 && height != width)
    throw Error(fmt::format("{}: expected square images, got {} x {}", name, width, height));
  return net;
}

PretrainPredictor::PretrainPredictor(Value facts, std::map<std::string, Tensor> weights)
    : facts_(std::move(facts)),
      weights_(std::move(weights)),
      network_(architecture_of(facts_), weights_),
      normalizer_(Params(fact(facts_, "normalize"))) {}

Scores PretrainPredictor::predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const {
  const RowSet& rows = *tables.at(0);
  const auto classes = static_cast<std::size_t>(fact(facts_, "class_count").as_int());
  Scores scores(rows.rows(), classes);
  if (rows.rows() == 0) return scores;
  const auto [height, width] = image_size(rows);
  const int side = network_.architecture().side;
  if (side != 0 && (height != side || width != side))
    throw Error(
        fmt::format("expected images of {0} x {0}, as in training, got {1} x {2}", side, width, height));
  const std::size_t one = rows.dim();
  parallel.for_each((rows.rows() + kBlock - 1) / kBlock, [&](std::size_t block) {
    const std::size_t first = block * kBlock, n = std::min(kBlock, rows.rows() - first);
    std::vector<std::uint8_t> pixels(n * one);
    rows.read_raw(first, n, pixels.data());
    // Always a whole block: kernels, and with them the last bits, may depend on the number of images.
    std::vector<float> images(kBlock * one), out(kBlock * classes);
    for (std::size_t i = 0; i < n; ++i) {
      Image image;
      image.data = pixels.data() + i * one;
      image.width = width;
      image.height = height;
      image.stride = 3 * static_cast<std::ptrdiff_t>(width);
      normalizer_.pack(image, images.data() + i * one);
    }
    network_.predict(images.data(), kBlock, height, width, out.data());
    std::copy_n(out.data(), n * classes, scores.row(first));
  });
  return scores;
}

void PretrainPredictor::save(Bundle& bundle) const {
  bundle.facts = facts_;
  bundle.tensors = weights_;
}

}  // namespace graft
