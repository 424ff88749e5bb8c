#include <learning/parameters.h>

#include <fmt/format.h>

#include <utility>

#include <learning/features.h>

namespace graft::learning {

ParamSpec cache_parameter(std::string doc) {
  return integer("cache", 1024).range(0, 1 << 20).unit("MiB").not_in_fingerprint().doc(std::move(doc));
}

std::size_t cache_bytes(const Params& params) {
  return params.get<std::size_t>("cache") << 20;
}

ParamSpec scale_parameter(const char* usual) {
  return choice("scale", RowScaler::names(), usual)
      .doc("Scaling of the features: none, rows to length 1, or columns to mean 0 and variance 1.");
}

std::string config_on_features(std::string_view name, std::string_view stages) {
  return fmt::format(R"(name: {}
stages:
  images: {{plugin: synthetic}}
  features:
    plugin: backbone
    from: images
    with: {{model: "${{GRAFT_SHARE}}/configs/quickstart_backbone.safetensors"}}
  table: {{plugin: feature_table, from: features}}
{})",
                     name, stages);
}

}  // namespace graft::learning
