// Checks given values against parameter declarations; see resolve() in graft/params.h.

#include <graft/params.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include <graft/cpu_isa.h>
#include <graft/text.h>

namespace graft {
namespace {

/// Names as graft/params.h has them. Another processor family has none of them.
bool processor_has(const std::string& feature) {
  if (feature == "avx512bf16") return cpu_isa() >= CpuIsa::Avx512Bf16;
  throw Error("no processor feature is known by the name '" + feature + "'");
}

class Resolver {
 public:
  Resolver(std::vector<ParamFault>& faults, std::vector<ParamFault>* warnings)
      : faults_(faults), warnings_(warnings) {}

  Value members(const std::vector<ParamSpec>& specs, const Value& given) {
    const Value* source = &given;
    Value empty = Value::map();
    if (given.is_null()) source = &empty;
    if (!source->is_map()) {
      fault(fmt::format("expected a map of parameters, got {}", given.kind()));
      return empty;
    }
    unknown_names(specs, *source);
    std::vector<std::string> replaced;  // by a parameter that has a value
    for (const ParamSpec& spec : specs)
      if (const Value* v = source->find(given_name(spec, *source)); v != nullptr && !v->is_null())
        replaced.insert(replaced.end(), spec.replaced.begin(), spec.replaced.end());
    Value out = Value::map();
    for (const ParamSpec& spec : specs) {
      const std::string& name = given_name(spec, *source);
      const Value* v = source->find(name);
      if (v == nullptr && spec.is_required) {
        fault(fmt::format("missing parameter '{}' ({}): {}", spec.name, spec.type_name(), spec.text));
        continue;
      }
      if (v == nullptr && std::find(replaced.begin(), replaced.end(), spec.name) != replaced.end()) continue;
      path_.push_back(name);
      if (v != nullptr) warn_of(spec, name, *source);
      if (v != nullptr)
        out[spec.name] = one(spec, *v);
      else if (spec.kind == ParamSpec::Kind::Object && !spec.may_be_null)
        out[spec.name] = members(spec.fields, Value());
      else if (spec.default_value.is_null() && !spec.may_be_null && spec.kind == ParamSpec::Kind::Map)
        out[spec.name] = Value::map();
      else if (spec.default_value.is_null() && !spec.may_be_null && spec.kind == ParamSpec::Kind::List)
        out[spec.name] = Value::list();
      else
        out[spec.name] = spec.default_value;
      path_.pop_back();
    }
    return out;
  }

 private:
  void fault(std::string text, bool at_key = false) { faults_.push_back({path_, at_key, std::move(text)}); }

  /// Under which of its names a parameter is given.
  static const std::string& given_name(const ParamSpec& spec, const Value& given) {
    return !spec.former_name.empty() && given.find(spec.former_name) != nullptr ? spec.former_name
                                                                                : spec.name;
  }

  void warn_of(const ParamSpec& spec, const std::string& name, const Value& given) {
    if (name != spec.name && given.find(spec.name) != nullptr)
      return fault(
          fmt::format("'{}' is the former name of '{}', which is given, too: keep that one", name, spec.name),
          true);
    if (warnings_ == nullptr) return;
    if (name != spec.name && spec.use_instead.empty())
      warnings_->push_back({path_, true, fmt::format("'{}' is now called '{}'", name, spec.name)});
    if (!spec.use_instead.empty())
      warnings_->push_back({path_, true, fmt::format("'{}' is deprecated: {}", name, spec.use_instead)});
  }

  void unknown_names(const std::vector<ParamSpec>& specs, const Value& given) {
    std::vector<std::string> names;
    for (const ParamSpec& spec : specs) names.push_back(spec.name);
    std::sort(names.begin(), names.end());
    for (const auto& [key, value] : given.as_map()) {
      if (std::any_of(specs.begin(), specs.end(),
                      [&name = key](const ParamSpec& s) { return s.is_called(name); }))
        continue;
      std::string text = fmt::format("unknown parameter '{}'", key);
      text += suggestion(key, names);
      text += names.empty() ? " (none is taken here)" : fmt::format(" (allowed: {})", fmt::join(names, ", "));
      path_.push_back(key);
      fault(std::move(text), true);
      path_.pop_back();
    }
  }

  Value wrong_type(const ParamSpec& spec, const Value& v) {
    const bool show = v.is_string() || v.is_number() || v.is_bool();
    const bool is_finite = !v.is_double() || std::isfinite(v.as_double());  // JSON has no other numbers
    fault(is_finite ? fmt::format("expected {}, got {}{}", spec.type_name(), v.kind(),
                                  show ? " " + v.to_json() : "")
                    : fmt::format("expected {}, got {}", spec.type_name(), v.as_double()));
    return {};
  }

  void check_range(const ParamSpec& spec, double v, const std::string& shown) {
    if ((!spec.min || v >= *spec.min) && (!spec.max || v <= *spec.max)) return;
    const std::string wanted = spec.min && spec.max ? fmt::format("from {} to {}", *spec.min, *spec.max)
                               : spec.min           ? fmt::format("at least {}", *spec.min)
                                                    : fmt::format("at most {}", *spec.max);
    fault(fmt::format("{} is out of range: expected {}{}", shown, wanted,
                      spec.unit_name.empty() ? "" : " " + spec.unit_name));
  }

  Value one(const ParamSpec& spec, const Value& v) {
    using Kind = ParamSpec::Kind;
    if (v.is_null()) {
      if (spec.may_be_null) return {};
      if (spec.kind == Kind::Object) return members(spec.fields, v);
      return wrong_type(spec, v);
    }
    switch (spec.kind) {
      case Kind::Flag:
        return v.is_bool() ? v : wrong_type(spec, v);
      case Kind::Integer:
        if (v.is_string() && !spec.choices.empty()) return choice(spec, v);
        if (!v.is_int()) return wrong_type(spec, v);
        check_range(spec, v.as_double(), v.to_json());
        return v;
      case Kind::Number:
        if (!v.is_number() || !std::isfinite(v.as_double())) return wrong_type(spec, v);
        check_range(spec, v.as_double(), v.to_json());
        return Value(v.as_double());
      // A number where a text is wanted is a name that looks like one: `split: 2012`.
      case Kind::Text:
        return v.is_string() ? v : v.is_int() ? Value(v.to_json()) : wrong_type(spec, v);
      case Kind::Choice:
        return choice(spec, v);
      case Kind::File:
      case Kind::Folder:
        return path(spec, v);
      case Kind::List:
        return list(spec, v);
      case Kind::Map:
        return map(spec, v);
      case Kind::Object:
        return object(spec, v);
      case Kind::OneOf:
        return one_of(spec, v);
    }
    return {};
  }

  Value object(const ParamSpec& spec, const Value& v) {
    if (v.is_map()) return members(spec.fields, v);
    if (!spec.scalar_ok || v.is_list()) return wrong_type(spec, v);
    // The bare value is the first member's: checked as such, under the object's own name.
    const ParamSpec& first = spec.fields.at(0);
    const std::size_t before = faults_.size();
    const Value value = one(first, v);
    if (value.is_null() || faults_.size() > before) return {};  // reported once
    Value given = Value::map();
    given[first.name] = value;
    return members(spec.fields, given);
  }

  Value one_of(const ParamSpec& spec, const Value& v) {
    if (!v.is_string() && !(v.is_map() && v.as_map().size() == 1)) return wrong_type(spec, v);
    const std::string& name = v.is_string() ? v.as_string() : v.as_map()[0].first;
    const auto chosen = std::find_if(spec.fields.begin(), spec.fields.end(),
                                     [&](const ParamSpec& alternative) { return alternative.name == name; });
    if (chosen == spec.fields.end()) {
      if (v.is_map()) path_.push_back(name);
      fault(not_allowed(name, spec.names()), v.is_map());
      if (v.is_map()) path_.pop_back();
      return {};
    }
    Value out = Value::map();
    if (v.is_map()) path_.push_back(name);
    out[name] = one(*chosen, v.is_map() ? v.as_map()[0].second : Value());
    if (v.is_map()) path_.pop_back();
    return out;
  }

  Value choice(const ParamSpec& spec, const Value& v) {
    if (!v.is_string()) return wrong_type(spec, v);
    if (v.as_string() == "auto" && !spec.auto_feature.empty())
      return processor_has(spec.auto_feature) ? spec.auto_choice : spec.choices.at(0);
    if (std::find(spec.choices.begin(), spec.choices.end(), v.as_string()) != spec.choices.end()) return v;
    fault(not_allowed(v.as_string(), spec.choices));
    return {};
  }

  static std::string not_allowed(const std::string& word, const std::vector<std::string>& allowed) {
    return fmt::format("'{}' is not allowed here{} (allowed: {})", word, suggestion(word, allowed),
                       fmt::join(allowed, ", "));
  }

  Value path(const ParamSpec& spec, const Value& v) {
    if (!v.is_string()) return wrong_type(spec, v);
    if (!spec.is_path(v.as_string())) return choice(spec, v);
    const bool folder = spec.kind == ParamSpec::Kind::Folder, either = !spec.folder_files.empty();
    const char* const wanted = folder ? "folder" : either ? "file or folder" : "file";
    if (v.as_string().empty()) {
      fault(fmt::format("expected the path of a {}, got an empty text", wanted));
      return {};
    }
    // The system would take what is in front of it for the whole path.
    if (v.as_string().find('\0') != std::string::npos) {
      fault(fmt::format("expected the path of a {}, got one with a NUL byte: {}", wanted, v.as_string()));
      return {};
    }
    std::error_code ignored;
    const auto status = std::filesystem::status(v.as_string(), ignored);
    const bool is_folder = std::filesystem::is_directory(status);
    if (!std::filesystem::exists(status))
      fault(fmt::format("no such {}: {}{}", wanted, v.as_string(),
                        v.as_string().find("/~/") != std::string::npos
                            ? " (~ does not stand for the home folder here; write ${HOME})"
                            : ""));
    else if (folder ? !is_folder : is_folder && !either)
      fault(fmt::format("expected a {}, got a {}: {}", wanted,
                        is_folder                                  ? "folder"
                        : std::filesystem::is_regular_file(status) ? "file"
                                                                   : "special file",
                        v.as_string()));
    else if (!is_folder && !std::filesystem::is_regular_file(status))
      fault(fmt::format("expected a regular file, got a special file: {}", v.as_string()));
    return v;
  }

  Value list(const ParamSpec& spec, const Value& v) {
    Value wrapped = v;
    if (!v.is_list()) {
      if (!spec.scalar_ok || v.is_map()) return wrong_type(spec, v);
      wrapped = Value(Value::List{v});
    }
    const auto& given = wrapped.as_list();
    const auto n = static_cast<std::int64_t>(given.size());
    if ((spec.min_items && n < *spec.min_items) || (spec.max_items && n > *spec.max_items)) {
      const std::int64_t low = spec.min_items.value_or(0);
      fault(spec.max_items && *spec.max_items == low ? fmt::format("expected {} values, got {}", low, n)
            : spec.max_items ? fmt::format("expected {} to {} values, got {}", low, *spec.max_items, n)
                             : fmt::format("expected at least {} values, got {}", low, n));
    }
    Value out = Value::list();
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (v.is_list()) path_.push_back(std::to_string(i));
      out.push(one(spec.fields.at(0), given[i]));
      if (v.is_list()) path_.pop_back();
    }
    return out;
  }

  Value map(const ParamSpec& spec, const Value& v) {
    if (!v.is_map()) return wrong_type(spec, v);
    Value out = Value::map();
    for (const auto& [key, e] : v.as_map()) {
      path_.push_back(key);
      out.as_map().emplace_back(key, one(spec.fields.at(0), e));
      path_.pop_back();
    }
    return out;
  }

  std::vector<ParamFault>& faults_;
  std::vector<ParamFault>* const warnings_;
  std::vector<std::string> path_;
};

}  // namespace

Value resolve(const std::vector<ParamSpec>& specs, const Value& given, std::vector<ParamFault>& faults,
              std::vector<ParamFault>* warnings) {
  return Resolver(faults, warnings).members(specs, given);
}

}  // namespace graft
