#include <gmock/gmock.h>

#include <graft/random.h>
#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <cmath>

namespace graft {
namespace {

using graft::testing::StageHarness;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// A run that knows what the tests say.
class FakeRun final : public RunRecord {
 public:
  FakeRun() {
    results_["name"] = "flowers";
    results_["inputs"]["total"] = 5;
    results_["inputs"]["rejected"] = 1;
    specs_ = {higher_is_better("accuracy").doc("Right ones.").in_summary().criterion(),
              lower_is_better("log_loss").doc("Loss.").tie_break()};
  }
  std::vector<StageRecord> stages() const override {
    return {{"images", "image_folder", "source", {}, "u8[]", 5, 1, 0.5, 0},
            {"probe", "linear_probe", "learner", {"images"}, "", 0, 0, 0, 1.5}};
  }
  Value results() const override { return results_; }
  Value manifest() const override { return manifest_; }
  std::string config() const override { return "name: flowers # <&>"; }
  const std::vector<Figure>& figures() const override { return figures_; }
  const std::vector<FigureSpec>& figure_specs() const override { return specs_; }
  std::string best_learner() const override { return best_; }
  const RowSet* rows(const std::string&) const override { return nullptr; }
  std::map<std::string, Image> images(const std::string&, const std::set<std::string>& keys) override {
    asked_ = keys;
    std::map<std::string, Image> out;
    for (const std::string& key : keys)
      if (key != "gone") out[key] = StageHarness::image(400, 300, {200, 30, 30});
    return out;
  }

  const std::vector<GivenSection>& sections() const override { return sections_; }

  std::vector<GivenSection> sections_;
  Value results_ = Value::map(), manifest_ = Value::map();
  std::vector<Figure> figures_;
  std::vector<FigureSpec> specs_;
  std::string best_;
  std::set<std::string> asked_;
};

/// Every third row is taken for the next class.
Predictions predictions_of(std::size_t rows, std::vector<std::string> classes) {
  Predictions p{"probe", std::move(classes), {}, {}, Value::map()};
  p.test.scores = Scores(rows, p.classes.size());
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t truth = r % p.classes.size();
    const std::size_t guess = r % 3 == 2 ? (truth + 1) % p.classes.size() : truth;
    p.test.scores.row(r)[guess] = 0.9F - 0.0001F * static_cast<float>(r % 1000);
    p.test.scores.row(r)[(guess + 1) % p.classes.size()] += 1 - p.test.scores.row(r)[guess];
    p.test.keys.push_back("photo" + std::to_string(r) + ".jpg");
    p.test.labels.push_back({static_cast<std::int32_t>(truth)});
  }
  return p;
}

std::string page_of(const std::vector<Predictions>& predictions, FakeRun& run,
                    const std::string& params = "{}") {
  return StageHarness("page", params).report(predictions, nullptr, &run).page;
}

TEST(Page, SaysWhichLearnerToUseAndHowGoodItIs) {
  FakeRun run;
  run.best_ = "probe";
  run.figures_ = {{"probe", Split::Val, "accuracy", 50, 0.9, "", std::pair(0.8, 0.95)},
                  {"probe", Split::Test, "accuracy", 6, 0.6667, "", std::pair(0.3, 0.9)},
                  {"probe", Split::Test, "log_loss", 6, {}, "<no value>", {}}};
  const std::string html = page_of({predictions_of(6, {"ants", "bees"})}, run);
  EXPECT_THAT(html,
              HasSubstr("<strong><bdi>probe</bdi></strong> has been tested on val (accuracy 0.9000 on 50 "
                        "inputs). On test, which no choice has seen, it is right on 4 of 6 inputs: accuracy "
                        "0.6667, 95&nbsp;% interval 0.3000 to 0.9000."));
  // A score that no learner has is left out; one that some have shows why the others have none.
  EXPECT_THAT(html, Not(HasSubstr("none</td>")));
  Predictions other = predictions_of(6, {"ants", "bees"});
  other.learner = "knn";
  run.figures_.push_back({"knn", Split::Test, "log_loss", 6, 0.5, "", {}});
  EXPECT_THAT(page_of({predictions_of(6, {"ants", "bees"}), other}, run),
              HasSubstr("title=\"&lt;no value&gt;\">none</td>"));
  EXPECT_THAT(html, HasSubstr("<td>0.6667<span class=\"interval\">0.3000 to 0.9000</span></td>"));
}

TEST(Page, SaysOfScoresThatAreNoProbabilitiesWhatTheyAre) {
  FakeRun run;
  run.figures_ = {{"probe", Split::Val, "accuracy", 50, {}, "no order", {}},
                  {"probe", Split::Test, "accuracy", 6, {}, "no order", {}}};
  Predictions p = predictions_of(6, {"ants", "<bees>"});
  p.test.scores.row(3)[1] = 2;
  EXPECT_THAT(
      page_of({p}, run),
      AllOf(HasSubstr("<p class=\"warnings\">Its scores of 1 of 6 inputs are not class probabilities: "
                      "&#39;photo3.jpg&#39; has the score 2 for class &#39;&lt;bees&gt;&#39;. What follows "
                      "goes by the order of its scores; what needs probabilities is left out.</p>"),
            HasSubstr("Most confident mistakes"), Not(HasSubstr("Least certain"))));
  p.test.scores.row(3)[1] = std::nanf("");
  EXPECT_THAT(
      page_of({p}, run),
      AllOf(HasSubstr("No learner has a score on val to be chosen by"),
            HasSubstr("&#39;photo3.jpg&#39; has the score nan for class &#39;&lt;bees&gt;&#39;. Nothing says "
                      "which class it takes an input for, so its decisions are not shown.</p>"),
            Not(HasSubstr("Most confident mistakes")), Not(HasSubstr("<h4>Classes</h4>"))));
}

TEST(Page, NamesTheBestOfItsLearnersWhereTheBestOfTheRunIsNotOnIt) {
  FakeRun run;
  run.best_ = "calibrated";
  run.figures_ = {{"probe", Split::Val, "accuracy", 50, 0.9, "", {}},
                  {"knn", Split::Val, "accuracy", 50, 0.94, "", {}},
                  {"calibrated", Split::Val, "accuracy", 50, 0.96, "", {}}};
  Predictions other = predictions_of(6, {"ants", "bees"});
  other.learner = "knn";
  EXPECT_THAT(
      page_of({predictions_of(6, {"ants", "bees"}), other}, run),
      HasSubstr("<strong><bdi>knn</bdi></strong> is the best of 2 learners on val that this page shows "
                "(of the whole run it is <bdi>calibrated</bdi>) (accuracy 0.9400 on 50 inputs)."));
}

TEST(Page, ComparesTheBestWithTheNextByTheSameInputs) {
  FakeRun run;
  run.best_ = "probe";
  run.figures_ = {{"probe", Split::Val, "accuracy", 50, 0.9, "", {}},
                  {"probe", Split::Test, "accuracy", 300, 0.6667, "", {}}};
  Predictions other = predictions_of(300, {"ants", "bees"});
  other.learner = "knn";
  EXPECT_THAT(
      page_of({predictions_of(300, {"ants", "bees"}), other}, run),
      HasSubstr("Against <bdi>knn</bdi>, its accuracy differs by +0.0000 (95&nbsp;%: +0.0000 to +0.0000): "
                "other inputs could turn that around."));
  for (std::size_t r = 0; r < 300; r += 2)
    std::swap(other.test.scores.row(r)[0], other.test.scores.row(r)[1]);
  EXPECT_THAT(page_of({predictions_of(300, {"ants", "bees"}), other}, run),
              HasSubstr("a difference that other inputs would probably show, too."));
}

TEST(Page, OfARunThatHasFailedSaysWhy) {
  FakeRun run;
  run.manifest_["error"] = "stage 'knn' (knn, c.yaml:4:3): <no> rows";
  const std::string nothing = page_of({}, run);
  EXPECT_THAT(nothing,
              HasSubstr("<strong>This run has failed</strong>, and the page shows what it had: stage "
                        "&#39;knn&#39; (knn, c.yaml:4:3): &lt;no&gt; rows</p>"));
  EXPECT_THAT(nothing, HasSubstr("<p class=\"hint\">5 inputs; failed "));
  EXPECT_THAT(page_of({predictions_of(6, {"ants", "bees"})}, run),
              AllOf(HasSubstr("This run has failed"), HasSubstr("<bdi>probe</bdi> on test")));
}

TEST(Page, ListsDuplicates) {
  FakeRun run;
  const auto duplicates = [&] { return page_of({predictions_of(6, {"ants", "bees"})}, run); };
  EXPECT_THAT(duplicates(), Not(HasSubstr("Duplicates"))) << "not known";
  run.results_["duplicates"]["images"] =
      Value::from_json(R"({"inputs":0,"in_other_splits":0,"examples":[]})");
  EXPECT_THAT(duplicates(),
              HasSubstr("<p>No two inputs that were used are known to have the same content.</p>"));
  run.results_["duplicates"]["images"] = Value::from_json(
      R"({"inputs":3,"in_other_splits":1,"examples":[{"key":"<b>.jpg","split":"test","class":"ants",)"
      R"("of":{"key":"a.jpg","split":"train","class":"bees"}}]})");
  EXPECT_THAT(
      duplicates(),
      AllOf(HasSubstr("<p>3 inputs have the content of an earlier one; 1 of them is in another split, which "
                      "makes scores too good.</p><p class=\"hint\">1 of them; inputs.csv has all.</p>"),
            HasSubstr("<td class=\"t w\"><bdi>&lt;b&gt;.jpg</bdi></td><td class=\"t\">test</td><td "
                      "class=\"t\"><bdi>ants</bdi></td><td class=\"t w\"><bdi>a.jpg</bdi></td>")));
}

TEST(Page, ShowsHowLongItemsWaitForABatch) {
  FakeRun run;
  run.results_["timings"]["waited"]["images"] = 2.0;
  const ReportOutput out = StageHarness("page").report({predictions_of(6, {"ants", "bees"})}, nullptr, &run);
  EXPECT_THAT(out.page, HasSubstr("<td>5</td><td>10.00</td><td>0.4000</td><td>0.5000</td></tr>"));
  EXPECT_THAT(out.page, HasSubstr(">waited 0.4000 s each</text>"));
  EXPECT_THAT(out.files.at("stages.csv"), HasSubstr("\nimages,image_folder,source,5,1,0.5,2,0\n"));
  EXPECT_THAT(out.files.at("stages.csv"), HasSubstr("\nprobe,linear_probe,learner,0,0,0,,1.5\n"));
}

TEST(Page, ShowsNamesAsText) {
  FakeRun run;
  const std::string evil = "<script>alert(1)</script>", rtl = "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D";
  run.results_["name"] = evil;
  run.manifest_["warnings"] = Value::List{evil + "&\"'"};
  run.manifest_["command"] = std::string("graft run \xff\x01");
  Predictions p = predictions_of(30, {evil, rtl, "\xF0\x9F\x90\x9D"});
  p.test.keys[2] = "</script><img src=x onerror=alert(2)>";
  const ReportOutput out = StageHarness("page").report({p}, nullptr, &run);
  EXPECT_THAT(out.page,
              AllOf(Not(HasSubstr("<script>alert")), Not(HasSubstr("<img src=x")),
                    HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;&#39;"),
                    HasSubstr("<bdi>" + rtl + "</bdi>"), HasSubstr("graft run \xEF\xBF\xBD\xEF\xBF\xBD")));
  for (const auto& [name, content] : out.files) {
    if (name.ends_with(".csv")) continue;
    EXPECT_THAT(content, Not(HasSubstr("<script>alert"))) << name;
  }
}

TEST(Page, OpensWithoutAnythingToShow) {
  FakeRun run;
  EXPECT_THAT(page_of({}, run), HasSubstr("This run has no learners to report on."));
  Predictions nothing{"probe", {"ants"}, {}, {}, Value::map()};
  EXPECT_THAT(page_of({nothing}, run), AllOf(HasSubstr("No learner has scores on val"),
                                             HasSubstr("has no labelled val or test inputs")));
  Predictions only_val = predictions_of(4, {"ants", "bees"});
  std::swap(only_val.val, only_val.test);
  run.best_ = "probe";
  run.figures_ = {{"probe", Split::Val, "accuracy", 4, 0.75, "", {}}};
  EXPECT_THAT(page_of({only_val}, run),
              AllOf(HasSubstr("There are no labelled test inputs"), HasSubstr("<bdi>probe</bdi> on val")));
  EXPECT_THAT(page_of({predictions_of(1, {"ants"})}, run), HasSubstr("<h1>flowers</h1>"));
}

TEST(Page, ShowsSeveralLabelsARow) {
  FakeRun run;
  Predictions p = predictions_of(9, {"ants", "bees", "cats"});
  p.multi_label = true;
  p.test.labels[0] = {0, 2};
  const std::string html = page_of({p}, run);
  EXPECT_THAT(html, AllOf(HasSubstr("Most confident mistakes"), Not(HasSubstr("What is taken for what")),
                          HasSubstr("<bdi>ants, cats</bdi>")));
}

TEST(Page, HasImagesOfFewInputsAndOfOneSize) {
  FakeRun run;
  Predictions p = predictions_of(5000, {"ants", "bees"});
  p.test.keys[2] = "gone";
  const std::string html = page_of({p}, run, "{images: 20, image_side: 32}");
  EXPECT_EQ(run.asked_.size(), 20U);
  EXPECT_TRUE(run.asked_.contains("gone")) << "the most confident mistake";
  std::size_t images = 0;
  for (std::size_t at = 0; (at = html.find("data:image/jpeg;base64,/9j/", at)) != std::string::npos; ++at)
    ++images;
  EXPECT_EQ(images, 19U);
  EXPECT_THAT(html, HasSubstr("<p>1 of 20 images could not be read again when the page was made, "));
  run.asked_.clear();
  page_of({p}, run, "{images: 0}");
  EXPECT_TRUE(run.asked_.empty());
}

// 100,000 inputs, and 1,000 classes: below 5 MB.
TEST(Page, DoesNotGrowWithInputsAndClasses) {
  FakeRun run;
  EXPECT_LT(page_of({predictions_of(100'000, {"ants", "bees"})}, run).size(), 2'000'000U);
  std::vector<std::string> classes;
  for (int i = 0; i < 1000; ++i) classes.push_back("class number " + std::to_string(i));
  std::vector<Predictions> many;
  for (int i = 0; i < 10; ++i) {
    many.push_back(predictions_of(10'000, classes));
    many.back().learner = "learner" + std::to_string(i);
  }
  run.best_ = "learner9";
  const std::string html = page_of(many, run);
  EXPECT_LT(html.size(), 5'000'000U);
  // The one that the verdict names is among those that can be looked at.
  EXPECT_THAT(html, HasSubstr("<option value=\"9\" selected>learner9</option>"));
  EXPECT_THAT(html, AllOf(HasSubstr("The 125 worst of 1000 classes; results.json has all."),
                          HasSubstr("The 50 most frequent of 1000 confused pairs."),
                          HasSubstr("results.json also has the scores of 2 other learners.")));
}

TEST(Page, ShowsWhatTheNetworkIsMadeOf) {
  FakeRun run;
  run.manifest_ = Value::from_json(
      R"({"stages":{"features":{"network":{"name":"resnet18","image":[224,224],"parameters":11689512,)"
      R"("multiply_adds":1814073344,"parts":[{"name":"conv1","type":"Conv","layers":1,"output":"[64,112,112]",)"
      R"("parameters":9408,"multiply_adds":118013952}]}},"other":{"network":7}}})");
  const ReportOutput out = StageHarness("page").report({predictions_of(6, {"ants", "bees"})}, nullptr, &run);
  EXPECT_THAT(out.page,
              HasSubstr("<h3>features: resnet18</h3><p>11.7 M parameters; 1.81 G multiply-adds for an "
                        "image of 224 x 224.</p>"));
  EXPECT_EQ(out.files.at("network_features.csv"), "part,multiply_adds,parameters\nconv1,118013952,9408\n");
}

TEST(Page, ListsTheModulesOfANetworkThatIsNotDescribed) {
  FakeRun run;
  run.manifest_ = Value::from_json(
      R"({"stages":{"features":{"network":{"name":"<m>.pt","parameters":1500,"parts":[)"
      R"({"name":"stem.<conv>","type":"Conv2d","parameters":1000},{"name":"norm","type":"LayerNorm","parameters":500})"
      R"(]}}}})");
  const ReportOutput out = StageHarness("page").report({predictions_of(6, {"ants", "bees"})}, nullptr, &run);
  EXPECT_THAT(out.page,
              AllOf(HasSubstr("<h3>features: &lt;m&gt;.pt</h3><p>1.5 k parameters.</p>"),
                    HasSubstr("these are its modules that have parameters."),
                    HasSubstr("<tr><th scope=\"row\">stem.&lt;conv&gt;</th><td class=\"t\">Conv2d</td>"
                              "<td>1 k</td></tr>"),
                    Not(HasSubstr("multiply-adds for"))));
  EXPECT_EQ(out.files.at("network_features.csv"), "module,parameters\nstem.<conv>,1000\nnorm,500\n");
}

TEST(Page, DrawsTheHundredLargestOfManyParts) {
  FakeRun run;
  Value parts = Value::list();
  for (int i = 0; i < 250; ++i)
    parts.push(Value::Map{{"name", "part" + std::to_string(i)}, {"type", "Conv2d"}, {"parameters", i + 1}});
  Value& network = run.manifest_["stages"]["features"]["network"];
  network["name"] = "m.pt";
  network["parts"] = std::move(parts);
  const ReportOutput out = StageHarness("page").report({}, nullptr, &run);
  const std::string& svg = out.files.at("network_features.svg");
  EXPECT_THAT(svg, AllOf(HasSubstr(", the 100 largest"), HasSubstr(">part249<"), HasSubstr(">part150<"),
                         Not(HasSubstr(">part149<"))));
  EXPECT_THAT(out.page, HasSubstr("<th scope=\"row\">part0</th>")) << "the table has all";
}

TEST(Page, DrawsTheLargestAlsoWhereManyAreEqual) {
  FakeRun run;
  Value parts = Value::list();
  for (int i = 0; i < 160; ++i)
    parts.push(Value::Map{{"name", "part" + std::to_string(i)},
                          {"type", "Norm"},
                          {"parameters", i < 5     ? 1
                                         : i < 150 ? 5
                                                   : 10}});
  Value& network = run.manifest_["stages"]["features"]["network"];
  network["name"] = "m.pt";
  network["parts"] = std::move(parts);
  const std::string svg = StageHarness("page").report({}, nullptr, &run).files.at("network_features.svg");
  for (int i = 150; i < 160; ++i) EXPECT_THAT(svg, HasSubstr(">part" + std::to_string(i) + "<"));
  EXPECT_THAT(svg, AllOf(HasSubstr(">part5<"), HasSubstr(">part94<"), Not(HasSubstr(">part95<")),
                         Not(HasSubstr(">part4<"))));
}

TEST(Page, DrawsWhatOtherReportsHaveGiven) {
  FakeRun run;
  const std::string evil = "<script>alert(1)</script>";
  ReportSection section("Worst classes " + evil);
  section.text("Recall on test & " + evil)
      .table({{"class", "recall"}, {{evil, "0.71"}, {"bees", "1e-3"}}})
      .figure({.title = "By epoch",
               .lines = {{"ants", {{1, 0.5}, {2, std::nan("")}, {3, 0.75}}}},
               .x_label = "epoch"})
      .figure({.title = "Recall", .bars = {{"ants", 0.71}, {"bees", INFINITY}, {"<cats>", 0.25}}})
      .figure({.title = "Nothing", .bars = {{"ants", std::nan("")}}});
  run.sections_ = {{"mine", section}, {"mine", ReportSection("Empty")}};
  SectionTable large{{"n"}, {}};
  for (int i = 0; i < 100'000; ++i) large.rows.push_back({std::to_string(i)});
  run.sections_.push_back({"other", ReportSection("Large").table(large)});
  const ReportOutput out = StageHarness("page").report({predictions_of(6, {"ants", "bees"})}, nullptr, &run);
  EXPECT_THAT(
      out.page,
      AllOf(
          Not(HasSubstr("<script>alert")),
          HasSubstr("<h2 id=\"h-section-1\">Worst classes &lt;script&gt;alert(1)&lt;/script&gt;</h2>"),
          HasSubstr("<p>Recall on test &amp; &lt;script&gt;"),
          HasSubstr(
              "<th scope=\"col\" class=\"t\"><bdi>class</bdi></th><th scope=\"col\"><bdi>recall</bdi></th>"),
          HasSubstr("<td><bdi>1e-3</bdi></td>"), HasSubstr("Nothing: there is nothing to draw."),
          HasSubstr(">&lt;cats&gt;</text>"), HasSubstr("There is nothing in it."),
          HasSubstr("The first 500 of 100,000 rows.")));
  EXPECT_EQ(out.files.at("section_mine_1_1.csv"), "series,x,value\nants,1,0.5\nants,3,0.75\n");
  EXPECT_EQ(out.files.at("section_mine_1_2.csv"), "name,value\nants,0.71\n<cats>,0.25\n");
  EXPECT_FALSE(out.files.contains("section_mine_1_3.svg"));
  EXPECT_LT(out.page.size(), 500'000U);
}

TEST(ReportSection, SaysWhatIsWrongWithIt) {
  EXPECT_EQ(fault_of_section(ReportSection("")), "a section of the page without a title");
  EXPECT_EQ(fault_of_section(ReportSection("A").table({})), "the section 'A' with a table without headings");
  EXPECT_EQ(fault_of_section(ReportSection("A").table({{"x", "y"}, {{"1", "2"}, {"3"}}})),
            "the section 'A' with a table whose row 1 has 1 cell, expected one per heading: 2");
  EXPECT_EQ(fault_of_section(ReportSection("A").figure({.title = "B"})),
            "the section 'A' with a figure of neither lines nor bars: expected one of them");
  EXPECT_EQ(
      fault_of_section(ReportSection("A").figure({.title = "B", .lines = {{"l", {}}}, .bars = {{"b", 1}}})),
      "the section 'A' with a figure of lines and bars: expected one of them");
  EXPECT_EQ(fault_of_section(ReportSection("A").text("").table({{"x"}, {}})), "");
}

TEST(Page, LeavesItsDrawingsAndTheirNumbers) {
  FakeRun run;
  Predictions p = predictions_of(30, {"ants", "bees"});
  p.summary["c"] = 1.0;
  for (const double c : {0.01, 1.0, 100.0}) {
    Value entry = Value::map();
    entry["c"] = c;
    entry["val_accuracy"] = 0.5 + 0.1 * c / (1 + c);
    entry["val_log_loss"] = 1 / (1 + c);
    p.summary["path"].push(std::move(entry));
  }
  const ReportOutput out = StageHarness("page").report({p}, nullptr, &run);
  EXPECT_EQ(out.files.at("confusion_probe.csv"),
            "true,predicted,rows\nants,ants,10\nants,bees,5\nbees,ants,5\nbees,bees,10\n");
  EXPECT_THAT(out.files.at("path_loss_probe.csv"), HasSubstr("val log loss,100,"));
  EXPECT_THAT(out.files.at("path_loss_probe.svg"),
              AllOf(HasSubstr("xmlns=\"http://www.w3.org/2000/svg\"><style>"), HasSubstr("c (logarithmic)")));
  EXPECT_TRUE(out.files.contains("reliability_probe.csv"));
  EXPECT_TRUE(out.files.contains("stages.svg"));
}

}  // namespace
}  // namespace graft
