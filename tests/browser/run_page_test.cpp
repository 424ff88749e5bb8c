// The page of graft run --ui in a real browser, with a run that the test makes up.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "browser.h"
#include "run_page.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// The page, its style and its script in one file, with what stands for the run.
std::string live_page() {
  std::string page = cli::kRunPage;
  for (const char* link :
       {R"(<script src="live.js" defer></script>)", R"(<link rel="stylesheet" href="live.css">)"})
    page.erase(page.find(link), std::string(link).size());
  const std::string rest = R"html(<style>)html" + std::string(cli::kRunStyle) + R"html(</style><script>
const stage = (id, finished, busy) => ({id, plugin: "p", kind: "transform", streamed: true, running: 1, queued: 4,
  finished, rejected: 0, busy_seconds: busy});
let asked = 0;
window.fetch = async (path) => ({json: async () => (++asked, {
  name: "<b>flowers</b>", state: asked < 3 ? "running" : "complete", phase: "computing", text: asked < 3 ? "" : "done",
  seconds: 10 + asked, memory: 3 << 20, inputs: {total: 1000, done: 100 * asked, reused: 10, rejected: 2}, seconds_left: 90,
  stages: [stage("<img src=x onerror=alert(1)>", 50 * asked, 1), stage("features", 40 * asked, 3)],
  curves: [{learner: "mlp", what: "epoch", done: 3, total: 9, points: [{step: 1, train_loss: 2}, {step: 2, train_loss: 1}]}],
  warnings: ["<script>alert(1)</scr" + "ipt>"], report: false})});
</script><script>)html" + std::string(cli::kRunScript) +
                           R"html(
setTimeout(() => {
  const text = (id) => document.getElementById(id).textContent;
  const rows = Array.from(document.querySelectorAll("#stages tr")).map((row) => row.cells[0].textContent + " " +
    row.cells[2].textContent + " " + row.className);
  const all = Array.from(document.querySelectorAll("main *"));
  document.title = "answer: " + [text("name"), text("done"), text("rate"), text("left"), text("memory"), rows.join(","),
    document.querySelectorAll("#curves polyline").length, text("warnings"), text("text"), asked,
    document.images.length, all.some((n) => !n.closest(".scroll") && n.getBoundingClientRect().right > innerWidth + 1)].join("; ");
}, 8000);
</script>)html";
  return page.insert(page.rfind("</body>"), rest);
}

TEST(RunPage, ShowsTheRunAsTextAndStopsAtItsEnd) {
  if (browser().empty()) GTEST_SKIP() << "no Chromium: install the package chromium, or set GRAFT_BROWSER";
  const TempFolder folder;
  const auto page = folder.write("page.html", live_page());
  const ProgramResult r = browse("file://" + page.string(), {"--dump-dom", "--virtual-time-budget=20000",
                                                             "--enable-logging=stderr", "--v=0"});
  EXPECT_THAT(r.out,
              HasSubstr("<title>answer: &lt;b&gt;flowers&lt;/b&gt;; 300 of 1,00010 reused; 100; 1:30; 3 MiB; "
                        "&lt;img src=x onerror=alert(1)&gt; 50 ,features 40 busiest; 1; "
                        "&lt;script&gt;alert(1)&lt;/script&gt;; done; 3; 0; false</title>"))
      << r.err;
  EXPECT_THAT(r.err, Not(HasSubstr("CONSOLE")));
}

}  // namespace
}  // namespace graft::test
