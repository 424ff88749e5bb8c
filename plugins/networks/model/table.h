#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <graft/payload.h>

namespace graft::model {

/// Columns of text under titles, two spaces apart; numbers to the right.
class Table {
 public:
  struct Column {
    std::string title;
    bool right = false;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

std::string grouped(std::int64_t n);           // "25,557,032"
std::string with_unit(std::int64_t n);         // "4.09 G", "118 M", "980"; empty for 0
std::string bytes_text(std::int64_t n);        // "97.5 MiB", "40 B"; empty for 0
std::string extents_text(const Shape& shape);  // "64 x 112 x 112", "scalar"

}  // namespace graft::model
