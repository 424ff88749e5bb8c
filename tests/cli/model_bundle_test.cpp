// Models of a run whose bundles were changed, or come from another version.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "program.h"
#include "stripes.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ModelBundleTest : public StripesTest {};

TEST_F(ModelBundleTest, ABundleThatIsNotAsItsRunHasWrittenItIsAnError) {
  const struct {
    const char* learner;
    std::function<void(json&)> change;
    std::string error;
  } cases[] = {
      {"probe", [](json& b) { b["graft_bundle"] = 3; },
       "is of format 3: graft 0.1.0 reads format 2; use the version of graft that wrote it, or train the "
       "model "
       "again with this one"},
      {"probe", [](json& b) { b["plugin_version"] = "99.0.0"; },
       "was written by linear_probe 99.0.0: this one is "},
      {"sure", [](json& b) { b["base"]["plugin_version"] = "99.0.0"; },
       "was written by knn 99.0.0: this one is "},
      {"probe", [](json& b) { b["plugin"] = "knn"; },
       "is a model of knn, and 'probe' in the run's config.yaml is linear_probe: bring back the files as the "
       "run "
       "has written them, or train the model again"},
      {"probe",
       [](json& b) {
         b["class_names"] = {"along", "along"};
       },
       "class_names: expected a list of texts, one for each class, got 'along' twice; bring the file back as "
       "the "
       "run has written it, or train the model again"},
      {"sure", [](json& b) { b["base"]["class_names"] = {"along"}; }, ", got 1 name for 2 classes; "},
      {"probe", [](json& b) { b["class_names"].push_back("both"); }, ", got 3 names for 2 classes; "},
      {"probe", [](json& b) { b["class_names"][0] = 7; }, ", got an element that is integer; "},
      {"probe", [](json& b) { b.erase("class_names"); }, ", got none; "},
  };
  for (const auto& [learner, change, error] : cases) {
    std::filesystem::remove_all(*folder_ / "other");
    std::filesystem::copy(*folder_ / "run", *folder_ / "other", std::filesystem::copy_options::recursive);
    const std::string file = "other/models/" + std::string(learner) + "/bundle.json";
    json bundle = json::parse(slurp(*folder_ / file));
    bundle.erase("sha256");  // as a version wrote it that had no digests
    bundle["graft_bundle"] = 1;
    change(bundle);
    folder_->write(file, bundle.dump());
    for (const std::string& model : {std::string("other"), "other/models/" + std::string(learner)}) {
      const ProgramResult r =
          model == "other" ? run_program({"predict", model, "--learner", learner, "photos/test/along/0.ppm"},
                                         folder_->path())
                           : run_program({"predict", model, "photos/test/along/0.ppm"}, folder_->path());
      EXPECT_EQ(r.exit_code, 1) << error;
      EXPECT_EQ(r.out, "");
      EXPECT_THAT(r.err, HasSubstr("bundle.json"));
      EXPECT_THAT(r.err, HasSubstr(error));
    }
  }
}

TEST_F(ModelBundleTest, AChangedByteIsAnErrorThatNamesTheFileAndItsDigest) {
  const auto copy = [&] {
    std::filesystem::remove_all(*folder_ / "other");
    std::filesystem::copy(*folder_ / "run", *folder_ / "other", std::filesystem::copy_options::recursive);
  };
  const auto expect_error = [&](const std::string& learner, const std::string& file,
                                const std::string& wanted) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"predict", "other", "--learner", learner, "photos/test/along/0.ppm"},
          {"model", "pack", "other", "--learner", learner, "-o", "other.graft"}}) {
      const ProgramResult r = run_program(command, folder_->path());
      EXPECT_EQ(r.exit_code, 1) << command[0];
      EXPECT_EQ(r.out, "");
      EXPECT_THAT(r.err, HasSubstr("other/models/" + learner + "/" + file +
                                   ": changed since the run has written it: wanted the SHA-256 " + wanted +
                                   ", got "));
      EXPECT_THAT(r.err, HasSubstr("; bring it back, or train the model again"));
    }
    EXPECT_FALSE(std::filesystem::exists(*folder_ / "other.graft"));
  };
  for (const std::string learner : {"probe", "knn", "sure"}) {
    const std::string models = "other/models/" + learner;
    copy();
    const json facts = json::parse(slurp(*folder_ / models / "bundle.json"));
    std::string weights = slurp(*folder_ / models / "weights.safetensors");
    weights.back() = static_cast<char>(weights.back() ^ 1);
    folder_->write(models + "/weights.safetensors", weights);
    expect_error(learner, "weights.safetensors", facts["sha256"]["weights.safetensors"].get<std::string>());

    copy();
    std::string names = slurp(*folder_ / models / "bundle.json");
    const std::size_t at = names.find("along");
    names.replace(at, 5, "alone");
    folder_->write(models + "/bundle.json", names);
    expect_error(learner, "bundle.json", facts["sha256"]["facts"].get<std::string>());
  }
}

}  // namespace
}  // namespace graft::test
