#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include <graft/params.h>
#include <graft/schema.h>
#include <graft/stage.h>

#include <image/resize.h>

namespace graft::image {

/// How images are brought to one size: resized, set into a frame of `fill`, padded, cropped, in this order.
/// The pixels are those of Pillow and torchvision (Resize, ImageOps.pad, Pad, CenterCrop, FiveCrop, TenCrop).
///
/// What a stage takes and declares:
///
///     .params_from(Fit::parameters())
///     .views_from("crops", Fit::views_of_crops())
///
/// Immutable; any thread.
class Fit {
 public:
  static std::vector<ParamSpec> parameters();
  static std::vector<std::pair<std::string, std::uint32_t>> views_of_crops();

  /// Looks up what `network` stands for, and warns if its file does not contain it. Throws Error for a
  /// network that is not known, a file that is not one, and parameters that contradict each other.
  explicit Fit(const StageContext& context);

  /// Crops made of every image.
  std::uint32_t views() const;

  /// What becomes of one image: which window of the resized image is cut. The window may reach beyond it:
  /// there lies `fill`.
  struct Plan {
    Size scaled;
    Rect window;
    bool mirror = false;
  };

  /// The plan for an image of `source` pixels and one of its views; of several stages that make views, this
  /// one's counts fastest. Throws Reject: `too-large` when the result has more than max_pixels, `too-small`
  /// when the image does not hold the crops.
  Plan plan(Size source, std::uint32_t view) const;

  /// The pixels of the source that apply() reads.
  Rect needed(const Frame& frame, const Plan& plan) const;

  /// Carries out `plan`. `source` holds needed(). The result may share the source's memory.
  Image apply(const Part& source, const Plan& plan) const;

  std::int64_t max_pixels() const { return max_pixels_; }

 private:
  explicit Fit(const Params& params);

  enum class Mode { Shorter, Stretch, Letterbox };
  enum class Crops { Centre, Five, Ten };

  Size scaled(Size source) const;

  std::optional<Size> resize_;  // both sides equal where one number was given
  Mode mode_ = Mode::Shorter;
  std::array<std::int64_t, 4> pad_{};  // left, top, right, bottom
  std::optional<int> crop_;
  Crops crops_ = Crops::Centre;
  bool floor_crop_ = false, tensors_ = false;
  std::array<std::uint8_t, 3> fill_{};
  Filter filter_ = Filter::Bilinear;
  std::int64_t max_pixels_ = 0;
};

}  // namespace graft::image
