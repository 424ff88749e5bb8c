#pragma once

namespace graft::test {

/// A config of 120 inputs for jobs of several processes. The pace of `nap` is no part of the fingerprint, nor
/// of the job. Needs the plugin `sleepy` of GRAFT_TEST_PLUGINS.
inline constexpr const char* kSmallJob = R"(name: small
run: {threads: 1}
stages:
  images: {plugin: synthetic, with: {task: target, size: 24, train: 60, val: 20, test: 40}}
  nap: {plugin: sleepy, from: images, with: {seconds: 0}}
  rows: {plugin: pixel_table, from: nap}
  knn: {plugin: knn, from: rows}
  report: {plugin: evaluate, from: knn}
)";

}  // namespace graft::test
