#include "divided_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <graft/error.h>
#include <graft/random.h>

#include <libtorch/describe_script.h>
#include <libtorch/torch_engine.h>
#include "described_division.h"
#include "scripted_division.h"

namespace graft {
namespace {

constexpr double kAllowed = 1e-3;  // of the largest value

/// Whether a description gives for noise what the file itself gives.
bool agrees(const nn::Model& script, const nn::Described& described, nn::EngineOptions options, int height,
            int width) {
  options.batch = 2;  // not one: a model may squeeze that away
  std::vector<float> noise(std::size_t{2} * 3 * static_cast<std::size_t>(height) *
                           static_cast<std::size_t>(width));
  Random random(1);
  for (float& v : noise) v = static_cast<float>(random.uniform(-2.0, 2.0));
  const Tensor wanted = libtorch::make_torch_engine(script, options)->run(noise.data(), height, width).at(0);
  options.forget.reset();  // the description has its weights
  options.taps = described.outputs;
  const Tensor got =
      libtorch::make_torch_engine(described.model, options)->run(noise.data(), height, width).at(0);
  if (got.size() != wanted.size()) return false;
  double scale = 0, off = 0;
  for (std::int64_t i = 0; i < got.size(); ++i) {
    scale = std::max(scale, std::abs(double{wanted.as<float>()[i]}));
    off = std::max(off, std::abs(double{got.as<float>()[i]} - wanted.as<float>()[i]));
  }
  return off <= kAllowed * scale;
}

}  // namespace

std::unique_ptr<DividedNetwork> divide(const nn::Model& model, const Params& params, const Engines& engines,
                                       const std::function<void(const std::string&)>& warn,
                                       std::size_t outputs, int height, int width) {
  if (model.architecture)
    return divide_described(model, model.architecture->tap, params, engines, outputs, height, width);
  nn::EngineOptions options;
  options.warn = warn;
  if (params.get<bool>("untrained")) options.forget = params.get<std::uint64_t>("init_seed");
  if (const auto described = libtorch::describe_script(model, options)) {
    if (agrees(model, *described, options, height, width))
      return divide_described(described->model, described->outputs.back(), params, engines, outputs, height,
                              width);
    warn(
        fmt::format("{}: what graft reads in it gives other features than its own code, which is trained "
                    "instead",
                    model.name));
  }
  return divide_script(model.torchscript, params, options.forget, outputs, height, width);
}

LoadedNetwork load_network(const Bundle& bundle, const Engines& engines, const std::string& torchscript) {
  if (bundle.facts.find("network") != nullptr) return load_described(bundle, engines);
  if (bundle.facts.find("torchscript") != nullptr) return load_script(bundle, torchscript);
  throw Error("the bundle does not say `network`: it was not written by finetune, or it was damaged");
}

}  // namespace graft
