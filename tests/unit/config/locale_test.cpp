// Numbers in configs, JSON and units are the same in a locale with a decimal comma, which a library that
// graft loads may set for the whole process.

#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <locale>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/value.h>

#include "config/planner.h"
#include "config/quantity.h"
#include "config/yaml_tree.h"
#include "fake_plugins.h"

namespace graft {
namespace {

/// 1.234.567,5
struct DecimalComma final : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

class LocaleTest : public ::testing::Test {
 protected:
  /// The C library's locale has to be made first, where there is a program for that.
  static void SetUpTestSuite() {
    locales_ = new test::TempFolder;
    const std::string make =
        "localedef -i de_DE -f UTF-8 '" + (*locales_ / "de_DE.UTF-8").string() + "' >/dev/null 2>&1";
    made_ = std::system(make.c_str()) == 0;
  }
  static void TearDownTestSuite() { delete locales_; }

  LocaleTest() : before_(std::locale::global(std::locale(std::locale::classic(), new DecimalComma))) {
    ::setenv("LOCPATH", locales_->path().c_str(), 1);
    set_ = made_ && std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  }
  ~LocaleTest() override {
    std::setlocale(LC_ALL, "C");
    ::unsetenv("LOCPATH");
    std::locale::global(before_);
  }

  static inline test::TempFolder* locales_ = nullptr;
  static inline bool made_ = false;
  test::TempFolder folder_;
  std::locale before_;
  bool set_ = false;
};

TEST_F(LocaleTest, NumbersOfConfigsAreRead) {
  Diagnostics diagnostics;
  const int file = diagnostics.add_file("a.yaml", "");
  const Value v = to_value(parse_yaml("[1.5, -2.25e-3, 1234567, 0.1]", file, diagnostics));
  EXPECT_EQ(v, Value(Value::List{1.5, -2.25e-3, std::int64_t{1234567}, 0.1}));
  EXPECT_EQ(parse_bytes("1.5GiB"), 3ULL << 29);
  EXPECT_EQ(parse_seconds("1.5 h"), 5400);
}

TEST_F(LocaleTest, JsonIsWrittenAndReadBack) {
  const Value v = Value::List{1.5, 1e-7, std::int64_t{1234567}, 0.1};
  EXPECT_EQ(v.to_json(), "[1.5,1e-07,1234567,0.1]");
  EXPECT_EQ(Value::from_json(v.to_json()), v);
  EXPECT_EQ(Value::from_json("[1.5, 1e-7, 1234567, 0.1]"), v);
}

TEST_F(LocaleTest, TheResolvedConfigIsTheSameAgain) {
  test::FakePlugins plugins{test::FakePlugins::usual()};
  folder_.write("model.pt", "weights");
  std::filesystem::create_directories(folder_ / "data");
  const auto path = folder_.write("a.yaml", R"(name: a
seed: 1234567
run: {threads: 2, memory: 1.5GiB, max_rejects: 2.5%, stall_seconds: 1.5}
stages:
  images: {plugin: files, with: {root: data}}
  pixels: {plugin: decode, from: images, with: {crop: 32}}
  net: {plugin: net, from: pixels, with: {model: model.pt, normalize: {mean: 0.1}}}
  table: {plugin: table, from: net}
  learn: {plugin: learn, from: table}
  judge: {plugin: judge, from: learn}
)");
  const auto text_of = [&](const std::filesystem::path& config) {
    Diagnostics diagnostics;
    const ConfigFile file(config, {}, diagnostics);
    std::string text = to_yaml(make_plan(file, plugins.registry(), diagnostics));
    EXPECT_EQ(diagnostics.render(), "");
    return text;
  };
  const std::string text = text_of(path);
  EXPECT_THAT(text, ::testing::HasSubstr("seed: 1234567\n"));
  EXPECT_THAT(text,
              ::testing::HasSubstr("{threads: 2, memory: 1610612736B, on_error: reject, max_rejects: 2.5%, "
                                   "stall_seconds: 1.5, stall_limit: 3}"));
  EXPECT_EQ(text_of(folder_.write("b.yaml", text)), text);
}

TEST_F(LocaleTest, TheLocaleOfTheTestHasADecimalComma) {
  EXPECT_EQ(std::use_facet<std::numpunct<char>>(std::locale()).decimal_point(), ',');
  if (!set_) GTEST_SKIP() << "no program localedef, or no definition of de_DE: iostreams alone had a comma";
  EXPECT_STREQ(std::localeconv()->decimal_point, ",");
}

}  // namespace
}  // namespace graft
