#include <source/glob.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include <graft/error.h>

namespace graft::source {
namespace {

using ::testing::ElementsAre;

bool matches(const std::string& pattern, const std::string& path) {
  return Glob(pattern).matches(path);
}

std::string fault(const std::string& pattern) {
  try {
    Glob glob(pattern);
    return "ok";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Glob, WithoutASlashItIsForTheName) {
  EXPECT_TRUE(matches("*.jpg", "a.jpg"));
  EXPECT_TRUE(matches("*.jpg", "deep/er/a.jpg"));
  EXPECT_FALSE(matches("*.jpg", "a.JPG"));
  EXPECT_FALSE(matches("*.jpg", "a.jpg/b.png"));
  EXPECT_TRUE(matches("a?c", "x/abc"));
  EXPECT_FALSE(matches("a?c", "a/c"));
  EXPECT_TRUE(matches("*", "x/\xff\n"));
}

TEST(Glob, WithASlashItIsForTheWholePath) {
  EXPECT_TRUE(matches("/a.jpg", "a.jpg"));
  EXPECT_FALSE(matches("/a.jpg", "x/a.jpg"));
  EXPECT_TRUE(matches("cats/*.jpg", "cats/a.jpg"));
  EXPECT_FALSE(matches("cats/*.jpg", "cats/deep/a.jpg"));
  EXPECT_FALSE(matches("cats/*.jpg", "x/cats/a.jpg"));
}

TEST(Glob, TwoStarsCrossSlashes) {
  EXPECT_TRUE(matches("cats/**", "cats/deep/er/a.jpg"));
  EXPECT_TRUE(matches("**/a.jpg", "a.jpg"));
  EXPECT_TRUE(matches("**/a.jpg", "x/y/a.jpg"));
  EXPECT_FALSE(matches("**/a.jpg", "x/ya.jpg"));
  EXPECT_TRUE(matches("x/**/a.jpg", "x/a.jpg"));
  EXPECT_TRUE(matches("x/**/a.jpg", "x/y/z/a.jpg"));
  EXPECT_FALSE(matches("x/**/a.jpg", "xa.jpg"));
  EXPECT_TRUE(matches("x/b**.jpg", "x/b/c.jpg"));
}

TEST(Glob, Sets) {
  EXPECT_TRUE(matches("[a-c]1", "b1"));
  EXPECT_FALSE(matches("[a-c]1", "d1"));
  EXPECT_TRUE(matches("[!a-c]1", "d1"));
  EXPECT_TRUE(matches("[^a-c]1", "d1"));
  EXPECT_TRUE(matches("[]x]1", "]1"));
  EXPECT_TRUE(matches("[a-]1", "-1"));
  EXPECT_TRUE(matches("[\\]]1", "]1"));
  EXPECT_FALSE(matches("x[!a]y/z", "x/y/z"));
  EXPECT_FALSE(matches("x[+-9]y/z", "x/y/z"));
  EXPECT_TRUE(matches("\\*[[]", "*["));
}

TEST(Glob, SaysWhatIsWrong) {
  EXPECT_EQ(fault("[abc"), "'[abc' has a '[' without its ']'; write '\\[' for the character itself");
  EXPECT_EQ(fault("[]"), "'[]' has a '[' without its ']'; write '\\[' for the character itself");
  EXPECT_EQ(fault("*.{jpg,png}"),
            "'*.{jpg,png}' has alternatives in braces; write a pattern for each: [\"*.jpg\", \"*.png\"]");
  EXPECT_TRUE(matches("{a}*", "{a}b"));
  EXPECT_EQ(fault("[z-a]"), "'[z-a]' has a range that runs backwards; write the lower character first");
  EXPECT_EQ(fault("a\\"), "'a\\' ends in a backslash; write two for the character itself");
  EXPECT_EQ(fault(""), "expected a pattern such as '*.jpg', got an empty text");
}

// The definition, read aloud: exponential, and short enough to be seen to be right.
bool slowly(std::string_view pattern, std::string_view path, bool segment = true) {
  if (pattern.empty()) return path.empty();
  const auto rest = [&](std::size_t n) { return pattern.substr(n); };
  const auto after = [&](std::size_t n) { return path.substr(n); };
  if (pattern.starts_with("**/") && segment) {
    if (slowly(rest(3), path, true)) return true;
    for (std::size_t i = 0; i < path.size(); ++i)
      if (path[i] == '/' && slowly(rest(3), after(i + 1), true)) return true;
    return false;
  }
  if (pattern.starts_with("**")) {
    for (std::size_t i = 0; i <= path.size(); ++i)
      if (slowly(rest(2), after(i), false)) return true;
    return false;
  }
  if (pattern.starts_with('*')) {
    for (std::size_t i = 0; i <= path.size(); ++i) {
      if (slowly(rest(1), after(i), false)) return true;
      if (i < path.size() && path[i] == '/') break;
    }
    return false;
  }
  if (path.empty()) return false;
  const bool one = pattern[0] == '?' ? path[0] != '/' : pattern[0] == path[0];
  return one && slowly(rest(1), after(1), pattern[0] == '/');
}

TEST(Glob, AgreesWithTheDefinition) {
  std::mt19937 random(7);
  const auto draw = [&](const char* letters, std::size_t n, std::size_t longest) {
    std::string out;
    for (std::size_t i = random() % longest + 1; i > 0; --i) out += letters[random() % n];
    return out;
  };
  int found = 0, tried = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string pattern = "/" + draw("ab/*?*/*", 8, 9);
    for (int k = 0; k < 10; ++k) {
      const std::string path = draw("ab/", 3, 8);
      const bool expected = slowly(std::string_view(pattern).substr(1), path);
      ASSERT_EQ(matches(pattern, path), expected) << pattern << " against " << path;
      ++tried;
      found += expected;
    }
  }
  EXPECT_GT(found, tried / 100);
}

TEST(Glob, LongPatternsTakeNoLonger) {
  std::string pattern, path(2000, 'a');
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(matches(pattern + "b", path));
  EXPECT_TRUE(matches(pattern, path));
}

TEST(PathFilter, ExcludeIsStrongerAndUnusedPatternsAreKnown) {
  Value v = Value::map();
  v["include"] = Value(Value::List{"*.jpg", "*.png"});
  v["exclude"] = Value(Value::List{"raw/**", "*.tmp"});
  PathFilter filter{Params(v)};
  EXPECT_TRUE(filter.judge("a/b.jpg") == PathFilter::Verdict::Taken);
  EXPECT_FALSE(filter.judge("raw/b.jpg") == PathFilter::Verdict::Taken);
  EXPECT_FALSE(filter.judge("notes.txt") == PathFilter::Verdict::Taken);
  EXPECT_TRUE(filter.judge("a/B.JPG") == PathFilter::Verdict::Taken);
  EXPECT_EQ(filter.left_out(), 2u);
  EXPECT_THAT(filter.unused(), ElementsAre("include '*.png'", "exclude '*.tmp'"));
}

}  // namespace
}  // namespace graft::source
