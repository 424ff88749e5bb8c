#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <graft/params.h>
#include <image/geometry.h>
#include <numeric/beta.h>

namespace graft::augment {

/// How the images of one training batch are mixed in pairs. The loss of image i is
/// own * loss(its label) + (1 - own) * loss(label of partner[i]).
struct BatchMix {
  std::vector<std::uint32_t> partner;  ///< A permutation of the batch; empty: nothing is mixed.
  double own = 1;                      ///< Weight of an image's own label, 0 to 1.
  bool cut = false;                    ///< Cutmix: `box` is the partner's. Mixup otherwise: a weighted sum.
  image::Rect box;                     ///< px, inside the image; may be empty.

  bool active() const { return !partner.empty(); }
  /// Mixes one image with its partner, both three planes of height x width floats, in place.
  void apply(float* image, const float* partner_image, int height, int width) const;
};

/// Mixup (Zhang et al. 2018, arXiv:1710.09412) and cutmix (Yun et al. 2019, arXiv:1905.04899) with the
/// semantics of timm and torchvision: a weight drawn from Beta(alpha, alpha) for the whole batch; for cutmix
/// a box of that fraction of the area around a uniform centre, cut off at the border, and the weight
/// corrected to what is left. When both are on, each batch draws one of them with equal chances. Immutable;
/// any number of threads.
class BatchMixer {
 public:
  /// The parameters `mixup` and `cutmix`: alpha, 0 for off.
  static std::vector<ParamSpec> parameters();
  explicit BatchMixer(const Params& params);

  /// A pure function of its arguments.
  BatchMix draw(std::size_t images, int height, int width, std::uint64_t seed, std::uint32_t epoch,
                std::uint64_t batch) const;

 private:
  double mixup_, cutmix_;
};

}  // namespace graft::augment
