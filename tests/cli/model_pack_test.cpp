// Models in one file: what is in it predicts as the run did, and nothing that was changed is used.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <graft/error.h>
#include <graft/testing/error_of.h>

#include "base/stored_zip.h"
#include "fake_plugins.h"
#include "packed_file.h"
#include "program.h"
#include "run/model_card.h"
#include "run/packed_model.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::AnyOf;
using ::testing::EndsWith;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ModelPackTest : public StripesTest {
 protected:
  static ProgramResult graft(const std::vector<std::string>& arguments) {
    return run_program(arguments, folder_->path());
  }
  static std::filesystem::path pack(const std::string& learner) {
    std::filesystem::path file = *folder_ / (learner + ".graft");
    const ProgramResult r = graft({"model", "pack", "run", "--learner", learner, "--out", file, "--quiet"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return file;
  }
};

TEST_F(ModelPackTest, PredictsTheBitsOfTheRunWithNothingButTheFile) {
  for (const std::string& learner : kStripesLearners) {
    const std::filesystem::path file = pack(learner);
    const TempFolder elsewhere;
    std::filesystem::copy(file, elsewhere / "m.graft");
    std::filesystem::create_directories(elsewhere / "photos");
    std::filesystem::copy(*folder_ / "photos/test", elsewhere / "photos/test",
                          std::filesystem::copy_options::recursive);
    // The network and the run are not where they were.
    std::filesystem::rename(*folder_ / "net.safetensors", *folder_ / "gone.safetensors");
    const ProgramResult r = run_program({"predict", "m.graft", "photos/test"}, elsewhere.path());
    std::filesystem::rename(*folder_ / "gone.safetensors", *folder_ / "net.safetensors");
    ASSERT_EQ(r.exit_code, 0) << r.err;
    EXPECT_THAT(r.err, EndsWith("10 of 10 inputs predicted by '" + learner + "' of m.graft\n"));
    const auto wanted = test_scores(*folder_, learner);
    const auto lines = csv_fields(r.out);
    ASSERT_EQ(lines.size(), 11u) << r.out;
    for (std::size_t i = 1; i < lines.size(); ++i)
      EXPECT_EQ((std::vector<std::string>{lines[i][1], lines[i][2], lines[i][3]}), wanted.at(lines[i][0]))
          << learner << " " << lines[i][0];
  }
}

TEST_F(ModelPackTest, TrainingImagesAreInItWhereTheyAreAskedFor) {
  const ProgramResult without = graft({"predict", pack("probe"), "photos/test", "--neighbors", "2"});
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_EQ(
      without.err,
      "error: 'probe' keeps no training images to compare with: pack the run again with --with-neighbors, "
      "which takes those of a learner such as knn on the same table\n");
  const std::filesystem::path file = *folder_ / "near.graft";
  const ProgramResult r =
      graft({"model", "pack", "run", "--learner", "probe", "--with-neighbors", "--out", file});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(
      graft({"model", "show", file}).out,
      HasSubstr("The nearest training images are found by the learner `both`, whose rows and names of "
                "training images are in the file.\n"));
  for (const char* learner : {"probe", "both"}) {
    const std::string wanted =
        graft({"predict", "run", "--learner", learner, "photos/test", "--neighbors", "2", "--quiet"}).out;
    const std::string got = graft({"predict", file, "photos/test", "--neighbors", "2", "--quiet"}).out;
    if (std::string(learner) == "probe")
      EXPECT_EQ(got, wanted);
    else
      EXPECT_NE(got, wanted) << "the scores are those of probe";
  }
  EXPECT_EQ(
      graft({"model", "pack", "run", "--learner", "mlp", "--with-neighbors", "--out", file}).err,
      "error: --with-neighbors: no learner of run keeps its training images and takes the tables of 'mlp': "
      "add one to the config, such as knn, and run it again; the rows are reused\n");
}

TEST_F(ModelPackTest, ANetworkThatWasMovedIsPackedFromItsNewPlace) {
  const std::string before = slurp(pack("probe"));
  const std::filesystem::path file = *folder_ / "moved.graft";
  const auto packed_with = [&](const std::vector<std::string>& settings) {
    std::vector<std::string> words{"model", "pack", "run", "--learner", "probe", "--out", file, "--quiet"};
    for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
    return graft(words);
  };
  std::filesystem::rename(*folder_ / "net.safetensors", *folder_ / "elsewhere.safetensors");
  const ProgramResult gone = packed_with({}), moved = packed_with({"features.model=elsewhere.safetensors"});
  folder_->write("net.safetensors", "another network");
  const ProgramResult other = packed_with({});
  std::filesystem::rename(*folder_ / "elsewhere.safetensors", *folder_ / "net.safetensors");
  EXPECT_THAT(gone.err, HasSubstr("; bring it back, or name its place with --set "));
  ASSERT_EQ(moved.exit_code, 0) << moved.err;
  EXPECT_EQ(graft({"predict", file, "photos/test", "--quiet"}).out,
            graft({"predict", "run", "photos/test", "--learner", "probe", "--quiet"}).out);
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_THAT(other.err, HasSubstr("'probe' was trained with another file than "));
  EXPECT_EQ(
      packed_with({"features.batch=1"}).err,
      "error: --set features.batch=1: a model is packed as it was trained; expected the new place of a file, "
      "PARAMETER=PATH (parameters: features.model)\n");
  EXPECT_EQ(slurp(pack("probe")), before);
}

TEST_F(ModelPackTest, TheSameModelGivesTheSameBytes) {
  const std::string first = slurp(pack("probe"));
  EXPECT_EQ(slurp(pack("probe")), first);
}

TEST_F(ModelPackTest, ShowsWhatItIs) {
  const std::filesystem::path file = pack("surer");
  const ProgramResult r = graft({"model", "show", file});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.out, StartsWith("# stripes / surer\n\nClassifies images into 2 classes: across, along.\n"
                                "The learner is `knn`, its scores are calibrated on val.\n"));
  EXPECT_THAT(r.out, HasSubstr("\n## Where it fails\n\n2 of 2 classes, the lowest recall on test first.\n"));
  EXPECT_THAT(r.out, HasSubstr("\nIt holds no code.\n"));
  EXPECT_THAT(r.out, HasSubstr("  models/surer/weights.safetensors "));
  const json facts = json::parse(graft({"model", "show", file, "--json"}).out);
  EXPECT_EQ(facts["graft_model"], 1);
  EXPECT_EQ(facts["learner"], "surer");
  EXPECT_EQ(facts["classes"], json::array({"across", "along"}));
  EXPECT_EQ(facts["scores"]["test"]["accuracy"],
            json::parse(slurp(*folder_ / "run/results.json"))["learners"]["surer"]["test"]["accuracy"]);
  EXPECT_EQ(facts["parts"].size(), 6u);
}

TEST_F(ModelPackTest, OfAFolderSaysHowToPackIt) {
  EXPECT_EQ(
      graft({"model", "show", "run"}).err,
      "error: run is a folder: expected a file of graft model pack; graft model pack run --out FILE.graft "
      "makes one of a run (graft report run shows the run)\n");
}

TEST_F(ModelPackTest, NamesThePluginsThatUsersNeedBesideGraft) {
  const TempFolder own;
  const auto come = std::filesystem::path(GRAFT_PROGRAM).parent_path() / "graft-plugins";
  for (const char* file : {"knn.so", "knn.json"}) std::filesystem::copy_file(come / file, own / file);
  const ProgramResult r = graft({"model", "pack", "run", "--learner", "sure", "--out", *folder_ / "own.graft",
                                 "--plugin-dir", own.path()});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_THAT(r.err,
              HasSubstr("warning: whoever uses " + (*folder_ / "own.graft").string() +
                        " needs the plugin knn, too, which is not in it: it does not come with Graft\n"));
  EXPECT_THAT(
      graft({"model", "show", *folder_ / "own.graft"}).out,
      HasSubstr("\n**It needs plugins that do not come with Graft and are not in this file**: knn. "));
  EXPECT_THAT(graft({"model", "show", pack("sure")}).out, Not(HasSubstr("It needs plugins")));
}

TEST_F(ModelPackTest, AnUnzipThatKnowsNothingOfGraftReadsIt) {
  const std::filesystem::path file = pack("knn");
  const TempFolder to;
  const std::string test =
      "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; "
      "z.extractall(sys.argv[2])";
  const pid_t pid = start("/usr/bin/python3", to, {"-c", test, file, (to / "out").string()});
  const ProgramResult r = wait_for(to, pid);
  if (r.exit_code == 127) GTEST_SKIP() << "there is no /usr/bin/python3";
  ASSERT_EQ(r.exit_code, 0) << r.err;
  EXPECT_EQ(slurp(to / "out/models/knn/bundle.json"), slurp(*folder_ / "run/models/knn/bundle.json"));
}

TEST_F(ModelPackTest, OneFlippedBitIsAnError) {
  const std::filesystem::path file = pack("knn");
  const std::string whole = slurp(file);
  const auto bits = static_cast<std::uint64_t>(whole.size()) * 8;
  std::vector<std::uint64_t> flipped;
  // All of what stands before and after the contents, and some of the rest.
  for (std::uint64_t bit = 0; bit < 8 * 100; ++bit) flipped.push_back(bit);
  for (std::uint64_t bit = bits - 8 * 1000; bit < bits; bit += 3) flipped.push_back(bit);
  for (std::uint64_t bit = 0; bit < bits; bit += bits / 300) flipped.push_back(bit);
  for (const std::uint64_t bit : flipped) {
    flip_bit(file, bit);
    EXPECT_THAT(error_of([&] { read_packed_model(file); }),
                AnyOf(HasSubstr("m is damaged: "), HasSubstr(" is damaged: "), HasSubstr(" is cut short: "),
                      HasSubstr(" is not a model: ")))
        << "bit " << bit;
    flip_bit(file, bit);
  }
  EXPECT_EQ(slurp(file), whole);
  EXPECT_NO_THROW(read_packed_model(file));

  flip_bit(file, bits / 2);
  const ProgramResult r = graft({"predict", file, "photos/test"});
  flip_bit(file, bits / 2);
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.out, "");
  EXPECT_THAT(r.err, StartsWith("error: " + file.string() + " is damaged: "));
  EXPECT_THAT(r.err, EndsWith("; copy it again, or pack the run again\n"));
}

TEST_F(ModelPackTest, AFileThatIsCutShortIsAnError) {
  const std::filesystem::path file = pack("probe");
  const std::string whole = slurp(file);
  const std::filesystem::path cut = *folder_ / "cut.graft";
  for (std::size_t size = 0; size < whole.size(); size += size < 300 ? 1 : whole.size() / 50) {
    folder_->write("cut.graft", whole.substr(0, size));
    EXPECT_THAT(error_of([&] { read_packed_model(cut); }),
                AnyOf(HasSubstr(" is cut short: it has " + std::to_string(size) + " bytes, wanted at least "),
                      HasSubstr(" is not a model: ")))
        << size;
  }
  folder_->write("cut.graft", whole + "x");
  EXPECT_THAT(error_of([&] { read_packed_model(cut); }),
              HasSubstr(": 1 bytes follow its end; copy it again"));
}

TEST_F(ModelPackTest, AFutureVersionIsNamed) {
  const auto file = folder_->write("future.graft", packed({{"graft_model", 2}, {"graft", "3.1.4"}}, {}));
  const ProgramResult r = graft({"predict", file, "photos/test"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_EQ(r.err,
            "error: " + file.string() +
                " is a model of format 2, made by graft 3.1.4: graft 0.1.0 reads format 1; use a graft of "
                "that version, or pack the run again with this one\n");
}

TEST_F(ModelPackTest, CodeIsRefusedUnlessItIsAllowed) {
  std::vector<ZipMember> members{{"archive/code/__torch__.py", 0, 0}};
  const std::string script = zip_header(members[0]) + zip_end(members, "");
  const auto file = folder_->write(
      "code.graft", packed({{"graft_model", 1}, {"learner", "probe"}},
                           {{"models/probe/bundle.json", "{}"}, {"files/features/net.pt", script}}));
  EXPECT_EQ(error_of([&] { unpack_model(file, Code::Refused); }),
            "a network in " + file.string() +
                " is TorchScript (net.pt), which is code that runs on the machine of whoever uses the model: "
                "convert the weights to safetensors, or allow it with --allow-code if you trust where it "
                "comes from");
  EXPECT_EQ(unpack_model(file, Code::Allowed).learner, "probe");
}

/// What opening a packed model with that network says.
std::string error_with(const std::string& network) {
  const TempFolder folder;
  const auto file = folder.write(
      "m.graft", packed({{"graft_model", 1}, {"learner", "probe"}},
                        {{"models/probe/bundle.json", "{}"}, {"files/features/net.pt", network}}));
  return error_of([&] { unpack_model(file, Code::Refused); });
}

TEST(PackedCode, IsFoundByTheNamesOfAllMembers) {
  const auto refused = HasSubstr(" is TorchScript (net.pt), which is code that runs on the machine");
  EXPECT_THAT(error_with(zipped({{"net/data.pkl", "x"}, {"net/code/__torch__.py", ""}})), refused);
  EXPECT_THAT(error_with(zipped({{"net/data.pkl", "x"}, {"net/CODE/__torch__.py", ""}})), refused)
      << "the loader ignores case";
  EXPECT_THAT(error_with(zipped({{"net/data.pkl", "x"}, {"net/constants.pkl", ""}})), refused);
  std::vector<std::pair<std::string, std::string>> many{{"net/code/__torch__.py", ""}};
  for (int i = 0; i < 280; ++i) many.emplace_back("net/" + std::to_string(i) + std::string(65'000, 'x'), "");
  EXPECT_THAT(error_with(zipped(many)), refused) << "a list of 17 MiB, at whose begin the code stands";
}

TEST(PackedCode, TextInAStateDictIsNone) {
  EXPECT_EQ(error_with(zipped({{"net/data.pkl", "saved by /home/me/code/train.py"}, {"net/data/0", "1234"}})),
            "no error");
  EXPECT_EQ(error_with("PK" + std::string(6, '\0') + "/code/"), "no error") << "a header of 19280 bytes";
}

TEST(PackedCode, AnArchiveThatReadersMayReadDifferentlyIsRefused) {
  const std::string code = zipped({{"net/code/__torch__.py", ""}}), none = zipped({{"net/data.pkl", "x"}});
  const auto refused = [](const std::string& why) {
    return HasSubstr("net.pt: begins as a zip archive, whose list of members cannot be relied on: " + why +
                     "; copy it again, or save it again with torch.save");
  };
  EXPECT_THAT(error_with(code.substr(0, 40)), refused("there is no end of it"));
  EXPECT_THAT(error_with(code + "x"), refused("it is not at the end"));
  EXPECT_THAT(error_with(code + std::string(100'000, 'x')), refused("there is no end of it"));
  EXPECT_THAT(error_with(code + none), refused("its end for large archives is elsewhere"));
  EXPECT_THAT(error_with(zipped({{"net/code/__torch__.py", ""}}, none)),
              refused("its end for large archives is elsewhere"))
      << "an archive in the comment of another";
  const std::size_t end = none.size() - 22, large = end - 20 - 56;
  const auto changed = [&](std::size_t at, char to) {
    std::string out = none;
    out[at] = to;
    return out;
  };
  EXPECT_EQ(error_with(none), "no error");
  EXPECT_THAT(error_with(changed(end + 10, 0)), refused("its two ends contradict each other"));
  EXPECT_THAT(error_with(changed(large, 'x')), refused("its end for large archives is not there"));
  EXPECT_THAT(error_with(changed(end - 20 + 8, 0)), refused("its end for large archives is elsewhere"));
  EXPECT_THAT(error_with(changed(end - 20, 'x')), refused("it is not where its end has it"));
  EXPECT_THAT(error_with(changed(large + 32, 2)), refused("it is spread over several files"));
}

TEST(PackedParts, FilesOfOneNameAreAllKept) {
  std::vector<PluginSchema> plugins = FakePlugins::usual();
  plugins.push_back(FakePlugins::named("nets", PluginSchema::batch_transform("Runs networks.")
                                                   .input(PortType::Image, "Pixels.")
                                                   .output("out", PortType::Tensor, "f32[?]", "Features.")
                                                   .param(list("models", file("")).doc("Weights."))));
  const FakePlugins installed(plugins);
  const TempFolder folder;
  json models = json::array();
  for (const std::string at : {"a", "b", "c", "d"})
    models.push_back(folder.write(at + "/net.bin", "weights " + at).string());
  json config = {{"name", "same"}, {"seed", 1}};
  config["stages"] = {
      {"images", {{"plugin", "files"}, {"with", {{"root", "photos"}}}}},
      {"pixels", {{"plugin", "decode"}, {"from", "images"}, {"with", {{"network", models[3]}}}}},
      {"features", {{"plugin", "nets"}, {"from", "pixels"}, {"with", {{"models", models}}}}},
      {"table", {{"plugin", "table"}, {"from", "features"}}},
      {"probe", {{"plugin", "learn"}, {"from", "table"}}}};
  folder.write("run/config.yaml", config.dump());
  folder.write("run/models/probe/bundle.json", "{}");
  folder.write("run/models/probe/weights.safetensors", "");
  TrainedModel model;
  model.run = folder / "run";
  model.stage = "probe";
  model.bundle.facts = Value::from_json(R"({"plugin": "learn", "class_names": ["a", "b"]})");
  const std::filesystem::path out = folder / "m.graft";
  pack_model(model, installed.registry(), Code::Refused, out);
  const Unpacked unpacked = unpack_model(out, Code::Refused);
  const json after = json::parse(slurp(unpacked.folder->path() / "config.yaml"));
  std::vector<std::string> contents;
  for (const auto& name : after["stages"]["features"]["with"]["models"])
    contents.push_back(slurp(unpacked.folder->path() / name.get<std::string>()));
  EXPECT_THAT(contents, ::testing::ElementsAre("weights a", "weights b", "weights c", "weights d"));
  EXPECT_EQ(after["stages"]["pixels"]["with"]["network"], after["stages"]["features"]["with"]["models"][3]);
}

/// A run whose network is a folder: weights in a file with an index, and what nobody reads.
class ModelFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_photographs(folder_);
    const std::string weights = slurp(GRAFT_SOURCE_DIR "/configs/quickstart_backbone.safetensors");
    std::uint64_t size = 0;
    std::memcpy(&size, weights.data(), sizeof size);
    json index;
    const json header = json::parse(weights.substr(8, size));
    for (const auto& [name, tensor] : header.items())
      if (name != "__metadata__") index["weight_map"][name] = "a.safetensors";
    folder_.write("net/a.safetensors", weights);
    folder_.write("net/model.safetensors.index.json", index.dump());
    folder_.write("net/README.md", "What nobody reads.");
    folder_.write("config.yaml", R"(name: stripes
run: {threads: 2}
stages:
  images: {plugin: image_folder, with: {root: photos, splits: {train: train, val: val, test: test}}}
  pixels: {plugin: decode, from: images, with: {resize: 14, crop: 12}}
  features: {plugin: backbone, from: pixels, with: {model: net}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)");
    const ProgramResult r = run();
    ASSERT_EQ(r.exit_code, 0) << r.err;
  }
  ProgramResult graft(const std::vector<std::string>& arguments) const {
    return run_program(arguments, folder_.path());
  }
  ProgramResult run() const { return graft({"run", "config.yaml", "--out", "run", "--quiet"}); }
  std::string predicted(const std::string& model) const {
    const ProgramResult r = graft({"predict", model, "photos/test", "--quiet"});
    EXPECT_EQ(r.exit_code, 0) << r.err;
    return r.out;
  }
  void move(const char* from, const char* to) const { std::filesystem::rename(folder_ / from, folder_ / to); }

  TempFolder folder_;
};

TEST_F(ModelFolderTest, PredictsAsTheRunDid) {
  const auto wanted = test_scores(folder_, "probe");
  const auto lines = csv_fields(predicted("run"));
  ASSERT_EQ(lines.size(), 11u);
  for (std::size_t i = 1; i < lines.size(); ++i)
    EXPECT_EQ((std::vector<std::string>{lines[i][1], lines[i][2], lines[i][3]}), wanted.at(lines[i][0]));
}

TEST_F(ModelFolderTest, IsPackedWithTheFilesThatCount) {
  const std::string wanted = predicted("run");
  const ProgramResult r = graft({"model", "pack", "run", "--out", "m.graft", "--quiet"});
  ASSERT_EQ(r.exit_code, 0) << r.err;
  move("net", "elsewhere");
  EXPECT_EQ(predicted("m.graft"), wanted);
  std::vector<std::string> names;
  const json facts = json::parse(graft({"model", "show", "m.graft", "--json"}).out);
  for (const json& part : facts["parts"]) names.push_back(part["name"]);
  EXPECT_THAT(names, ::testing::IsSupersetOf({"files/features/net/a.safetensors",
                                              "files/features/net/model.safetensors.index.json"}));
  EXPECT_THAT(names, ::testing::Not(::testing::Contains("files/features/net/README.md")));
  EXPECT_THAT(graft({"model", "show", "m.graft"}).out,
              HasSubstr("\na.safetensors of `features.model` has the xxHash3-128 "));
}

TEST_F(ModelFolderTest, AFileThatChangesIsNamedAndMakesOtherRows) {
  const json digests = json::parse(slurp(folder_ / "run/models/probe/bundle.json"))["files"][0]["digest"];
  ASSERT_EQ(digests.size(), 2u);
  const std::string digest = digests["a.safetensors"], net = (folder_ / "net").string();
  folder_.write("net/README.md", "Another text.");
  predicted("run");
  const auto error = [&] { return graft({"predict", "run", "photos/test"}).err; };

  move("net", "moved");
  EXPECT_EQ(error(), "error: 'probe' was trained with a folder that is not at " + net +
                         " any more: wanted the one with a.safetensors (" + digest +
                         "), model.safetensors.index.json (" +
                         digests["model.safetensors.index.json"].get<std::string>() +
                         "); bring it back, or name its place with --set features.model=PATH\n");
  move("moved", "net");
  folder_.write("net/config.json", "{}");
  EXPECT_THAT(error(), StartsWith("error: 'probe' was trained with another file than " + net +
                                  "/config.json: wanted no such file, got "));
  std::filesystem::remove(folder_ / "net/config.json");
  flip_bit(folder_ / "net/a.safetensors",
           8 * (std::filesystem::file_size(folder_ / "net/a.safetensors") - 2));
  EXPECT_THAT(error(), StartsWith("error: 'probe' was trained with another file than " + net +
                                  "/a.safetensors: wanted the content with the digest " + digest + ", got "));
  ASSERT_EQ(run().exit_code, 0);
  EXPECT_EQ(json::parse(slurp(folder_ / "run/results.json"))["tables"]["table"]["reused"], 0)
      << "one byte of a part";
  predicted("run");
}

TEST_F(ModelFolderTest, AnIndexIsNoModel) {
  const ProgramResult r =
      graft({"run", "config.yaml", "--set", "features.model=net/model.safetensors.index.json"});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err,
              HasSubstr("net/model.safetensors.index.json: is the index of several files of weights: give "
                        "the folder that they are in, " +
                        (folder_ / "net").string()));
}

TEST_F(ModelPackTest, WeightsThatWereMovedOrChangedAreNamedByTheirDigest) {
  const std::filesystem::path net = *folder_ / "net.safetensors", moved = *folder_ / "moved.safetensors";
  const json bundle = json::parse(slurp(*folder_ / "run/models/probe/bundle.json"));
  ASSERT_EQ(bundle["files"].size(), 1u);
  EXPECT_EQ(bundle["files"][0]["stage"], "features");
  EXPECT_EQ(bundle["files"][0]["parameter"], "model");
  EXPECT_EQ(bundle["files"][0]["path"], net.string());
  const std::string digest = bundle["files"][0]["digest"];

  std::filesystem::rename(net, moved);
  const ProgramResult gone = graft({"predict", "run", "--learner", "probe", "photos/test"});
  EXPECT_EQ(gone.exit_code, 1);
  EXPECT_EQ(gone.err, "error: 'probe' was trained with a file that is not at " + net.string() +
                          " any more: wanted the one whose content has the digest " + digest +
                          "; bring it back, or name its place with --set features.model=PATH\n");
  const ProgramResult found = graft({"predict", "run", "--learner", "probe", "photos/test", "--quiet",
                                     "--set", "features.model=" + moved.string()});
  EXPECT_EQ(found.exit_code, 0) << found.err;

  std::filesystem::copy(moved, net);
  flip_bit(net, 8 * (std::filesystem::file_size(net) - 2));
  const ProgramResult changed = graft({"predict", "run", "--learner", "probe", "photos/test"});
  std::filesystem::rename(moved, net);
  EXPECT_EQ(changed.exit_code, 1);
  EXPECT_THAT(changed.err, StartsWith("error: 'probe' was trained with another file than " + net.string() +
                                      ": wanted the content with the digest " + digest + ", got "));
}

TEST_F(ModelPackTest, WhatCannotBePackedIsAnError) {
  EXPECT_THAT(graft({"model", "pack", "run"}).err, StartsWith("error: --out is missing: "));
  EXPECT_THAT(graft({"model", "pack", "photos", "-o", "x.graft"}).err,
              StartsWith("error: photos holds no models"));
  const std::filesystem::path file = pack("probe");
  EXPECT_EQ(graft({"model", "pack", file, "-o", "x.graft"}).err,
            "error: " + file.string() + " is a packed model already: copy it\n");
  EXPECT_THAT(graft({"model", "show", "config.yaml"}).err,
              StartsWith("error: config.yaml is not a model: expected"));
  EXPECT_FALSE(std::filesystem::exists(*folder_ / "x.graft"));
  EXPECT_THAT(graft({"model", "--help"}).out, HasSubstr("graft model pack RUN\n"));
}

TEST(ModelCard, NothingInANameIsMarkup) {
  TrainedModel model;
  model.stage = "probe";
  model.bundle.facts["class_names"] = Value::List{"a|b\\c", "`x` ~~y~~", "http://e.x/\xff",
                                                  "\xe2\x80\xae"
                                                  "d"};
  Value facts = Value::map();
  facts["run"] = "C:\\data";
  facts["plugin"] = "a`b``c";
  const std::string card = model_card(facts, model);
  EXPECT_THAT(card, StartsWith("# C\\:\\\\data / probe\n\nClassifies images into 4 classes: a\\|b\\\\c, "
                               "\\`x\\` \\~\\~y\\~\\~, http\\://e.x/\\\\xff, \\\\u202ed.\n"
                               "The learner is ``` a`b``c ```.\n"));
}

}  // namespace
}  // namespace graft::test
