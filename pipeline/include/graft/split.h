#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/params.h>

namespace graft {

/// Decides the split of every entry of a source, by the parameters that all sources share. What the data say
/// of the split (a folder, a column's value) holds; entries of which they say nothing are divided by a hash
/// of their key. When they name no val split, a share of train becomes val.
class GRAFT_API SplitRule {
 public:
  /// `val_fraction`, `test_fraction`: append to a source's parameters.
  static std::vector<ParamSpec> parameters();

  /// `given`: the splits that the data themselves name; empty when they name none.
  SplitRule(const Params& params, const std::vector<Split>& given);

  /// Split of an entry for which the data give none: stable when other entries come or go.
  Split hashed(std::string_view key) const;
  /// Split of an entry for which the data give one: the same, unless val is carved out of train.
  Split given(std::string_view key, Split split) const;

 private:
  double val_fraction_;
  double test_fraction_;
  bool carve_val_;
};

}  // namespace graft
