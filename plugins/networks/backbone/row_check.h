#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <graft/item.h>
#include <graft/value.h>

/// Chooses the rows of a run that are computed a second time, by the engine's plain path, and compares the
/// results. An engine that is wrong for a network, an image or a position in a batch must not fill a table
/// without an error. Any number of threads.
///
/// It chooses eight rows of the first batches, one row of the first batch of each further image size, and one
/// row in a thousand by a hash of seed, key and view. Only the last are the same in every run: which batch is
/// the first depends on the threads.
class RowCheck {
 public:
  /// `allowed`: difference, as a fraction of the largest value, beyond which a row is wrong. `cure`: the fix
  /// in the message.
  RowCheck(std::uint64_t seed, double allowed, std::string cure);

  /// Of the items of a batch that have one image size, positions in `members`.
  std::vector<std::size_t> choose(std::span<const graft::Item> items, const std::vector<std::size_t>& members,
                                  int height, int width);

  /// `rows`: of all members, by output. `again`: of the chosen ones. Throws FatalError that names the item.
  void compare(std::span<const graft::Item> items, const std::vector<std::size_t>& members,
               const std::vector<std::size_t>& chosen, const std::vector<std::vector<graft::Tensor>>& rows,
               const std::vector<std::vector<graft::Tensor>>& again);

  /// `rows`, `largest_difference`, `allowed`.
  graft::Value facts() const;

 private:
  const std::uint64_t seed_;
  const double allowed_;
  const std::string cure_;
  mutable std::mutex mutex_;
  std::size_t chosen_ = 0, compared_ = 0;
  double largest_ = 0;
  std::set<std::pair<int, int>> sizes_;
  std::vector<double> scale_;  // the largest value so far, by output
};
