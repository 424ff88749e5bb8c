#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/text.h>

#include "base/files.h"
#include "command_info.h"
#include "command_table.h"
#include "commands.h"
#include "helper_program.h"
#include "output.h"
#include "run/learning.h"
#include "run/packed_model.h"
#include "run/trained_model.h"

namespace graft::cli {

int model_pack(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& path = only_argument(arguments, "RUN");
  if (global.out.empty())
    throw UsageError{"--out is missing: the file to write, such as --out flowers.graft"};
  require_kind(global.out, {"PK\x03\x04"}, "a packed model");
  const Registry registry(Registry::search_path(global.plugin_dirs));
  TrainedModel model = open_model(path, global.model.learner, registry);
  const bool keeps_images = model.learner_facts().find(kNeighboursFact) != nullptr;
  if (!global.pack.neighbors)
    model.neighbours.clear();
  else if (model.neighbours.empty() && !keeps_images)
    throw Error(fmt::format(
        "--with-neighbors: no learner of {} keeps its training images and takes the tables of '{}': "
        "add one to the config, such as knn, and run it again; the rows are reused",
        model.from.string(), model.stage));
  const Value facts = pack_model(model, registry, global.model.allow_code ? Code::Allowed : Code::Refused,
                                 global.out, global.overrides);
  std::error_code ignored;
  Value document = Value::map();
  document["file"] = global.out.string();
  document["bytes"] = Value(std::uint64_t{std::filesystem::file_size(global.out, ignored)});
  document["sha256"] = sha256_of_file(global.out);
  document["learner"] = model.stage;
  document["parts"] = *facts.find("parts");
  if (const Value* others = facts.find("other_plugins")) {
    document["other_plugins"] = *others;
    std::vector<std::string> names;
    for (const Value& name : others->as_list()) names.push_back(name.as_string());
    if (!global.quiet)
      print_error(
          "warning: whoever uses {} needs {} {}, too, which is not in it: it does not come with Graft\n",
          printable(global.out.string()), names.size() == 1 ? "the plugin" : "each of the plugins",
          joined(names));
  }
  print_document(document);
  if (!global.json && !global.quiet)
    say("{}: '{}' of {}, {} in {}\nSHA-256 {}\n", global.out.string(), model.stage, model.from.string(),
        human_bytes(static_cast<std::uint64_t>(document.find("bytes")->as_int())),
        plural(facts.find("parts")->as_list().size(), "part"), document.find("sha256")->as_string());
  return kOk;
}

int model_show(const Global& global, const std::vector<std::string>& arguments) {
  const std::filesystem::path file = only_argument(arguments, "FILE");
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored))
    throw Error(
        fmt::format("{0} is a folder: expected a file of graft model pack; graft model pack {0} --out "
                    "FILE.graft makes one of a run (graft report {0} shows the run)",
                    file.string()));
  const PackedModel model = read_packed_model(file);
  print_document(model.facts);
  if (global.json) return kOk;
  say("{}", model.card);
  std::vector<std::vector<std::string>> rows;
  for (const Value& part : model.facts.find("parts")->as_list())
    rows.push_back({part.find("name")->as_string(),
                    human_bytes(static_cast<std::uint64_t>(part.find("bytes")->as_int())),
                    part.find("sha256")->as_string()});
  say("\nEvery part has the SHA-256 that it is listed with:\n{}SHA-256 of {}: {}\n",
      text_table(std::move(rows), Align::Left, 2), file.string(), sha256_of_file(file));
  return kOk;
}

int help_of_model() {
  const std::string theirs = output_of("graft-model", {"--help"});
  if (theirs.empty()) {
    std::string model = "model", option = "--help";
    char* argv[] = {model.data(), option.data(), nullptr};
    return start_model(argv);
  }
  say("{}", theirs);
  for (const CommandInfo& command : model_info().commands) {
    if (std::none_of(find_command("model")->commands.begin(), find_command("model")->commands.end(),
                     [&](const Subcommand& own) { return own.name == command.name; }))
      continue;
    say("\n  graft model {} {}\n      {}\n", command.name, command.arguments, command.help);
    for (const OptionInfo& option : command.options)
      say("        {:<24}{}\n", option.name + " " + option.value, option.help);
  }
  return kOk;
}

int start_model(char** argv) {
  const std::vector<std::filesystem::path> places = places_of("graft-model");
  for (const std::filesystem::path& program : places) {
    ::execv(program.c_str(), argv);
    if (errno != ENOENT) {
      print_error("error: cannot start {}: {}\n", program.string(), std::strerror(errno));
      return kFailed;
    }
  }
  print_error(
      "error: graft model needs the program graft-model, which was not built or not installed: expected {} "
      "or {}; build the plugins too (./dev build)\n",
      places[0].string(), places[1].lexically_normal().string());
  return kFailed;
}

}  // namespace graft::cli
