// How images are prepared for a network, as the files beside its weights describe it.

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include <graft/error.h>

#include "tensor_map.h"

namespace graft::nn::zoo {
namespace {

void set_normalisation(Preprocessing& p, const Value* mean, const Value* deviation) {
  const auto three = [](const Value* list) -> std::optional<std::array<double, 3>> {
    if (list == nullptr) return {};
    if (list->is_number()) return std::array{list->as_double(), list->as_double(), list->as_double()};
    if (!list->is_list() || list->as_list().size() != 3)
      throw Error(fmt::format("its description has {} as a mean or deviation: expected one number, or three",
                              list->to_json()));
    std::array<double, 3> out{};
    for (std::size_t c = 0; c < 3; ++c) {
      const Value& v = list->as_list()[c];
      if (!v.is_number() || !std::isfinite(v.as_double()))
        throw Error(
            fmt::format("its description has {} as a mean or deviation: expected a number", v.to_json()));
      out[c] = v.as_double();
    }
    return out;
  };
  const auto m = three(mean), d = three(deviation);
  if (!m || !d) return;
  for (const double v : *d)
    if (!(v > 1e-6 && v < 1e6))
      throw Error(fmt::format("its description has a standard deviation of {}: expected more than 0", v));
  const Preprocessing imagenet;
  p.preset = *m == imagenet.mean && *d == imagenet.deviation ? imagenet.preset : "own";
  p.scale = 255;
  p.mean = *m;
  p.deviation = *d;
}

std::string filter_named(const std::string& name, const std::string& usual) {
  for (const char* known : {"bilinear", "bicubic", "lanczos", "box"})
    if (name == known) return known;
  // timm draws one of several for training; its evaluation is then bilinear.
  return name == "random" ? "bilinear" : usual;
}

int checked_side(std::int64_t side, const char* where) {
  if (side < 1 || side > kMaxSide)
    throw Error(fmt::format("{} has images of {} px: expected 1 to {}", where, side, kMaxSide));
  return static_cast<int>(side);
}

void from_timm(Preprocessing& p, const Value& config) {
  constexpr const char* kFile = "config.json";
  const Value* data = member(config, "pretrained_cfg");
  if (data == nullptr) data = &config;
  if (const Value* size = member(*data, "input_size"); size != nullptr) {
    const bool three = size->is_list() && size->as_list().size() == 3 &&
                       std::all_of(size->as_list().begin(), size->as_list().end(),
                                   [](const Value& v) { return v.is_int(); });
    if (!three)
      throw Error(
          fmt::format("config.json has `input_size`: {}, expected [3, height, width]", size->to_json()));
    if (size->as_list()[1].as_int() != size->as_list()[2].as_int())
      throw Error(
          fmt::format("config.json has `input_size`: {}: images that are not square are not prepared "
                      "here; give `resize` and `crop` of decode, and leave config.json out",
                      size->to_json()));
    p.crop = checked_side(size->as_list()[2].as_int(), kFile);
  }
  checked_side(p.crop, kFile);
  const double part = number(*data, "crop_pct").value_or(0.875);
  if (!(part > 0.1 && part <= 1)) throw Error(fmt::format("config.json has `crop_pct`: {}", part));
  p.squash = word(*data, "crop_mode") == "squash";
  p.tensors = false;
  p.resize = static_cast<int>(std::floor(p.crop / part));
  p.filter = filter_named(word(*data, "interpolation"), p.filter);
  p.floor_crop = false;
  set_normalisation(p, member(*data, "mean"), member(*data, "std"));
}

/// Hugging Face's image processors differ in what they do where a value is left out.
struct Processor {
  const char* name;  ///< The beginning of its type.
  bool shorter;      ///< A single number as the size is that of the shorter side, not of a square.
  bool crops;
  const char* filter;
};
constexpr Processor kProcessors[] = {{"CLIP", true, true, "bicubic"},       {"Bit", true, true, "bicubic"},
                                     {"ConvNext", true, false, "bilinear"}, {"DeiT", false, true, "bicubic"},
                                     {"Siglip", false, false, "bicubic"},   {"ViT", false, false, "bilinear"},
                                     {"DINOv3", false, false, "bilinear"}};

std::optional<bool> yes_or_no(const Value& description, const std::string& path) {
  const Value* found = member(description, path);
  if (found == nullptr) return {};
  if (!found->is_bool())
    throw Error(fmt::format("its description has `{}`: {}, expected true or false", path, found->to_json()));
  return found->as_bool();
}

void from_hugging_face(Preprocessing& p, const Value& description) {
  constexpr const char* kFile = "preprocessor_config.json";
  std::string type = word(description, "image_processor_type");
  if (type.empty()) type = word(description, "feature_extractor_type");
  const auto known = std::find_if(std::begin(kProcessors), std::end(kProcessors),
                                  [&](const Processor& one) { return type.starts_with(one.name); });
  const bool is_known = known != std::end(kProcessors);
  const bool crops = yes_or_no(description, "do_center_crop").value_or(is_known && known->crops);
  const auto square = [&](const std::string& name) -> std::optional<int> {
    const auto height = whole_number(description, name + ".height"),
               width = whole_number(description, name + ".width");
    if (!height && !width) return {};
    if (height != width)
      throw Error(
          fmt::format("{} has `{}`: {}: images that are not square are not prepared here; give "
                      "`resize` and `crop` of decode, and leave the file out",
                      kFile, name, member(description, name)->to_json()));
    return height;
  };
  if (is_known) p.filter = known->filter;
  // The only one without a form that resizes with Pillow.
  p.tensors = type.starts_with("DINOv3");
  const auto bare = whole_number(description, "size");
  if (const auto shorter = whole_number(description, "size.shortest_edge")) {
    p.resize = p.crop = checked_side(*shorter, kFile);
    p.squash = false;
  } else if (const auto side = square("size")) {
    p.resize = p.crop = checked_side(*side, kFile);
    p.squash = true;
  } else if (bare) {
    p.resize = p.crop = checked_side(*bare, kFile);
    p.squash = !(is_known ? known->shorter : crops);
  }
  if (const auto part = number(description, "crop_pct"); part && type.starts_with("ConvNext")) {
    // From 384 px on they squash.
    if (!(*part > 0.1 && *part <= 1)) throw Error(fmt::format("{} has `crop_pct`: {}", kFile, *part));
    p.squash = p.crop >= 384;
    if (!p.squash) p.resize = static_cast<int>(p.crop / *part);
  } else if (crops) {
    const auto crop = square("crop_size");
    if (const auto side = crop ? crop : whole_number(description, "crop_size"))
      p.crop = checked_side(*side, kFile);
  }
  p.floor_crop = true;
  for (const char* step : {"do_rescale", "do_resize"})
    if (!yes_or_no(description, step).value_or(true))
      throw Error(fmt::format(
          "{} has `{}`: false: its images are prepared elsewhere, as is not done here; give the sizes of "
          "decode and `normalize`, and leave the file out",
          kFile, step));
  if (const auto resample = whole_number(description, "resample")) {
    constexpr const char* kFilters[] = {"lanczos", "bilinear", "bicubic", "box"};  // 1 to 4
    if (*resample < 1 || *resample > 4)
      throw Error(fmt::format("{} has `resample`: {}, expected 1 to 4 (lanczos, bilinear, bicubic, box)",
                              kFile, *resample));
    p.filter = kFilters[*resample - 1];
  }
  set_normalisation(p, member(description, "image_mean"), member(description, "image_std"));
  if (const auto factor = number(description, "rescale_factor");
      factor && std::abs(*factor * 255 - 1) > 1e-3 && yes_or_no(description, "do_rescale").value_or(true))
    throw Error(
        fmt::format("{} has `rescale_factor`: {}, expected 1/255; give `normalize`, and leave the file out",
                    kFile, *factor));
  if (!yes_or_no(description, "do_normalize").value_or(true)) {
    p.preset = "own";
    p.scale = 255;
    p.mean = {0, 0, 0};
    p.deviation = {1, 1, 1};
  }
}

void from_open_clip(Preprocessing& p, const Value& description) {
  p.resize = p.crop = whole_number(description, "model_cfg.vision_cfg.image_size").value_or(p.crop);
  checked_side(p.crop, "open_clip_config.json");
  p.squash = word(description, "preprocess_cfg.resize_mode") == "squash";
  p.filter = filter_named(word(description, "preprocess_cfg.interpolation"), p.filter);
  p.floor_crop = false;
  set_normalisation(p, member(description, "preprocess_cfg.mean"), member(description, "preprocess_cfg.std"));
}

}  // namespace

const char* preprocessing_file(const ModelFiles& files) {
  if (!files.open_clip.is_null()) return "open_clip_config.json";
  if (!files.preprocessor.is_null()) return "preprocessor_config.json";
  if (!files.config.is_null() && member(files.config, "architecture") != nullptr) return "config.json";
  return nullptr;
}

Preprocessing preprocessing_of(const ModelFiles& files, Preprocessing usual) {
  if (!files.open_clip.is_null())
    from_open_clip(usual, files.open_clip);
  else if (!files.preprocessor.is_null())
    from_hugging_face(usual, files.preprocessor);
  else if (preprocessing_file(files) != nullptr)
    from_timm(usual, files.config);
  return usual;
}

}  // namespace graft::nn::zoo
