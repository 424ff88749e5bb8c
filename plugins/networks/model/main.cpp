// graft-model: what `graft model` starts. It is a program of its own because the core of graft knows neither
// networks nor the Internet.

#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iterator>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <graft/params.h>
#include <graft/system_error.h>
#include <graft/text.h>
#include <graft/value.h>

#include <network/architecture.h>
#include "checkpoints.h"
#include "command.h"

using namespace graft::model;
namespace nn = graft::nn;

namespace {

constexpr Option kListOptions[] = {
    {"families", nullptr,
     "families of published networks, whose sizes are in their files, and how they are known"},
    {"json", nullptr, "print JSON"},
};

constexpr Option kCheckOptions[] = {
    {"config", "CONFIG", "also where the stages of a config prepare images or pool otherwise than the owner"},
    {"rules", "OWNER", "original, timm or hf: whose rules count where owners of the same weights disagree"},
    {"heads", "N", "attention heads, where the files do not give it"},
    {"json", nullptr, "print JSON"},
};

constexpr Option kSummaryOptions[] = {
    {"size", "N", "images of N x N px (default: what the network was trained on)"},
    {"heads", "N", "attention heads of a published transformer whose files do not give them"},
    {"classes", "N", "classes of the classifier, 0 for none"},
    {"width", "N", "channels of the first layer, for the networks for small images"},
    {"freeze", "none|all|LAYER",
     "mark what training leaves alone: everything up to and including the layer or block"},
    {"all", nullptr, "every layer, not one line for a block"},
    {"dot", nullptr, "a graph for Graphviz: graft model summary resnet18 --dot | dot -Tsvg > resnet18.svg"},
    {"json", nullptr, "print every layer as JSON"},
};

constexpr Option kFetchOptions[] = {
    {"to", "FOLDER", "where to put it (default: $GRAFT_MODELS, or ~/.cache/graft/models)"},
    {"url", "BASE", "fetch BASE/FILE (default: $GRAFT_MODEL_URL, or https://download.pytorch.org/models)"},
    {"sha256", "DIGEST", "the file's SHA-256, if graft does not know it (graft model list)"},
    {"trust-name", nullptr, "compare only the 32 bits of it that are in the file's name; they can be forged"},
};

/// Names of architectures; with published weights only.
std::vector<std::string> architectures() {
  return nn::architecture_names();
}
std::vector<std::string> published() {
  std::vector<std::string> names;
  for (const Checkpoint& checkpoint : checkpoints()) names.emplace_back(checkpoint.architecture);
  return names;
}

/// The command line as data: help, errors, and what graft prints in manual pages and offers for completion.
struct Row {
  const char* name;
  const char* arguments;
  const char* help;
  int (*function)(const Arguments& arguments);
  std::span<const Option> options;
  std::vector<std::string> (*names)() = nullptr;  ///< What NAME may be.
};

constexpr Row kCommands[] = {
    {"list", "", "the architectures: size, cost, features, published weights", list, kListOptions},
    {"check", "FILE|FOLDER",
     "what a model is, what was taken from where (tensors, files beside them, family), and what is not used",
     check, kCheckOptions},
    {"summary", "NAME|FILE|FOLDER",
     "layers, shapes, parameters, multiply-adds and memory of an architecture or a weight file", summary,
     kSummaryOptions, architectures},
    {"fetch", "NAME", "download published weights and check their digest", fetch, kFetchOptions, published},
};

/// "fetch NAME".
std::string call_of(const Row& row) {
  return std::string(row.name) + (*row.arguments == '\0' ? "" : " ") + row.arguments;
}

std::string help() {
  std::string out = "graft model - look at architectures and weights\n";
  for (const Row& row : kCommands) {
    out += fmt::format("\n  graft model {}\n      {}\n", call_of(row), row.help);
    for (const Option& option : row.options) {
      const std::string words =
          fmt::format("--{} {}", option.name, option.value == nullptr ? "" : option.value);
      out += fmt::format("        {:<24}{}\n", words, option.help);
    }
  }
  return out;
}

/// For graft, which offers these words for completion and writes the manual page.
std::string described() {
  graft::Value out = graft::Value::map();
  out["name"] = "model";
  out["text"] =
      "Nothing of a weight file is executed. graft model summary tells which architecture fits a weight "
      "file; graft model fetch prints the path of the file that it has downloaded.";
  out["options"] = graft::Value::list();
  out["commands"] = graft::Value::list();
  for (const Row& row : kCommands) {
    graft::Value command = graft::Value::map();
    command["name"] = row.name;
    command["arguments"] = row.arguments;
    command["help"] = row.help;
    command["options"] = graft::Value::list();
    for (const Option& o : row.options) {
      graft::Value option = graft::Value::map();
      option["name"] = o.name;
      option["value"] = o.value == nullptr ? "" : o.value;
      option["help"] = o.help;
      command["options"].push(std::move(option));
    }
    if (row.names != nullptr) {
      command["words"]["NAME"] = graft::Value::list();
      for (const std::string& name : row.names()) command["words"]["NAME"].push(name);
    }
    out["commands"].push(std::move(command));
  }
  return out.to_json() + "\n";
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
  if (words == std::vector<std::string>{"__commands"}) {
    say("{}", described());
    return kOk;
  }
  std::vector<std::string> names;
  for (const Row& row : kCommands) names.emplace_back(row.name);
  if (words.empty()) return usage_error("no command", fmt::format("{} ...", fmt::join(names, "|")));
  const auto row = std::find_if(std::begin(kCommands), std::end(kCommands),
                                [&](const Row& r) { return words[0] == r.name; });
  if (row == std::end(kCommands)) {
    return usage_error(fmt::format("no command 'model {}'{}", words[0], graft::suggestion(words[0], names)),
                       fmt::format("{} ...", fmt::join(names, "|")));
  }
  words.erase(words.begin());
  try {
    return row->function(Arguments(words, row->options));
  } catch (const UsageError& e) {
    return usage_error(e.text, call_of(*row) + " [OPTIONS]");
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
