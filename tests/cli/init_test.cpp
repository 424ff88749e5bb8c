// From a folder of any usual shape to a config that runs, and to a model.

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include "base/stored_zip.h"
#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// A picture of noise about one colour per class.
std::string picture(int label, int number) {
  std::string pnm = "P6 12 12 255\n";
  std::uint32_t state = static_cast<std::uint32_t>(number * 2 + label + 1);
  for (int i = 0; i < 12 * 12; ++i)
    for (int c = 0; c < 3; ++c) {
      state = state * 1664525u + 1013904223u;
      pnm += static_cast<char>((c == label ? 150 : 50) + (state >> 27));
    }
  return pnm;
}

void write_class(const TempFolder& to, const std::string& folder, int label, int count, int first = 0) {
  for (int i = first; i < first + count; ++i)
    to.write(folder + "/" + std::to_string(i) + ".ppm", picture(label, i));
}

/// An IDX file of unsigned bytes.
std::string idx(const std::vector<std::uint32_t>& extents, const std::string& data) {
  std::string out{'\0', '\0', '\x08', static_cast<char>(extents.size())};
  for (const std::uint32_t e : extents)
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(e >> shift);
  return out + data;
}

struct Shape {
  const char* name;
  const char* plugin;
  std::function<void(const TempFolder&)> make;  ///< In the folder `set`.
};

void write_list(
    const TempFolder& to, const std::string& file, const std::string& head,
    const std::function<std::string(const std::string& path, const std::string& label, int i)>& line) {
  std::string out = head;
  for (int label = 0; label < 2; ++label)
    for (int i = 0; i < 25; ++i) {
      const std::string path = "img/" + std::to_string(label) + "_" + std::to_string(i) + ".ppm";
      to.write("set/" + path, picture(label, i));
      out += line(path, label == 0 ? "red" : "green", i);
    }
  to.write("set/" + file, out);
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> kShapes{
      {"a_folder_per_class", "image_folder",
       [](const TempFolder& to) {
         write_class(to, "set/red", 0, 30);
         write_class(to, "set/green apples", 1, 30);
       }},
      {"train_and_test", "image_folder",
       [](const TempFolder& to) {
         for (const std::string split : {"train", "test"}) {
           write_class(to, "set/" + split + "/red", 0, 15, split == "test" ? 100 : 0);
           write_class(to, "set/" + split + "/green", 1, 15, split == "test" ? 100 : 0);
         }
       }},
      {"Training_and_Validation", "image_folder",
       [](const TempFolder& to) {
         for (const std::string split : {"Training", "Validation"}) {
           write_class(to, "set/" + split + "/red", 0, 15, split == "Validation" ? 100 : 0);
           write_class(to, "set/" + split + "/green", 1, 15, split == "Validation" ? 100 : 0);
         }
       }},
      {"three_splits", "image_folder",
       [](const TempFolder& to) {
         int first = 0;
         for (const std::string split : {"train", "valid", "test"}) {
           write_class(to, "set/" + split + "/red", 0, 10, first);
           write_class(to, "set/" + split + "/green", 1, 10, first);
           first += 100;
         }
       }},
      {"csv", "image_list",
       [](const TempFolder& to) {
         write_list(to, "labels.csv", "id,path,label\n", [](const auto& path, const auto& label, int i) {
           return std::to_string(i) + "," + path + "," + label + "\n";
         });
       }},
      {"csv_with_other_names", "image_list",
       [](const TempFolder& to) {
         write_list(to, "meta.csv", "Image;Species;Split\n", [](const auto& path, const auto& label, int i) {
           return path + ";" + label + ";" + (i < 15 ? "train" : i < 20 ? "val" : "test") + "\n";
         });
       }},
      {"tsv", "image_list",
       [](const TempFolder& to) {
         write_list(to, "list.tsv", "filename\tclass\n",
                    [](const auto& path, const auto& label, int) { return path + "\t" + label + "\n"; });
       }},
      {"csv_with_lone_carriage_returns", "image_list",
       [](const TempFolder& to) {
         write_list(to, "old.csv", "path,label\r",
                    [](const auto& path, const auto& label, int) { return path + "," + label + "\r"; });
       }},
      {"csv_of_tags_with_commas", "image_list",
       [](const TempFolder& to) {
         write_list(to, "tags.csv", "path,tags\n", [](const auto& path, const auto& label, int i) {
           return path + ",\"" + label + (i % 3 == 0 ? ", third" : "") + "\"\n";
         });
       }},
      {"json_lines_of_several_labels", "image_list",
       [](const TempFolder& to) {
         write_list(to, "list.jsonl", "", [](const auto& path, const auto& label, int i) {
           json line{{"path", path}, {"labels", json::array({label})}};
           if (i % 3 == 0) line["labels"].push_back("third");
           return line.dump() + "\n";
         });
       }},
      {"webdataset", "archive",
       [](const TempFolder& to) {
         for (const std::string shard : {"train-000", "train-001", "test-000"})
           for (int label = 0; label < 2; ++label)
             for (int i = 0; i < 12; ++i) {
               const std::string name = "w/" + shard + "/" + std::to_string(label) + "_" + std::to_string(i);
               to.write(name + ".ppm", picture(label, i + 50 * static_cast<int>(shard.back() - '0') +
                                                          (shard[1] == 'e' ? 500 : 0)));
               to.write(name + ".cls", label == 0 ? "red" : "green");
             }
         std::filesystem::create_directories(to / "set");
         for (const std::string shard : {"train-000", "train-001", "test-000"}) {
           const TempFolder output;
           const pid_t pid = start("/usr/bin/tar", output,
                                   {"-cf", to / "set" / (shard + ".tar"), "-C", to / "w" / shard, "."});
           ASSERT_EQ(wait_for(output, pid).exit_code, 0);
         }
       }},
      {"zip_of_class_folders", "archive",
       [](const TempFolder& to) {
         std::string zip;
         std::vector<ZipMember> members;
         for (int label = 0; label < 2; ++label)
           for (int i = 0; i < 30; ++i) {
             const std::string content = picture(label, i);
             members.push_back({(label == 0 ? "red/" : "green/") + std::to_string(i) + ".ppm", content.size(),
                                zip_crc(0, content.data(), content.size())});
             zip += zip_header(members.back()) + content;
           }
         to.write("set/photos.zip", zip + zip_end(members, ""));
       }},
      {"folders_within_class_folders", "image_folder",
       [](const TempFolder& to) {
         for (const char* camera : {"left", "right"}) {
           write_class(to, std::string("set/red/2024/") + camera, 0, 15, *camera);
           write_class(to, std::string("set/green/") + camera, 1, 15, *camera);
         }
       }},
      {"one_tiny_class", "image_folder",
       [](const TempFolder& to) {
         write_class(to, "set/red", 0, 40);
         write_class(to, "set/green", 1, 40);
         write_class(to, "set/rare", 2, 3);
       }},
      {"csv_of_several_labels", "image_list",
       [](const TempFolder& to) {
         write_list(to, "tags.csv", "file,tags\n", [](const auto& path, const auto& label, int i) {
           return path + "," + label + (i % 3 == 0 ? ";third" : "") + "\n";
         });
       }},
      {"tar_gz_of_class_folders", "archive",
       [](const TempFolder& to) {
         write_class(to, "w/red", 0, 30);
         write_class(to, "w/green", 1, 30);
         std::filesystem::create_directories(to / "set");
         const TempFolder output;
         const pid_t pid = start("/usr/bin/tar", output,
                                 {"-czf", to / "set/photos.tar.gz", "-C", to / "w", "red", "green"});
         ASSERT_EQ(wait_for(output, pid).exit_code, 0);
       }},
      {"videos", "video",
       [](const TempFolder& to) {
         for (int label = 0; label < 2; ++label)
           for (int i = 0; i < 30; ++i) {
             const std::filesystem::path file =
                 to / ("set/" + std::string(label == 0 ? "red/" : "green/") + std::to_string(i) + ".avi");
             std::filesystem::create_directories(file.parent_path());
             cv::VideoWriter video(file, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 5, {48, 32});
             ASSERT_TRUE(video.isOpened());
             for (int frame = 0; frame < 8; ++frame)
               video.write(cv::Mat(32, 48, CV_8UC3,
                                   cv::Scalar(60 + i, label == 1 ? 200 : 60, label == 0 ? 200 : 60)));
           }
       }},
      {"mnist", "idx",
       [](const TempFolder& to) {
         const std::pair<const char*, int> parts[] = {{"train", 60}, {"t10k", 20}};
         for (const auto& [part, n] : parts) {
           std::string images, labels;
           for (int i = 0; i < n; ++i) {
             images += std::string(28 * 28, static_cast<char>(i % 2 == 0 ? 40 + i : 160 + i));
             labels += static_cast<char>(i % 2);
           }
           const auto count = static_cast<std::uint32_t>(n);
           to.write("set/" + std::string(part) + "-images-idx3-ubyte", idx({count, 28, 28}, images));
           to.write("set/" + std::string(part) + "-labels-idx1-ubyte", idx({count}, labels));
         }
       }},
      {"cifar10", "cifar", [](const TempFolder& to) {
         const std::pair<const char*, int> parts[] = {{"data_batch_1.bin", 60}, {"test_batch.bin", 20}};
         for (const auto& [part, n] : parts) {
           std::string records;
           for (int i = 0; i < n; ++i)
             records += std::string(1, static_cast<char>(i % 2)) +
                        std::string(3072, static_cast<char>(i % 2 == 0 ? 40 + i : 160 + i));
           to.write("set/" + std::string(part), records);
         }
       }}};
  return kShapes;
}

class InitTest : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(Shapes, InitTest, ::testing::Range(std::size_t{0}, shapes().size()),
                         [](const auto& info) { return std::string(shapes()[info.param].name); });

TEST_P(InitTest, GivesAConfigThatRuns) {
  const Shape& shape = shapes()[GetParam()];
  const TempFolder folder;
  shape.make(folder);
  const ProgramResult made = run_program({"init", "set"}, folder.path(), {"GRAFT_MODELS=/nowhere"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out, "set.yaml: 8 stages, no faults; graft run set.yaml trains and evaluates\n");
  const std::string config = slurp(folder / "set.yaml");
  EXPECT_THAT(config, StartsWith("# Made by graft init from " + (folder / "set").string() + "\n# "));
  EXPECT_THAT(config, HasSubstr("    plugin: " + std::string(shape.plugin) + "\n"));
  ASSERT_EQ(run_program({"check", "set.yaml"}, folder.path()).exit_code, 0);
  const ProgramResult run = run_program({"run", "set.yaml", "--quiet"}, folder.path());
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "runs/set/report.html"));
  const json results = json::parse(slurp(folder / "runs/set/results.json"));
  const std::string name = shape.name;
  const bool several = name.ends_with("_of_several_labels") || name == "csv_of_tags_with_commas";
  for (const char* learner : {"probe", several ? "mlp" : "knn"}) {
    ASSERT_TRUE(results["learners"][learner].contains("test")) << results["learners"][learner].dump();
    EXPECT_GE(results["learners"][learner]["test"]["n"].get<int>(), 5);
    EXPECT_GE(results["learners"][learner]["val"]["n"].get<int>(), 3);
  }
}

TEST(Init, FromAFolderToAModelThatAColleagueUses) {
  const TempFolder folder, colleague;
  write_class(folder, "flowers/roses", 0, 30);
  write_class(folder, "flowers/tulips", 1, 30);
  write_class(colleague, "new", 1, 2, 900);
  const ProgramResult trained = run_program({"train", "flowers"}, folder.path(), {"GRAFT_MODELS=/nowhere"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_THAT(trained.err, StartsWith("config   flowers.yaml\n"));
  EXPECT_THAT(trained.err, HasSubstr("use it   graft predict runs/flowers NEW-IMAGES\n"));
  const ProgramResult packed =
      run_program({"model", "pack", "runs/flowers", "-o", colleague / "flowers.graft"}, folder.path());
  ASSERT_EQ(packed.exit_code, 0) << packed.err;
  const ProgramResult used = run_program({"predict", "flowers.graft", "new"}, colleague.path());
  EXPECT_EQ(used.exit_code, 0) << used.err;
  EXPECT_THAT(used.out, HasSubstr("new/900.ppm,tulips,"));
}

TEST(Init, WhatCannotBeToldIsAnErrorThatSaysWhatIsWanted) {
  const TempFolder folder;
  const auto error = [&](const std::string& dir) {
    const ProgramResult r = run_program({"init", dir}, folder.path());
    EXPECT_EQ(r.exit_code, 1);
    return r.err;
  };
  EXPECT_EQ(error("none"), "error: none is not a folder: expected one with images\n");
  folder.write("empty/readme.md", "");
  EXPECT_THAT(error("empty"), StartsWith("error: empty has no images: wanted a folder per class, "));
  write_class(folder, "flat", 0, 3);
  EXPECT_THAT(error("flat"),
              StartsWith("error: flat has 3 images, and nothing names their classes: wanted "));
  write_class(folder, "one/red", 0, 3);
  EXPECT_THAT(
      error("one"),
      StartsWith("error: one has 3 images, and nothing distinguishes their classes: one folder holds all"));
  write_class(folder, "splits/train", 0, 3);
  write_class(folder, "splits/test", 1, 3);
  EXPECT_THAT(
      error("splits"),
      StartsWith("error: splits has 6 images in the folders test, train, which are splits, and no folder "
                 "per class in them: nothing names the classes; wanted train/CLASS"));
  write_class(folder, "two/red", 0, 30);
  write_class(folder, "two/green", 1, 4);
  folder.write("two.yaml", "mine");
  EXPECT_EQ(
      error("two"),
      "error: two.yaml exists, and differs from what would be written now: graft run two.yaml uses it as "
      "it is; or remove it, or choose another file with --config\n");
  EXPECT_EQ(slurp(folder / "two.yaml"), "mine");
  ASSERT_EQ(run_program({"init", "two", "--config", "b.yaml"}, folder.path()).exit_code, 0);
  EXPECT_THAT(
      slurp(folder / "b.yaml"),
      HasSubstr("# Classes with fewer than 20 images, whose scores will be unreliable: green (4).\n"));
}

TEST(Init, NamesThatMeanSomethingElseElsewhere) {
  const TempFolder folder;
  const auto init = [&](const std::string& dir) {
    const ProgramResult r = run_program({"init", dir}, folder.path(), {"GRAFT_MODELS=/nowhere"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return r.out;
  };
  for (const char* name : {"null", "1e5", "-x"}) {
    write_class(folder, std::string(name) + "/null", 0, 20);
    write_class(folder, std::string(name) + "/-x", 1, 20);
  }
  EXPECT_EQ(init("null"), "null.yaml: 8 stages, no faults; graft run null.yaml trains and evaluates\n");
  EXPECT_THAT(slurp(folder / "null.yaml"), HasSubstr("\nname: \"null\"\n"));
  EXPECT_EQ(init("1e5"), "1e5.yaml: 8 stages, no faults; graft run 1e5.yaml trains and evaluates\n");
  // A name that begins with a dash would be an option.
  EXPECT_EQ(init("./-x"), "x.yaml: 8 stages, no faults; graft run x.yaml trains and evaluates\n");
  for (const char* name : {"null", "1e5", "x"}) {
    const ProgramResult r = run_program({"run", std::string(name) + ".yaml", "--quiet"}, folder.path());
    EXPECT_EQ(r.exit_code, 0) << r.err;
    EXPECT_TRUE(std::filesystem::exists(folder / "runs" / name / "results.json"));
  }
}

TEST(Init, AListThatCannotBeReadIsNamedWhereNothingElseNamesTheClasses) {
  const TempFolder folder;
  write_class(folder, "set/img", 0, 3);
  std::string utf16 = "\xff\xfe";
  for (const char c : std::string("path,label\nimg/0.ppm,red\n")) utf16 += std::string{c, '\0'};
  folder.write("set/labels.csv", utf16);
  ASSERT_EQ(::mkfifo((folder / "set/other.csv").c_str(), 0600), 0);  // to open it would wait for ever
  const ProgramResult r = run_program({"init", "set"}, folder.path());
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("; labels.csv is text in UTF-16: save it as UTF-8 (graft embed takes images "
                               "without classes)\n"));
}

TEST(Init, BytesThatAreNoUtf8InClassNamesStayApart) {
  const TempFolder folder;
  write_class(folder, "set/caf\xe8", 0, 30);
  write_class(folder, "set/caf\xe9", 1, 30);
  const ProgramResult trained =
      run_program({"train", "set", "--quiet"}, folder.path(), {"GRAFT_MODELS=/nowhere"});
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const ProgramResult r = run_program({"predict", "runs/set", "set", "--json", "--quiet"}, folder.path());
  ASSERT_EQ(r.exit_code, 0) << r.err;
  const json scores = json::parse(r.out.substr(0, r.out.find('\n')))["scores"];
  EXPECT_EQ(scores.size(), 2u) << r.out;
  EXPECT_TRUE(scores.contains("caf\\xe8") && scores.contains("caf\\xe9")) << r.out;
}

TEST(Init, TakesNoOtherDataForTheUsers) {
  const TempFolder folder;
  const auto error = [&](const std::string& dir) {
    const ProgramResult r = run_program({"init", dir}, folder.path());
    EXPECT_EQ(r.exit_code, 1);
    return r.err;
  };
  // Each split in a list of its own: one of them alone would be another task.
  folder.write("lists/a.ppm", "P6 1 1 255\nabc");
  folder.write("lists/train.csv", "path,label\na.ppm,x\n");
  folder.write("lists/test.csv", "path,label\na.ppm,x\n");
  EXPECT_EQ(error("lists"),
            "error: lists has several lists of images (test.csv, train.csv): join them to one, with a column "
            "split (train, val, test), or move away those that are not meant\n");
  // Splits are no classes.
  write_class(folder, "held/val/red", 0, 3);
  write_class(folder, "held/test/red", 0, 3);
  EXPECT_EQ(
      error("held"),
      "error: held has the folders val, test, and none to train on: wanted a folder train beside them\n");
  // A table beside class folders whose paths lead nowhere is none of the images.
  write_class(folder, "mixed/red", 0, 20);
  write_class(folder, "mixed/green", 1, 20);
  folder.write("mixed/predictions.csv", "name,class,score\nelsewhere.jpg,red,0.5\n");
  ASSERT_EQ(run_program({"init", "mixed"}, folder.path()).exit_code, 0);
  EXPECT_THAT(slurp(folder / "mixed.yaml"), HasSubstr("plugin: image_folder"));
}

TEST(Init, TheSameCommandGoesOnWithItsOwnConfig) {
  const TempFolder folder;
  write_class(folder, "two/red", 0, 30);
  write_class(folder, "two/green", 1, 30);
  const auto graft = [&](const std::vector<std::string>& arguments) {
    return run_program(arguments, folder.path(), {"GRAFT_MODELS=/nowhere"});
  };
  const ProgramResult first = graft({"train", "two"}), second = graft({"train", "two"});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_THAT(second.err, HasSubstr("(0 computed, 60 reused)"));
  EXPECT_EQ(graft({"init", "two"}).exit_code, 0);
  folder.write("two.yaml", slurp(folder / "two.yaml") + "# mine\n");
  const ProgramResult changed = graft({"train", "two"});
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_THAT(changed.err, HasSubstr(": graft run two.yaml uses it as it is; "));
}

TEST(Init, NothingIsWrittenWithAFault) {
  const TempFolder folder;
  write_class(folder, "two/red", 0, 30);
  write_class(folder, "two/green", 1, 30);
  for (const char* command : {"init", "train"}) {
    const auto fault = [&](std::vector<std::string> more) {
      more.insert(more.begin(), {command, "two"});
      const ProgramResult r = run_program(more, folder.path(), {"GRAFT_MODELS=/nowhere"});
      EXPECT_EQ(r.exit_code, 2) << r.err;
      EXPECT_FALSE(std::filesystem::exists(folder / "two.yaml"));
      return r.err;
    };
    EXPECT_THAT(fault({"--model", "resnet50"}),
                StartsWith("error: --model: no such file or folder: resnet50; graft model fetch NAME gets "));
    EXPECT_THAT(fault({"--set", "nosuch.c=1"}),
                HasSubstr("--set:1:1: error: no stage 'nosuch' (stages: images, "));
    EXPECT_THAT(fault({"--set", "probe.nosuch=1"}), HasSubstr("1 error in two.yaml; nothing was written\n"));
    EXPECT_THAT(fault({"--set", "nosuch=1"}), HasSubstr("nosuch"));
    EXPECT_THAT(fault({"--set", "probe.plugin=mlp"}),
                StartsWith("error: --set probe.plugin: the stages are those that this command writes"));
  }
}

TEST(Init, ValuesOfSetAreInTheConfig) {
  const TempFolder folder;
  write_class(folder, "two/red", 0, 30);
  write_class(folder, "two/green", 1, 30);
  std::filesystem::copy_file(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors",
                             folder / "net.safetensors");
  std::filesystem::create_directories(folder / "sub");
  const ProgramResult again =
      run_program({"train", "two", "--config", "sub/c.yaml", "--set", "probe.c=0.001", "--set", "name=zoo",
                   "--set", "run.threads=1", "--set", "knn.k=[1, 3]", "--set",
                   "features.model=net.safetensors", "--set", "seed=7"},
                  folder.path(), {"GRAFT_MODELS=/nowhere"});
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("use it   graft predict runs/zoo NEW-IMAGES\n"));
  EXPECT_THAT(again.err, Not(HasSubstr("drawn shapes")));
  const std::string config = slurp(folder / "sub/c.yaml");
  EXPECT_THAT(config, HasSubstr("\nseed: 7\nrun: {threads: 1}\n"));
  EXPECT_THAT(config, HasSubstr("  probe: {plugin: linear_probe, from: table, with: {c: 0.001}}\n"));
  EXPECT_THAT(config, HasSubstr("  knn: {plugin: knn, from: table, with: {k: [1, 3]}}\n"));
  // The config alone gives the same.
  const ProgramResult run = run_program({"run", "c.yaml", "--out", "r", "--quiet"}, folder / "sub");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(slurp(folder / "sub/r/models/probe/weights.safetensors"),
            slurp(folder / "runs/zoo/models/probe/weights.safetensors"));
  EXPECT_EQ(slurp(folder / "sub/r/predictions/knn.csv"), slurp(folder / "runs/zoo/predictions/knn.csv"));
}

TEST(Init, WarnsOfTheNetworkThatHasSeenNoPhotographs) {
  const TempFolder folder;
  write_class(folder, "two/red", 0, 30);
  write_class(folder, "two/green", 1, 30);
  const ProgramResult r =
      run_program({"init", "two", "--out", "p9.yaml"}, folder.path(), {"GRAFT_MODELS=/nowhere"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(r.err,
            "warning: the network of p9.yaml has seen drawn shapes alone: for photographs, graft model fetch "
            "resnet18 gets a far better one; then remove p9.yaml, and run this command again\n");
  EXPECT_TRUE(std::filesystem::exists(folder / "p9.yaml"));
  const ProgramResult named =
      run_program({"init", "two", "--config", "b.yaml", "--model",
                   std::string(GRAFT_SOURCE_DIR) + "/configs/quickstart_backbone.safetensors"},
                  folder.path());
  EXPECT_EQ(named.exit_code, 0);
  EXPECT_EQ(named.err, "");
}

}  // namespace
}  // namespace graft::test
