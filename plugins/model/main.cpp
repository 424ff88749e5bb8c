// graft-model: what `graft model` starts. It is a program of its own because the core of graft knows neither
// networks nor the Internet.

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <graft/params.h>
#include <graft/system_error.h>
#include <graft/value.h>

#include "command.h"

using namespace graft::model;

namespace {

struct Row {
  const char* name;
  const char* usage;
  const char* help;
  int (*function)(const std::vector<std::string>& words);
};

constexpr Row kCommands[] = {
    {"list", "list [--json]", "the architectures: size, cost, features, published weights", list},
    {"summary",
     "summary NAME|FILE [--size N] [--classes N] [--width N] [--freeze none|all|LAYER] [--all] [--dot] "
     "[--json]",
     "layers, shapes, parameters, multiply-adds and memory of an architecture or a weight file", summary},
    {"fetch", "fetch NAME [--to FOLDER] [--url BASE] [--sha256 DIGEST | --trust-name]",
     "download published weights and check their digest", fetch},
};

std::string help() {
  std::string out = "graft model - look at architectures and weights\n\n";
  for (const Row& row : kCommands) out += fmt::format("  graft model {}\n      {}\n", row.usage, row.help);
  out +=
      "\nsummary\n"
      "  --size N      images of N x N px (default: what the network was trained on)\n"
      "  --classes N   classes of the classifier, 0 for none\n"
      "  --width N     channels of the first layer, for the networks for small images\n"
      "  --freeze L    mark what training leaves alone: everything up to and including the layer or block L\n"
      "  --all         every layer, not one line for a block\n"
      "  --dot         a graph for Graphviz: graft model summary resnet18 --dot | dot -Tsvg > resnet18.svg\n"
      "fetch\n"
      "  --to FOLDER   where to put it (default: $GRAFT_MODELS, or ~/.cache/graft/models)\n"
      "  --url BASE    fetch BASE/FILE (default: $GRAFT_MODEL_URL, or https://download.pytorch.org/models)\n"
      "  --sha256 D    the file's SHA-256, where graft does not know it (graft model list)\n"
      "  --trust-name  compare only the 32 bits of it that are in the file's name; they can be forged\n";
  return out;
}

int g_output_error = 0;  // of printing to stdout, half-way
bool g_json = false;     // --json was given: a failure is a document, too

void print_failure(const std::string& text, int exit_code) {
  if (!g_json) return;
  graft::Value document = graft::Value::map();
  document["error"] = text;
  document["exit_code"] = exit_code;
  graft::print_text(stdout, graft::printable_json(document.to_json()) + "\n");
}

int fail(const std::string& text) {
  print_error("error: {}\n", graft::printable_lines(text, "  "));
  print_failure(text, kFailed);
  return kFailed;
}

int usage_error(const std::string& text, const std::string& usage) {
  print_error("error: {}\nusage: graft model {}\n", graft::printable_lines(text, "  "), usage);
  print_failure(text, kUsage);
  return kUsage;
}

/// Output that could not be written is a failure; who reads no further, as head does, wants to hear no more.
int finish_output(int exit_code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  const int error = g_output_error != 0 ? g_output_error : errno != 0 ? errno : EIO;
  if (error != EPIPE)
    std::fputs(fmt::format("error: cannot write the output: {}\n", graft::system_error_text(error)).c_str(),
               stderr);
  return exit_code == kOk ? kFailed : exit_code;
}

int start(std::vector<std::string> words) {
  if (std::find(words.begin(), words.end(), "--help") != words.end() ||
      words == std::vector<std::string>{"help"}) {
    say("{}", help());
    return kOk;
  }
  std::vector<std::string> names;
  for (const Row& row : kCommands) names.emplace_back(row.name);
  if (words.empty()) return usage_error("no command", fmt::format("{} ...", fmt::join(names, "|")));
  const auto row = std::find_if(std::begin(kCommands), std::end(kCommands),
                                [&](const Row& r) { return words[0] == r.name; });
  if (row == std::end(kCommands)) {
    const auto near = graft::nearest(words[0], names);
    return usage_error(fmt::format("no command 'model {}'{}", words[0],
                                   near ? fmt::format("; did you mean '{}'?", *near) : ""),
                       fmt::format("{} ...", fmt::join(names, "|")));
  }
  words.erase(words.begin());
  try {
    return row->function(words);
  } catch (const UsageError& e) {
    return usage_error(e.text, row->usage);
  } catch (const std::system_error& e) {
    if (std::ferror(stdout) == 0) return fail(e.what());
    g_output_error = e.code().value();
    return kFailed;
  } catch (const std::exception& e) {
    return fail(e.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGXFSZ, SIG_IGN);  // a limit of file sizes is an error to report
  const std::vector<std::string> words(argv + 1, argv + argc);
  g_json = std::find(words.begin(), words.end(), "--json") != words.end();
  return finish_output(start(words));
}
