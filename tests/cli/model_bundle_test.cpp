// Models of a run whose bundles were changed, or come from another version.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>

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
  } kCases[] = {
      {"probe", [](json& b) { b["graft_bundle"] = 2; },
       "is of format 2: graft 0.1.0 reads format 1; use the version of graft that wrote it, or train the "
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
  for (const auto& [learner, change, error] : kCases) {
    std::filesystem::remove_all(*folder_ / "other");
    std::filesystem::copy(*folder_ / "run", *folder_ / "other", std::filesystem::copy_options::recursive);
    const std::string file = "other/models/" + std::string(learner) + "/bundle.json";
    json bundle = json::parse(slurp(*folder_ / file));
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

}  // namespace
}  // namespace graft::test
