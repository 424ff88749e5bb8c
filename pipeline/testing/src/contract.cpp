#include <graft/testing/contract.h>

#include <graft/text.h>

#include "base/library_environment.h"
#include "plugin/process_state.h"

#include "contract_rules.h"

namespace graft::testing {
namespace {

bool is_sentence(const std::string& text) {
  return text.size() > 1 && (text.back() == '.' || text.back() == '?' || text.back() == '!');
}

void check_documentation(const PluginSchema& schema, Violations& out) {
  if (!is_sentence(schema.summary))
    out.add("the summary '" + schema.summary + "' is not a sentence that ends with a full stop");
  for (const auto* ports : {&schema.inputs, &schema.outputs})
    for (const PortSpec& port : *ports)
      if (!is_sentence(port.text)) out.add("the text of port '" + port.name + "' is not a sentence");
  for (const ParamSpec& param : schema.params)
    if (!is_sentence(param.text)) out.add("the text of parameter '" + param.name + "' is not a sentence");
}

/// Values that the declaration allows and authors rarely try, as YAML.
std::vector<std::string> extremes(const ParamSpec& spec) {
  std::vector<std::string> out;
  if (spec.kind == ParamSpec::Kind::Flag) out = {"true", "false"};
  if (spec.kind == ParamSpec::Kind::Integer || spec.kind == ParamSpec::Kind::Number)
    for (const auto& bound : {spec.min, spec.max})
      if (bound) out.push_back(Value(*bound).to_json());
  if (spec.kind == ParamSpec::Kind::Integer)
    for (std::string& bound : out) bound = bound.substr(0, bound.find('.'));
  if (spec.kind == ParamSpec::Kind::Choice && spec.service.empty()) out = spec.choices;
  return out;
}

/// The parameters of the trial with one value replaced.
std::string with(const std::string& params, const std::string& name, const std::string& value) {
  const std::size_t close = params.rfind('}');
  const bool empty = params.find_first_not_of("{ }\n") == std::string::npos;
  return params.substr(0, close) + (empty ? "" : ", ") + name + ": " + value + "}";
}

void check_parameters(const std::string& plugin, const PluginSchema& schema, const ContractTrial& trial,
                      Violations& out) {
  for (const ParamSpec& spec : schema.params) {
    if (trial.params.find(spec.name + ":") != std::string::npos) continue;
    for (const std::string& value : extremes(spec)) {
      const std::string what = "the constructor with {" + spec.name + ": " + value + "}";
      try {
        if (trial.prepare) trial.prepare();
        const StageHarness tried(plugin, with(trial.params, spec.name, value));
      } catch (const Error&) {
        // Refused with a reason: a combination that the declaration of one parameter cannot exclude.
      } catch (const std::exception& e) {
        out.add(what + " throws something else than graft::Error: " + e.what());
      } catch (...) {
        out.add(what + " throws something that is not an exception");
      }
    }
  }
}

}  // namespace

void Violations::add(const std::string& sentence) {
  text_ += sentence + '\n';
}

void Violations::attempt(const std::string& doing, const std::function<void()>& rule) {
  try {
    rule();
  } catch (const std::exception& e) {
    add(doing + " throws: " + e.what());
  } catch (...) {
    add(doing + " throws something that is not an exception");
  }
}

std::string check_contract(const std::string& plugin, const ContractTrial& trial) {
  set_library_environment();  // as the harness does, before the process is looked at
  const ProcessState before;
  Violations out;
  const MakeStage make = [&](int threads) {
    if (trial.prepare) trial.prepare();
    return std::make_unique<StageHarness>(plugin, trial.params, 42, threads);
  };
  const PluginSchema schema = make(1)->schema();
  check_documentation(schema, out);
  check_parameters(plugin, schema, trial, out);
  ContractTrial filled = trial;
  if (filled.items.empty()) filled.items = trial_items(schema);
  switch (schema.kind) {
    case StageKind::Source:
      check_source(make, out);
      break;
    case StageKind::Transform:
      check_transform(make, filled, out);
      break;
    case StageKind::BatchTransform:
      check_batch_transform(make, filled, out);
      break;
    case StageKind::Collector:
      check_collector(make, filled, out);
      break;
    case StageKind::Learner:
      check_learner(make, filled, out);
      break;
    case StageKind::Calibrator:
      check_calibrator(make, filled, out);
      break;
    case StageKind::Report:
      check_report(make, schema, filled, out);
      break;
    case StageKind::Service:
      break;  // its interface is its own
  }
  if (const std::string change = before.restore(); !change.empty()) out.add("the plugin " + change);
  return out.text();
}

}  // namespace graft::testing
