// What goes to standard output: one JSON document with --json, whatever happens; an error where it cannot be
// written.

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "program.h"

namespace graft::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Output : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.write("c.yaml",
                  "name: small\nstages:\n  images: {plugin: synthetic, with: {train: 20, val: 10, test: 10, "
                  "size: 16}}\n"
                  "  table: {plugin: pixel_table, from: images}\n");
    folder_.write("bad.yaml",
                  "name: bad\nstages:\n  images: {plugin: synthetik}\n  more: {plugin: decode}\n");
  }
  /// graft, as a shell starts it: "$@" is the program and its arguments, what follows is how.
  ProgramResult shell(const std::string& how, std::vector<std::string> arguments) const {
    std::vector<std::string> all = {"-c", how, "sh", GRAFT_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const TempFolder log;
    return wait_for(log, start("/bin/sh", log, all, folder_.path()));
  }
  ProgramResult graft(const std::vector<std::string>& arguments) const {
    return run_program(arguments, folder_.path());
  }

  TempFolder folder_;
};

// --- names
// ---------------------------------------------------------------------------------------------------

/// What a terminal would obey in a text, and no line of ours has: the first few bytes of it, or nothing.
std::string control_in(const std::string& text) {
  for (const char* line : {"\x1b", "\x07", "\x08", "\r", "\x7f", "\xc2\x9b", "\xe2\x80\xae", "\xff"})
    if (const std::size_t at = text.find(line); at != std::string::npos)
      return text.substr(at < 20 ? 0 : at - 20, 40);
  return text.starts_with("forged")                   ? "forged"
         : text.find("\nforged") == std::string::npos ? ""
                                                      : "a line feed";
}

const std::string kHostile =
    "\x1b]0;pwned\x07\x1b[2J\r\x7f\xc2\x9b"
    "31m\xe2\x80\xae\xff\nforged: all is well";

TEST_F(Output, NamesOfFilesAndClassesCannotControlTheTerminal) {
  for (int c = 0; c < 2; ++c)
    for (int i = 0; i < 30; ++i)
      folder_.write(
          "photos/" + std::to_string(c) + kHostile + "/" + std::to_string(i) + kHostile + ".pgm",
          i == 0 ? "no image" : "P2 2 2 255 " + std::to_string(i) + " 9 " + std::to_string(90 * c) + " 0\n");
  folder_.write("names.yaml",
                "name: names\nrun: {max_rejects: 100%}\nstages:\n"
                "  images: {plugin: image_folder, with: {root: photos}}\n"
                "  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
                "  rows: {plugin: pixel_table, from: pixels}\n"
                "  probe: {plugin: linear_probe, from: rows}\n"
                "  report: {plugin: evaluate, from: probe}\n");
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"plan", "names.yaml"},
                                             {"run", "names.yaml"},
                                             {"run", "names.yaml", "--set", "run.max_rejects=0"},
                                             {"run", "names.yaml", "--set", "run.on_error=fail"},
                                             {"plan", "names.yaml", "--json"},
                                             {"run", "names.yaml", "--json"},
                                             {"store", "ls"},
                                             {"store", "verify"}}) {
    const ProgramResult r = graft(command);
    EXPECT_LE(r.exit_code, 3) << command[0];
    EXPECT_EQ(control_in(r.out), "") << command[0];
    EXPECT_EQ(control_in(r.err), "") << command[0];
  }
  EXPECT_THAT(graft({"plan", "names.yaml", "--store", "empty"}).out,
              HasSubstr("0\\x1b]0;pwned\\x07\\x1b[2J\\r\\x7f\\u009b31m\\u202e\\xff\\nforged"));
  // Programs get the names as they are.
  EXPECT_THAT(slurp(folder_ / "runs/names/inputs.csv"), HasSubstr("0" + kHostile + "/1" + kHostile + ".pgm"));
  EXPECT_EQ(control_in(slurp(folder_ / "runs/names/log.txt")), "");
}

TEST_F(Output, WordsOfTheCommandLineAndOfConfigsCannotControlTheTerminal) {
  folder_.write("words.yaml",
                "name: \"\\e[2J\\nforged\"\nstages:\n  \"\\e[2J\": {plugin: \"x\\e[2J\\nforged\"}\n");
  const std::string word = "\x1b[2J\nforged";
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{"check", "words.yaml"},
                                             {"check", word},
                                             {"check", "c.yaml", "--set", "images.train=" + word},
                                             {"check", "c.yaml", "--set", word},
                                             {"describe", word},
                                             {word},
                                             {"--" + word},
                                             {"store", "ls", "--store", word},
                                             {"store", "gc", "--max-size", word},
                                             {"store", "export", word, "x.npy"},
                                             {"plugins", "--plugin-dir", word},
                                             {"sweep", "c.yaml", "--grid", "images.train=[1, " + word + "]"},
                                             {"model", "summary", word},
                                             {"run", "c.yaml", "--out", word}}) {
    const ProgramResult r = graft(command);
    EXPECT_EQ(control_in(r.out), "") << command[0];
    EXPECT_EQ(control_in(r.err), "") << command[0];
  }
}

// In this order: each needs the results of those before.
const std::vector<std::vector<std::string>> kGoodCommands = {
    {"check", "c.yaml"},
    {"plan", "c.yaml"},
    {"run", "c.yaml"},
    {"plan", "c.yaml"},
    {"store", "ls"},
    {"store", "verify"},
    {"store", "gc"},
    {"store", "gc", "--dry-run", "--older-than", "0h"},
    {"store", "export", "table", "t.npy"},
    {"store", "verify", "--repair"},
    {"plugins"},
    {"describe", "decode"},
    {"version"},
    {"share"},
    {"sweep", "c.yaml", "--grid", "images.size=[16]"}};

TEST_F(Output, EveryCommandPrintsOneJsonDocument) {
  for (std::vector<std::string> command : kGoodCommands) {
    if (command[0] == "sweep") continue;  // it needs a learner: sweep_test has it
    command.push_back("--json");
    const ProgramResult r = graft(command);
    EXPECT_EQ(r.exit_code, 0) << command[0] << ": " << r.err;
    EXPECT_TRUE(json::accept(r.out)) << command[0] << ": " << r.out;
  }
}

TEST_F(Output, DocumentsOfFailuresSayWhy) {
  const std::vector<std::pair<std::vector<std::string>, int>> commands = {
      {{"check", "bad.yaml"}, 2},
      {{"check", "missing.yaml"}, 2},
      {{"plan", "bad.yaml"}, 2},
      {{"run", "bad.yaml"}, 2},
      {{"run"}, 2},
      {{"rum"}, 2},
      {{"run", "c.yaml", "--nonsense"}, 2},
      {{"run", "c.yaml", "--set", "images.size"}, 2},
      {{"run", "c.yaml", "--out", "c.yaml/x"}, 1},
      {{"sweep", "c.yaml"}, 2},
      {{"sweep", "bad.yaml", "--grid", "images.size=[16]"}, 2},
      {{"describe", "nothing"}, 2},
      {{"store", "verify", "nothing"}, 2},
      {{"store", "export", "nothing", "x.h5"}, 2},
      {{"store", "gc", "--older-than", "soon"}, 2},
      {{"model", "summary", "nothing"}, -1},
      {{"model", "lits"}, 2}};
  for (auto [command, exit_code] : commands) {
    command.push_back("--json");
    const ProgramResult r = graft(command);
    std::string line;
    for (const std::string& word : command) line += word + " ";
    if (exit_code >= 0)
      EXPECT_EQ(r.exit_code, exit_code) << line << r.err;
    else
      EXPECT_NE(r.exit_code, 0) << line;
    ASSERT_TRUE(json::accept(r.out)) << line << ": " << r.out;
    const json document = json::parse(r.out);
    EXPECT_NE(document["error"], "") << line;
    EXPECT_EQ(document["exit_code"], r.exit_code) << line;
    EXPECT_NE(r.err, "") << line << "is silent";
  }
  const json faults = json::parse(graft({"check", "bad.yaml", "--json"}).out)["faults"];
  ASSERT_GE(faults.size(), 2u);
  EXPECT_EQ(faults[0]["line"], 3);
  EXPECT_THAT(faults[0]["text"].get<std::string>(),
              StartsWith("unknown plugin 'synthetik'; did you mean 'synthetic'?"));
}

TEST_F(Output, PlanAndVerifyAsDocuments) {
  const json plan = json::parse(graft({"plan", "c.yaml", "--json"}).out);
  EXPECT_EQ(plan["name"], "small");
  EXPECT_EQ(plan["stages"].size(), 2u);
  EXPECT_EQ(plan["sources"][0]["splits"], (json{{"train", 20}, {"val", 10}, {"test", 10}}));
  EXPECT_EQ(plan["tables"][0]["to_compute"], 40);
  EXPECT_EQ(plan["tables"][0]["row_bytes"], 16 * 16 * 3);
  EXPECT_EQ(graft({"run", "c.yaml"}).exit_code, 0);
  const json verified = json::parse(graft({"store", "verify", "--json"}).out);
  EXPECT_EQ(verified["faults"], 0);
  EXPECT_EQ(verified["tables"][0]["rows"], 40);
  EXPECT_EQ(verified["tables"][0]["ok"], 40);
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder_ / ".graft"))
    if (e.path().extension() == ".h5") flip_bit(e.path(), 8 * (std::filesystem::file_size(e.path()) / 2));
  const ProgramResult r = graft({"store", "verify", "--json"});
  EXPECT_EQ(r.exit_code, 1);
  const json damaged = json::parse(r.out);
  EXPECT_EQ(damaged["faults"], 1);
  EXPECT_THAT(damaged["tables"][0]["faults"][0]["path"].get<std::string>(), HasSubstr(".h5"));
}

TEST_F(Output, WhatCannotBeWrittenIsAnErrorInEveryCommand) {
  std::vector<std::vector<std::string>> commands = kGoodCommands;
  commands.pop_back();
  commands.insert(commands.end(), {{"--help"},
                                   {"help"},
                                   {"help", "run"},
                                   {"run", "--help"},
                                   {"--version"},
                                   {"-v"},
                                   {"model", "list"},
                                   {"model", "--help"},
                                   {"help", "model"}});
  for (const bool as_json : {false, true})
    for (std::vector<std::string> command : commands) {
      const bool has_document =
          as_json && command[0][0] != '-' && command[0] != "help" && command.back() != "--help";
      if (as_json && !has_document) continue;
      if (as_json) command.push_back("--json");
      std::string line;
      for (const std::string& word : command) line += word + " ";
      const ProgramResult full = shell("\"$@\" > /dev/full", command);
      EXPECT_EQ(full.exit_code, 1) << line;
      EXPECT_THAT(full.err, HasSubstr("error: cannot write the output: No space left on device\n")) << line;
    }
}

TEST_F(Output, AClosedStandardOutputIsAnErrorAndNeverAFileOfTheStore) {
  const ProgramResult r = shell("\"$@\" >&-", {"run", "c.yaml"});
  EXPECT_EQ(r.exit_code, 1);
  EXPECT_THAT(r.err, HasSubstr("error: cannot write the output: Bad file descriptor\n"));
  EXPECT_EQ(graft({"store", "verify"}).exit_code, 0);
  EXPECT_EQ(shell("\"$@\" >&- 2>&- <&-", {"run", "c.yaml"}).exit_code, 1);
  EXPECT_EQ(graft({"store", "verify"}).exit_code, 0);
}

/// A pipe that nobody reads, as descriptor 9 of this process and of those that it starts.
class PipeWithoutReader {
 public:
  PipeWithoutReader() {
    int ends[2];
    if (::pipe(ends) != 0 || ::dup2(ends[1], 9) != 9) throw std::runtime_error("no pipe");
    ::close(ends[0]);
    ::close(ends[1]);
  }
  ~PipeWithoutReader() { ::close(9); }
};

// A file gets its name by renaming, which would put it in the place of /dev/null, for everybody.
TEST_F(Output, NoFileTakesThePlaceOfADeviceOrAPipe) {
  const std::string pipe = folder_ / "pipe", link = folder_ / "link";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::filesystem::create_symlink(pipe, link);
  for (const std::string& path : {pipe, link}) {
    const ProgramResult r = graft({"run", "c.yaml", "--trace", path});
    EXPECT_EQ(r.exit_code, 1);
    EXPECT_THAT(r.err, HasSubstr("error: " + path +
                                 " is a device, a pipe or a socket, which a file would replace: expected the "
                                 "name of a file\n"));
    EXPECT_TRUE(std::filesystem::is_fifo(path));
    EXPECT_EQ(std::filesystem::is_symlink(path), path == link);
  }
  EXPECT_THAT(graft({"run", "c.yaml", "--trace", folder_.path()}).err,
              HasSubstr("error: " + folder_.path().string() + " is a folder: expected the name of a file\n"));
}

TEST_F(Output, AReaderThatLeavesHearsNoComplaint) {
  const PipeWithoutReader pipe;
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{{"plugins"},
                                                                                       {"describe", "decode"},
                                                                                       {"plugins", "--json"},
                                                                                       {"model", "list"},
                                                                                       {"run", "c.yaml"}}) {
    const ProgramResult r = shell("exec \"$@\" >&9", command);
    EXPECT_EQ(r.exit_code, 128 + SIGPIPE);
    EXPECT_THAT(r.err, Not(HasSubstr("error")));
    const ProgramResult ignoring = shell("trap '' PIPE; exec \"$@\" >&9", command);
    EXPECT_EQ(ignoring.exit_code, 1);
    EXPECT_THAT(ignoring.err, Not(HasSubstr("error")));
  }
}

TEST_F(Output, VersionAndHelpAreFoundInEveryUsualWay) {
  const std::string version = graft({"version"}).out;
  EXPECT_THAT(version, StartsWith("graft "));
  for (const char* word : {"--version", "-V", "-v"}) {
    const ProgramResult r = graft({word});
    EXPECT_EQ(r.exit_code, 0) << word;
    EXPECT_EQ(r.out, version) << word;
  }
  EXPECT_EQ(json::parse(graft({"--version", "--json"}).out)["plugin_api"],
            json::parse(graft({"version", "--json"}).out)["plugin_api"]);
  const std::string help = graft({"--help"}).out;
  EXPECT_EQ(graft({"help"}).out, help);
  EXPECT_EQ(graft({"-h"}).out, help);
  for (const char* command :
       {"run", "sweep", "check", "plan", "plugins", "describe", "store", "share", "version"}) {
    const ProgramResult r = graft({"help", command});
    EXPECT_EQ(r.exit_code, 0);
    EXPECT_THAT(r.out, StartsWith(std::string("usage: graft ") + command));
    EXPECT_EQ(r.out, graft({command, "--help"}).out);
  }
  EXPECT_THAT(graft({"help", "model"}).out, StartsWith("graft model"));
  const ProgramResult r = graft({"help", "rum"});
  EXPECT_EQ(r.exit_code, 2);
  EXPECT_THAT(r.err, StartsWith("error: no command 'rum'; did you mean 'run'? (commands: "));
}

}  // namespace
}  // namespace graft::test
