#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <graft/error.h>
#include <graft/export.h>
#include <graft/value.h>

namespace graft {

/// The one declaration of a parameter. It drives parsing, checks, `graft describe`, the reference docs and
/// the fingerprint of tables. Made by the functions below and refined by chained calls:
///
///     integer("k", 20).range(1, 10000).doc("Neighbours that vote.")
struct GRAFT_API ParamSpec {
  enum class Kind { Flag, Integer, Number, Text, Choice, File, Folder, List, Map, Object, OneOf };

  std::string name;
  Kind kind = Kind::Text;
  std::string text;       ///< One sentence for people.
  std::string unit_name;  ///< "px", "rows", ... or empty.
  Value default_value;    ///< Null: no default.
  bool is_required = false;
  bool may_be_null = false;
  bool changes_output = true;  ///< Part of the fingerprint of every table downstream of the stage.
  bool is_later = false;       ///< See added_later().
  Value default_then;          ///< See default_was(); null: nothing.
  std::string former_name;     ///< See renamed_from(); empty: none.
  std::string use_instead;     ///< See deprecated(); empty: it is not.
  bool scalar_ok = false;  ///< List, Object: one bare value stands for a list of one, for the first member.
  std::optional<double> min, max;
  std::optional<std::int64_t> min_items, max_items;
  std::vector<std::string> choices;  ///< Choice: the words. File, Integer: names that may stand for one.
  std::string service;  ///< Choice: its values are the installed services of this name; see service().
  std::vector<std::string> folder_files;  ///< File: see or_folder().
  std::string auto_feature, auto_choice;  ///< Choice: see auto_by_processor().
  std::vector<ParamSpec> fields;  ///< List, Map: [0] is the element. Object: members. OneOf: alternatives.
  std::vector<std::string> replaced;          ///< See stands_for().
  std::vector<std::string> followed, unless;  ///< See default_from_downstream().

  ParamSpec& doc(std::string sentence) { return text = std::move(sentence), *this; }
  ParamSpec& unit(std::string u) { return unit_name = std::move(u), *this; }
  /// Inclusive bounds.
  ParamSpec& range(double low, double high) { return min = low, max = high, *this; }
  ParamSpec& at_least(double low) { return min = low, *this; }
  ParamSpec& items(std::int64_t low, std::int64_t high) { return min_items = low, max_items = high, *this; }
  ParamSpec& required() { return is_required = true, *this; }
  /// May be left out or null, see Params::has.
  ParamSpec& optional() { return may_be_null = true, *this; }
  /// Does not change what the stage computes (threads, batch size, names of side outputs).
  ParamSpec& not_in_fingerprint() { return changes_output = false, *this; }
  /// A parameter that the plugin has got since tables were stored: while it has its default, which does what
  /// the plugin did before, it is left out of the fingerprint, so that those tables remain valid.
  ParamSpec& added_later() { return is_later = true, *this; }
  /// The same for a new default that does what this former one did: it enters the fingerprint as that.
  ParamSpec& default_was(Value former) { return is_later = true, default_then = std::move(former), *this; }
  /// What the parameter was called before: configs may still use that name, with a warning, and it stays the
  /// name in fingerprints, so that stored tables remain valid.
  ParamSpec& renamed_from(std::string former) { return former_name = std::move(former), *this; }
  /// Still does what it did, but a config that gives it gets one warning with this text: "use edge instead".
  ParamSpec& deprecated(std::string instead) { return use_instead = std::move(instead), *this; }
  /// Choice: the value `auto` becomes `value` where the processor has `feature` ("avx512bf16"), else the
  /// first choice, when the config is read: what is stored and what enters the fingerprint is what was
  /// chosen.
  ParamSpec& auto_by_processor(std::string feature, std::string value) {
    return auto_feature = std::move(feature), auto_choice = std::move(value), *this;
  }
  ParamSpec& or_scalar() { return scalar_ok = true, *this; }
  /// File: a value with neither '/' nor '.' is one of these names; its text enters the fingerprint. Integer:
  /// these words may stand in place of a number.
  ParamSpec& or_name(std::vector<std::string> names) { return choices = std::move(names), *this; }
  /// File: a folder is a value, too. Of its files those count whose names match one of these patterns of
  /// the shell (`*.safetensors`): their names and contents enter the fingerprint, in the order of the names.
  ParamSpec& or_folder(std::vector<std::string> files) { return folder_files = std::move(files), *this; }
  /// Where this parameter has a value, the defaults of the named ones do not apply: those that were left out
  /// are missing from the resolved values (Params::find), and the stage takes them from this parameter.
  ParamSpec& stands_for(std::vector<std::string> params) { return replaced = std::move(params), *this; }
  /// Left out, with all of `unless_given` left out, too: the value that the stages downstream have, for the
  /// first of `params` that is not null there; all that have one must agree. Stages that give what they take
  /// are looked through, but for those that have this parameter themselves. For parameters of a stage, not of
  /// an object.
  ParamSpec& default_from_downstream(std::vector<std::string> params, std::vector<std::string> unless_given) {
    return followed = std::move(params), unless = std::move(unless_given), *this;
  }
  ParamSpec& default_list(Value::List values) { return default_value = Value(std::move(values)), *this; }

  /// "integer", "one of a, b", "list of number", ...: the words used in messages and docs.
  std::string type_name() const;
  /// Whether that is its name or its former one.
  bool is_called(std::string_view word) const;
  /// Names of the members or alternatives.
  std::vector<std::string> names() const;
  /// File: whether a file in the folder that is its value counts, by its name; see or_folder().
  bool counts_in_folder(std::string_view name) const;
  /// File, Folder: whether `value` is a path, and not a name that or_name() allows.
  bool is_path(std::string_view value) const;
};

GRAFT_API ParamSpec flag(std::string name, bool default_value);
GRAFT_API ParamSpec integer(std::string name, std::optional<std::int64_t> default_value = {});
GRAFT_API ParamSpec number(std::string name, std::optional<double> default_value = {});
GRAFT_API ParamSpec text(std::string name, std::optional<std::string> default_value = {});
GRAFT_API ParamSpec choice(std::string name, std::vector<std::string> allowed,
                           std::optional<std::string> default_value = {});
/// One of the installed plugins of kind service that are named `name` and a value: "engine", "fused" is the
/// plugin engine_fused. Its version and libraries enter the fingerprint. The stage gets it from
/// StageContext::service.
GRAFT_API ParamSpec service(std::string name, std::string default_value);
/// An input file or folder: must exist when the config is checked. Relative paths start at the config file.
/// A file's content, not its path, enters the fingerprint; a folder's does not (its entries carry theirs).
GRAFT_API ParamSpec file(std::string name);
GRAFT_API ParamSpec folder(std::string name);
GRAFT_API ParamSpec list(std::string name, ParamSpec element);
/// Any keys, values of one type.
GRAFT_API ParamSpec map(std::string name, ParamSpec element);
/// Fixed keys. Left out: an object of the members' defaults.
GRAFT_API ParamSpec object(std::string name, std::vector<ParamSpec> members);
/// One of several objects, chosen by its name: `blur: {sigma: 2}`, or just `blur` for its defaults.
GRAFT_API ParamSpec one_of(std::string name, std::vector<ParamSpec> alternatives);

/// An error in a parameter value. `path` leads to it from the map that was checked: keys, and list positions
/// as decimal text. `at_key` points at the key itself (an unknown name) instead of at its value.
struct ParamFault {
  std::vector<std::string> path;
  bool at_key = false;
  std::string text;
};

/// Checks a map of given values against declarations. Returns the map with defaults filled in and numbers
/// converted; adds every error found to `faults` (the result is then not to be used). `warnings`: what is
/// given and deprecated.
GRAFT_API Value resolve(const std::vector<ParamSpec>& specs, const Value& given,
                        std::vector<ParamFault>& faults, std::vector<ParamFault>* warnings = nullptr);

/// The nearest of `names` by edit distance, when it is near enough to be a typing error.
GRAFT_API std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& names);

/// Resolved parameters of a stage. Reading an undeclared name is a programming error and throws Error.
class GRAFT_API Params {
 public:
  Params() : value_(Value::map()) {}
  explicit Params(Value resolved) : value_(std::move(resolved)) {}

  /// T: bool, an integer, a floating type, std::string, or std::vector of one of them.
  template <typename T>
  T get(std::string_view name) const {
    return convert<T>(raw(name));
  }
  /// Given or defaulted to something other than null.
  bool has(std::string_view name) const { return !raw(name).is_null(); }
  /// Null pointer: left out, and another parameter stands for it (ParamSpec::stands_for).
  const Value* find(std::string_view name) const { return value_.find(name); }
  Params object(std::string_view name) const { return Params(raw(name)); }
  /// A list of one_of: the name of each and its parameters, in order.
  std::vector<std::pair<std::string, Params>> alternatives(std::string_view name) const;
  const Value& raw(std::string_view name) const;
  const Value& value() const { return value_; }

 private:
  template <typename T>
  struct is_vector : std::false_type {};
  template <typename T>
  struct is_vector<std::vector<T>> : std::true_type {};

  template <typename T>
  static T convert(const Value& v) {
    if constexpr (std::is_same_v<T, bool>) {
      return v.as_bool();
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(v.as_int());
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(v.as_double());
    } else if constexpr (is_vector<T>::value) {
      T out;
      for (const Value& e : v.as_list()) out.push_back(convert<typename T::value_type>(e));
      return out;
    } else {
      return T(v.as_string());
    }
  }

  Value value_;
};

}  // namespace graft
