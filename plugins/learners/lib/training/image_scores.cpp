#include <training/image_scores.h>

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <network/cost.h>

#include <training/pixels.h>

namespace graft::training {

Scores ImageScorer::score(const RowSet& rows, Parallel& parallel) const {
  Scores scores(rows.rows(), classes);
  if (rows.rows() == 0) return scores;
  const std::pair<int, int> size = image_size(rows);
  const int height = size.first, width = size.second;  // a lambda below reads them
  const auto refuse = [&](const std::exception& fault) -> Error {
    return Error(fmt::format("expected images of {} x {}, as in training, got {} x {} ({})", trained_width,
                             trained_height, width, height, fault.what()));
  };
  if (architecture != nullptr) try {
      nn::cost_of(*architecture, height, width);
    } catch (const Error& fault) {
      throw refuse(fault);
    }
  const std::size_t one = rows.dim();
  parallel.for_each((rows.rows() + kScoredTogether - 1) / kScoredTogether, [&](std::size_t block) {
    const std::size_t first = block * kScoredTogether, n = std::min(kScoredTogether, rows.rows() - first);
    std::vector<std::uint8_t> pixels(n * one);
    rows.read_raw(first, n, pixels.data());
    // Always a whole block: kernels, and with them the last bits, may depend on the number of images.
    std::vector<float> images(kScoredTogether * one);
    for (std::size_t i = 0; i < n; ++i) {
      Image image;
      image.data = pixels.data() + i * one;
      image.width = width;
      image.height = height;
      image.stride = 3 * static_cast<std::ptrdiff_t>(width);
      normalizer.pack(image, images.data() + i * one);
    }
    engine.enter_thread();
    Tensor logits;
    try {
      logits = engine.run(images.data(), height, width).at(0);
    } catch (const nn::UnfitInput& fault) {
      throw refuse(fault);
    }
    const auto outputs = static_cast<std::size_t>(logits.size()) / kScoredTogether;
    for (std::size_t i = 0; i < n; ++i) to_scores(logits.as<float>() + i * outputs, scores.row(first + i));
  });
  return scores;
}

}  // namespace graft::training
