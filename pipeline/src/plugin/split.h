#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/params.h>
#include <graft/value.h>

namespace graft {

/// Decides the split of every entry of a source, by the parameters that all sources share. What the data say
/// of the split (a folder, a column's value) holds; entries of which they say nothing are divided by a hash
/// of their key. When they name no val split, a fraction of train becomes val. A group pattern keeps entries
/// together that belong together: frames of one scene, photographs of one patient. It is matched in time and
/// stack that are linear in the key (RE2), whatever key and pattern are.
class GRAFT_API SplitRule {
 public:
  /// `val_fraction`, `test_fraction`, `group`: append to a source's parameters.
  static std::vector<ParamSpec> parameters();

  /// What is wrong with the `group` of a source that has the parameters above; nothing for other plugins, and
  /// when nothing is. The text begins after the name of the parameter.
  static std::optional<std::string> fault_of_group(const std::vector<ParamSpec>& declared,
                                                   const Value& given);

  /// `given`: the splits that the data themselves name; empty when they name none. Throws Error for a `group`
  /// that is not a regular expression.
  SplitRule(const Params& params, const std::vector<Split>& given);

  /// Split of an entry for which the data give none: stable when other entries come or go.
  Split hashed(std::string_view key) const;
  /// Split of an entry for which the data give one: the same, unless val is carved out of train.
  Split given(std::string_view key, Split split) const;

  /// What is hashed in place of the key: the text that `group` finds in it (its first parenthesis, or all
  /// that it matches); the key itself when there is no pattern or it finds nothing.
  std::string group_of(std::string_view key) const;

 private:
  double val_fraction_;
  double test_fraction_;
  bool carve_val_;
  struct Group;
  std::shared_ptr<const Group> group_;
};

}  // namespace graft
