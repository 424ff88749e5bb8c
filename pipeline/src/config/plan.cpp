#include "config/plan.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <yaml-cpp/emitter.h>

#include <graft/value.h>

#include "config/config_file.h"

namespace graft {
namespace {

void emit(YAML::Emitter& out, const Value& v) {
  if (v.is_map()) {
    out << YAML::Flow << YAML::BeginMap;
    for (const auto& [key, e] : v.as_map()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, e);
    }
    out << YAML::EndMap;
  } else if (v.is_list()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const Value& e : v.as_list()) emit(out, e);
    out << YAML::EndSeq;
  } else if (v.is_string()) {
    // ${...} has been expanded once; what looks like it now is meant literally.
    out << YAML::DoubleQuoted << escape_variables(v).as_string();
  } else if (v.is_null()) {
    out << YAML::Null;
  } else {
    out << v.to_json();
  }
}

/// The indices of the stages for which `belongs` holds.
template <typename Predicate>
std::vector<std::size_t> indices(const std::vector<StagePlan>& stages, const Predicate& belongs) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (belongs(stages[i])) out.push_back(i);
  return out;
}

}  // namespace

bool StagePlan::handles(Split split) const {
  return splits.empty() || std::find(splits.begin(), splits.end(), split) != splits.end();
}

std::string StagePlan::label() const {
  return fmt::format("stage '{}' ({}, {})", id, schema.name, where);
}

std::size_t declared_batch(const StagePlan& stage) {
  if (!stage.is(StageKind::BatchTransform)) return 1;
  const Value* v = stage.params.value().find("batch");
  return v != nullptr && v->is_int() ? static_cast<std::size_t>(std::max<std::int64_t>(v->as_int(), 1)) : 1;
}

std::vector<std::size_t> Plan::stages_of(StageKind kind) const {
  return indices(stages, [&](const StagePlan& s) { return s.is(kind); });
}

std::vector<std::size_t> Plan::stream(std::size_t source) const {
  return indices(stages, [&](const StagePlan& s) { return s.is_streamed() && s.source == source; });
}

std::vector<std::size_t> Plan::collectors(std::size_t source) const {
  return indices(stages,
                 [&](const StagePlan& s) { return s.is(StageKind::Collector) && s.source == source; });
}

std::vector<std::size_t> Plan::consumers(std::size_t stage) const {
  return indices(stages, [&](const StagePlan& s) {
    return std::any_of(s.inputs.begin(), s.inputs.end(),
                       [&](const StagePlan::Input& input) { return input.stage == stage; });
  });
}

std::size_t Plan::batch_items(std::size_t source) const {
  std::size_t sum = 0;
  for (const std::size_t i : stream(source))
    if (stages[i].is(StageKind::BatchTransform)) sum += declared_batch(stages[i]);
  return sum;
}

std::size_t Plan::credits(std::size_t source) const {
  if (run.in_flight) return *run.in_flight;
  const auto threads = static_cast<std::size_t>(run.threads);
  return std::max<std::size_t>(64, batch_items(source) * (threads + 2) + 4 * threads);
}

std::string output_shape(const StagePlan& stage, std::size_t port) {
  if (port < stage.inspected_shapes.size()) return stage.inspected_shapes[port];
  if (port >= stage.schema.outputs.size())
    return {};  // its plugin is not known, which is an error of its own
  const std::string& pattern = stage.schema.outputs[port].shape;
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::size_t end = pattern[i] == '{' ? pattern.find('}', i) : std::string::npos;
    if (end == std::string::npos) {
      out += pattern[i];
      continue;
    }
    const Value* v = stage.params.value().find(pattern.substr(i + 1, end - i - 1));
    out += v == nullptr || v->is_null() ? "?" : v->is_string() ? v->as_string() : v->to_json();
    i = end;
  }
  return out;
}

std::optional<std::uint64_t> bytes_of_shape(const std::string& shape) {
  const std::size_t open = shape.find('[');
  if (open == std::string::npos) return {};
  const std::string dtype = shape.substr(0, open);
  std::uint64_t bytes = dtype == "u8" ? 1 : dtype == "f16" ? 2 : dtype == "f32" ? 4 : dtype == "i64" ? 8 : 0;
  std::size_t at = open + 1;
  while (at < shape.size() && shape[at] != ']') {
    std::uint64_t extent = 0;
    const auto [end, error] = std::from_chars(shape.data() + at, shape.data() + shape.size(), extent);
    if (error != std::errc() || __builtin_mul_overflow(bytes, extent, &bytes)) return {};
    at = static_cast<std::size_t>(end - shape.data()) + (*end == ',' ? 1 : 0);
  }
  return bytes == 0 ? std::nullopt : std::optional(bytes);
}

namespace {

/// A deprecated parameter that nobody gave: written, it would be warned of when that config is run.
bool is_left_to_its_default(const StagePlan& stage, const std::string& param, const Value& value) {
  const auto& params = stage.schema.params;
  return std::any_of(params.begin(), params.end(), [&](const ParamSpec& p) {
    return p.name == param && !p.use_instead.empty() && value == p.default_value;
  });
}

}  // namespace

std::string to_yaml(const Plan& plan) {
  YAML::Emitter out;
  // Numbers go in as texts: the emitter groups digits as the locale says.
  out << YAML::BeginMap << YAML::Key << "name" << YAML::Value << YAML::DoubleQuoted << plan.name;
  out << YAML::Key << "seed" << YAML::Value << fmt::to_string(plan.seed);
  out << YAML::Key << "run" << YAML::Value << YAML::Flow << YAML::BeginMap;
  out << YAML::Key << "threads" << YAML::Value << fmt::to_string(plan.run.threads);
  out << YAML::Key << "memory" << YAML::Value << fmt::format("{}B", plan.run.memory);
  if (plan.run.in_flight)
    out << YAML::Key << "in_flight" << YAML::Value << fmt::to_string(*plan.run.in_flight);
  out << YAML::Key << "on_error" << YAML::Value << (plan.run.on_error == OnError::Fail ? "fail" : "reject");
  out << YAML::Key << "max_rejects" << YAML::Value
      << (plan.run.max_reject_count ? fmt::format("{}", *plan.run.max_reject_count)
                                    : fmt::format("{}%", plan.run.max_reject_share * 100));
  if (plan.run.read_ahead)
    out << YAML::Key << "read_ahead" << YAML::Value << fmt::to_string(*plan.run.read_ahead);
  if (plan.run.retry_times > 0)
    out << YAML::Key << "retry" << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << "times"
        << YAML::Value << fmt::to_string(plan.run.retry_times) << YAML::Key << "backoff" << YAML::Value
        << fmt::format("{}", plan.run.retry_backoff) << YAML::EndMap;
  out << YAML::Key << "stall_seconds" << YAML::Value << fmt::format("{}", plan.run.stall_seconds);
  out << YAML::Key << "stall_limit" << YAML::Value
      << (plan.run.stall_limit ? fmt::format("{}", *plan.run.stall_limit) : "never");
  out << YAML::EndMap;
  out << YAML::Key << "stages" << YAML::Value << YAML::Block << YAML::BeginMap;
  for (const StagePlan& s : plan.stages) {
    out << YAML::Key << s.id << YAML::Value << YAML::Block << YAML::BeginMap;
    out << YAML::Key << "plugin" << YAML::Value << s.schema.name;
    if (!s.inputs.empty()) {
      out << YAML::Key << "from" << YAML::Value << YAML::Flow << YAML::BeginSeq;
      for (const StagePlan::Input& input : s.inputs) {
        const StagePlan& from = plan.stages[input.stage];
        out << (input.port == 0 ? from.id : from.id + "." + from.schema.outputs[input.port].name);
      }
      out << YAML::EndSeq;
    }
    if (s.on_error != plan.run.on_error)
      out << YAML::Key << "on_error" << YAML::Value << (s.on_error == OnError::Fail ? "fail" : "reject");
    if (!s.splits.empty()) {
      out << YAML::Key << "splits" << YAML::Value << YAML::Flow << YAML::BeginSeq;
      for (const Split split : s.splits) out << to_string(split);
      out << YAML::EndSeq;
    }
    if (!s.params.value().as_map().empty()) {
      out << YAML::Key << "with" << YAML::Value << YAML::Block << YAML::BeginMap;
      for (const auto& [key, v] : s.params.value().as_map()) {
        if (is_left_to_its_default(s, key, v)) continue;
        out << YAML::Key << key << YAML::Value;
        emit(out, v);
      }
      out << YAML::EndMap;
    }
    out << YAML::EndMap;
  }
  out << YAML::EndMap << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace graft
