#pragma once

namespace graft::test {

/// A config of two learners and 120 drawn images.
inline constexpr const char* kSmallRun = R"(name: small
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {task: target, size: 32, train: 60, val: 20, test: 40}}
  features: {plugin: backbone, from: images, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  rows: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: rows}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: [probe, knn]}
)";

}  // namespace graft::test
