#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/value.h>

#include "base/files.h"
#include "commands.h"
#include "config/config_file.h"
#include "config_command.h"
#include "dataset_look.h"
#include "output.h"
#include "run_command.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

/// A name for a run, made of that of a folder.
std::string run_name(const fs::path& folder) {
  std::string name;
  for (const char c : fs::absolute(folder).lexically_normal().filename().empty()
                          ? fs::absolute(folder).lexically_normal().parent_path().filename().string()
                          : fs::absolute(folder).lexically_normal().filename().string()) {
    const auto byte = static_cast<unsigned char>(c);
    name += byte < 128 && (std::isalnum(byte) != 0 || c == '_' || c == '-')
                ? static_cast<char>(std::tolower(byte))
                : '-';
  }
  // "-x" would be an option where the name, or that of the config, is an argument.
  name.erase(0, std::min(name.find_first_not_of('-'), name.size()));
  name.resize(std::min<std::size_t>(name.size(), 60));
  return name.empty() ? "images" : name;
}

/// Weights that graft model fetch has put there, the best first.
std::optional<fs::path> fetched_weights() {
  fs::path folder;
  if (const char* given = std::getenv("GRAFT_MODELS"); given != nullptr && *given != '\0')
    folder = given;
  else if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    folder = fs::path(home) / ".cache/graft/models";
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".pth" || it->path().extension() == ".safetensors")
      found.push_back(it->path());
  std::sort(found.begin(), found.end());
  for (const char* architecture :
       {"convnext", "efficientnet", "resnet50", "mobilenet", "resnet34", "resnet18", ""})
    for (const fs::path& file : found)
      if (file.filename().string().starts_with(architecture)) return file;
  return {};
}

constexpr const char* kSmallNetwork = "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors";

std::string flow(const Value& v) {
  std::string out;
  const auto add = [&](const std::string& member) { out += (out.empty() ? "" : ", ") + member; };
  if (v.is_list()) {
    for (const Value& element : v.as_list()) add(flow(element));
    return "[" + out + "]";
  }
  if (!v.is_map()) return v.to_json();
  for (const auto& [name, member] : v.as_map()) {
    const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
    add((plain ? name : Value(name).to_json()) + ": " + flow(member));
  }
  return "{" + out + "}";
}

/// Whether YAML reads a word as the text that it is: "null", "on" and "1e5" are other values.
bool is_plain_text(const std::string& word) {
  constexpr std::string_view kValues = " null true false yes no on off y n ";
  return !word.empty() && std::isalpha(static_cast<unsigned char>(word[0])) != 0 &&
         kValues.find(" " + word + " ") == std::string_view::npos;
}

/// What init writes for a folder of images, before it is a text.
struct Draft {
  fs::path file;    ///< Where it is to be written.
  fs::path images;  ///< The folder of the images.
  DatasetLook look;
  std::string about;   ///< Where the network comes from.
  bool small = false;  ///< The network is the one that comes with Graft.
  Value name, seed = 42, run;
  Value with = Value::map();  ///< The parameters of each stage.
  std::vector<std::string> learners = {"probe"};
};

/// Writes a value of --set into the draft, which then gives the same with `graft run`. What it has no place
/// for is left to the check of the config.
void take_override(Draft& draft, const Override& given) {
  Value v = to_value(given.value);
  std::error_code ignored;
  const fs::path folder = fs::absolute(draft.file).lexically_normal().parent_path();
  if (v.is_string() && folder != given.folder && fs::exists(v.as_string(), ignored))
    v = fs::absolute(v.as_string()).lexically_normal().string();  // paths in a config start at its folder
  std::vector<std::string> steps;
  std::istringstream key(given.key);
  for (std::string step; std::getline(key, step, '.');) steps.push_back(step);
  Value* at = nullptr;
  if (given.key == "name")
    at = &draft.name;
  else if (given.key == "seed")
    at = &draft.seed;
  else if (steps.size() > 1 && steps[0] == "run")
    at = &draft.run;
  else if (steps.size() > 1 && draft.with.find(steps[0]) != nullptr)
    at = &draft.with[steps[0]];
  if (at == nullptr) return;
  if (steps.size() == 2 && (steps[1] == "plugin" || steps[1] == "from" || steps[1] == "with"))
    throw UsageError{fmt::format(
        "--set {}: the stages are those that this command writes: graft init writes them for you to change",
        given.key)};
  for (std::size_t i = 1; i < steps.size(); ++i) {
    if (!at->is_map()) *at = Value::map();
    at = &(*at)[steps[i]];
  }
  *at = std::move(v);
}

Draft draft_of(const Global& global, const fs::path& folder, const fs::path& file) {
  Draft draft;
  draft.look = look_at_dataset(folder);
  draft.images = fs::absolute(folder).lexically_normal();
  draft.name = run_name(folder);
  draft.file = file.empty() ? fs::path(draft.name.as_string() + ".yaml") : file;
  Value& with = draft.with["images"];
  if (draft.look.plugin == "image_list")
    draft.look.with["file"] = (draft.images / draft.look.with["file"].as_string()).string();
  else
    with["root"] = draft.images.string();
  if (draft.look.with.is_map())
    for (auto& [key, v] : draft.look.with.as_map()) with[key] = v;
  with = escape_variables(std::move(with));

  Value network;
  if (!global.network.empty()) {
    require_network(global.network);
    network = escape_variables(fs::absolute(global.network).lexically_normal().string());
    draft.about = "what --model named";
  } else if (const auto fetched = fetched_weights()) {
    network = escape_variables(fetched->string());
    draft.about = "fetched before (graft model list shows others)";
  } else {
    network = kSmallNetwork;
    draft.small = true;
    draft.about =
        "small, has seen drawn shapes alone: graft model fetch resnet18 gets one that has seen photographs, "
        "which tells them apart far better; name its file here";
  }
  draft.with["features"]["model"] = network;
  // Neighbors vote for one class.
  draft.learners.emplace_back(draft.look.with.find("labels") == nullptr ? "knn" : "mlp");
  for (const char* stage : {"pixels", "table", "report", "page"}) draft.with[stage] = Value::map();
  for (const std::string& learner : draft.learners) draft.with[learner] = Value::map();

  Diagnostics diagnostics;
  for (const std::string& assignment : global.overrides)  // faults are told by the check of the config
    if (const auto given = parse_assignment("--set", assignment, diagnostics)) take_override(draft, *given);
  if (draft.with["features"]["model"].to_json() != network.to_json()) {
    draft.small = false;
    draft.about = "what --set named";
  }
  return draft;
}

std::string text_of(const Draft& draft) {
  const auto comment = [](const std::string& indent, const std::string& text) {
    std::istringstream lines(wrapped(printable(text), 0, 110));
    std::string commented;
    for (std::string line; std::getline(lines, line);)
      commented.append(indent).append("# ").append(line) += '\n';
    return commented;
  };
  const auto stage = [&](const std::string& id, const std::string& plugin, const std::string& from) {
    const Value& with = *draft.with.find(id);
    return fmt::format("  {}: {{plugin: {}, from: {}{}}}", id, plugin, from,
                       with.as_map().empty() ? "" : ", with: " + flow(with));
  };
  const std::string learners = "[" + draft.learners[0] + ", " + draft.learners[1] + "]";
  std::string out = comment("", "Made by graft init from " + draft.images.string());
  for (const std::string& note : draft.look.notes) out += comment("", note);
  const bool plain_name = draft.name.is_string() &&
                          run_name(draft.name.as_string()) == draft.name.as_string() &&
                          is_plain_text(draft.name.as_string());
  out += fmt::format("name: {}\nseed: {}\n", plain_name ? draft.name.as_string() : flow(draft.name),
                     flow(draft.seed));
  if (!draft.run.is_null()) out += "run: " + flow(draft.run) + "\n";
  out += "stages:\n";
  out += fmt::format("  # Where images come from; graft describe {} lists every parameter.\n",
                     draft.look.plugin);
  out += fmt::format("  images:\n    plugin: {}\n    with: {}\n", draft.look.plugin,
                     flow(*draft.with.find("images")));
  out += "  # Resized and cropped as the network was trained with.\n";
  out += stage("pixels", draft.look.gives_pixels ? "resize" : "decode", "images") + "\n";
  out += comment("  ", "The network: " + draft.about + ".");
  out += fmt::format("  features:\n    plugin: backbone\n    from: pixels\n    with: {}\n",
                     flow(*draft.with.find("features")));
  out += stage("table", "feature_table", "features") + "  # kept: computed once\n";
  out += "  # Learners, which choose by val; graft plugins lists others.\n";
  out += stage("probe", "linear_probe", "table") + "\n";
  out += stage(draft.learners[1], draft.learners[1], "table") + "\n";
  out += stage("report", "evaluate", learners) + "  # test is scored once\n";
  out += stage("page", "page", learners) + "  # report.html\n";
  return out;
}

/// Whether the config is there already, as it would be written now. Throws Error: another one is there.
bool is_written(const Draft& draft, const std::string& text) {
  std::error_code ignored;
  if (!fs::exists(draft.file, ignored)) return false;
  if (fs::is_regular_file(draft.file, ignored) && read_file(draft.file) == text) return true;
  throw Error(fmt::format(
      "{0} exists, and differs from what would be written now: graft run {0} uses it as it is; or remove it, "
      "or choose another file with --config",
      draft.file.string()));
}

void warn_of_small_network(const Draft& draft) {
  if (draft.small)
    print_error(
        "warning: the network of {0} has seen drawn shapes alone: for photographs, graft model fetch "
        "resnet18 gets a far better one; then remove {0}, and run this command again\n",
        printable(draft.file.string()));
}

}  // namespace

int init(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& folder = only_argument(arguments, "DIR");
  const Draft draft = draft_of(global, folder, global.init_config.empty() ? global.out : global.init_config);
  const std::string text = text_of(draft), file = draft.file.string();
  const bool written = is_written(draft, text);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, file, registry, nullptr, text);
  if (!plan) return kUsage;
  if (!written) write_file_atomically(file, text);
  Value document = Value::map();
  document["config"] = file;
  document["stages"] = Value(std::uint64_t{plan->stages.size()});
  print_document(document);
  if (!global.quiet) warn_of_small_network(draft);
  if (!global.json && !global.quiet)
    say("{}: {} stages, no faults; graft run {} trains and evaluates\n", file, plan->stages.size(), file);
  return kOk;
}

int train(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& folder = only_argument(arguments, "DIR");
  const Draft draft = draft_of(global, folder, global.init_config);
  const std::string text = text_of(draft);
  const bool written = is_written(draft, text);
  const int exit_code = run_config(global, draft.file.string(), text, [&] {
    if (!written) write_file_atomically(draft.file, text);
    if (global.quiet) return;
    print_error("config   {}\n", printable(draft.file.string()));
    warn_of_small_network(draft);
  });
  if (!global.quiet && (exit_code == kOk || exit_code == 3)) {
    const std::string results = global.out.empty() ? "runs/" + draft.name.as_string() : global.out.string();
    print_error("use it   graft predict {} NEW-IMAGES\n", results);
  }
  return exit_code;
}

}  // namespace graft::cli
