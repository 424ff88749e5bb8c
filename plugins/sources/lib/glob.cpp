#include <source/glob.h>

#include <graft/error.h>

namespace graft::source {
namespace {

std::size_t byte(char c) {
  return static_cast<unsigned char>(c);
}

}  // namespace

Glob::Glob(const std::string& pattern, Case letters)
    : pattern_(pattern), letters_(letters), whole_path_(pattern.find('/') != std::string::npos) {
  if (pattern.empty()) throw Error("expected a pattern such as '*.jpg', got an empty text");
  using Repeat = Token::Repeat;
  for (std::size_t i = pattern.starts_with('/') ? 1 : 0; i < pattern.size(); ++i) {
    Token token;
    if (pattern.compare(i, 2, "**") == 0) {
      const bool segment = i == 0 || pattern[i - 1] == '/';
      i += 1;
      token.bytes.set();
      token.repeat = Repeat::Any;
      if (segment && i + 1 < pattern.size() && pattern[i + 1] == '/') {
        i += 1;
        token.repeat = Repeat::Folders;
      }
    } else if (pattern[i] == '*') {
      token = {Repeat::Any, all_but_slash()};
    } else if (pattern[i] == '?') {
      token.bytes = all_but_slash();
    } else if (pattern[i] == '{' && pattern.find('}', i) != std::string::npos &&
               pattern.substr(i, pattern.find('}', i) - i).find(',') != std::string::npos) {
      throw Error("'" + pattern +
                  "' has alternatives in braces; write a pattern for each: [\"*.jpg\", \"*.png\"]");
    } else if (pattern[i] == '[') {
      token.bytes = parse_set(i);
    } else {
      if (pattern[i] == '\\' && ++i == pattern.size())
        throw Error("'" + pattern + "' ends in a backslash; write two for the character itself");
      token.bytes.set(byte(pattern[i]));
      add_other_case(token.bytes);
    }
    tokens_.push_back(token);
  }
}

std::bitset<256> Glob::all_but_slash() {
  return std::bitset<256>().set().reset(byte('/'));
}

void Glob::add_other_case(std::bitset<256>& bytes) const {
  if (letters_ == Case::AsWritten) return;
  for (std::size_t small = 'a'; small <= 'z'; ++small) {
    const std::size_t large = small - 'a' + 'A';
    if (bytes[small] || bytes[large]) bytes.set(small).set(large);
  }
}

// From the '[' at `at` to its ']', where `at` is left.
std::bitset<256> Glob::parse_set(std::size_t& at) const {
  std::bitset<256> set;
  std::size_t i = at + 1;
  const bool negated = i < pattern_.size() && (pattern_[i] == '!' || pattern_[i] == '^');
  if (negated) ++i;
  const auto one = [&] {
    if (i < pattern_.size() && pattern_[i] == '\\') ++i;
    if (i >= pattern_.size())
      throw Error("'" + pattern_ + "' has a '[' without its ']'; write '\\[' for the character itself");
    return byte(pattern_[i++]);
  };
  // A ']' in the first place stands for itself.
  for (const std::size_t first = i; i == first || i >= pattern_.size() || pattern_[i] != ']';) {
    const std::size_t low = one();
    std::size_t high = low;
    if (i + 1 < pattern_.size() && pattern_[i] == '-' && pattern_[i + 1] != ']') {
      ++i;
      high = one();
      if (high < low)
        throw Error("'" + pattern_ + "' has a range that runs backwards; write the lower character first");
    }
    for (std::size_t b = low; b <= high; ++b) set.set(b);
  }
  add_other_case(set);  // before the set is negated
  at = i;
  return (negated ? ~set : set).reset(byte('/'));
}

void Glob::skip_ahead(std::vector<char>& active, bool segment) const {
  for (std::size_t t = 0; t < tokens_.size(); ++t) {
    const Token::Repeat repeat = tokens_[t].repeat;
    if (active[t] && (repeat == Token::Repeat::Any || (repeat == Token::Repeat::Folders && segment)))
      active[t + 1] = 1;
  }
}

// The set of tokens that may come next, carried along the path byte by byte.
bool Glob::matches(std::string_view path) const {
  if (!whole_path_) path = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  std::vector<char> active(tokens_.size() + 1), next(tokens_.size() + 1);
  active[0] = 1;
  skip_ahead(active, true);
  for (const char c : path) {
    next.assign(next.size(), 0);
    for (std::size_t t = 0; t < tokens_.size(); ++t)
      if (active[t] && tokens_[t].bytes[byte(c)])
        next[tokens_[t].repeat == Token::Repeat::Once ? t + 1 : t] = 1;
    skip_ahead(next, c == '/');
    active.swap(next);
  }
  return active.back() != 0;
}

std::vector<ParamSpec> PathFilter::parameters() {
  return {list("include", text(""))
              .or_scalar()
              .items(1, 1000)
              .default_list({"*"})
              .doc("Patterns of the files to take: * and ? stop at a slash, ** does not, [a-z] is a set; one "
                   "without a slash is for the name, one with a slash for the path below the root; in either "
                   "case."),
          list("exclude", text(""))
              .or_scalar()
              .default_list({})
              .doc("Patterns of the files to leave out, stronger than include.")};
}

PathFilter::PathFilter(const Params& params) {
  read(params, "include", include_);
  read(params, "exclude", exclude_);
}

PathFilter::PathFilter(const Params& params, const std::string& name) : include_name_(name) {
  read(params, name, include_);
}

void PathFilter::read(const Params& params, const std::string& name, std::vector<Pattern>& patterns) {
  for (const std::string& pattern : params.get<std::vector<std::string>>(name)) try {
      patterns.push_back({name, Glob(pattern, Glob::Case::Either)});
    } catch (const Error& e) {
      throw Error(name + ": " + e.what());
    }
}

// Every pattern is tried, so that each can be told whether it was of use.
bool PathFilter::any(std::vector<Pattern>& patterns, std::string_view path) {
  bool found = false;
  for (Pattern& pattern : patterns)
    if (pattern.glob.matches(path)) found = pattern.used = true;
  return found;
}

PathFilter::Verdict PathFilter::judge(std::string_view path) {
  const bool included = any(include_, path), excluded = any(exclude_, path);
  if (included && !excluded) return Verdict::Taken;
  ++left_out_;
  return excluded ? Verdict::Excluded : Verdict::Unmatched;
}

bool PathFilter::takes(const std::string& path, const std::string& root, const OnSkip& skip) {
  const Verdict verdict = judge(path);
  if (verdict == Verdict::Excluded)
    skip("excluded file", root + "/" + path, "a pattern of exclude matches");
  else if (verdict == Verdict::Unmatched)
    skip("unmatched file", root + "/" + path, "no pattern of " + include_name_ + " matches");
  return verdict == Verdict::Taken;
}

std::vector<std::string> PathFilter::unused() const {
  std::vector<std::string> out;
  for (const auto* patterns : {&include_, &exclude_})
    for (const Pattern& p : *patterns)
      if (!p.used) out.push_back(p.parameter + " '" + p.glob.pattern() + "'");
  return out;
}

}  // namespace graft::source
