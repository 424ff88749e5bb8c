// Every pair cases/<name>.yaml and cases/<name>.expected: `graft check` of the config must print exactly that
// and exit with 2. The list of allowed plugins depends on the build and is shortened before comparing.

#include <algorithm>
#include <regex>

#include <gtest/gtest.h>

#include "program.h"

namespace graft::test {
namespace {

const std::filesystem::path kCases = std::filesystem::path(GRAFT_SOURCE_DIR) / "tests/errors/cases";

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& e : std::filesystem::directory_iterator(kCases))
    if (e.path().extension() == ".yaml" &&
        std::filesystem::exists(std::filesystem::path(e.path()).replace_extension(".expected")))
      names.push_back(e.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

std::string normalised(std::string text) {
  text = std::regex_replace(text, std::regex(R"(\(allowed: [a-z_]+, [a-z_, ]*image_folder[a-z_, ]*\))"),
                            "(allowed: <plugins>)");
  const std::string here = kCases.string() + "/";
  for (std::size_t at; (at = text.find(here)) != std::string::npos;) text.erase(at, here.size());
  return text;
}

class ErrorsTest : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Cases, ErrorsTest, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param; });

TEST_P(ErrorsTest, PrintsExactlyThis) {
  const ProgramResult r = run_program({"check", GetParam() + ".yaml"}, kCases, {"GRAFT_DATA="});
  EXPECT_EQ(normalised(r.err), slurp(kCases / (GetParam() + ".expected")));
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_EQ(r.out, "");
}

TEST(Errors, SixFaultsInUnderAFifthOfASecondWithoutLibTorch) {
  // LD_DEBUG=files lists every library that is opened.
  const ProgramResult r = run_program({"check", "six_faults.yaml"}, kCases, {"LD_DEBUG=files"});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_NE(r.err.find("libgraft.so"), std::string::npos);
  EXPECT_EQ(r.err.find("libtorch"), std::string::npos);
  EXPECT_EQ(r.err.find("libopencv"), std::string::npos);
}

}  // namespace
}  // namespace graft::test
