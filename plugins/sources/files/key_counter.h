#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <graft/hash.h>

/// Gives inputs their names: a path that occurs again is PATH#2, PATH#3, ... Of every path it keeps a hash of
/// 64 bits alone, 11 to 22 bytes with what a table of them leaves empty: lists have millions of paths. Two
/// paths of one hash, once in a hundred thousand lists of ten million, only give the second a number.
class KeyCounter {
 public:
  std::string name(const std::string& path) {
    if (insert(hash_of(path))) return path;
    std::size_t& n = copies_.try_emplace(path, 1).first->second;
    for (;;) {
      std::string name = path + "#" + std::to_string(++n);
      if (insert(hash_of(name))) return name;
    }
  }

 private:
  /// 0 stands for an empty place.
  static std::uint64_t hash_of(const std::string& text) {
    const std::uint64_t hash = graft::hash64(text);
    return hash == 0 ? 1 : hash;
  }

  /// False: it is there already.
  bool insert(std::uint64_t hash) {
    if (4 * (size_ + 1) > 3 * places_.size()) grow();
    std::size_t at = hash & (places_.size() - 1);
    for (; places_[at] != 0; at = (at + 1) & (places_.size() - 1))
      if (places_[at] == hash) return false;
    places_[at] = hash;
    ++size_;
    return true;
  }

  void grow() {
    const std::vector<std::uint64_t> before = std::move(places_);
    places_.assign(before.empty() ? 64 : 2 * before.size(), 0);
    size_ = 0;
    for (const std::uint64_t hash : before)
      if (hash != 0) insert(hash);
  }

  std::vector<std::uint64_t> places_;
  std::size_t size_ = 0;
  std::unordered_map<std::string, std::size_t> copies_;  ///< Of paths that occur again.
};
