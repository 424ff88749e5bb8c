#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include <graft/payload.h>

/// Collects small pictures of some items, before and after, for a contact sheet: a row per item with its key
/// below, first the input, then its views. The items are those whose keys have the smallest hashes, so that
/// the sheet is the same for any number of threads.
class Preview {
 public:
  /// Any thread.
  void add(const std::string& key, std::uint32_t view, const graft::Image& input, const graft::Image& output);

  /// False when nothing was added. Not while add may run.
  bool empty() const { return rows_.empty(); }
  /// Writes the sheet as PNG: under a temporary name, then renamed. Throws graft::Error.
  void write(const std::string& path) const;

 private:
  struct Row {
    graft::Image input;
    std::map<std::uint32_t, graft::Image> views;
  };
  using Rank = std::pair<std::uint64_t, std::string>;  // hash of the key, key

  std::mutex mutex_;
  std::map<Rank, Row> rows_;
};
