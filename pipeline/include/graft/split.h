#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <graft/export.h>
#include <graft/item.h>
#include <graft/params.h>

namespace graft {

/// Decides the split of every entry of a source, from the parameters that all sources share:
/// `splits` maps a name given by the data (a folder, a column's value) to train, val or test; entries without a
/// given split are divided by a hash of their key. When no val split is given, a share of train becomes val.
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
