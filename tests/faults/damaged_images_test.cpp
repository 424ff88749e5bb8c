// A folder of damaged, odd and hostile files goes through the program. Each ends as a row or as a reject that
// says why; rows stay with their names; memory stays bounded; thread counts and repetition change nothing.

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/planner.h"
#include "image_files.h"
#include "program.h"
#include "run/stream_run.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;

constexpr int kSide = 16;
constexpr long kMemoryKiB = 300 * 1024;

constexpr const char* kConfig = R"(name: damaged
run: {threads: 2, max_rejects: 100%, memory: 64MiB}
stages:
  images: {plugin: image_folder, with: {root: data, val_fraction: 0, test_fraction: 0, follow_symlinks: true}}
  pixels: {plugin: decode, from: images, with: {resize: 16, crop: 16}}
  rows: {plugin: pixel_table, from: pixels}
)";

enum class Fate {
  Row,       ///< Decodes, and its colour is known.
  Rejected,  ///< For a reason that is stated.
  Either,    ///< Damage that no decoder need see; what counts is that nothing else suffers.
};

struct Case {
  Fate fate = Fate::Row;
  Colour colour{};
  std::string code;  ///< Of the reject, where one is certain.
};

class DamagedImages : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const std::string extension : {".jpg", ".png", ".webp", ".tiff", ".bmp", ".ppm"})
      add_family(extension);
    add_special();
    folder_.write("config.yaml", kConfig);
  }

  // Colours are far enough apart to tell which file a row came from.
  Colour next_colour() {
    const int i = drawn_++;
    return {30 + 40 * (i % 5), 30 + 40 * (i / 5 % 5), 30 + 40 * (i / 25 % 5)};
  }

  void add(const std::string& name, const std::string& content, Case expected) {
    folder_.write("data/c" + std::to_string(cases_.size() % 2) + "/" + name, content);
    cases_["c" + std::to_string(cases_.size() % 2) + "/" + name] = std::move(expected);
  }

  void add_family(const std::string& extension) {
    const std::string family = extension.substr(1);
    const auto name = [&](const std::string& what) { return family + "_" + what + extension; };
    Colour colour = next_colour();
    const std::string whole = image_file(extension, colour);
    add(name("whole"), whole, {Fate::Row, colour, ""});
    add(name("empty"), "", {Fate::Rejected, {}, "empty-file"});
    add(name("header"), whole.substr(0, 24), {Fate::Rejected, {}, ""});
    for (const std::size_t percent : {10, 50, 90})
      add(name("cut" + std::to_string(percent)), whole.substr(0, whole.size() * percent / 100),
          {Fate::Rejected, {}, "truncated"});
    for (const double place : {0.4, 0.7}) {
      std::string flipped = whole;
      flipped[static_cast<std::size_t>(place * static_cast<double>(whole.size()))] ^= 0x10;
      add(name("flip" + std::to_string(place)), flipped, {Fate::Either, {}, ""});
    }
    colour = next_colour();
    add(name("trailing"), image_file(extension, colour) + std::string(1000, 'x'), {Fate::Row, colour, ""});
    colour = next_colour();
    add(family + "_named.txt", image_file(extension, colour), {Fate::Row, colour, ""});
    add(name("thin"), image_file(extension, {90, 90, 90}, 1, 400), {Fate::Either, {}, ""});
  }

  void add_special() {
    Colour c = next_colour();
    add("deep.png", png_of_16_bits(c), {Fate::Row, c, ""});
    c = next_colour();
    add("deep.tiff", tiff_of_16_bits(c), {Fate::Row, c, ""});
    c = next_colour();
    add("cmyk.jpg", cmyk_jpeg(c), {Fate::Row, c, ""});
    add("rotated.jpg", rotated_jpeg({200, 100, 50}), {Fate::Either, {}, ""});
    c = next_colour();
    add("new\nline.png", image_file(".png", c), {Fate::Row, c, ""});
    c = next_colour();
    add("\xff\xfe latin.png", image_file(".png", c), {Fate::Row, c, ""});
    c = next_colour();
    add(std::string(251, 'n') + ".png", image_file(".png", c), {Fate::Row, c, ""});
    c = next_colour();
    add("=1+1,\"quoted\".png", image_file(".png", c), {Fate::Row, c, ""});
    add("page.jpg", "<!DOCTYPE html><html>404</html>", {Fate::Rejected, {}, "not-an-image"});
    add("noise.jpg", "\x01\x02\x03\x04nothing at all", {Fate::Rejected, {}, "not-an-image"});
    add("animated.gif", animated_gif(), {Fate::Rejected, {}, "unsupported-format"});
    add("animated.webp", animated_webp(), {Fate::Rejected, {}, "unsupported-format"});
    add("bomb.png", png_header(60000, 60000), {Fate::Rejected, {}, "too-large"});
    add("nothing.png", png_header(0, 0), {Fate::Rejected, {}, "corrupt"});
    add("nothing.ppm", "P6\n0 0\n255\n", {Fate::Rejected, {}, "corrupt"});
    std::string bmp = image_file(".bmp", {1, 2, 3});
    bmp.replace(18, 4, 4, '\0');
    add("nothing.bmp", bmp, {Fate::Rejected, {}, "corrupt"});
    if (::geteuid() != 0) {
      add("unreadable.png", image_file(".png", {1, 2, 3}), {Fate::Rejected, {}, "unreadable"});
      ::chmod((folder_ / ("data/" + key_of("unreadable.png"))).c_str(), 0);
    }
    // What is not a regular file is no input: left out with a warning.
    const auto data = folder_ / "data/c0";
    std::filesystem::create_directory_symlink(data, data / "loop");
    std::filesystem::create_symlink("/dev/zero", data / "zero.jpg");
    std::filesystem::create_symlink(data / "self.jpg", data / "self.jpg");
    ASSERT_EQ(::mkfifo((data / "pipe.jpg").c_str(), 0600), 0);
  }

  std::string key_of(const std::string& name) const {
    for (const auto& [key, expected] : cases_)
      if (key.ends_with("/" + name)) return key;
    return {};
  }

  /// Runs the program; gives its exit code and the most memory it held.
  std::pair<ProgramResult, long> run(const std::string& out, const std::string& store, int threads) {
    const pid_t pid = start_program(
        folder_,
        {"run", (folder_ / "config.yaml").string(), "--set", "run.threads=" + std::to_string(threads),
         "--out", folder_ / out, "--store", folder_ / store},
        folder_.path());
    int status = 0;
    rusage usage{};
    ::wait4(pid, &status, 0, &usage);
    return {{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), slurp(folder_ / "stdout"),
             slurp(folder_ / "stderr")},
            usage.ru_maxrss};
  }

  /// Reads the rows of a store back, each with the key of its input, and what became of the others.
  void read_back(const std::string& store,
                 const std::function<void(const ListedInput&, const std::vector<std::uint8_t>*)>& visit) {
    Diagnostics diagnostics;
    const ConfigFile config((folder_ / "config.yaml").string(), {}, diagnostics);
    Registry registry(Registry::search_path({}));
    const Plan plan = make_plan(config, registry, diagnostics);
    ASSERT_EQ(diagnostics.errors(), 0u);
    DigestMemo memo(folder_ / store / "digests.memo");
    StageFactory factory(plan, registry, [](const std::string&) {});
    Meter meter(plan.stages.size());
    const std::atomic<bool> never{false};
    Workers workers(1);
    StreamRun stream(plan, 0, folder_ / store, memo, factory, meter, never);
    stream.run(workers);
    const RunTable& table = stream.tables().at(0);
    EXPECT_EQ(table.computed, 0u);
    const TableRows rows(*table.store, stream.listing(), {table.rows.begin(), table.rows.end()});
    std::map<std::uint32_t, std::vector<std::uint8_t>> row_of;
    for (std::size_t r = 0; r < rows.rows(); ++r) {
      auto& pixels = row_of[rows.input_index(r)];
      pixels.resize(rows.dim());
      rows.read_raw(r, 1, pixels.data());
    }
    for (std::size_t i = 0; i < stream.listing().inputs.size(); ++i) {
      const auto found = row_of.find(static_cast<std::uint32_t>(i));
      visit(stream.listing().inputs[i], found == row_of.end() ? nullptr : &found->second);
    }
  }

  static Colour mean_of(const std::vector<std::uint8_t>& pixels) {
    Colour sum{};
    for (std::size_t i = 0; i < pixels.size(); ++i) sum[i % 3] += pixels[i];
    for (int& s : sum) s /= kSide * kSide;
    return sum;
  }

  TempFolder folder_;
  std::map<std::string, Case, std::less<>> cases_;  ///< By key.
  int drawn_ = 0;
};

TEST_F(DamagedImages, EachEndsAsARowOrAsAReasonAndRowsKeepTheirNames) {
  ASSERT_GE(cases_.size(), 60u);
  const auto [result, memory] = run("r", "s", 2);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_LT(memory, kMemoryKiB);
  EXPECT_THAT(result.err, HasSubstr("special file"));
  EXPECT_THAT(result.err, ::testing::Not(HasSubstr("libpng")));

  std::size_t seen = 0;
  read_back("s", [&](const ListedInput& input, const std::vector<std::uint8_t>* row) {
    ASSERT_TRUE(cases_.contains(input.key)) << input.key;
    ++seen;
    const Case& expected = cases_.find(input.key)->second;
    // One or the other, never both and never neither.
    EXPECT_NE(row != nullptr, input.reject != nullptr) << input.key;
    if (input.reject) {
      EXPECT_FALSE(input.reject->code.empty()) << input.key;
      EXPECT_GT(input.reject->text.size(), 10u) << input.key;
      if (!expected.code.empty()) {
        EXPECT_EQ(input.reject->code, expected.code) << input.key << ": " << input.reject->text;
      }
    }
    if (expected.fate == Fate::Row) {
      ASSERT_NE(row, nullptr) << input.key << ": " << input.reject->text;
      const Colour mean = mean_of(*row);
      for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(mean[c], expected.colour[c], 4) << input.key;
    } else if (expected.fate == Fate::Rejected) {
      EXPECT_EQ(row, nullptr) << input.key;
    }
  });
  EXPECT_EQ(seen, cases_.size());
}

TEST_F(DamagedImages, ThreadsAndRepetitionChangeNothing) {
  ASSERT_EQ(run("r1", "s1", 1).first.exit_code, 0);
  ASSERT_EQ(run("r8", "s8", 8).first.exit_code, 0);
  const std::string inputs = slurp(folder_ / "r1/inputs.csv");
  EXPECT_EQ(inputs, slurp(folder_ / "r8/inputs.csv"));
  ASSERT_EQ(run("again", "s8", 2).first.exit_code, 0);
  EXPECT_EQ(inputs, slurp(folder_ / "again/inputs.csv"));

  std::map<std::string, std::vector<std::uint8_t>> one;
  read_back("s1", [&](const ListedInput& input, const std::vector<std::uint8_t>* row) {
    if (row != nullptr) one[std::string(input.key)] = *row;
  });
  std::size_t rows = 0;
  read_back("s8", [&](const ListedInput& input, const std::vector<std::uint8_t>* row) {
    if (row == nullptr) return;
    ++rows;
    EXPECT_EQ(one.at(std::string(input.key)), *row) << input.key;
  });
  EXPECT_EQ(rows, one.size());
}

TEST_F(DamagedImages, AnUprightPhotographIsUpright) {
  ASSERT_EQ(run("r", "s", 2).first.exit_code, 0);
  bool found = false;
  read_back("s", [&](const ListedInput& input, const std::vector<std::uint8_t>* row) {
    if (!input.key.ends_with("/rotated.jpg")) return;
    found = true;
    ASSERT_NE(row, nullptr);
    // The centre crop of the upright image: black above, coloured below.
    const auto red = [&](int y) {
      const int place = 3 * kSide * y + 3 * kSide / 2;
      return (*row)[static_cast<std::size_t>(place)];
    };
    EXPECT_LT(red(1), 30);
    EXPECT_GT(red(kSide - 2), 170);
  });
  EXPECT_TRUE(found);
}

}  // namespace
}  // namespace graft::test
