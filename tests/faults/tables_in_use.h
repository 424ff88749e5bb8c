#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "graft_run.h"
#include "stopped_program.h"
#include "store_faults.h"

namespace graft::test {

/// Tests with a small config, its runs, and the store that they fill.
class TablesInUse : public StoreFaults {
 protected:
  /// A run that stops itself before it first changes a path that contains `text`.
  class Stopped : public StoppedProgram {
   public:
    Stopped(const TablesInUse& test, const std::string& text, std::vector<std::string> environment = {})
        : Stopped(test, text,
                  {"run", test.config_, "--quiet", "--out", test.folder_ / "r", "--store", test.store_},
                  std::move(environment)) {}
    Stopped(const TablesInUse& test, const std::string& text, const std::vector<std::string>& arguments,
            std::vector<std::string> environment)
        : StoppedProgram(arguments, test.stopping_at(text, std::move(environment))) {}
  };

  TablesInUse() { config_ = inputs_.write("config.yaml", config(16)); }
  static std::string config(int size, const std::string& name = "small") {
    return "name: " + name +
           "\n"
           "run: {threads: 2}\n"
           "stages:\n"
           "  images: {plugin: synthetic, with: {task: target, size: " +
           std::to_string(size) +
           ", train: 60, val: 30, test: 30}}\n"
           "  rows: {plugin: pixel_table, from: images}\n"
           "  near: {plugin: prototypes, from: rows}\n"
           "  report: {plugin: evaluate, from: near}\n";
  }
  Environment stopping_at(const std::string& text, std::vector<std::string> environment) const {
    environment.push_back("GRAFT_FAULT_STOP=" + text);
    return faults(folder_.path(), environment);
  }
  /// With a table of its own.
  static std::string other_config() {
    return "name: other\n"
           "run: {threads: 2}\n"
           "stages:\n"
           "  images: {plugin: synthetic, with: {task: target, size: 16, train: 60, val: 30, test: 30}}\n"
           "  changed: {plugin: augment, from: images}\n"
           "  rows: {plugin: pixel_table, from: changed}\n"
           "  near: {plugin: prototypes, from: rows}\n"
           "  report: {plugin: evaluate, from: near}\n";
  }
  ProgramResult run(const std::string& out = "r", const std::vector<std::string>& more = {},
                    const std::vector<std::string>& environment = {}) const {
    std::vector<std::string> arguments{"run", config_, "--quiet", "--out", folder_ / out, "--store", store_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments, {}, environment);
  }
  ProgramResult store(std::vector<std::string> arguments,
                      const std::vector<std::string>& environment = {}) const {
    arguments.insert(arguments.begin(), "store");
    arguments.insert(arguments.end(), {"--store", store_});
    return run_program(arguments, {}, environment);
  }
  std::vector<std::filesystem::path> tables() const {
    std::vector<std::filesystem::path> out;
    for (const auto& e : std::filesystem::directory_iterator(store_ / "tables")) out.push_back(e.path());
    return out;
  }
  /// All files of the tables, by their paths in the store, but the locks.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> out;
    for (const auto& e : std::filesystem::recursive_directory_iterator(store_ / "tables"))
      if (e.is_regular_file() && e.path().filename() != "lock")
        out[std::filesystem::relative(e.path(), store_).string()] = slurp(e.path());
    return out;
  }
  void expect_sound() const {
    const ProgramResult verified = store({"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }

  /// What the program does for a user whom permissions bind, also where the tests are root's.
  ProgramResult as_user(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--store", store_});
    if (::geteuid() != 0) return run_program(arguments);
    arguments.insert(arguments.begin(), {"--bounding-set", "-dac_override,-dac_read_search", "--inh-caps",
                                         "-all", GRAFT_PROGRAM});
    const TempFolder output;
    return wait_for(output, start("/usr/bin/setpriv", output, arguments));
  }
  static bool has_users() { return ::geteuid() != 0 || std::filesystem::exists("/usr/bin/setpriv"); }

  TempFolder inputs_;
  std::string config_;
  const std::filesystem::path store_ = folder_ / "s";
};

}  // namespace graft::test
