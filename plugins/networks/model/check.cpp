// graft model check: what a model is, what was taken from where, and where a pipeline disagrees.

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value.h>
#include <graft/value_path.h>

#include <network/bind.h>
#include <network/published.h>
#include <network/weight_file.h>
#include <preprocessing/preprocessing.h>
#include "command.h"
#include "graft_program.h"

namespace graft::model {
namespace {

namespace fs = std::filesystem;

/// What is found out about a model.
struct Checked {
  std::string kind;  ///< "weights of DINOv2", "TorchScript".
  std::string format;
  std::uint64_t bytes = 0;
  std::size_t tensors = 0;
  std::optional<nn::Architecture> architecture;
  std::vector<nn::Finding> findings;
  std::vector<std::string> notes, unused, missing;
  bool lacks_heads = false;  ///< A stage must be given `heads`.
};

nn::ModelFiles files_of(const std::string& path, const Arguments& arguments) {
  nn::ModelFiles files = nn::find_model_files(path);
  if (const auto rules = arguments.text("rules")) files.rules = preprocessing::rules_from(*rules);
  return files;
}

Checked check_named(const nn::WeightFile& file) {
  Checked out;
  const auto best = nn::best_fit(file);
  if (!best) throw Error(fmt::format("{}: {}", file.path().string(), nn::nearest_family(file)));
  // Tensors of a type that cannot be read.
  if (best->fit.complete()) nn::check_fit(best->architecture, file, {best->architecture.tap});
  out.architecture = best->architecture;
  out.kind = fmt::format("weights of {}{}", best->architecture.name,
                         best->fit.complete() ? "" : ", but not all fit");
  out.findings = {{"architecture", best->architecture.name, "names and shapes of tensors"},
                  {"preprocessing", to_string(best->architecture.preprocessing), "the architecture"}};
  if (const std::string text = nn::taken(best->architecture, file, best->fit); !text.empty())
    out.notes.push_back(text);
  if (const std::string text = file.no_plain_tensors(); !text.empty()) out.notes.push_back(text);
  for (const nn::Parameter& p : best->fit.missing) out.missing.push_back(p.path);
  for (const nn::Fit::Shaped& s : best->fit.misshaped)
    out.notes.push_back(fmt::format("{} is {}, expected {}", s.name, to_string(s.got), to_string(s.wanted)));
  for (const auto* tensors : {&best->fit.unexpected, &best->fit.passed_over, &best->fit.strangers})
    for (const nn::TensorInfo& t : *tensors) out.unused.push_back(t.name);
  return out;
}

/// `heads`: 0 for what the files tell.
Checked check_model(const nn::ModelFiles& files, int heads) {
  Checked out;
  if (const auto contents = nn::inspect_torchscript(files.weights)) {
    out.kind = "a TorchScript archive, which is code: its layers are not known without running it";
    out.format = "TorchScript";
    out.bytes = contents->tensor_bytes;
    out.tensors = contents->tensors;
    return out;
  }
  const auto file = nn::open_weights(files);
  if (auto published = nn::open_published(files, heads)) {
    // Every value is read: one that is not a number is found here, not in a run.
    nn::bind(published->architecture, *published->weights);
    out.kind = fmt::format("weights of {}", published->architecture.name);
    out.architecture = published->architecture;
    out.findings = std::move(published->findings);
    out.lacks_heads = std::any_of(out.findings.begin(), out.findings.end(), [](const nn::Finding& finding) {
      return finding.what == "heads" && finding.value == "unknown";
    });
    if (out.findings.empty())
      out.findings = {
          {"family", out.architecture->name, "names and shapes of tensors"},
          {"preprocessing", to_string(out.architecture->preprocessing), "the files or the family"}};
    if (const auto off = nn::difference_from_graph(files, *published)) {
      constexpr double kAllowed = 1e-4;
      if (!(*off <= kAllowed))
        throw Error(fmt::format(
            "{}: its network differs from its graph by {:.1e} of the largest value: this is a bug in "
            "graft; export the model as TorchScript",
            files.path.string(), *off));
      out.findings.push_back({"lowered", fmt::format("within {:.0e} of the graph's own values", *off),
                              "both computed for an image of noise"});
    }
    out.notes = std::move(published->notes);
    out.unused = std::move(published->unused);
    if (!file->taken().empty()) out.notes.insert(out.notes.begin(), file->taken());
  } else {
    out = check_named(*file);
  }
  out.format = file->format();
  out.bytes = file->bytes();
  out.tensors = file->tensors().size();
  return out;
}

const Value* param(const Value& stage, const std::string& name) {
  const Value* value = at_path(stage, {"params", name});
  return value == nullptr || value->is_null() ? nullptr : value;
}

/// Where the stages of a config prepare images, or take features, otherwise than the model's owner.
class ConfigCheck {
 public:
  ConfigCheck(const Value& plan, const std::string& model, const nn::Architecture& network)
      : stages_(plan.find("stages")->as_list()), model_(fs::weakly_canonical(model)), network_(network) {}

  std::vector<std::string> run() {
    for (const Value& stage : stages_) {
      const Value* model = param(stage, "model");
      if (model == nullptr || !model->is_string() || fs::weakly_canonical(model->as_string()) != model_)
        continue;
      ++found_;
      check_pool(stage);
      check_normalize(stage);
      if (const Value* pixels = pixels_of(stage)) check_pixels(*pixels, stage);
    }
    if (found_ == 0) add("no stage has this model", "");
    return std::move(out_);
  }

 private:
  void add(const std::string& text, const std::string& cure) {
    out_.push_back(cure.empty() ? text : text + "; " + cure);
  }

  void check_pool(const Value& stage) {
    const Value* pool = param(stage, "pool");
    const Value* taps = param(stage, "taps");
    const bool own = (taps == nullptr || taps->as_list().empty()) && param(stage, "concatenate") == nullptr &&
                     param(stage, "last_blocks") == nullptr;
    if (pool == nullptr || !own || network_.pool.empty() || pool->as_string() == network_.pool) return;
    add(fmt::format("{}: pool: {}, where the owner's features are pooled by {}", text_at(stage, {"id"}),
                    pool->as_string(), network_.pool),
        "leave `pool` out for those");
  }

  void check_normalize(const Value& stage) {
    const Value* normalize = param(stage, "normalize");
    if (normalize == nullptr || !normalize->is_map()) return;
    const nn::Preprocessing& p = network_.preprocessing;
    const Value* preset = normalize->find("preset");
    const Value* mean = normalize->find("mean");
    const std::string id = text_at(stage, {"id"});
    if (mean != nullptr && mean->is_list()) {
      if (!equal(*mean, p.mean) || !equal(*normalize->find("std"), p.deviation))
        add(fmt::format("{}: normalize has mean {}, std {}, where the network was trained with: {}", id,
                        mean->to_json(), normalize->find("std")->to_json(), to_string(p)),
            "leave `normalize` out");
      return;
    }
    if (preset == nullptr || preset->as_string() == "auto" || preset->as_string() == p.preset) return;
    add(fmt::format("{}: normalize: {}, where the network was trained with: {}", id, preset->as_string(),
                    to_string(p)),
        "leave `normalize` out");
  }

  static bool equal(const Value& given, const std::array<double, 3>& own) {
    const auto& list = given.as_list();
    if (list.size() != 1 && list.size() != 3) return false;
    for (std::size_t c = 0; c < 3; ++c)
      if (std::abs(list[list.size() == 1 ? 0 : c].as_double() - own[c]) > 1e-6) return false;
    return true;
  }

  /// The stage upstream that sizes the images.
  const Value* pixels_of(const Value& stage) const {
    const Value* at = &stage;
    for (std::size_t hops = 0; hops < stages_.size(); ++hops) {
      const Value* from = at->find("from");
      if (from == nullptr || from->as_list().empty()) return nullptr;
      std::string id = from->as_list()[0].as_string();
      id = id.substr(0, id.find('.'));
      const auto next = std::find_if(stages_.begin(), stages_.end(),
                                     [&](const Value& s) { return text_at(s, {"id"}) == id; });
      if (next == stages_.end()) return nullptr;
      if (const std::string plugin = text_at(*next, {"plugin"}); plugin == "decode" || plugin == "resize")
        return &*next;
      at = &*next;
    }
    return nullptr;
  }

  void check_pixels(const Value& pixels, const Value& stage) {
    const nn::Preprocessing& p = network_.preprocessing;
    const Value* network = param(pixels, "network");
    const bool takes_it =
        network != nullptr && network->is_string() && fs::weakly_canonical(network->as_string()) == model_;
    std::vector<std::string> differ;
    const auto compare = [&](const char* name, const std::string& own) {
      const Value* given = param(pixels, name);
      if (given == nullptr) {
        if (network == nullptr) differ.push_back(fmt::format("no {} ({})", name, own));
        return;
      }
      std::string text = given->is_string() ? given->as_string() : given->to_json();
      if (given->is_list() && given->as_list().size() == 1) text = given->as_list()[0].to_json();
      if (text != own) differ.push_back(fmt::format("{}: {} ({})", name, text, own));
    };
    compare("resize", std::to_string(p.resize));
    compare("crop", std::to_string(p.crop));
    compare("filter", p.filter);
    compare("fit", p.squash ? "stretch" : "shorter");
    compare("resizer", p.tensors ? "tensor" : "pillow");
    compare("centre", p.floor_crop ? "floor" : "round");
    const std::string id = text_at(pixels, {"id"});
    if (network != nullptr && !takes_it)
      add(fmt::format("{}: images are prepared for {}, not for the network of {}", id, network->to_json(),
                      text_at(stage, {"id"})),
          "leave `network` out");
    if (!differ.empty())
      add(fmt::format("{}: images are not prepared as the network's were: {}", id, fmt::join(differ, ", ")),
          "leave these out: the network decides then");
  }

  const Value::List& stages_;
  const fs::path model_;
  const nn::Architecture& network_;
  std::vector<std::string> out_;
  std::size_t found_ = 0;
};

Value names(const std::vector<std::string>& items) {
  return Value::List(items.begin(), items.end());
}

Value to_value(const std::string& path, const Checked& checked, const std::vector<std::string>& disagree) {
  Value out = Value::Map{{"path", path},
                         {"is", checked.kind},
                         {"format", checked.format},
                         {"bytes", checked.bytes},
                         {"tensors", static_cast<std::int64_t>(checked.tensors)},
                         {"features", checked.architecture ? Value(checked.architecture->features) : Value()},
                         {"taken", Value::list()}};
  for (const nn::Finding& f : checked.findings) {
    out["taken"].push(Value::Map{{"what", f.what}, {"value", f.value}, {"from", f.from}});
  }
  out["notes"] = names(checked.notes);
  out["unused"] = names(checked.unused);
  out["missing"] = names(checked.missing);
  out["disagrees"] = names(disagree);
  return out;
}

}  // namespace

int check(const Arguments& arguments) {
  const std::string& path = arguments.only("FILE or FOLDER");
  const nn::ModelFiles files = files_of(path, arguments);
  const Checked checked = check_model(files, arguments.number("heads", 1, 4096).value_or(0));
  std::vector<std::string> disagree;
  if (const auto config = arguments.text("config"); config && checked.architecture)
    disagree =
        ConfigCheck(ask_graft({"plan", *config, "--json", "--no-sample"}), path, *checked.architecture).run();
  const bool usable = checked.missing.empty() && !checked.lacks_heads;
  const int code = usable && disagree.empty() ? kOk : kFailed;
  if (arguments.has("json")) {
    say("{}\n", printable_json(to_value(path, checked, disagree).to_json()));
    return code;
  }
  say("{}: {}, {} in {}\n  {}\n", path, checked.format, plural(checked.tensors, "tensor"),
      human_bytes(checked.bytes), checked.kind);
  if (checked.architecture) say("  features: {} values\n", checked.architecture->features);
  std::vector<std::vector<std::string>> rows;
  for (const nn::Finding& f : checked.findings) rows.push_back({f.what, f.value, "<- " + f.from});
  if (!rows.empty()) say("\n{}", text_table(std::move(rows), Align::Left, 2));
  const auto list = [](const char* title, const std::vector<std::string>& items) {
    if (!items.empty()) say("\n{} ({}): {}\n", title, items.size(), joined(items));
  };
  for (const std::string& note : checked.notes) say("\n{}\n", note);
  list("not used", checked.unused);
  list("missing", checked.missing);
  if (const auto config = arguments.text("config")) {
    say("\n{}: {}\n", *config, disagree.empty() ? "agrees" : "disagrees");
    for (const std::string& text : disagree) say("  {}\n", text);
  }
  return code;
}

}  // namespace graft::model
