// report.html in a real browser: Chromium without a window, which GRAFT_BROWSER names, or PATH. Skipped where
// there is none.

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "browser.h"
#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kScript = "<script>alert(1)</script>";
constexpr const char* kHebrew = "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D";
constexpr const char* kBee = "\xF0\x9F\x90\x9D bee";

/// What the test asks the page; the answer is posted to the page around it.
constexpr const char* kQuestions = R"js(
addEventListener('load', () => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const light = (c) => { const f = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
  const behind = (node) => { for (; node instanceof Element; node = node.parentNode) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const faint = all('main *, header *').filter((node) => {
    if (!Array.from(node.childNodes).some((c) => c.nodeType === 3 && c.textContent.trim())) return false;
    const svg = node.closest('svg');
    if (svg && node.closest('.cell')) return false;  // on a colour of its own
    const a = light(rgb(getComputedStyle(node)[svg ? 'fill' : 'color'])), b = light(behind(node));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5;
  }).map((node) => node.outerHTML.slice(0, 80));
  const answer = {
    width: innerWidth, scroll: document.documentElement.scrollWidth, scripts: all('script').length,
    wide: all('main *').filter((n) => !n.closest('.scroll, .row, pre, svg') && n.getBoundingClientRect().right > innerWidth + 1)
      .map((n) => n.outerHTML.slice(0, 80)),
    dark: light(rgb(getComputedStyle(document.body).backgroundColor)) < 0.5, faint,
    headings: all('h1, h2, h3, h4').map((h) => Number(h.tagName[1])),
    images: all('main img').length, nameless: all('img:not([alt]), svg:not([aria-label])').length,
    text: document.body.innerText,
  };
  Promise.all(all('main img').filter((i) => i.src).map((i) => i.decode().then(() => i.naturalWidth, () => 0))).then((sizes) => {
    answer.decoded = sizes;
    const shown = () => all('.panel').filter((p) => !p.hidden);
    const cell = shown()[0].querySelector('[data-cell="0,0"]');
    cell.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
    const place = shown()[0].querySelector('.cell-images');
    answer.cell = {count: Number(cell.querySelector('.count').textContent), title: place.querySelector('h5').textContent,
                   images: place.querySelectorAll('figure').length, truth: place.querySelector('bdi').textContent};
    const row = shown()[0].querySelector('input.by-row');
    row.click();
    answer.percent = getComputedStyle(cell.querySelector('.fraction')).display !== 'none' &&
                     getComputedStyle(cell.querySelector('.count')).display === 'none';
    const point = document.querySelector('[data-point]');
    point.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    answer.card = document.querySelector('#card figcaption').textContent;
    const keyOfCard = () => document.querySelector('#card figure').title;
    const clicked = keyOfCard(), map = point.closest('svg');
    const press = (key) => map.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    press('ArrowRight');
    answer.arrow = {moved: keyOfCard() !== clicked, chosen: all('.point.chosen').length, tab: map.tabIndex};
    press('ArrowLeft');
    answer.arrow.back = keyOfCard() === clicked;
    answer.role = document.querySelector('svg.confusion').getAttribute('role');
    const learner = document.getElementById('learner');
    answer.first = shown()[0].querySelector('h3').textContent;
    learner.value = String((Number(learner.value) + 1) % learner.options.length);
    learner.dispatchEvent(new Event('change'));
    answer.panels = shown().length;
    answer.second = shown()[0].querySelector('h3').textContent;
    const table = shown()[0].querySelector('table.sortable');
    const column = (n) => Array.from(table.tBodies[0].rows).map((r) => parseFloat(r.cells[n].textContent));
    table.querySelectorAll('thead button')[1].click();
    answer.sorted = column(1);
    const folded = () => all('details').filter((part) => !part.open).length;
    answer.folded = [folded()];
    for (const moment of ['beforeprint', 'afterprint']) {
      dispatchEvent(new Event(moment));
      answer.folded.push(folded());
    }
    parent.postMessage(JSON.stringify(answer), '*');
  });
});
)js";

class ReportInBrowser : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (browser().empty()) return;
    folder_ = new TempFolder;
    std::string list = "path,class,split\n";
    const std::string classes[] = {kScript, kHebrew, kBee};
    for (int i = 0; i < 90; ++i) {
      std::string ppm = "P6\n40 40\n255\n";
      for (int p = 0; p < 40 * 40; ++p)
        for (int c = 0; c < 3; ++c)
          ppm += static_cast<char>((c == i % 3 ? 170 : 60) + (p * 7 + i * 13 + c * 29) % 80 - (i % 7) * 8);
      const std::string name = std::to_string(i) + (i == 5 ? "<img src=x onerror=alert(3)>.ppm" : ".ppm");
      folder_->write("photos/" + name, i == 8 ? "no picture" : ppm);
      list += "\"photos/" + name + "\",\"" + classes[i % 3] + "\"," +
              (i < 40   ? "train"
               : i < 60 ? "val"
                        : "test") +
              "\n";
    }
    const auto config = folder_->write("config.yaml", R"(name: awkward
run: {threads: 2, max_rejects: 5}
stages:
  images: {plugin: image_list, with: {file: ")" + folder_->write("list.csv", list).string() +
                                                          R"(", label: class}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  knn: {plugin: knn, from: table}
  calibrated: {plugin: temperature, from: knn}
  report: {plugin: evaluate, from: [probe, knn, calibrated]}
  page: {plugin: page, from: [probe, knn, calibrated]}
)");
    run_ = run_program({"run", config, "--out", *folder_ / "o", "--store", *folder_ / "s"});
  }
  static void TearDownTestSuite() { delete folder_; }

  void SetUp() override {
    if (browser().empty()) GTEST_SKIP() << "no Chromium: install the package chromium, or set GRAFT_BROWSER";
    ASSERT_EQ(run_.exit_code, 0) << run_.err;
  }

  static std::string page() { return slurp(*folder_ / "o/report.html"); }

  /// The answers of the page, `width` pixels wide: in a frame, because a window has at least 500. Where the
  /// machine is busy, Chromium's virtual time may be over before the frame has answered: it is asked again.
  static json ask(int width, bool dark) {
    std::string html = page();
    const std::size_t policy = html.find("<meta http-equiv=\"Content-Security-Policy\"");
    html.erase(policy, html.find('>', policy) - policy + 1);  // the questions are a script, too
    html.insert(html.rfind("</body>"), "<script>" + std::string(kQuestions) + "</script>");
    std::string framed;
    for (const char c : html)
      framed += c == '&' ? std::string("&amp;") : c == '"' ? std::string("&quot;") : std::string(1, c);
    const auto around =
        folder_->write("around.html",
                       "<!DOCTYPE html><meta charset=\"utf-8\"><pre id=\"answer\"></pre><script>"
                       "addEventListener('message', (e) => { document.getElementById('answer')"
                       ".textContent = btoa(unescape(encodeURIComponent(e.data))); });</script>"
                       "<iframe style=\"border:0;height:900px;width:" +
                           std::to_string(width) + "px\" srcdoc=\"" + framed + "\"></iframe>");
    const std::string mark = "<pre id=\"answer\">";
    for (int attempt = 0; attempt < 5; ++attempt) {
      const ProgramResult r = browse(
          "file://" + around.string(),
          {"--dump-dom", "--window-size=1400,1000",
           dark ? "--blink-settings=preferredColorScheme=0" : "--blink-settings=preferredColorScheme=1"});
      const std::size_t at = r.out.find(mark);
      if (at == std::string::npos) continue;
      const std::size_t begin = at + mark.size(), end = r.out.find("</pre>", begin);
      if (end > begin) return json::parse(decoded(r.out.substr(begin, end - begin)));
    }
    return {};
  }

  static std::string decoded(const std::string& base64) {
    std::string out;
    unsigned bits = 0, have = 0;
    for (const char c : base64) {
      static const std::string kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      const std::size_t value = kDigits.find(c);
      if (value == std::string::npos) continue;
      bits = bits << 6U | static_cast<unsigned>(value);
      if ((have += 6) >= 8) out += static_cast<char>(bits >> (have -= 8) & 255U);
    }
    return out;
  }

  static inline TempFolder* folder_ = nullptr;
  static inline ProgramResult run_;
};

TEST_F(ReportInBrowser, LoadsWithoutAWordOnTheConsole) {
  const ProgramResult r = browse("file://" + (*folder_ / "o/report.html").string(),
                                 {"--dump-dom", "--enable-logging=stderr", "--v=0"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err, Not(HasSubstr("CONSOLE")));
  EXPECT_THAT(r.out, HasSubstr("<img data-image=\"0\""));
  EXPECT_THAT(r.out, HasSubstr("src=\"data:image/jpeg;base64,/9j/")) << "the script has run under its policy";
  // The check can fail: a page whose policy forbids its script says so.
  std::string broken = page();
  broken.insert(broken.rfind("</script>"), "1;");
  const auto path = folder_->write("broken.html", broken);
  EXPECT_THAT(browse("file://" + path.string(), {"--dump-dom", "--enable-logging=stderr", "--v=0"}).err,
              HasSubstr("CONSOLE"));
}

TEST_F(ReportInBrowser, FitsPhonesAndDesksInLightAndInDark) {
  for (const int width : {360, 1280})
    for (const bool dark : {false, true}) {
      const json a = ask(width, dark);
      const std::string which = std::to_string(width) + (dark ? " dark" : " light");
      ASSERT_TRUE(a.is_object()) << which;
      EXPECT_EQ(a["width"], width) << which;
      EXPECT_LE(a["scroll"].get<int>(), width) << which;
      EXPECT_EQ(a["wide"], json::array()) << which;
      EXPECT_EQ(a["dark"], dark) << which;
      EXPECT_EQ(a["faint"], json::array()) << which;
      EXPECT_EQ(a["nameless"], 0) << which;
      EXPECT_EQ(a["headings"][0], 1);
      for (std::size_t i = 1; i < a["headings"].size(); ++i)
        EXPECT_LE(a["headings"][i].get<int>(), a["headings"][i - 1].get<int>() + 1) << "a level is left out";
    }
}

TEST_F(ReportInBrowser, NamesAreTextAndClicksShowTheirImages) {
  const json a = ask(1280, false);
  ASSERT_TRUE(a.is_object());
  EXPECT_EQ(a["scripts"], 3);  // data, the page's, the questions
  EXPECT_THAT(a["text"].get<std::string>(), AllOf(HasSubstr(kScript), HasSubstr(kHebrew), HasSubstr(kBee)));
  EXPECT_GT(a["decoded"].size(), 20u);
  EXPECT_THAT(a["decoded"].get<std::vector<int>>(), Each(::testing::Ge(32)));
  EXPECT_EQ(a["cell"]["title"], std::string(kScript) + ", found");
  EXPECT_EQ(a["cell"]["truth"], kScript);
  EXPECT_EQ(a["cell"]["images"].get<int>(), std::min(12, a["cell"]["count"].get<int>()));
  EXPECT_EQ(a["percent"], true);
  EXPECT_NE(a["card"].get<std::string>(), "");
  EXPECT_EQ(a["arrow"], (json{{"moved", true}, {"chosen", 1}, {"tab", 0}, {"back", true}}));
  EXPECT_EQ(a["role"], "group") << "what is in an image is nothing to a screen reader";
  EXPECT_EQ(a["panels"], 1);
  EXPECT_NE(a["first"], a["second"]);
  auto sorted = a["sorted"].get<std::vector<double>>();
  EXPECT_TRUE(std::is_sorted(sorted.rbegin(), sorted.rend()));
  const auto folded = a["folded"].get<std::vector<int>>();
  EXPECT_GT(folded.at(0), 0);
  EXPECT_EQ(folded, (std::vector<int>{folded[0], 0, folded[0]})) << "a print shows every part";
}

TEST_F(ReportInBrowser, ItsNumbersAreThoseOfTheResults) {
  const json results = json::parse(slurp(*folder_ / "o/results.json"));
  const std::string html = page();
  for (const char* learner : {"probe", "knn", "calibrated"}) {
    const json& test = results["learners"][learner]["test"];
    for (const char* name : {"accuracy", "balanced_accuracy", "log_loss", "roc_auc", "cohen_kappa"}) {
      char shown[32];
      std::snprintf(shown, sizeof shown, "%.4f", test[name].get<double>());
      EXPECT_THAT(html, HasSubstr(std::string("<td>") + shown + "<")) << learner << " " << name;
    }
    EXPECT_TRUE(test["top_5_accuracy"].is_null());
    EXPECT_EQ(test["undefined"]["top_5_accuracy"], "it takes more than 5 classes, there are 3");
  }
  EXPECT_THAT(html, HasSubstr("<td>1</td><td class=\"t\">pixels</td>")) << "the reject and its stage";
}

}  // namespace
}  // namespace graft::test
