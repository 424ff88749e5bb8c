#include <image/fit.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include <graft/error.h>
#include <preprocessing/preprocessing.h>

namespace graft::image {
namespace {

// A number of sides or colours that a list may have is checked here: not every one in the range makes sense.
std::vector<std::int64_t> numbers(const Params& params, const char* name, std::size_t many,
                                  const char* wanted) {
  auto v = params.get<std::vector<std::int64_t>>(name);
  if (v.size() != 1 && v.size() != many)
    throw Error(std::string(name) + ": expected one number or " + wanted + ", got " +
                std::to_string(v.size()) + " numbers");
  return v;
}

std::string shown(Size size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

std::string list(Size size) {
  return "[" + std::to_string(size.width) + ", " + std::to_string(size.height) + "]";
}

// Python's round(): half to even.
std::int64_t round_half_even(double v) {
  return static_cast<std::int64_t>(std::nearbyint(v));
}

// Pillow's ImageOps.contain.
Size contained(Size source, Size box) {
  const auto width = static_cast<double>(source.width), height = static_cast<double>(source.height);
  const double ratio = width / height;
  const double wanted = static_cast<double>(box.width) / static_cast<double>(box.height);
  if (ratio > wanted)
    box.height = std::max<std::int64_t>(1, round_half_even(height / width * static_cast<double>(box.width)));
  else if (ratio < wanted)
    box.width = std::max<std::int64_t>(1, round_half_even(ratio * static_cast<double>(box.height)));
  return box;
}

Rect common(Rect rect, Size size) {
  const std::int64_t left = std::max<std::int64_t>(0, rect.x), top = std::max<std::int64_t>(0, rect.y);
  const std::int64_t right = std::min(size.width, rect.x + rect.width);
  const std::int64_t bottom = std::min(size.height, rect.y + rect.height);
  return {left, top, static_cast<int>(std::max<std::int64_t>(0, right - left)),
          static_cast<int>(std::max<std::int64_t>(0, bottom - top))};
}

ParamSpec network_parameter() {
  return file("network")
      .or_name(preprocessing::network_names())
      .or_folder(preprocessing::model_folder_files())
      .optional()
      .stands_for({"resize", "fit", "crop", "centre", "filter", "resizer"})
      .default_from_downstream({"architecture", "model"}, {"resize", "fit", "pad", "crop"})
      .doc(
          "Resize, fit, crop, centre, filter and resizer that a network was trained with: the name of an "
          "architecture (graft model list), or a file with its weights or the folder of a published model, "
          "written with a '/' or a '.'. Null: none.");
}

// The parameters with what `network` stands for filled in.
Params filled_in(const StageContext& context) {
  if (!context.params.has("network")) return context.params;
  const auto network = context.params.get<std::string>("network");
  Value out = context.params.value();
  const auto fill = [&out](const char* name, Value value) {
    if (out.find(name) == nullptr) out[name] = std::move(value);
  };
  const auto take = [&](const preprocessing::Preprocessing& p) {
    fill("resize", Value::List{p.resize});
    fill("fit", p.squash ? "stretch" : "shorter");
    fill("crop", p.crop);
    fill("centre", p.floor_crop ? "floor" : "round");
    fill("filter", p.filter);
    fill("resizer", p.tensors ? "tensor" : "pillow");
    return Params(std::move(out));
  };
  const auto rules = context.params.has("rules")
                         ? preprocessing::rules_from(context.params.get<std::string>("rules"))
                         : preprocessing::Rules::OfFiles;
  if (const auto trained =
          preprocessing::of_network(network, network_parameter().is_path(network), rules, context))
    return take(*trained);
  if (out.find("resize") == nullptr || out.find("crop") == nullptr)
    context.warn(
        network +
        " is a TorchScript archive, which does not specify the size it was trained on: images are made as "
        "for ImageNet, resize 256 and crop 224; give resize and crop where that is wrong");
  return take({});
}

}  // namespace

std::vector<ParamSpec> Fit::parameters() {
  constexpr int kMostSide = 16384;
  return {
      network_parameter(),
      choice("rules", preprocessing::rules_names())
          .optional()
          .added_later()
          .default_from_downstream({"rules"}, {"resize", "fit", "pad", "crop"})
          .doc("Whose preprocessing `network` stands for where the owners of the same weights disagree. "
               "Default: who published the files."),
      list("resize", integer("side").range(1, kMostSide).unit("px"))
          .items(1, 2)
          .or_scalar()
          .default_list({256})
          .optional()
          .doc("Size after resizing with antialiasing: one number, or [width, height]; `fit` says of what. "
               "Null: no resizing."),
      choice("fit", {"shorter", "stretch", "letterbox"}, "shorter")
          .doc("shorter: `resize` is the length of the shorter side, the aspect is kept. stretch: exactly "
               "`resize`, one number is a square. letterbox: the whole image inside `resize`, the aspect "
               "kept, bars of `fill` beside it."),
      list("pad", integer("pixels").range(0, kMostSide).unit("px"))
          .items(1, 4)
          .or_scalar()
          .default_list({0})
          .doc("Border of `fill` added after resizing: one number, or [left, top, right, bottom]."),
      integer("crop", 224)
          .range(1, kMostSide)
          .unit("px")
          .optional()
          .doc("Side of the square that is cut out; null: no crop."),
      choice("crops", {"centre", "five", "ten"}, "centre")
          .doc("Where: in the centre, padded with `fill` where the image is smaller; five: in the four "
               "corners and the centre, each a view; ten: these of the image and of its mirror image."),
      choice("centre", {"round", "floor"}, "round")
          .added_later()
          .doc("Where a centre crop begins if the margins cannot be equal: round: half to even, as "
               "torchvision; floor: as Hugging Face. One pixel apart at most."),
      list("fill", integer("level").range(0, 255))
          .items(1, 3)
          .or_scalar()
          .default_list({0})
          .doc("Colour of pads and bars: one grey level, or [red, green, blue]."),
      choice("filter", {"box", "bilinear", "bicubic", "lanczos"}, "bilinear")
          .doc("Resampling filter, Pillow's; take the one that the model was trained with."),
      choice("resizer", {"pillow", "tensor"}, "pillow")
          .added_later()
          .doc("pillow: rounded to 8 bits after each direction, as Pillow resizes images; tensor: rounded "
               "once, as torchvision resizes tensors."),
      integer("max_pixels", 64'000'000)
          .range(1, 1'000'000'000)
          .unit("px")
          .doc("Images with more pixels, given or made, are rejected before memory is allocated for them."),
  };
}

std::vector<std::pair<std::string, std::uint32_t>> Fit::views_of_crops() {
  return {{"five", 5}, {"ten", 10}};
}

Fit::Fit(const StageContext& context) : Fit(filled_in(context)) {}

Fit::Fit(const Params& params)
    : filter_(filter_from(params.get<std::string>("filter"))),
      max_pixels_(params.get<std::int64_t>("max_pixels")) {
  const auto fit = params.get<std::string>("fit"), crops = params.get<std::string>("crops");
  mode_ = fit == "shorter" ? Mode::Shorter : fit == "stretch" ? Mode::Stretch : Mode::Letterbox;
  tensors_ = params.get<std::string>("resizer") == "tensor";
  floor_crop_ = params.get<std::string>("centre") == "floor";
  crops_ = crops == "centre" ? Crops::Centre : crops == "five" ? Crops::Five : Crops::Ten;
  if (params.has("resize")) {
    const auto sides = params.get<std::vector<std::int64_t>>("resize");
    resize_ = Size{sides.front(), sides.back()};
    if (mode_ == Mode::Shorter && sides.size() == 2)
      throw Error("resize: " + list(*resize_) +
                  " gives two sides, but fit: shorter takes that of the shorter one; write resize: " +
                  std::to_string(std::min(sides[0], sides[1])) + ", or fit: stretch or letterbox");
  } else if (mode_ != Mode::Shorter) {
    throw Error("fit: " + fit + " needs a size; write resize: [width, height]");
  }
  if (params.has("crop"))
    crop_ = params.get<int>("crop");
  else if (crops_ != Crops::Centre)
    throw Error("crops: " + crops + " needs the size of the crops; write crop: 224");
  const auto pad = numbers(params, "pad", 4, "[left, top, right, bottom]");
  for (std::size_t i = 0; i < 4; ++i) pad_[i] = pad[pad.size() == 1 ? 0 : i];
  const auto fill = numbers(params, "fill", 3, "[red, green, blue]");
  for (std::size_t i = 0; i < 3; ++i) fill_[i] = static_cast<std::uint8_t>(fill[fill.size() == 1 ? 0 : i]);
}

std::uint32_t Fit::views() const {
  return crops_ == Crops::Five ? 5 : crops_ == Crops::Ten ? 10 : 1;
}

Size Fit::scaled(Size source) const {
  if (!resize_) return source;
  switch (mode_) {
    case Mode::Shorter:
      return with_shorter_side(source, static_cast<int>(resize_->width));
    case Mode::Stretch:
      return *resize_;
    case Mode::Letterbox:
      return contained(source, *resize_);
  }
  throw Error("unknown way to fit an image");
}

Fit::Plan Fit::plan(Size source, std::uint32_t view) const {
  Plan plan{scaled(source), {}};
  // The canvas: the scaled image with bars and pads around it, whose corner lies at (left, top) of the image.
  Size canvas = plan.scaled;
  std::int64_t left = -pad_[0], top = -pad_[1];
  if (mode_ == Mode::Letterbox) {
    canvas = *resize_;
    left -= round_half_even(static_cast<double>(canvas.width - plan.scaled.width) / 2);
    top -= round_half_even(static_cast<double>(canvas.height - plan.scaled.height) / 2);
  }
  canvas.width += pad_[0] + pad_[2];
  canvas.height += pad_[1] + pad_[3];
  const Size result = crop_ ? Size{*crop_, *crop_} : canvas;
  if (result.width > max_pixels_ || result.height > max_pixels_ / result.width)
    throw Reject("too-large", "after resizing the image would have " + shown(result) +
                                  " pixels, more than max_pixels: " + std::to_string(max_pixels_));
  if (!crop_) {
    plan.window = {left, top, static_cast<int>(canvas.width), static_cast<int>(canvas.height)};
    return plan;
  }
  Rect crop = floor_crop_ ? floor_centre_crop(canvas, *crop_, *crop_) : centre_crop(canvas, *crop_, *crop_);
  if (crops_ != Crops::Centre) {
    const std::int64_t free_x = canvas.width - *crop_, free_y = canvas.height - *crop_;
    if (free_x < 0 || free_y < 0)
      throw Reject("too-small", "the image has " + shown(canvas) + " pixels where crops of " +
                                    shown({*crop_, *crop_}) + " are cut; resize it to more, or pad it");
    const std::uint32_t index = view % views(), corner = index % 5;
    plan.mirror = index >= 5;
    if (corner < 4) {
      crop.x = corner % 2 == 0 ? 0 : free_x;
      crop.y = corner / 2 == 0 ? 0 : free_y;
    }
    // The place in the image of a place in its mirror image.
    if (plan.mirror) crop.x = free_x - crop.x;
  }
  plan.window = {crop.x + left, crop.y + top, crop.width, crop.height};
  return plan;
}

Rect Fit::needed(const Frame& frame, const Plan& plan) const {
  const Rect inside = common(plan.window, plan.scaled);
  // A window that holds nothing but fill: one pixel, because a source is never empty.
  if (inside.width == 0 || inside.height == 0) return {0, 0, 1, 1};
  return source_of(frame, plan.scaled, inside, filter_);
}

Image Fit::apply(const Part& source, const Plan& plan) const {
  const Rect& window = plan.window;
  const Rect inside = common(window, plan.scaled);
  Image part;
  if (inside.width > 0 && inside.height > 0) {
    const bool as_is = source.frame == Frame::whole(plan.scaled) &&
                       inside == Rect{source.x, source.y, source.pixels.width, source.pixels.height};
    part = as_is      ? source.pixels
           : tensors_ ? resize_tensor(source, plan.scaled, inside, filter_)
                      : resize(source, plan.scaled, inside, filter_);
  }
  if (inside != window) {
    Image padded = Image::allocate(window.width, window.height);
    for (std::size_t i = 0; i < padded.bytes(); i += 3)
      std::memcpy(padded.data + i, fill_.data(), fill_.size());
    for (int y = 0; y < inside.height; ++y)
      std::memcpy(padded.row(static_cast<int>(inside.y - window.y) + y) + 3 * (inside.x - window.x),
                  part.row(y), 3 * static_cast<std::size_t>(inside.width));
    part = padded;
  }
  return plan.mirror ? mirrored(part) : part;
}

}  // namespace graft::image
