// Every source of data sets through the program: the number of threads changes nothing, a second run computes
// nothing, and every input ends as a line of inputs.csv.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "archive_files.h"
#include "hdf5_files.h"
#include "program.h"
#include "range_server.h"

namespace graft::test {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::string noise(unsigned seed, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
  return out;
}

std::string photograph(unsigned seed) {
  return "P6\n8 8\n255\n" + noise(seed, 192);
}

/// Files by name: 2 classes of 20 images.
std::vector<std::pair<std::string, std::string>> photographs(const std::string& prefix = "") {
  std::vector<std::pair<std::string, std::string>> out;
  for (unsigned i = 0; i < 40; ++i)
    out.emplace_back(prefix + (i % 2 ? "ants/" : "bees/") + std::to_string(i) + ".ppm", photograph(i + 1));
  return out;
}

struct Case {
  std::string name;
  std::string stage;  ///< `plugin: ..., with: ...`.
  bool encoded;       ///< Needs decode.
  std::size_t inputs, rejected;
  std::function<void(const TempFolder&)> write;
  std::string collector = "pixel_table";
};

/// In place of the bytes, in the names of the tests.
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

/// What a run has found, without the time that it took.
std::string results_of(const std::filesystem::path& run) {
  const std::string text = slurp(run / "results.json");
  return text.substr(0, text.find("\"timings\""));
}

class Sources : public ::testing::TestWithParam<Case> {
 protected:
  ProgramResult run(const std::string& out, const std::string& store, int threads) {
    const Case& c = GetParam();
    const auto config = folder_.write(
        "config.yaml",
        "name: sources\nrun: {max_rejects: 10}\nstages:\n  images: {" + c.stage + "}\n" +
            (c.encoded ? "  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n" : "") +
            "  rows: {plugin: " + c.collector + ", from: " + (c.encoded ? "pixels" : "images") +
            "}\n  knn: {plugin: knn, from: rows, with: {k: 3}}\n  report: {plugin: evaluate, from: knn}\n");
    // The program inherits the standard input of the test.
    const int paths = ::open((folder_ / "paths").c_str(), O_RDONLY | O_CLOEXEC);
    if (paths >= 0) ::dup2(paths, STDIN_FILENO);
    if (paths >= 0) ::close(paths);
    return run_program({"run", config, "--quiet", "--out", folder_ / out, "--store", folder_ / store, "--set",
                        "run.threads=" + std::to_string(threads)},
                       folder_.path());
  }
  std::string results(const std::string& out) const { return results_of(folder_ / out); }
  TempFolder folder_;
};

TEST_P(Sources, ThreadsChangeNothingAndASecondRunComputesNothing) {
  const Case& c = GetParam();
  c.write(folder_);
  const ProgramResult one = run("one", "store1", 1);
  ASSERT_EQ(one.exit_code, 0) << one.err;
  const ProgramResult eight = run("eight", "store8", 8);
  ASSERT_EQ(eight.exit_code, 0) << eight.err;
  EXPECT_EQ(results("one"), results("eight"));
  const std::string predictions = slurp(folder_ / "one/predictions/knn.csv");
  EXPECT_GT(predictions.size(), 100u);
  EXPECT_EQ(predictions, slurp(folder_ / "eight/predictions/knn.csv"));
  const std::string inputs = slurp(folder_ / "one/inputs.csv");
  EXPECT_EQ(inputs, slurp(folder_ / "eight/inputs.csv"));
  EXPECT_THAT(results("one"), HasSubstr("\"total\": " + std::to_string(c.inputs)));
  EXPECT_THAT(results("one"), HasSubstr("\"rejected\": " + std::to_string(c.rejected)));

  const ProgramResult again = run("again", "store1", 8);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(inputs, slurp(folder_ / "again/inputs.csv"));
  EXPECT_EQ(predictions, slurp(folder_ / "again/predictions/knn.csv"));
  EXPECT_THAT(results("again"), HasSubstr("\"computed\": 0"));
}

std::vector<Case> cases() {
  const auto with_bad_ones = [](auto files) {
    files.emplace_back("ants/broken.ppm", "P6\n8 8\n255\nshort");
    return files;
  };
  std::vector<Case> all;
  all.push_back({"image_folder", "plugin: image_folder, with: {root: data, exclude: \"*.txt\"}", true, 41, 1,
                 [=](const TempFolder& f) {
                   for (const auto& [name, content] : with_bad_ones(photographs()))
                     f.write("data/" + name, content);
                   f.write("data/ants/notes.txt", "left out");
                 }});
  all.push_back({"image_list", "plugin: image_list, with: {file: data/list.csv}", true, 44, 4,
                 [=](const TempFolder& f) {
                   std::string list =
                       "path,label\n../config.yaml,ants\n/etc/hostname,ants\nmissing.ppm,ants\n";
                   for (const auto& [name, content] : with_bad_ones(photographs())) {
                     f.write("data/" + name, content);
                     list += name + "," + name.substr(0, 4) + "\n";
                   }
                   f.write("data/list.csv", list);
                 }});
  all.push_back({"stdin", "plugin: stdin, with: {label_from: parent_folder, root: data}", true, 41, 1,
                 [=](const TempFolder& f) {
                   std::string paths;
                   for (const auto& [name, content] : with_bad_ones(photographs())) {
                     f.write("data/" + name, content);
                     paths += name + "\n";
                   }
                   f.write("paths", paths);
                 }});
  all.push_back({"archive", "plugin: archive, with: {root: data}", true, 84, 4, [=](const TempFolder& f) {
                   auto files = with_bad_ones(photographs());
                   files.emplace_back("../up.jpg", "x");
                   f.write("data/none", "");
                   write_archive(f / "data/x.tar.gz", files);
                   write_archive(f / "data/y.zip", files);
                 }});
  all.push_back({"webdataset", "plugin: archive, with: {root: data, layout: webdataset}", true, 40, 0,
                 [](const TempFolder& f) {
                   f.write("data/none", "");
                   std::vector<std::pair<std::string, std::string>> members;
                   for (unsigned i = 0; i < 40; ++i) {
                     members.emplace_back(std::to_string(i) + ".ppm", photograph(i + 1));
                     members.emplace_back(std::to_string(i) + ".cls", std::to_string(i % 2));
                   }
                   write_archive(f / "data/train.tar", members);
                 }});
  all.push_back(
      {"video", "plugin: video, with: {root: data, every: 2}", false, 101, 1, [](const TempFolder& f) {
         f.write("data/ants/fake.mp4", "no video");
         f.write("data/bees/none", "");
         for (int v = 0; v < 20; ++v) {
           const fs::path path =
               f / ("data/" + std::string(v % 2 ? "ants/" : "bees/") + std::to_string(v) + ".avi");
           cv::VideoWriter out(path.string(), cv::CAP_OPENCV_MJPEG,
                               cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 10, {16, 16});
           for (int i = 0; i < 10; ++i) out.write(cv::Mat(16, 16, CV_8UC3, cv::Scalar(12 * v, 20 * i, 99)));
         }
       }});
  all.push_back({"cifar", "plugin: cifar, with: {root: data}", false, 60, 0, [](const TempFolder& f) {
                   std::string train, test;
                   for (unsigned i = 0; i < 60; ++i)
                     (i % 3 ? train : test) += static_cast<char>(i % 10) + noise(i + 1, 3072);
                   f.write("data/data_batch_1.bin", train);
                   f.write("data/test_batch.bin", test);
                 }});
  all.push_back({"idx", "plugin: idx, with: {root: data}", false, 80, 0, [](const TempFolder& f) {
                   for (const char* prefix : {"train", "t10k"}) {
                     std::string images("\0\0\x08\x03\0\0\0\x28\0\0\0\x08\0\0\0\x08", 16),
                         labels("\0\0\x08\x01\0\0\0\x28", 8);
                     for (unsigned i = 0; i < 40; ++i) {
                       images += noise(i + (prefix[1] == 'r' ? 1 : 99), 64);
                       labels += static_cast<char>(i % 4);
                     }
                     f.write(std::string("data/") + prefix + "-images-idx3-ubyte", images);
                     f.write(std::string("data/") + prefix + "-labels-idx1-ubyte", labels);
                   }
                 }});
  all.push_back({"table_file", "plugin: table_file, with: {files: {train: data/a.h5, test: data/b.h5}}",
                 false, 60, 0,
                 [](const TempFolder& f) {
                   f.write("data/none", "");
                   for (const auto& [name, rows, seed] :
                        {std::tuple{"data/a.h5", hsize_t{40}, 1u}, {"data/b.h5", hsize_t{20}, 2u}}) {
                     std::vector<std::uint8_t> labels(rows);
                     for (std::size_t i = 0; i < rows; ++i) labels[i] = i % 2;
                     const Hdf5File file(f / name);
                     const std::string bytes = noise(seed, rows * 5);
                     const std::vector<std::uint8_t> values(bytes.begin(), bytes.end());
                     file.write<std::uint8_t>("features", {rows, 5}, values, H5T_IEEE_F64BE);
                     file.write<std::uint8_t>("labels", {rows}, labels);
                   }
                 },
                 "feature_table"});
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, Sources, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

// What the memo promises: while the size and the times of an archive stay, its members are not read again.
class SourcesMemo : public ::testing::Test {
 protected:
  std::string run() {
    const ProgramResult r = run_program(
        {"run", config_, "--quiet", "--out", folder_ / "r", "--store", folder_ / "s"}, folder_.path());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return slurp(folder_ / "r/results.json");
  }
  void write_tar() {
    folder_.write("data/none", "");
    write_archive(folder_ / "data/x.tar", photographs());
    fs::last_write_time(folder_ / "data/x.tar", long_ago_);
  }
  /// What was read is noted in the memo.
  std::uintmax_t noted() const { return fs::file_size(folder_ / "s/digests.memo"); }

  TempFolder folder_;
  const fs::file_time_type long_ago_ = fs::file_time_type::clock::now() - std::chrono::hours(1);
  const std::string config_ = folder_.write("config.yaml", R"(name: memo
stages:
  images: {plugin: archive, with: {root: data}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows, with: {k: 3}}
  report: {plugin: evaluate, from: knn}
)");
};

TEST_F(SourcesMemo, ASecondRunReadsNoMembers) {
  write_tar();
  EXPECT_THAT(run(), HasSubstr("\"computed\": 40"));
  const std::uintmax_t before = noted();
  EXPECT_THAT(run(), HasSubstr("\"computed\": 0"));
  EXPECT_EQ(noted(), before);
}

// As a tool that packs reproducibly leaves it: other pictures under the same names, of one size and time.
TEST_F(SourcesMemo, AnotherArchiveOfTheSameSizeAndTimeIsReadAnew) {
  write_tar();
  EXPECT_THAT(run(), HasSubstr("\"computed\": 40"));
  std::string tar = slurp(folder_ / "data/x.tar");
  tar[tar.find("P6\n8 8\n255\n") + 50] ^= 1;
  folder_.write("data/x.tar", tar);
  fs::last_write_time(folder_ / "data/x.tar", long_ago_);
  EXPECT_THAT(run(), HasSubstr("\"computed\": 1"));
}

/// Runs over archives that a server in this process gives.
class SourcesRemote : public ::testing::Test {
 protected:
  void serve(int archive, const std::vector<std::pair<std::string, std::string>>& members,
             const std::string& tag) {
    const std::string name = "x" + std::to_string(archive) + ".tar";
    write_archive(folder_ / name, members);
    server_.put("/" + name, {slurp(folder_ / name), tag, "Tue, 01 Dec 2026 10:00:00 GMT"});
  }
  /// Images large enough that a request for each is worth it.
  static std::vector<std::pair<std::string, std::string>> photographs_with_tails(unsigned first, unsigned n) {
    std::vector<std::pair<std::string, std::string>> out;
    for (unsigned i = first; i < first + n; ++i)
      out.emplace_back((i % 2 ? "ants/" : "bees/") + std::to_string(i) + ".ppm",
                       "P6\n500 300\n255\n" + noise(i + 1, 450'000));
    return out;
  }
  ProgramResult run(const std::string& out, const std::string& store,
                    const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{"run", config_, "--quiet", "--store", folder_ / store};
    if (!out.empty()) arguments.insert(arguments.end(), {"--out", folder_ / out});
    arguments.insert(arguments.end(), more.begin(), more.end());
    server_.count_anew();
    return run_program(arguments, folder_.path());
  }
  std::string results(const std::string& out) const { return results_of(folder_ / out); }

  TempFolder folder_;
  RangeServer server_;
  const std::string config_ = folder_.write("config.yaml", R"(name: remote
stages:
  images: {plugin: archive, with: {urls: ")" + server_.url() +
                                                               R"(/x{0..2}.tar", backoff: 0.01}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  rows: {plugin: pixel_table, from: pixels}
  knn: {plugin: knn, from: rows, with: {k: 3}}
  report: {plugin: evaluate, from: knn}
)");
};

TEST_F(SourcesRemote, ASecondRunFetchesHeadersAndWhatHasChanged) {
  for (int archive = 0; archive < 3; ++archive)
    serve(archive, photographs_with_tails(static_cast<unsigned>(10 * archive), 10), "\"1\"");
  ASSERT_EQ(run_program({"check", config_}, folder_.path()).exit_code, 0);
  EXPECT_EQ(server_.requests(), 0) << "a check fetches nothing";
  const ProgramResult one = run("one", "s", {"--set", "run.threads=1"});
  ASSERT_EQ(one.exit_code, 0) << one.err;
  EXPECT_THAT(results("one"), HasSubstr("\"computed\": 30"));
  const std::uint64_t all = server_.bytes();
  EXPECT_GE(all, 30u * 450'000);
  ASSERT_EQ(run("eight", "s8", {"--set", "run.threads=8"}).exit_code, 0);
  EXPECT_EQ(results("one"), results("eight"));
  EXPECT_EQ(slurp(folder_ / "one/predictions/knn.csv"), slurp(folder_ / "eight/predictions/knn.csv"));
  EXPECT_EQ(slurp(folder_ / "one/inputs.csv"), slurp(folder_ / "eight/inputs.csv"));

  ASSERT_EQ(run("again", "s").exit_code, 0);
  EXPECT_THAT(results("again"), HasSubstr("\"computed\": 0"));
  EXPECT_LE(server_.bytes(), 33u << 16) << "the headers, of " << all << " bytes";
  EXPECT_EQ(slurp(folder_ / "one/predictions/knn.csv"), slurp(folder_ / "again/predictions/knn.csv"));

  auto changed = photographs_with_tails(10, 10);
  changed[4].second[1000] ^= 1;
  serve(1, changed, "\"2\"");
  ASSERT_EQ(run("changed", "s").exit_code, 0);
  EXPECT_THAT(results("changed"), HasSubstr("\"computed\": 1"));
}

TEST_F(SourcesRemote, WithoutAStrongTagContentsDecide) {
  for (int archive = 0; archive < 3; ++archive)
    serve(archive, photographs_with_tails(static_cast<unsigned>(10 * archive), 10), "W/\"1\"");
  ASSERT_EQ(run("one", "s").exit_code, 0);
  const std::uint64_t all = server_.bytes();
  ASSERT_EQ(run("again", "s").exit_code, 0);
  EXPECT_THAT(results("again"), HasSubstr("\"computed\": 0"));
  EXPECT_EQ(server_.bytes(), all);
}

TEST_F(SourcesRemote, ShardsTakeWholeArchives) {
  for (int archive = 0; archive < 3; ++archive)  // as many images as make every sum of them another one
    serve(archive, photographs_with_tails(static_cast<unsigned>(10 * archive), 1u << archive), "\"1\"");
  int all = 0;
  for (int i = 0; i < 2; ++i) {
    const ProgramResult r = run("", "s", {"--json", "--shard", std::to_string(i) + "/2"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const std::size_t at = r.out.find("\"computed\":");
    ASSERT_NE(at, std::string::npos) << r.out;
    const int computed = std::stoi(r.out.substr(at + 11));
    EXPECT_EQ(all & computed, 0) << "an archive is in one shard";
    all |= computed;
    EXPECT_LE(server_.bytes(), static_cast<unsigned>(computed) * 600'000u + (16u << 16))
        << "of the archives of others the headers";
  }
  EXPECT_EQ(all, 7);
}

TEST_F(SourcesRemote, AnArchiveThatChangesEndsTheRunWithItsName) {
  for (int archive = 0; archive < 3; ++archive)
    serve(archive, photographs_with_tails(static_cast<unsigned>(10 * archive), 10), "\"1\"");
  const std::string x1 = slurp(folder_ / "x1.tar");
  int of_x1 = 0;
  server_.answer_instead([&](int, const std::string& path, const std::string& head) {
    // The list is made by some eleven requests; this is one for the members.
    return path == "/x1.tar" && ++of_x1 > 14 ? std::optional(RangeServer::answer({x1, "\"2\""}, head))
                                             : std::nullopt;
  });
  const ProgramResult r = run_program({"run", config_, "--quiet", "--store", folder_ / "s"}, folder_.path());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr(server_.url() + "/x1.tar: the file was changed while it was in use"));
  EXPECT_THAT(r.err, HasSubstr("run again when it stays as it is"));
}

}  // namespace
}  // namespace graft::test
