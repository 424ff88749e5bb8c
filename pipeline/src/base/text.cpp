#include <graft/text.h>

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <graft/printable.h>

namespace graft {
namespace {

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string joined(const std::vector<std::string>& words, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < words.size() && i < most; ++i)
    out += (i == 0 ? "" : ", ") + shortened(words[i]);
  if (words.size() > most) out += fmt::format(" and {} more", words.size() - most);
  return out;
}

std::string shortened(const std::string& name) {
  constexpr std::size_t kLongest = 100;
  if (name.size() <= kLongest) return name;
  std::size_t end = kLongest;
  while (end > kLongest - 4 && (static_cast<unsigned char>(name[end]) & 0xc0) == 0x80) --end;
  return name.substr(0, end) + "...";
}

std::string plural(std::size_t n, const std::string& noun) {
  std::size_t end = noun.size();
  for (const char* preposition : {" with ", " without ", " beside "})
    end = std::min(end, noun.find(preposition));
  return fmt::format("{} {}{}{}", n, noun.substr(0, end), n == 1 ? "" : "s", noun.substr(end));
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::string zero_padded(std::size_t n, std::size_t digits) {
  return fmt::format("{:0{}}", n, digits);
}

namespace {

using TableCells = std::vector<std::vector<std::string>>;

/// The first column of the table and those from `begin` to `end`.
void add_table_block(const TableCells& rows, const std::vector<std::size_t>& width, std::size_t begin,
                     std::size_t end, const std::vector<Align>& each, std::size_t indent, std::string& out) {
  for (const auto& row : rows) {
    std::string line(indent, ' ');
    for (std::size_t c = 0; c < std::min(end, row.size()); ++c) {
      if (c > 0 && c < begin) continue;
      const std::string pad(width[c] - characters(row[c]), ' ');
      line += c == 0 ? "" : "  ";
      const Align align = each.empty() ? Align::Left : each[std::min(c, each.size() - 1)];
      line += align == Align::Left ? row[c] + pad : pad + row[c];
    }
    out += line.erase(line.find_last_not_of(' ') + 1) + '\n';
  }
}

}  // namespace

std::string text_table(TableCells rows, Align others, std::size_t indent, std::size_t columns) {
  return text_table(std::move(rows), std::vector{Align::Left, others}, indent, columns);
}

std::string text_table(TableCells rows, const std::vector<Align>& each, std::size_t indent,
                       std::size_t columns) {
  for (auto& row : rows)
    for (std::string& cell : row) cell = printable(cell);
  std::vector<std::size_t> width;
  for (const auto& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], characters(row[c]));
  }
  std::string out;
  std::size_t begin = 1;
  do {
    std::size_t end = begin, used = indent + (width.empty() ? 0 : width[0]);
    while (end < width.size() && (columns == 0 || end == begin || used + 2 + width[end] <= columns))
      used += 2 + width[end++];
    if (begin > 1) out += '\n';
    add_table_block(rows, width, begin, end, each, indent, out);
    begin = end;
  } while (begin < width.size());
  return out;
}

}  // namespace graft
