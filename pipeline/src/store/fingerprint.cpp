#include "store/fingerprint.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "config/file_parameters.h"

namespace graft {
namespace {

constexpr int kFingerprintVersion = 2;

/// The part of a value that changes the output: files become their digests, parameters that are not in the
/// fingerprint are left out.
Value canonical(const ParamSpec& spec, const Value& v, DigestMemo& memo);

/// Renaming a parameter must not make new tables.
const std::string& lasting_name(const ParamSpec& spec) {
  return spec.former_name.empty() ? spec.name : spec.former_name;
}

Value canonical_members(const std::vector<ParamSpec>& specs, const Value& map, DigestMemo& memo) {
  Value out = Value::map();
  std::vector<const ParamSpec*> sorted;
  for (const ParamSpec& spec : specs) sorted.push_back(&spec);
  // Declaring parameters in another order must not make new tables.
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return lasting_name(*a) < lasting_name(*b); });
  for (const ParamSpec* spec : sorted) {
    const Value* v = map.find(spec->name);
    if (v == nullptr || !spec->changes_output || spec->kind == ParamSpec::Kind::Folder) continue;
    if (!spec->is_later || *v != spec->default_value)
      out[lasting_name(*spec)] = canonical(*spec, *v, memo);
    else if (!spec->default_then.is_null())
      out[lasting_name(*spec)] = spec->default_then;
  }
  return out;
}

Value canonical(const ParamSpec& spec, const Value& v, DigestMemo& memo) {
  if (v.is_null()) return v;
  switch (spec.kind) {
    case ParamSpec::Kind::File:
      return spec.is_path(v.as_string()) ? content_of(spec, v.as_string(), memo) : v;
    case ParamSpec::Kind::Object:
    case ParamSpec::Kind::OneOf:
      return canonical_members(spec.fields, v, memo);
    case ParamSpec::Kind::List: {
      Value out = Value::list();
      for (const Value& e : v.as_list()) out.push(canonical(spec.fields.at(0), e, memo));
      return out;
    }
    case ParamSpec::Kind::Map: {
      Value::Map sorted;
      for (const auto& [key, e] : v.as_map()) sorted.emplace_back(key, canonical(spec.fields.at(0), e, memo));
      std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      return Value(std::move(sorted));
    }
    default:
      return v;
  }
}

bool names_files(const ParamSpec& spec) {
  return spec.kind == ParamSpec::Kind::File ||
         std::any_of(spec.fields.begin(), spec.fields.end(), names_files);
}

}  // namespace

Value content_of(const ParamSpec& spec, const std::filesystem::path& path, DigestMemo& memo) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return memo.digest_of(path).hex();
  Value out = Value::map();
  for (const std::filesystem::path& file : files_of(spec, path))
    out[file.filename().string()] = memo.digest_of(file).hex();
  return out;
}

Value parameters_by_content(const StagePlan& stage, DigestMemo& memo) {
  return canonical_members(stage.schema.params, stage.params.value(), memo);
}

Fingerprint fingerprint(const Plan& plan, std::size_t collector, DigestMemo& memo) {
  Fingerprint out;
  Value::List stages;
  for (std::size_t at = collector;; at = plan.stages[at].inputs[0].stage) {
    const StagePlan& s = plan.stages[at];
    const bool source = s.inputs.empty();
    if (source && (s.schema.outputs.empty() || s.schema.outputs[0].type == PortType::Bytes)) break;
    Value stage = Value::Map{{"plugin", s.schema.former_name.empty() ? s.schema.name : s.schema.former_name},
                             {"version", s.schema.version}};
    if (!s.schema.libraries.empty()) stage["libraries"] = s.schema.libraries;
    for (const StagePlan::Service& service : s.services)
      stage["services"][service.plugin] = service.version + " " + service.libraries;
    // A source's parameters choose and describe entries; what the entries hold is in their content digests.
    if (!source) stage["with"] = parameters_by_content(s, memo);
    if (source && s.schema.outputs[0].type == PortType::Tensor) {
      std::vector<ParamSpec> files;
      std::copy_if(s.schema.params.begin(), s.schema.params.end(), std::back_inserter(files), names_files);
      stage["files"] = canonical_members(files, s.params.value(), memo);
    }
    if (!source) {
      const std::string& port = plan.stages[s.inputs[0].stage].schema.outputs[s.inputs[0].port].name;
      if (port != "out") stage["from_port"] = port;
    }
    if (!s.splits.empty()) {
      stage["splits"] = Value::list();
      for (const Split split : {Split::Train, Split::Val, Split::Test})
        if (s.handles(split)) stage["splits"].push(to_string(split));
    }
    out.depends_on_split = out.depends_on_split || (!s.splits.empty() && at != collector);
    if (s.schema.output_depends_on_seed && !source) stage["seed"] = plan.seed;
    out.depends_on_key = out.depends_on_key || (s.schema.output_depends_on_key && !source);
    stages.push_back(std::move(stage));
    out.stage_ids.push_back(s.id);
    if (source) break;
  }
  std::reverse(stages.begin(), stages.end());
  std::reverse(out.stage_ids.begin(), out.stage_ids.end());
  out.description["fingerprint_version"] = kFingerprintVersion;
  out.description["stages"] = Value(std::move(stages));
  out.digest = digest(out.description.to_json());
  return out;
}

}  // namespace graft
