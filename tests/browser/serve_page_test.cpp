// The page of graft serve in a real browser, with answers of the service that the test makes up.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "browser.h"
#include "serve_page.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;

/// The page and its script in one file, between what stands for the service and what stands for a person who
/// drops three files.
std::string page_with_answers() {
  std::string page = cli::kServePage;
  const std::string link = R"(<script src="app.js" defer></script>)";
  page.erase(page.find(link), link.size());
  return page + R"html(<script>
window.fetch = async (path, options) => {
  if (path === "healthz") return {json: async () => ({learner: "probe", classes: ["2", "10"]})};
  if (options.body.name === "large.jpg") return {json: async () => ({error: "it is too large"})};
  return {json: async () => JSON.parse('{"predictions": [{"predicted": ["10"], "scores": {"10": 0.75, "2": 0.2, "3": 0.05}}]}')};
};
</script><script>)html" +
         std::string(cli::kServeScript) + R"html(
const names = ["first.jpg", "large.jpg", "last.jpg"];
predict(names.map(name => new File(["x"], name))).then(() => {
  const rows = Array.from(results.querySelectorAll("li")).map(item =>
    Array.from(item.querySelectorAll("strong, p, td:first-child")).map(part => part.textContent).join(" "));
  document.title = "answer: " + rows.join("; ") + "; status '" + status.textContent + "'";
});
</script>)html";
}

TEST(ServePage, ListsScoresBySizeAndTheErrorOfEveryFile) {
  if (browser().empty()) GTEST_SKIP() << "no Chromium: install the package chromium, or set GRAFT_BROWSER";
  const TempFolder folder;
  const auto page = folder.write("page.html", page_with_answers());
  const ProgramResult r = browse("file://" + page.string(), {"--dump-dom", "--virtual-time-budget=5000"});
  EXPECT_THAT(r.out,
              HasSubstr("<title>answer: 10 10 2 3; large.jpg it is too large; 10 10 2 3; status ''</title>"))
      << r.err;
}

}  // namespace
}  // namespace graft::test
