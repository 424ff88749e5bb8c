#include <network/normalizer.h>

#include <string>
#include <vector>

#include <graft/error.h>

namespace graft {
namespace {

struct Preset {
  const char* name;
  float scale;
  bool blue_first;
  std::array<double, 3> mean, deviation;  ///< Red, green, blue; after the division by scale.
};

constexpr Preset kPresets[] = {
    {"imagenet", 255.0f, false, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
    {"tf", 127.5f, false, {1, 1, 1}, {1, 1, 1}},
    {"caffe", 1.0f, true, {123.68, 116.779, 103.939}, {1, 1, 1}},
    {"unit", 255.0f, false, {0, 0, 0}, {1, 1, 1}},
};

const Preset& preset_named(const std::string& name) {
  for (const Preset& preset : kPresets)
    if (name == preset.name) return preset;
  throw Error("unknown normalisation '" + name + "'");
}

std::array<double, 3> channels(const Params& normalize, const char* name) {
  const auto v = normalize.get<std::vector<double>>(name);
  if (v.size() == 2)
    throw Error(std::string("normalize.") + name + ": expected one value or three (red, green, blue), got 2");
  return v.size() == 1 ? std::array{v[0], v[0], v[0]} : std::array{v[0], v[1], v[2]};
}

}  // namespace

ParamSpec Normalizer::parameter() {
  std::vector<std::string> names{"auto"};
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return object("normalize",
                {choice("preset", names, "auto")
                     .doc("auto: the architecture's, imagenet where that is not known; imagenet: x / 255, "
                          "torchvision's mean and std; tf: x / 127.5 - 1; caffe: blue, green, "
                          "red, less the mean, not scaled; unit: x / 255."),
                 list("mean", number("mean"))
                     .or_scalar()
                     .items(1, 3)
                     .optional()
                     .doc("In place of the preset's, after its scaling: one value for all channels, or red, "
                          "green, blue."),
                 list("std", number("std").at_least(1e-6))
                     .or_scalar()
                     .items(1, 3)
                     .optional()
                     .doc("In place of the preset's: one value for all channels, or red, green, blue.")})
      .or_scalar()
      .doc("What the model was trained with: the name of a preset, or {mean, std} of x / 255.");
}

Value Normalizer::resolved(const Params& normalize, const preprocessing::Preprocessing& own) {
  Value out = normalize.value();
  if (normalize.get<std::string>("preset") != "auto" || normalize.has("mean")) return out;
  out["preset"] = own.preset == "own" ? "unit" : own.preset;
  if (own.preset != "own") return out;
  out["mean"] = Value(Value::List(own.mean.begin(), own.mean.end()));
  out["std"] = Value(Value::List(own.deviation.begin(), own.deviation.end()));
  return out;
}

Normalizer::Normalizer(const Params& normalize, const std::string& own) {
  const auto name = normalize.get<std::string>("preset");
  const Preset& preset = preset_named(name == "auto" ? own : name);
  std::array<double, 3> mean = preset.mean, deviation = preset.deviation;
  if (normalize.has("mean") != normalize.has("std"))
    throw Error(std::string("normalize: expected mean and std together, got only ") +
                (normalize.has("mean") ? "mean" : "std") + "; give both, or the name of a preset");
  if (normalize.has("mean")) {
    mean = channels(normalize, "mean");
    deviation = channels(normalize, "std");
  }
  for (std::size_t c = 0; c < 3; ++c) plane_[c] = preset.blue_first ? 2 - c : c;
  fill(preset.scale, mean, deviation);
}

Normalizer::Normalizer(const Params& normalize, const preprocessing::Preprocessing& own)
    : Normalizer(normalize, own.preset == "own" ? "imagenet" : own.preset) {
  if (own.preset == "own" && normalize.get<std::string>("preset") == "auto" && !normalize.has("mean"))
    fill(own.scale, own.mean, own.deviation);
}

void Normalizer::fill(double scale, const std::array<double, 3>& mean,
                      const std::array<double, 3>& deviation) {
  for (std::size_t c = 0; c < 3; ++c) {
    const auto m = static_cast<float>(mean[c]), d = static_cast<float>(deviation[c]);
    for (std::size_t v = 0; v < 256; ++v)
      table_[c][v] = (static_cast<float>(v) / static_cast<float>(scale) - m) / d;
  }
}

void Normalizer::pack(const Image& image, float* out) const {
  const auto width = static_cast<std::size_t>(image.width);
  const std::size_t plane = width * static_cast<std::size_t>(image.height);
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* in = image.row(y);
    float* row = out + static_cast<std::size_t>(y) * width;
    float* red = row + plane_[0] * plane;
    float* green = row + plane_[1] * plane;
    float* blue = row + plane_[2] * plane;
    for (std::size_t x = 0; x < width; ++x) {
      red[x] = table_[0][in[3 * x]];
      green[x] = table_[1][in[3 * x + 1]];
      blue[x] = table_[2][in[3 * x + 2]];
    }
  }
}

}  // namespace graft
