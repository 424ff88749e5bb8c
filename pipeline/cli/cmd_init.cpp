#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>

#include "commands.h"
#include "config_command.h"
#include "dataset_look.h"
#include "output.h"

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

/// A text as YAML, in which no variable is expanded.
std::string yaml_text(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "${") == 0) out += '$';
    out += text[i];
  }
  return Value(out).to_json();
}

std::string flow(const Value& v) {
  if (v.is_string()) return yaml_text(v.as_string());
  if (!v.is_map()) return v.to_json();
  std::string out;
  for (const auto& [name, member] : v.as_map()) out += (out.empty() ? "" : ", ") + name + ": " + flow(member);
  return "{" + out + "}";
}

std::string config_for(const fs::path& folder, const std::string& model, const std::string& name) {
  DatasetLook look = look_at_dataset(folder);
  const fs::path root = fs::absolute(folder).lexically_normal();
  Value with = Value::map();
  if (look.plugin == "image_list")
    look.with["file"] = (root / look.with["file"].as_string()).string();
  else
    with["root"] = root.string();
  if (look.with.is_map())
    for (auto& [key, v] : look.with.as_map()) with[key] = std::move(v);

  std::string network = model, about = "what --model named";
  if (network.empty()) {
    if (const auto fetched = fetched_weights()) {
      network = fetched->string();
      about = "fetched before (graft model list shows others)";
    } else {
      network = "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors";
      about =
          "small, has seen drawn shapes alone: graft model fetch resnet18 gets one that has seen "
          "photographs, "
          "which tells them apart far better; name its file here";
    }
  } else {
    std::error_code ignored;
    if (fs::exists(network, ignored)) network = fs::absolute(network).lexically_normal().string();
  }
  const bool given = network.starts_with("${GRAFT_SHARE}");

  const auto comment = [](const std::string& indent, const std::string& text) {
    std::istringstream lines(wrapped(printable(text), 0, 110));
    std::string commented;
    for (std::string line; std::getline(lines, line);) commented += indent + "# " + line + "\n";
    return commented;
  };
  std::string out = comment("", "Made by graft init from " + root.string());
  for (const std::string& note : look.notes) out += comment("", note);
  out += fmt::format("name: {}\nseed: 42\nstages:\n", name);
  out += fmt::format("  # Where images come from; graft describe {} lists every parameter.\n", look.plugin);
  out += fmt::format("  images:\n    plugin: {}\n    with: {}\n", look.plugin, flow(with));
  out += "  # Resized and cropped as the network was trained with.\n";
  out += fmt::format("  pixels: {{plugin: {}, from: images}}\n", look.gives_pixels ? "resize" : "decode");
  out += comment("  ", "The network: " + about + ".");
  out += fmt::format("  features:\n    plugin: backbone\n    from: pixels\n    with: {{model: {}}}\n",
                     given ? Value(network).to_json() : yaml_text(network));
  out += "  table: {plugin: feature_table, from: features}  # kept: computed once\n";
  out += "  # Learners, which choose by val; graft plugins lists others.\n";
  // Neighbors vote for one class.
  const char* second = with.find("labels") == nullptr ? "knn" : "mlp";
  out += fmt::format("  probe: {{plugin: linear_probe, from: table}}\n  {0}: {{plugin: {0}, from: table}}\n",
                     second);
  out += fmt::format("  report: {{plugin: evaluate, from: [probe, {}]}}  # test is scored once\n", second);
  return out;
}

fs::path write_config(const Global& global, const std::string& folder, const fs::path& out) {
  const std::string name = run_name(folder);
  const fs::path file = out.empty() ? fs::path(name + ".yaml") : out;
  std::error_code ignored;
  if (fs::exists(file, ignored))
    throw Error(fmt::format("{} exists: remove it, or choose another file with --config", file.string()));
  write_file_atomically(file, config_for(folder, global.network, name));
  return file;
}

}  // namespace

int init(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& folder = only_argument(arguments, "DIR");
  const fs::path file =
      write_config(global, folder, global.init_config.empty() ? global.out : global.init_config);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const auto plan = read_plan(global, file.string(), registry);
  if (!plan) return kUsage;
  Value document = Value::map();
  document["config"] = file.string();
  document["stages"] = Value(std::uint64_t{plan->stages.size()});
  print_document(document);
  if (!global.json && !global.quiet)
    say("{}: {} stages, no faults; graft run {} trains and evaluates\n", file.string(), plan->stages.size(),
        file.string());
  return kOk;
}

int train(const Global& global, const std::vector<std::string>& arguments) {
  const std::string& folder = only_argument(arguments, "DIR");
  const fs::path file = write_config(global, folder, global.init_config);
  if (!global.quiet) print_error("config   {}\n", file.string());
  const int exit_code = run(global, {file.string()});
  if (!global.quiet && (exit_code == kOk || exit_code == 3)) {
    const std::string results = global.out.empty() ? "runs/" + run_name(folder) : global.out.string();
    print_error("use it   graft predict {} NEW-IMAGES\n", results);
  }
  return exit_code;
}

}  // namespace graft::cli
