// Views of an input: how they are numbered, what becomes of those that are refused, and that everything that
// counts them
// - the graph, reuse, inputs.csv, the lists of inputs, verify - counts the same, whatever the stages and the
// splits.

#include <array>
#include <map>
#include <memory>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <graft/random.h>

#include "config/config_file.h"
#include "config/planner.h"
#include "graph/workers.h"
#include "numbered.h"
#include "program.h"
#include "run/noted_uses.h"
#include "run/run_files.h"
#include "run/stream_run.h"
#include "store/table_check.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::HasSubstr;

/// A stage of a random chain.
struct Link {
  bool batch;
  std::uint32_t views;
  std::vector<Split> splits;  // empty: all
  double refuse;
  bool handles(Split split) const {
    return splits.empty() || std::find(splits.begin(), splits.end(), split) != splits.end();
  }
};

struct Chain {
  std::vector<Link> links;
  int inputs;
};

Chain random_chain(std::uint64_t seed) {
  Random random(seed);
  Chain chain{{}, 1 + static_cast<int>(random.below(40))};
  const std::size_t n = 1 + random.below(4);
  for (std::size_t i = 0; i < n; ++i) {
    Link link{random.chance(0.25),
              1,
              {},
              random.chance(0.3) ? 0.0 : 0.4 * static_cast<double>(random.below(3)) / 2};
    if (!link.batch) link.views = 1 + static_cast<std::uint32_t>(random.below(4));
    if (random.chance(0.5))
      for (const Split split : {Split::Train, Split::Val, Split::Test})
        if (random.chance(0.6)) link.splits.push_back(split);
    chain.links.push_back(std::move(link));
  }
  return chain;
}

std::string yaml_of(const Chain& chain, int threads) {
  std::string out = fmt::format(
      "name: views\nrun: {{threads: {}}}\nstages:\n  source: {{plugin: numbered_source, with: {{inputs: "
      "{}}}}}\n",
      threads, chain.inputs);
  std::string from = "source";
  for (std::size_t i = 0; i < chain.links.size(); ++i) {
    const Link& link = chain.links[i];
    const std::string id = fmt::format("link{}", i);
    std::string splits;
    for (const Split s : link.splits) splits += (splits.empty() ? "" : ", ") + std::string(to_string(s));
    out += fmt::format("  {}: {{plugin: {}, from: {}{}, with: {{views: {}, salt: {}, refuse: {}}}}}\n", id,
                       link.batch ? "numbered_batch" : "numbered_views", from,
                       splits.empty() ? "" : ", splits: [" + splits + "]", link.views, i, link.refuse);
    from = id;
  }
  return out + "  table: {plugin: feature_table, from: " + from + "}\n";
}

/// What a view of an input holds; nothing when it was refused.
using Views = std::vector<std::optional<float>>;

/// Every view by hand: the views of the views of the input.
Views views_of(const Chain& chain, int input) {
  const test::NumberedInput of = test::numbered_input(input);
  Views views{static_cast<float>(of.content)};
  for (std::size_t i = 0; i < chain.links.size(); ++i) {
    const Link& link = chain.links[i];
    if (!link.handles(of.split)) continue;
    Views next;
    for (const auto& view : views)
      for (std::uint32_t k = 0; k < link.views; ++k) {
        const auto number = static_cast<std::uint32_t>(next.size());
        const bool lost = !view || test::refuses(of.content, number, static_cast<int>(i), link.refuse);
        next.push_back(lost ? std::nullopt
                            : std::optional(link.batch ? *view : test::value_of_view(*view, k)));
      }
    views = std::move(next);
  }
  return views;
}

struct Ran {
  std::map<std::pair<std::uint32_t, std::uint32_t>, float> rows;  // input and view -> value
  std::uint64_t computed = 0, reused = 0, admitted = 0;
  std::vector<std::string> inputs;  // lines of inputs.csv
  TableCheck check;
};

Ran run(const Chain& chain, int threads, const TempFolder& folder, const std::string& store) {
  static Registry registry(Registry::search_path({GRAFT_TEST_PLUGINS}));
  const auto path = folder.write("config.yaml", yaml_of(chain, threads));
  Diagnostics diagnostics;
  const ConfigFile config(path, {}, diagnostics);
  const Plan plan = make_plan(config, registry, diagnostics);
  EXPECT_FALSE(diagnostics.has_errors()) << diagnostics.render() << yaml_of(chain, threads);
  StageFactory factory(plan, registry, [](const std::string&) {});
  std::filesystem::create_directories(folder / store);
  DigestMemo memo(folder / store / "digests.memo");
  Meter meter(plan.stages.size());
  Workers workers(threads);
  const std::atomic<bool> never{false};
  std::vector<std::unique_ptr<StreamRun>> streams;
  streams.push_back(std::make_unique<StreamRun>(plan, 0, folder / store, memo, factory, meter, never));
  StreamRun& stream = *streams[0];
  stream.run(workers);
  NotedUses uses([](const std::string& text) { ADD_FAILURE() << text; });
  uses.note(plan, stream, folder / "r", "attempt");
  uses.confirm();

  Ran ran;
  const RunTable& table = stream.tables().at(0);
  const TableRows rows(*table.store, stream.listing(), {table.rows.begin(), table.rows.end()});
  for (std::size_t r = 0; r < rows.rows(); ++r)
    rows.read(r, 1, &ran.rows[{rows.input_index(r), rows.view(r)}]);
  EXPECT_EQ(ran.rows.size(), table.rows.size());
  ran.computed = table.computed;
  ran.reused = table.reused;
  ran.admitted = stream.flow().admitted;
  write_inputs_csv(folder / "inputs.csv", plan, streams);
  std::istringstream lines(test::slurp(folder / "inputs.csv"));
  for (std::string line; std::getline(lines, line);) ran.inputs.push_back(line);
  ran.check = check_table(table.store->folder());
  return ran;
}

TEST(Views, EverythingThatCountsThemAgreesWithCountingByHand) {
  std::uint64_t with_fewer = 0, rejected_at_all = 0;
  for (std::uint64_t seed = 0; seed < 24; ++seed) {
    const Chain chain = random_chain(seed);
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, yaml_of(chain, 1)));
    std::map<std::pair<std::uint32_t, std::uint32_t>, float> rows;
    std::vector<std::string> ends;  // of the lines of inputs.csv
    std::uint64_t ok = 0, fewer = 0, rejected = 0;
    for (int i = 0; i < chain.inputs; ++i) {
      const Views views = views_of(chain, i);
      std::uint32_t here = 0;
      for (std::uint32_t v = 0; v < views.size(); ++v)
        if (views[v]) rows[{static_cast<std::uint32_t>(i), v}] = *views[v], ++here;
      ++(here > 0 ? ok : rejected);
      fewer += here > 0 && here < views.size() ? 1 : 0;
      ends.push_back(fmt::format(",{} of {},yes", here, views.size()));
    }
    with_fewer += fewer;
    rejected_at_all += rejected;

    const TempFolder folder;
    const auto expect = [&](const Ran& ran) {
      EXPECT_EQ(ran.rows, rows);
      ASSERT_EQ(ran.inputs.size(), ends.size() + 1);
      for (std::size_t i = 0; i < ends.size(); ++i) {
        EXPECT_TRUE(ran.inputs[i + 1].ends_with(ends[i])) << ran.inputs[i + 1] << " but " << ends[i];
        const bool whole = ends[i].starts_with(",0 of ");
        EXPECT_THAT(ran.inputs[i + 1], HasSubstr(whole ? ",rejected,link" : ",ok,"));
      }
      EXPECT_EQ(ran.check.inputs, static_cast<std::uint64_t>(chain.inputs));
      EXPECT_EQ(ran.check.ok, ok);
      EXPECT_EQ(ran.check.rejected, rejected);
      EXPECT_EQ(ran.check.fewer_views, fewer);
      EXPECT_EQ(ran.check.faults.size(), 0u) << (ran.check.faults.empty() ? "" : ran.check.faults[0].why);
    };
    for (const int threads : {1, 8}) {
      const std::string store = fmt::format("s{}", threads);
      const Ran first = run(chain, threads, folder, store);
      expect(first);
      EXPECT_EQ(first.computed, rows.size());
      const Ran again = run(chain, threads, folder, store);
      expect(again);
      EXPECT_EQ(again.admitted, 0u) << "a second run has nothing to compute";
      EXPECT_EQ(again.reused, rows.size());
    }
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(with_fewer, 15u);
  EXPECT_GT(rejected_at_all, 15u);
}

// The README of `augment` recommends it: random views for train, plain ones for val and test.
TEST(Views, CropsBeforeAugmentOfTrainAlone) {
  const TempFolder folder;
  const auto path = folder.write("config.yaml", R"(name: crops
run: {threads: 2}
stages:
  images: {plugin: synthetic, with: {train: 12, val: 6, test: 10, size: 32}}
  crops: {plugin: resize, from: images, with: {resize: 32, crop: 24, crops: five}}
  more: {plugin: augment, from: crops, splits: [train], with: {views: 2, operations: [flip]}}
  rows: {plugin: pixel_table, from: more}
  knn: {plugin: knn, from: rows, with: {k: 3}}
  report: {plugin: evaluate, from: knn}
)");
  const auto graft = [&](const std::vector<std::string>& words) {
    std::vector<std::string> all = words;
    for (const std::string& s : {std::string("--store"), (folder / "s").string()}) all.push_back(s);
    return test::run_program(all, folder.path());
  };
  const auto first = graft({"run", path, "--out", folder / "r"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("rows: 200 rows (200 computed, 0 reused)"));  // 12 x 5 x 2 + 16 x 5
  EXPECT_THAT(test::slurp(folder / "r/inputs.csv"), HasSubstr("images,target/train/000000,train,"));
  EXPECT_THAT(test::slurp(folder / "r/inputs.csv"), HasSubstr(",ok,,,,,10 of 10,yes\n"));
  EXPECT_THAT(test::slurp(folder / "r/inputs.csv"), HasSubstr(",ok,,,,,5 of 5,yes\n"));
  const auto again = graft({"run", path, "--out", folder / "r"});
  EXPECT_THAT(again.err, HasSubstr("rows: 200 rows (0 computed, 200 reused)"));
  const auto verified = graft({"store", "verify"});
  EXPECT_EQ(verified.exit_code, 0);
  EXPECT_THAT(verified.out, HasSubstr("; 28 ok + 0 rejected of 28 inputs: sound"));
}

TEST(Views, ARefusedViewDoesNotRejectTheInput) {
  const auto lost_views = [](int input, int salt) {
    int lost = 0;
    for (std::uint32_t v = 0; v < 4; ++v)
      lost += test::refuses(test::numbered_input(input).content, v, salt, 0.2) ? 1 : 0;
    return lost;
  };
  int salt = -1, fewer = 0;  // one by which no input loses all of its views
  for (bool all = true; all;) {
    ++salt;
    all = false;
    fewer = 0;
    for (int i = 0; i < 30; ++i) {
      all = all || lost_views(i, salt) == 4;
      fewer += lost_views(i, salt) > 0 ? 1 : 0;
    }
  }
  const TempFolder folder;
  const auto path = folder.write("config.yaml", fmt::format(R"(name: fewer
run: {{threads: 2, max_rejects: 0}}
stages:
  source: {{plugin: numbered_source, with: {{inputs: 30}}}}
  crops: {{plugin: numbered_views, from: source, with: {{views: 4, refuse: 0.2, salt: {}}}}}
  more: {{plugin: numbered_views, from: crops, splits: [train], with: {{views: 2}}}}
  table: {{plugin: feature_table, from: more}}
)",
                                                            salt));
  const std::vector<std::string> words{"run",   path,         "--plugin-dir", GRAFT_TEST_PLUGINS,
                                       "--out", folder / "r", "--store",      folder / "s"};
  const auto first = test::run_program(words);
  EXPECT_EQ(first.exit_code, 0) << first.out;
  EXPECT_THAT(first.out, HasSubstr(fmt::format("inputs   30 of 30 ok ({} with fewer views)\n", fewer)));
  EXPECT_THAT(test::slurp(folder / "r/inputs.csv"),
              ::testing::ContainsRegex(",train,a,ok,crops,refused,it is refused,,6 of 8,yes\n"));
  EXPECT_THAT(test::slurp(folder / "r/inputs.csv"),
              ::testing::ContainsRegex(",(val|test),a,ok,crops,refused,it is refused,,3 of 4,yes\n"));
  const auto again = test::run_program(words);
  EXPECT_THAT(again.err, HasSubstr(" rows (0 computed, "));
  EXPECT_EQ(again.out, first.out);
  EXPECT_THAT(
      test::run_program({"store", "verify", "--store", folder / "s"}).out,
      HasSubstr(fmt::format("; 30 ok ({} with fewer views) + 0 rejected of 30 inputs: sound", fewer)));
}

}  // namespace
}  // namespace graft
