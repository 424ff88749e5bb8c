#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kPlugins = [] {
  std::vector<std::string> names{"archive",      "augment",    "cifar",         "compare",      "decode",
                                 "engine_fused", "evaluate",   "feature_table", "hybrid",       "idx",
                                 "image_folder", "image_list", "knn",           "linear_probe", "mlp",
                                 "pixel_table",  "prototypes", "resize",        "stdin",        "synthetic",
                                 "url_list",     "table_file", "temperature",   "backbone",     "video"};
  if (GRAFT_HAS_TORCH) names.insert(names.end(), {"engine_torch", "finetune", "pretrain"});
  return names;
}();

TEST(Cli, HelpNamesEveryCommandAndExitCode) {
  const ProgramResult r = run_program({"--help"});
  EXPECT_EQ(r.exit_code, 0);
  for (const char* word :
       {"run CONFIG", "sweep CONFIG", "check CONFIG", "plan CONFIG", "plugins", "describe PLUGIN", "version",
        "--set", "--store", "--plugin-dir", "--json", "130 or 143"})
    EXPECT_THAT(r.out, HasSubstr(word));
  EXPECT_EQ(run_program({}).exit_code, 2);
  // However its columns are aligned.
  const auto help_of = [](const char* command) {
    return std::regex_replace(run_program({command, "--help"}).out, std::regex("\\s+"), " ");
  };
  EXPECT_THAT(help_of("run"), StartsWith("usage: graft run CONFIG"));
  // The place of what is written is one for each command.
  EXPECT_THAT(help_of("run"), HasSubstr("--out ] DIR the folder of the run (default: runs/<name>)"));
  EXPECT_THAT(help_of("predict"), HasSubstr("--out ] FILE write the predictions to this file"));
  EXPECT_EQ(run_program({"version", "--out", "x"}).err,
            "error: --out is an option of graft init, train, run, launch, sweep, predict, embed, plan, runs, "
            "new-plugin, model pack\nusage: graft version\n");
}

TEST(Cli, WrongUsageSaysWhatAndExitsWithTwo) {
  const auto fails = [](const std::vector<std::string>& arguments, const std::string& text) {
    const ProgramResult r = run_program(arguments);
    EXPECT_EQ(r.exit_code, 2);
    EXPECT_EQ(r.err, text);
  };
  fails(
      {"rum"},
      "error: no command 'rum'; did you mean 'run'? (commands: init, train, run, launch, bench-node, status, "
      "sweep, "
      "predict, serve, "
      "embed, check, plan, graph, report, runs, plugins, new-plugin, describe, schema, model, store, "
      "share, version)\n"
      "usage: graft COMMAND [ARGUMENT] [OPTIONS]; graft --help lists the commands\n");
  fails({"run"}, "error: CONFIG is missing\nusage: graft run CONFIG\n");
  fails({"run", "a", "b"}, "error: one CONFIG expected, got 2\nusage: graft run CONFIG\n");
  fails({"check", "--bogus"},
        "error: unrecognised option '--bogus'\nusage: graft COMMAND [ARGUMENT] [OPTIONS]; graft --help lists "
        "the "
        "commands\n");
  fails({"run", "no-such.yaml"},
        "no-such.yaml: error: cannot open no-such.yaml: No such file or directory\n1 error in no-such.yaml; "
        "nothing was run\n");
}

TEST(Cli, PluginsListsEveryPluginAndEveryRefusal) {
  const TempFolder folder;
  folder.write("broken.so", "text");
  const ProgramResult r = run_program({"plugins", "--plugin-dir", folder.path()});
  EXPECT_EQ(r.exit_code, 0);
  for (const std::string& name : kPlugins) EXPECT_THAT(r.out, HasSubstr(name + " "));
  EXPECT_THAT(r.out, HasSubstr("refused: " + (folder / "broken.so").string() +
                               "\n  wanted  a shared object that loads"));
}

TEST(Cli, EveryPluginDescribesItselfAndItsExamplePassesCheck) {
  const TempFolder folder;
  for (const std::string& name : kPlugins) {
    const ProgramResult r = run_program({"describe", name, "--json"});
    ASSERT_EQ(r.exit_code, 0) << r.err;
    const auto schema = nlohmann::json::parse(r.out);
    EXPECT_GT(schema["summary"].get<std::string>().size(), 20u) << name;
    for (const auto& p : schema["params"])
      EXPECT_NE(p["text"].get<std::string>(), "")
          << name << ": parameter " << p["name"] << " has no sentence";
    const ProgramResult text = run_program({"describe", name});
    if (name.starts_with("engine_"))
      continue;  // a service is named in the example of the stage that it serves
    const auto config = folder.write(name + ".yaml", schema["example"].get<std::string>());
    const ProgramResult check = run_program({"check", config});
    EXPECT_EQ(check.exit_code, 0) << name << ":\n" << check.err;
    EXPECT_THAT(text.out, HasSubstr("example\n" + schema["example"].get<std::string>()));
    for (const auto& p : schema["params"])
      EXPECT_THAT(text.out, HasSubstr("\n  " + p["name"].get<std::string>() + ": "));
  }
  EXPECT_THAT(run_program({"describe", "decod"}).err,
              HasSubstr("no plugin 'decod'; did you mean 'decode'? (plugins: "));
}

TEST(Cli, VersionAsTextAndJson) {
  const std::string text = run_program({"version"}).out;
  EXPECT_THAT(text, StartsWith("graft 0.1.0\nplugin API "));
  const auto version = nlohmann::json::parse(run_program({"version", "--json"}).out);
  EXPECT_EQ(version["graft"], "0.1.0");
  EXPECT_THAT(version["compiler"].get<std::string>(), ContainsRegex("^(GCC|clang) [0-9]+"));
  // Every library tells a version, in the text, too.
  for (const auto& [group, names] : std::map<std::string, std::vector<std::string>>{
           {"libraries",
            {"oneTBB", "HDF5", "OpenSSL", "zlib", "xxHash", "yaml-cpp", "RE2", "fmt", "nlohmann/json",
             "Boost"}},
           {"plugin_libraries",
            {"oneDNN", "OpenBLAS", "OpenCV", "libjpeg-turbo", "libpng", "libtiff", "libwebp", "libarchive",
             "libcurl"}}})
    for (const std::string& name : names) {
      const std::string value = version[group].value(name, "missing");
      EXPECT_THAT(value, ContainsRegex("^[0-9]+\\.[0-9]+")) << name;
      EXPECT_THAT(text, ContainsRegex("\n  " + name + " +[0-9]+\\.[0-9]+")) << name;
    }
  // LibTorch is not loaded for this.
  EXPECT_EQ(version["plugins_built_with"].contains("engine_torch"), GRAFT_HAS_TORCH == 1);
}

TEST(Cli, ShareIsTheFolderOfTheConfigs) {
  const std::string folder = run_program({"share"}).out;
  EXPECT_EQ(folder, GRAFT_SOURCE_DIR "\n");
  EXPECT_EQ(nlohmann::json::parse(run_program({"share", "--json"}).out)["share"], GRAFT_SOURCE_DIR);
  EXPECT_EQ(run_program({"share"}, {}, {"GRAFT_SHARE=/elsewhere"}).out, "/elsewhere\n");
  EXPECT_EQ(run_program({"check", GRAFT_SOURCE_DIR "/configs/quickstart.yaml"}).exit_code, 0);
  EXPECT_EQ(run_program({"share", "x"}).err,
            "error: this command takes no argument, got 'x'\nusage: graft share\n");
}

TEST(Cli, CheckPrintsFaultsAsJsonLines) {
  const ProgramResult r =
      run_program({"check", "--json", std::string(GRAFT_SOURCE_DIR) + "/tests/errors/cases/cycle.yaml"});
  EXPECT_EQ(r.exit_code, 2);
  const auto fault = nlohmann::json::parse(r.err);
  EXPECT_EQ(fault["line"], 4);
  EXPECT_EQ(fault["severity"], "error");
  EXPECT_EQ(fault["text"], "stages form a cycle: a -> b -> a");
}

TEST(Cli, EveryShippedConfigPassesCheckOrNamesTheDataItNeeds) {
  const std::filesystem::path configs = std::filesystem::path(GRAFT_SOURCE_DIR) / "configs";
  const bool data = std::getenv("GRAFT_DATA") != nullptr;
  int checked = 0;
  for (const auto& e : std::filesystem::directory_iterator(configs)) {
    if (e.path().extension() != ".yaml") continue;
    const std::string text = slurp(e.path());
    const auto names = [&](const char* plugin) { return text.find(plugin) != std::string::npos; };
    if (!GRAFT_HAS_TORCH && (names("pretrain") || names("finetune"))) continue;
    ++checked;
    const ProgramResult r = run_program({"check", e.path()}, {}, {"PHOTOS=" GRAFT_SOURCE_DIR});
    if (text.find("${GRAFT_DATA}") != std::string::npos && !data) {
      EXPECT_EQ(r.exit_code, 2);
      EXPECT_THAT(
          r.err,
          HasSubstr("environment variable GRAFT_DATA is not set; set it to the folder that holds the data"));
    } else if (text.find("/cifar10-full") != std::string::npos &&
               !std::filesystem::exists(std::string(std::getenv("GRAFT_DATA")) + "/cifar10-full")) {
      // All of CIFAR-10 is more than what the tests need.
      EXPECT_EQ(r.exit_code, 2);
      EXPECT_THAT(r.err, HasSubstr("cifar10-full"));
    } else {
      EXPECT_EQ(r.exit_code, 0) << e.path() << "\n" << r.err;
    }
  }
  EXPECT_GE(checked, 3);
}

}  // namespace
}  // namespace graft::test
