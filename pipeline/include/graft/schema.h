#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/export.h>
#include <graft/figure.h>
#include <graft/params.h>

namespace graft {

enum class StageKind { Source, Transform, BatchTransform, Collector, Learner, Report, Service, Calibrator };
enum class PortType { Bytes, Image, Tensor, Table, Predictor };

GRAFT_API const char* to_string(StageKind kind);  // "source", "transform", "batch transform", ...
GRAFT_API const char* to_string(PortType type);   // "bytes", "image", "tensor", "table", "predictor"

/// An input or output of a stage. `shape` is for people and for `graft plan`: "u8[{crop},{crop},3]"; a name
/// in braces is replaced by that parameter, "?" stands for what is known only when the data are.
///
/// An output whose name is a list parameter in braces, "{taps}", stands for a port per value of the list, in
/// its order, named by the values; for one port `out` while the list is empty. Such a parameter is best
/// declared not_in_fingerprint(): outputs of a port are distinguished by the port's name.
struct PortSpec {
  std::string name;
  PortType type = PortType::Image;
  std::string shape;
  std::string text;
  bool many = false;  ///< Input: takes a list of stages.
};

/// How many views a transform makes of every item: the value of an integer parameter, or what its value
/// stands for. No parameter, or a value that is not listed: one view.
struct ViewsRule {
  std::string param;
  std::vector<std::pair<std::string, std::uint32_t>> choices;
};

/// An error of earlier versions of a plugin that affected stored rows: tables made by a version below
/// `before` are not used, and `graft store ls` names the reason.
struct KnownFault {
  std::string before;  ///< The first version without it, "2.1.0".
  std::string text;    ///< "the last image of a full batch could be wrong".
};

/// What one call of load, apply or encode allocates at most beside its input and its output, and beside what
/// it reserves by Scratch (graft/scratch.h). A batch is one call.
struct WorkingMemory {
  std::uint64_t bytes = 0;      ///< In any call.
  double per_payload_byte = 0;  ///< And per byte of the payloads of its input and its output.
};

/// What a plugin declares of itself. Written to a file when the plugin is built, so that configs are checked
/// and described without loading the plugin or the libraries under it.
struct GRAFT_API PluginSchema {
  std::string name;     ///< Set by GRAFT_PLUGIN.
  std::string version;  ///< Set by GRAFT_PLUGIN; raise it when the output changes for equal parameters.
  /// What the plugin was called before, or empty. Configs may still use that name, and it stays the name in
  /// fingerprints, so that stored tables remain valid.
  std::string former_name = {};
  StageKind kind = StageKind::Transform;
  std::string summary;
  std::vector<PortSpec> inputs, outputs;
  std::vector<ParamSpec> params;
  std::string example_config;  ///< A whole config that passes `graft check`; ${GRAFT_SHARE} may be used.
  ViewsRule views;             ///< Transform: Transform::views() gives the same number.
  /// Services that this plugin may ask StageContext::service for without naming them in a parameter. Those
  /// that are installed enter the fingerprint with it.
  std::vector<std::string> needs;
  std::string libraries;  ///< Versions of libraries that the output depends on; part of the fingerprint.
  std::vector<KnownFault> known_faults;
  std::vector<FigureSpec> figures;  ///< Report: the scores that it may give, in the order of tables.
  /// Source, transform, batch transform, collector. Nothing: not declared.
  std::optional<WorkingMemory> memory_of_call;
  bool covers_whole_run = false;  ///< Report: made when the others are, whatever the order of the config.
  bool inspects = false;          ///< Set by GRAFT_PLUGIN: the class has an `inspect` (stage.h).
  bool output_depends_on_key = false;   ///< Not on the content alone: random augmentation, for one.
  bool output_depends_on_seed = false;  ///< `seed` then enters the fingerprint.

  static PluginSchema make(StageKind kind, std::string summary) {
    PluginSchema s;
    s.kind = kind;
    s.summary = std::move(summary);
    return s;
  }
  static PluginSchema source(std::string summary) { return make(StageKind::Source, std::move(summary)); }
  static PluginSchema transform(std::string summary) {
    return make(StageKind::Transform, std::move(summary));
  }
  static PluginSchema batch_transform(std::string summary) {
    return make(StageKind::BatchTransform, std::move(summary));
  }
  static PluginSchema collector(std::string summary) {
    return make(StageKind::Collector, std::move(summary));
  }
  static PluginSchema learner(std::string summary) { return make(StageKind::Learner, std::move(summary)); }
  static PluginSchema calibrator(std::string summary) {
    return make(StageKind::Calibrator, std::move(summary));
  }
  static PluginSchema report(std::string summary) { return make(StageKind::Report, std::move(summary)); }

  static PluginSchema service(std::string summary) { return make(StageKind::Service, std::move(summary)); }

  PluginSchema& input(PortType type, std::string doc, bool many = false) {
    return inputs.push_back({"in", type, "", std::move(doc), many}), *this;
  }
  PluginSchema& output(std::string port, PortType type, std::string shape, std::string doc) {
    return outputs.push_back({std::move(port), type, std::move(shape), std::move(doc), false}), *this;
  }
  PluginSchema& param(ParamSpec spec) { return params.push_back(std::move(spec)), *this; }
  PluginSchema& params_from(const std::vector<ParamSpec>& more) {
    return params.insert(params.end(), more.begin(), more.end()), *this;
  }
  PluginSchema& views_from(std::string param,
                           std::vector<std::pair<std::string, std::uint32_t>> choices = {}) {
    return views = {std::move(param), std::move(choices)}, *this;
  }
  PluginSchema& formerly(std::string other) { return former_name = std::move(other), *this; }
  PluginSchema& example(std::string config) { return example_config = std::move(config), *this; }
  PluginSchema& uses_libraries(std::string versions) { return libraries = std::move(versions), *this; }
  PluginSchema& may_need(std::string service) { return needs.push_back(std::move(service)), *this; }
  PluginSchema& known_fault(std::string before, std::string text) {
    return known_faults.push_back({std::move(before), std::move(text)}), *this;
  }
  PluginSchema& figure(FigureSpec spec) { return figures.push_back(std::move(spec)), *this; }
  PluginSchema& figures_from(const std::vector<FigureSpec>& more) {
    return figures.insert(figures.end(), more.begin(), more.end()), *this;
  }
  /// `bytes` of a call, and so many per byte of its input and output. Tried by
  /// graft::testing::check_contract.
  PluginSchema& working_memory(std::uint64_t bytes, double per_payload_byte = 0) {
    return memory_of_call = {bytes, per_payload_byte}, *this;
  }
  PluginSchema& covers_run() { return covers_whole_run = true, *this; }
  PluginSchema& depends_on_key() { return output_depends_on_key = true, *this; }
  PluginSchema& depends_on_seed() { return output_depends_on_seed = true, *this; }
};

}  // namespace graft
