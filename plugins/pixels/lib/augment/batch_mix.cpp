#include <augment/batch_mix.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include <graft/hash.h>

namespace graft::augment {
namespace {

// timm's rand_bbox: the part of a square of cut_height x cut_width that lies in the image.
image::Rect draw_box(double share, int height, int width, Random& random) {
  const double side = 0.5 * std::sqrt(share);
  const int half_height = static_cast<int>(side * height), half_width = static_cast<int>(side * width);
  const int y = static_cast<int>(random.below(static_cast<std::uint64_t>(height)));
  const int x = static_cast<int>(random.below(static_cast<std::uint64_t>(width)));
  const int top = std::max(0, y - half_height), bottom = std::min(height, y + half_height);
  const int left = std::max(0, x - half_width), right = std::min(width, x + half_width);
  return {left, top, right - left, bottom - top};
}

}  // namespace

void BatchMix::apply(float* image, const float* partner_image, int height, int width) const {
  const auto samples = static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
  if (!cut) {
    const auto mine = static_cast<float>(own), theirs = static_cast<float>(1 - own);
    for (std::size_t i = 0; i < 3 * samples; ++i) image[i] = mine * image[i] + theirs * partner_image[i];
    return;
  }
  for (std::size_t plane = 0; plane < 3; ++plane)
    for (int y = 0; y < box.height; ++y) {
      const std::size_t at = plane * samples + static_cast<std::size_t>((box.y + y) * width + box.x);
      std::copy_n(partner_image + at, box.width, image + at);
    }
}

std::vector<ParamSpec> BatchMixer::parameters() {
  return {
      number("mixup", 0)
          .range(0, 100)
          .doc("Alpha of mixup: images of a batch are added in pairs, weights from Beta(alpha, alpha); 0: "
               "off."),
      number("cutmix", 0)
          .range(0, 100)
          .doc("Alpha of cutmix: a box of an image comes from another one; 0: off. With mixup, too: either, "
               "batch by batch.")};
}

BatchMixer::BatchMixer(const Params& params)
    : mixup_(params.get<double>("mixup")), cutmix_(params.get<double>("cutmix")) {}

BatchMix BatchMixer::draw(std::size_t images, int height, int width, std::uint64_t seed, std::uint32_t epoch,
                          std::uint64_t batch) const {
  BatchMix mix;
  if (mixup_ == 0 && cutmix_ == 0) return mix;
  Random random(hash64("batch-mix", seed), std::to_string(batch), epoch);
  mix.cut = mixup_ == 0 || (cutmix_ > 0 && random.chance(0.5));
  mix.own = numeric::sample_beta(mix.cut ? cutmix_ : mixup_, random);
  if (mix.cut) {
    mix.box = draw_box(1 - mix.own, height, width, random);
    mix.own = 1 - static_cast<double>(mix.box.width) * mix.box.height / (static_cast<double>(width) * height);
  }
  mix.partner.resize(images);
  std::iota(mix.partner.begin(), mix.partner.end(), 0u);
  for (std::size_t i = images; i > 1; --i) std::swap(mix.partner[i - 1], mix.partner[random.below(i)]);
  return mix;
}

}  // namespace graft::augment
