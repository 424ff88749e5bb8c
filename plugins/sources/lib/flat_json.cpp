#include "source/flat_json.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

namespace graft::source {
namespace {

constexpr std::size_t kMostFields = 16, kMostDigits = 18;

/// Walks through the line; each function is false where the text is not what it takes.
class FlatReader {
 public:
  explicit FlatReader(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool takes(char c) {
    skip_blanks();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    skip_blanks();
    return at_ == end_;
  }
  bool text(std::string& out) {
    if (!takes('"')) return false;
    const char* const begin = at_;
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && *at_ >= ' ' && *at_ != '\x7f') ++at_;
    if (at_ == end_ || *at_ != '"') return false;
    out.assign(begin, at_++);
    return true;
  }
  bool value(Value& out) {
    skip_blanks();
    if (at_ == end_) return false;
    if (*at_ == '"') {
      std::string s;
      if (!text(s)) return false;
      out = Value(std::move(s));
      return true;
    }
    for (const auto& [word, value] :
         {std::pair<std::string_view, Value>{"null", {}}, {"true", Value(true)}, {"false", Value(false)}})
      if (std::string_view(at_, static_cast<std::size_t>(end_ - at_)).starts_with(word)) {
        at_ += word.size();
        out = value;
        return ends_a_value();
      }
    return number(out);
  }

 private:
  void skip_blanks() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\t')) ++at_;
  }
  bool ends_a_value() const {
    return at_ != end_ && (*at_ == ',' || *at_ == '}' || *at_ == ' ' || *at_ == '\t');
  }
  bool number(Value& out) {
    const char* const digits = at_ + (*at_ == '-' ? 1 : 0);
    std::int64_t n = 0;
    const auto [end, error] = std::from_chars(at_, end_, n);
    if (error != std::errc() || end == digits || static_cast<std::size_t>(end - digits) > kMostDigits ||
        (*digits == '0' && (end - digits > 1 || digits != at_)))
      return false;
    at_ = end;
    out = Value(n);
    return ends_a_value();
  }

  const char* at_;
  const char* const end_;
};

}  // namespace

std::optional<Value> flat_object(std::string_view line) {
  FlatReader in(line);
  if (!in.takes('{')) return {};
  Value out = Value::map();
  Value::Map& fields = out.as_map();
  do {
    auto& [name, value] = fields.emplace_back();
    if (fields.size() > kMostFields || !in.text(name) || !in.takes(':') || !in.value(value)) return {};
    for (std::size_t i = 0; i + 1 < fields.size(); ++i)
      if (fields[i].first == name) return {};
  } while (in.takes(','));
  if (!in.takes('}') || !in.at_end()) return {};
  return out;
}

}  // namespace graft::source
