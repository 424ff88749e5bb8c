#pragma once

#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <graft/random.h>

#include "hdf5_files.h"
#include "program.h"

namespace graft::test {

/// A run of the real program: 3,000 feature vectors of other software into a table, nearest neighbours on it,
/// a report.
class GraftRun {
 public:
  static constexpr std::size_t kRows = 3000, kValues = 128, kClasses = 3;

  /// `more`: further stages.
  explicit GraftRun(const std::string& more = {}) {
    Random random(7);
    std::vector<float> features;
    std::vector<std::int64_t> labels, splits;
    for (std::size_t i = 0; i < kRows; ++i) {
      labels.push_back(static_cast<std::int64_t>(random.below(kClasses)));
      splits.push_back(static_cast<std::int64_t>(random.below(3)));
      for (std::size_t v = 0; v < kValues; ++v)
        features.push_back(static_cast<float>(random.normal() + 0.1 * static_cast<double>(labels.back())));
    }
    {
      const Hdf5File file(inputs_ / "features.h5");
      file.write("features", {kRows, kValues}, features);
      file.write("labels", {kRows}, labels);
      file.write("splits", {kRows}, splits);
    }
    config_ = inputs_.write("config.yaml",
                            "name: faults\n"
                            "run: {threads: 2}\n"
                            "stages:\n"
                            "  features: {plugin: table_file, with: {files: features.h5}}\n"
                            "  rows: {plugin: feature_table, from: features}\n"
                            "  knn: {plugin: knn, from: rows}\n"
                            "  report: {plugin: evaluate, from: knn}\n" +
                                more);
  }

  pid_t start(const TempFolder& output, const std::string& out, const std::string& store,
              const std::vector<std::string>& environment = {},
              const std::vector<std::string>& more = {}) const {
    return start_command(output, "run", out, store, environment, more);
  }
  pid_t start_command(const TempFolder& output, const std::string& command, const std::string& out,
                      const std::string& store, const std::vector<std::string>& environment,
                      const std::vector<std::string>& more) const {
    return start_program(output, arguments(command, out, store, more), inputs_.path(), environment);
  }
  /// To be called in folder().
  std::vector<std::string> arguments(const std::string& command, const std::string& out,
                                     const std::string& store, const std::vector<std::string>& more,
                                     const std::vector<std::string>& output = {"--quiet"}) const {
    std::vector<std::string> all{command, config_, "--out", out, "--store", store};
    for (const auto* part : {&output, &more}) all.insert(all.end(), part->begin(), part->end());
    return all;
  }
  const std::filesystem::path& folder() const { return inputs_.path(); }
  ProgramResult run(const std::string& out, const std::string& store,
                    const std::vector<std::string>& environment = {},
                    const std::vector<std::string>& more = {}) const {
    const TempFolder output;
    return wait_for(output, start(output, out, store, environment, more));
  }

  /// A shard of the run, "0/2".
  ProgramResult run_shard(const std::string& store, const std::string& shard,
                          const std::vector<std::string>& environment = {}) const {
    return run_program({"run", config_, "--json", "--shard", shard, "--store", store}, inputs_.path(),
                       environment);
  }

  /// How many rows the run in `out` computed.
  static std::size_t computed(const std::filesystem::path& out) {
    return nlohmann::json::parse(slurp(out / "results.json"))["tables"]["rows"]["computed"];
  }

  /// What must be the same to the last bit however often the run was disturbed: results but for times and
  /// what was reused, predictions, models, and the list of inputs.
  static std::map<std::string, std::string> outcome(const std::filesystem::path& out) {
    std::map<std::string, std::string> files;
    for (const char* folder : {"predictions", "models", "neighbours", "reports"}) {
      std::error_code none;
      for (std::filesystem::recursive_directory_iterator it(out / folder, none), end; it != end; ++it)
        // A kill may leave a half-written file under a temporary name beside the one that it was to become.
        if (it->is_regular_file() && it->path().extension() != ".tmp")
          files[std::filesystem::relative(it->path(), out).string()] = slurp(it->path());
    }
    files["inputs.csv"] = slurp(out / "inputs.csv");
    nlohmann::json results = nlohmann::json::parse(slurp(out / "results.json"), nullptr, false);
    if (results.is_object()) {
      results.erase("timings");
      for (const char* count : {"computed", "reused"}) results["tables"]["rows"].erase(count);
    }
    files["results.json"] = results.dump();
    return files;
  }

  /// Names of the files that differ from an outcome; empty when none does.
  static std::string different(const std::filesystem::path& out,
                               const std::map<std::string, std::string>& expected) {
    const auto got = outcome(out);
    std::string names;
    for (const auto& [name, content] : expected)
      if (const auto it = got.find(name); it == got.end() || it->second != content) names += name + " ";
    for (const auto& [name, content] : got)
      if (!expected.contains(name)) names += name + " ";
    return names;
  }

 private:
  TempFolder inputs_;
  std::string config_;
};

}  // namespace graft::test
