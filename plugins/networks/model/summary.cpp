#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/text.h>

#include <network/bind.h>
#include <network/published.h>
#include <network/weight_file.h>
#include "checkpoints.h"
#include "command.h"
#include "quantities.h"
#include "sheet.h"

namespace graft::model {
namespace {

/// A few names of a list, for a line.
template <typename T, typename Name>
std::string some(const std::vector<T>& items, Name name) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < items.size() && i < kShown; ++i) out += (i > 0 ? ", " : "") + name(items[i]);
  return items.size() > kShown ? out + ", ..." : out;
}

void print_fit(const nn::WeightFile& file, const nn::BestFit& best) {
  const nn::Fit& fit = best.fit;
  say("fits {}{}\n", best.architecture.name, fit.complete() ? "" : " best, but not wholly");
  if (const std::string text = nn::taken(best.architecture, file, fit); !text.empty() && fit.complete())
    say("  {}\n", text);
  if (!fit.missing.empty())
    say("  missing ({}): {}\n", fit.missing.size(), some(fit.missing, [](const auto& p) { return p.path; }));
  if (!fit.unexpected.empty())
    say("  unexpected ({}): {}\n", fit.unexpected.size(),
        some(fit.unexpected, [](const auto& t) { return t.name; }));
  if (!fit.misshaped.empty())
    say("  of another shape ({}): {}\n", fit.misshaped.size(), some(fit.misshaped, [](const auto& s) {
          return fmt::format("{} {}, expected {}", s.name, to_string(s.got), to_string(s.wanted));
        }));
  if (!fit.also.empty())
    say("  more than once, under the prefixes '{}' and '{}'\n", fit.prefix, fmt::join(fit.also, "', '"));
  else if (!fit.complete())
    say("  {}\n", nn::cure(best.architecture, file, fit));
}

Value to_value(const nn::WeightFile& file, const std::optional<nn::BestFit>& best) {
  Value out = Value::Map{{"path", file.path().string()},
                         {"format", file.format()},
                         {"bytes", file.bytes()},
                         {"tensors", Value::list()}};
  for (const nn::TensorInfo& t : file.tensors()) {
    out["tensors"].push(Value::Map{
        {"name", t.name}, {"type", t.type}, {"shape", Value(Value::List(t.shape.begin(), t.shape.end()))}});
  }
  if (!best) return out;
  const auto names = [](const auto& items, auto name) {
    Value list = Value::list();
    for (const auto& item : items) list.push(name(item));
    return list;
  };
  out["fits"] = best->architecture.name;
  out["taken"] = nn::taken(best->architecture, file, best->fit);
  out["prefix"] = best->fit.prefix;
  out["missing"] = names(best->fit.missing, [](const auto& p) { return p.path; });
  out["unexpected"] = names(best->fit.unexpected, [](const auto& t) { return t.name; });
  out["misshaped"] = names(best->fit.misshaped, [](const auto& s) { return s.name; });
  out["passed_over"] = names(best->fit.passed_over, [](const auto& t) { return t.name; });
  out["strangers"] = names(best->fit.strangers, [](const auto& t) { return t.name; });
  return out;
}

std::string tensor_table(const nn::WeightFile& file) {
  std::vector<std::vector<std::string>> table{{"tensor", "type", "shape", "elements"}};
  std::int64_t all = 0;
  for (const nn::TensorInfo& t : file.tensors()) {
    table.push_back({t.name, t.type, extents_text(t.shape), grouped(elements(t.shape))});
    all += elements(t.shape);
  }
  return text_table(std::move(table), {Align::Left, Align::Left, Align::Left, Align::Right}) +
         fmt::format("\n{} elements\n", grouped(all));
}

int print_torchscript(const std::string& path, const nn::TorchScriptContents& contents, bool json) {
  if (json) {
    Value v = Value::Map{{"path", path},
                         {"format", "TorchScript"},
                         {"tensors", static_cast<std::int64_t>(contents.tensors)},
                         {"tensor_bytes", contents.tensor_bytes},
                         {"code", Value::list()}};
    for (const auto& [name, bytes] : contents.code) v["code"].push(Value(name));
    say("{}\n", printable_json(v.to_json()));
    return kOk;
  }
  say("{}: TorchScript, {}, {}\n\n", path, plural(contents.tensors, "tensor"),
      bytes_text(static_cast<std::int64_t>(contents.tensor_bytes)));
  std::vector<std::vector<std::string>> table{{"source", "size"}};
  for (const auto& [name, bytes] : contents.code)
    table.push_back({name, bytes_text(static_cast<std::int64_t>(bytes))});
  say("{}\nTorchScript is code: it runs when it is loaded, and its layers and shapes are not known before.\n"
      "Give it as the model of backbone if you trust where it comes from.\n",
      text_table(std::move(table), Align::Right));
  return kOk;
}

/// A network whose sizes are in its files.
int print_published(const nn::Published& published, const nn::WeightFile& file, const std::string& path,
                    const Arguments& arguments, const SheetOptions& options) {
  const Sheet sheet(published.architecture, options);
  if (arguments.has("dot")) {
    say("{}", sheet.dot());
    return kOk;
  }
  if (arguments.has("json")) {
    Value v = sheet.value();
    v["file"]["path"] = path;
    v["file"]["family"] = published.architecture.name;
    v["file"]["notes"] = Value::List(published.notes.begin(), published.notes.end());
    say("{}\n", printable_json(v.to_json()));
    return kOk;
  }
  say("{}: {}, {}, {}\n  {}\n", path, file.format(), plural(file.tensors().size(), "tensor"),
      bytes_text(static_cast<std::int64_t>(file.bytes())), published.architecture.name);
  if (file.format() == "ONNX")
    for (const auto& [key, text] : file.metadata()) say("  {}: {}\n", key, printable(text));
  for (const std::string& note : published.notes) say("  {}\n", printable(note));
  say("\n{}", sheet.text());
  return kOk;
}

int summarize_file(const std::string& path, const Arguments& arguments, const SheetOptions& options) {
  const bool json = arguments.has("json");
  for (const char* option : {"classes", "width"})
    if (arguments.has(option))
      throw UsageError{fmt::format(
          "--{} goes with the name of an architecture; for a file, its tensors determine it", option)};
  const nn::ModelFiles files = nn::find_model_files(path);
  if (const auto contents = nn::inspect_torchscript(files.weights))
    return print_torchscript(path, *contents, json);

  const auto file = nn::open_weights(files);
  if (const auto published = nn::open_published(files, arguments.number("heads", 1, 4096)))
    return print_published(*published, *file, path, arguments, options);
  const auto best = nn::best_fit(*file);
  if (arguments.has("dot") && !best)
    throw Error(fmt::format("{}: fits no known architecture, so its graph is unknown", path));
  std::optional<Sheet> sheet;
  if (best) sheet.emplace(best->architecture, options);
  if (json) {
    Value v = sheet ? sheet->value() : Value::map();
    v["file"] = to_value(*file, best);
    say("{}\n", printable_json(v.to_json()));
  } else if (arguments.has("dot")) {
    say("{}", sheet->dot());
  } else {
    say("{}: {}, {}, {}\n", path, file->format(), plural(file->tensors().size(), "tensor"),
        bytes_text(static_cast<std::int64_t>(file->bytes())));
    for (const auto& [key, text] : file->metadata()) say("  {}: {}\n", printable(key), printable(text));
    if (best)
      print_fit(*file, *best);
    else
      say("fits no architecture (graft model list)\n");
    say("\n{}", sheet ? sheet->text() : tensor_table(*file));
  }
  return kOk;
}

}  // namespace

int summary(const Arguments& arguments) {
  const std::string& what = arguments.only("NAME or FILE");
  SheetOptions options;
  options.side = arguments.number("size", 1, nn::kMaxSide);
  options.freeze = arguments.text("freeze").value_or("none");
  options.all = arguments.has("all");

  const auto& names = nn::architecture_names();
  if (std::find(names.begin(), names.end(), what) == names.end()) {
    std::error_code ignored;
    if (std::filesystem::exists(what, ignored)) return summarize_file(what, arguments, options);
    const auto near = nearest(what, names);
    throw UsageError{fmt::format("'{}' is neither a known architecture{} nor a file (architectures: {})",
                                 what, near ? fmt::format(" (did you mean '{}'?)", *near) : "",
                                 fmt::join(names, ", "))};
  }
  nn::Options made;
  made.classes = arguments.number("classes", 0, nn::kMaxClasses);
  made.width = arguments.number("width", 1, nn::kMaxWidth);
  if (options.side) made.side = options.side;
  const Sheet sheet(nn::make_architecture(what, made), options);
  say("{}", arguments.has("json")  ? sheet.value().to_json() + "\n"
            : arguments.has("dot") ? sheet.dot()
                                   : sheet.text());
  return kOk;
}

}  // namespace graft::model
