#pragma once

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include <graft/params.h>
#include <source/walk.h>

namespace graft::source {

/// A pattern for paths, in the manner of .gitignore:
///
///     *        any bytes but '/'
///     ?        one byte but '/'
///     [a-z_]   one of a set of bytes, [!a-z] one byte but those and '/'
///     **/      any number of folders, also none
///     **       any bytes
///     \        takes the special meaning from the next character
///
/// A pattern without a slash is matched against the last part of the path, one with a slash against the whole
/// path; a slash at its beginning only says so. Bytes are compared as they are, unless letters match in
/// either case: ASCII letters alone, also in sets. Time is
/// proportional to the length of the path times that of the pattern, whatever they are. Immutable.
class Glob {
 public:
  /// Throws Error for a set without an end, a range that runs backwards, a backslash at the end, and
  /// alternatives in braces, which do not exist here.
  enum class Case { AsWritten, Either };
  explicit Glob(const std::string& pattern, Case letters = Case::AsWritten);

  bool matches(std::string_view path) const;
  const std::string& pattern() const { return pattern_; }

 private:
  /// One of these bytes, or any number of them. `Folders` is any number of whole folder names with their '/'.
  struct Token {
    enum class Repeat { Once, Any, Folders } repeat = Repeat::Once;
    std::bitset<256> bytes;
  };

  static std::bitset<256> all_but_slash();
  void add_other_case(std::bitset<256>& bytes) const;
  std::bitset<256> parse_set(std::size_t& at) const;
  /// Activates what can be reached from the active tokens without a byte. `segment`: a folder's name begins.
  void skip_ahead(std::vector<char>& active, bool segment) const;

  std::string pattern_;
  Case letters_;
  bool whole_path_;
  std::vector<Token> tokens_;
};

/// Which files to take: those that one of the `include` patterns matches and none of the `exclude` ones, in
/// either case: cameras write IMG_0001.JPG.
class PathFilter {
 public:
  /// `include` and `exclude`: append to a source's parameters.
  static std::vector<ParamSpec> parameters();

  /// Throws Error naming the parameter for a pattern that is none.
  explicit PathFilter(const Params& params);
  /// A filter by `include` patterns alone, which the parameter `name` holds.
  PathFilter(const Params& params, const std::string& name);

  enum class Verdict { Taken, Unmatched, Excluded };
  /// Also notes which patterns are of use: one thread.
  Verdict judge(std::string_view path);
  /// judge, and `skip` is told of a file below `root` that is not taken, as Catalog::skipped.
  bool takes(const std::string& path, const std::string& root, const OnSkip& skip);

  std::size_t left_out() const { return left_out_; }
  /// "include '*.jpg'" and so on: the patterns that have matched nothing, each likely a typing error.
  std::vector<std::string> unused() const;

 private:
  struct Pattern {
    std::string parameter;
    Glob glob;
    bool used = false;
  };

  void read(const Params& params, const std::string& name, std::vector<Pattern>& patterns);
  static bool any(std::vector<Pattern>& patterns, std::string_view path);

  std::vector<Pattern> include_, exclude_;
  std::size_t left_out_ = 0;
  std::string include_name_ = "include";
};

}  // namespace graft::source
