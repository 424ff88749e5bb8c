#include <remote/url_pattern.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include <remote/transfer.h>

namespace graft::remote {
namespace {

constexpr std::uint64_t kMostUrls = 1'000'000;
constexpr const char* kRange = "expected one range of whole numbers, such as {000000..000099}, ";

struct UrlPattern {
  std::string_view before, after;
  std::uint64_t first = 0, last = 0;
  std::size_t digits = 0;
};

std::optional<std::uint64_t> number_from(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return out;
}

/// Nothing where there is no range; `fault` says whether there should be.
std::optional<UrlPattern> parsed(std::string_view text, std::string& fault) {
  const std::size_t open = text.find('{'), close = text.find('}');
  if (open == std::string_view::npos && close == std::string_view::npos) return {};
  UrlPattern out;
  if (open == std::string_view::npos || close == std::string_view::npos || close < open ||
      text.find_first_of("{}", close + 1) != std::string_view::npos ||
      text.find('{', open + 1) != std::string_view::npos) {
    fault = std::string(kRange) + "in braces that are open and closed once";
    return {};
  }
  const std::string_view range = text.substr(open + 1, close - open - 1);
  const std::size_t dots = std::min(range.find(".."), range.size());
  const std::string_view first = range.substr(0, dots), last = range.substr(std::min(dots + 2, range.size()));
  const auto from = number_from(first), to = number_from(last);
  if (!from || !to)
    fault = kRange + ("got {" + std::string(range) + "}");
  else if (first.size() != last.size() && (first.starts_with('0') || last.starts_with('0')) && first != "0")
    fault = kRange + ("with as many digits at both ends, got {" + std::string(range) + "}");
  else if (*from > *to)
    fault = kRange + ("the smaller one first, got {" + std::string(range) + "}");
  else if (*to - *from >= kMostUrls)
    fault = "expected at most " + std::to_string(kMostUrls) + " URLs, got {" + std::string(range) + "}";
  if (!fault.empty()) return {};
  return UrlPattern{text.substr(0, open), text.substr(close + 1), *from, *to, first.size()};
}

std::string url_of(const UrlPattern& pattern, std::uint64_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < pattern.digits) digits.insert(0, pattern.digits - digits.size(), '0');
  return std::string(pattern.before) + digits + std::string(pattern.after);
}

}  // namespace

std::string fault_of_url_pattern(const std::string& pattern) {
  std::string fault;
  const auto range = parsed(pattern, fault);
  return fault.empty() ? fault_of_url(range ? url_of(*range, range->first) : pattern) : fault;
}

std::vector<std::string> urls_of(const std::string& pattern) {
  std::string fault;
  const auto range = parsed(pattern, fault);
  if (!range) return {pattern};
  std::vector<std::string> out;
  for (std::uint64_t n = range->first; n <= range->last; ++n) out.push_back(url_of(*range, n));
  return out;
}

}  // namespace graft::remote
