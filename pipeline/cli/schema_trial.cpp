#include "schema_trial.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <regex>

#include <fmt/format.h>

#include "plugin/plugin_file.h"

namespace graft::cli {
namespace {

bool is_of_kind(Stage& stage, StageKind kind) {
  switch (kind) {
    case StageKind::Source:
      return dynamic_cast<Source*>(&stage) != nullptr;
    case StageKind::Transform:
      return dynamic_cast<Transform*>(&stage) != nullptr;
    case StageKind::BatchTransform:
      return dynamic_cast<BatchTransform*>(&stage) != nullptr;
    case StageKind::Collector:
      return dynamic_cast<Collector*>(&stage) != nullptr;
    case StageKind::Learner:
      return dynamic_cast<Learner*>(&stage) != nullptr;
    case StageKind::Report:
      return dynamic_cast<Report*>(&stage) != nullptr;
    case StageKind::Service:
      return dynamic_cast<Service*>(&stage) != nullptr;
    case StageKind::Calibrator:
      return dynamic_cast<Calibrator*>(&stage) != nullptr;
  }
  return true;
}

/// Matches the messages of Params and Value for a parameter that is not declared or has another type, and no
/// others.
bool is_fault_of_reading(const std::string& text) {
  static const std::regex kWrongType("expected [a-z]+, got (null|boolean|integer|number|text|list|map)");
  return text.find("which its schema does not declare") != std::string::npos ||
         std::regex_match(text, kWrongType);
}

/// In the child.
std::string try_constructor(const SchemaFile& schema, const std::filesystem::path& plugin) {
  Refusal why;
  const graft_plugin_descriptor* d = load_plugin(plugin, why, schema.code);
  std::vector<ParamFault> faults;
  const Params defaults(resolve(schema.schema.params, Value::map(), faults));
  if (d == nullptr || !faults.empty()) return {};
  try {
    StageContext context{"trial",
                         defaults,
                         0,
                         1,
                         [](const std::string&) {},
                         [](const std::string&) -> Service& { throw Error("no services here"); }};
    if (!schema.schema.inputs.empty() && schema.schema.inputs[0].type == PortType::Image)
      context.input_shape = "u8[?,?,3]";
    const std::unique_ptr<Stage> stage(d->create(context));
    if (stage == nullptr) return "its create function returns null; return a new stage";
    if (!is_of_kind(*stage, schema.schema.kind))
      return fmt::format(
          "its class is not a {0}, which its schema declares; derive it from that, or declare its kind",
          to_string(schema.schema.kind));
  } catch (const std::exception& e) {
    if (is_fault_of_reading(e.what()))
      return fmt::format("its constructor fails with the defaults: {}; declare the parameter as it is read",
                         e.what());
  } catch (...) {
    return "its constructor throws something that is not a std::exception; throw graft::Error";
  }
  return {};
}

}  // namespace

std::string faults_of_class(const SchemaFile& schema, const std::filesystem::path& plugin,
                            std::chrono::milliseconds limit) {
  const std::vector<ParamSpec>& params = schema.schema.params;
  const bool needs_services =
      std::any_of(params.begin(), params.end(), [](const ParamSpec& p) { return !p.service.empty(); });
  if (needs_services ||
      std::any_of(params.begin(), params.end(), [](const ParamSpec& p) { return p.is_required; }))
    return {};
  Child child([&](int to) {
    const std::string fault = try_constructor(schema, plugin);
    if (::write(to, fault.data(), fault.size()) < 0) ::_exit(1);
  });
  return child.wait(limit).said;
}

}  // namespace graft::cli
