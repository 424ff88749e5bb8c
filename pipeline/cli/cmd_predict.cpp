#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <graft/csv.h>
#include <graft/error.h>
#include <graft/text.h>

#include "base/files.h"
#include "output.h"
#include "prediction_text.h"
#include "run/learning.h"
#include "run/prediction.h"
#include "run_command.h"
#include "store/export.h"

namespace graft::cli {
namespace {

/// How an input's scores become a line.
class Writer {
 public:
  Writer(const Global& global, std::vector<std::string> classes, bool multi_label)
      : options_(global.predict),
        json_(global.json),
        multi_label_(multi_label),
        classes_(std::move(classes)),
        top_(std::min<std::size_t>(options_.top, classes_.size())) {}

  std::optional<std::string> header() const {
    if (json_) return {};
    std::string line = "key,predicted";
    if (top_ == 0)
      for (const std::string& name : classes_) line += "," + csv_field(name);
    for (std::size_t i = 1; i <= top_; ++i) line += fmt::format(",class{},score{}", i, i);
    for (std::size_t i = 1; i <= options_.neighbors; ++i)
      line += fmt::format(",neighbor{},similarity{}", i, i);
    return line + ",rejected";
  }

  std::string line(const PredictedInput& input) const { return json_ ? as_json(input) : as_csv(input); }

 private:
  static std::string why(const StoredReject& reject) { return reject.code + ": " + reject.text; }

  std::string as_csv(const PredictedInput& input) const {
    std::string names;
    for (const std::size_t c : predicted_classes(input.scores, multi_label_, options_.threshold))
      names += (names.empty() ? "" : ";") + classes_[c];
    std::string line = csv_field(input.key) + "," + csv_field(names);
    if (input.reject != nullptr) {
      line.append((top_ == 0 ? classes_.size() : 2 * top_) + 2 * options_.neighbors, ',');
      return line + "," + csv_field(why(*input.reject));
    }
    if (top_ == 0)
      for (const float score : input.scores) line += fmt::format(",{:.9g}", score);
    else
      for (const std::size_t c : best_classes(input.scores, top_))
        line += fmt::format(",{},{:.9g}", csv_field(classes_[c]), input.scores[c]);
    for (std::size_t n = 0; n < options_.neighbors; ++n)
      line += n < input.neighbours.size() ? fmt::format(",{},{:.9g}", csv_field(input.neighbours[n].key),
                                                        input.neighbours[n].similarity)
                                          : ",,";
    return line + ",";
  }

  std::string as_json(const PredictedInput& input) const {
    Value v = prediction_value(input.key, input.scores, input.reject,
                               {classes_, multi_label_, top_, options_.threshold});
    for (const NearImage& near : input.neighbours) {
      Value neighbor = Value::map();
      neighbor["key"] = near.key;
      neighbor["similarity"] = static_cast<double>(near.similarity);
      v["neighbors"].push(std::move(neighbor));
    }
    return v.to_json();
  }

  const Global::Predict& options_;
  const bool json_, multi_label_;
  const std::vector<std::string> classes_;
  const std::size_t top_;
};

}  // namespace

int predict(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw UsageError{"MODEL is missing: the folder of a run, such as runs/flowers"};
  if (arguments.size() == 1) input_is_missing();
  if (const auto t = global.predict.threshold; t && !(*t >= 0 && *t <= 1))
    throw UsageError{fmt::format("--threshold: expected 0 to 1, got {}", *t)};
  const std::filesystem::path& features = global.predict.features;
  if (const std::string fault = features.empty() ? "" : fault_of_export_name(features); !fault.empty())
    throw UsageError{"--features: " + fault};
  require_free_name(features);
  if (!global.out.empty()) {
    if (!features.empty() && place_of(global.out) == place_of(features))
      throw UsageError{
          "--out and --features name the same file: the predictions and the vectors need one each"};
    require_kind(global.out, {"key,predicted", "{\"key\""}, "a file of predictions");
  }
  Registry registry(Registry::search_path(global.plugin_dirs));
  const TrainedModel model = open_model(arguments[0], global.model.learner, registry,
                                        global.model.allow_code ? Code::Allowed : Code::Refused);
  PredictOptions options;
  options.inputs.assign(arguments.begin() + 1, arguments.end());
  options.overrides = global.overrides;
  options.features = features;
  options.neighbours = global.predict.neighbors;
  const RunOptions run = prepare_to_run(global);
  options.style = run.style;
  // Predictions are the output; with --json, warnings and progress are wanted all the same.
  if (global.json && !global.quiet) options.style.level = LogLevel::Info;
  if (global.store_given) options.store = global.store;

  Signals signals;
  const Writer writer(global, model.classes(), model.multi_label());
  PredictOutcome outcome;
  std::size_t printed = 0;
  const auto predict_to = [&](const std::function<void(const std::string&)>& print) {
    bool begun = false;
    outcome = predict(model, options, registry, signals, [&](const PredictedInput& input) {
      if (!std::exchange(begun, true))
        if (const auto header = writer.header()) print(*header);
      print(writer.line(input));
      ++printed;
    });
    if (outcome.interrupted) throw Interrupted();  // a file gets its name when it is complete
  };
  try {
    if (global.out.empty())
      predict_to(print_line);
    else
      write_file_atomically(
          global.out,
          [&](int fd) {
            constexpr std::size_t kBuffer = std::size_t{1} << 16;
            std::string lines;
            const auto flush = [&] {
              write_all(fd, {reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()}, global.out);
              lines.clear();
            };
            predict_to([&](const std::string& line) {
              lines += line + '\n';
              if (lines.size() >= kBuffer) flush();
            });
            flush();
          },
          Naming::AtTheEnd);
  } catch (const Interrupted&) {
    if (printed > 0 && global.out.empty())
      print_error("interrupted: {} predicted, in their order; the others are not\n",
                  plural(printed, "input"));
    else
      print_error("interrupted: nothing was {}\n", global.out.empty() ? "predicted" : "written");
    if (!features.empty()) print_error("{} was not written\n", printable(features.string()));
    return signals.exit_code();
  }
  if (!features.empty() && outcome.features.rows == 0)
    print_error("warning: {} was not written: no input has features\n", printable(features.string()));
  warn_of_nan_rows(features, outcome.features.nan_rows);
  if (!global.quiet)
    print_error("{} of {} inputs predicted by '{}' of {}{}\n", outcome.inputs - outcome.rejected,
                outcome.inputs, model.stage, model.from.string(),
                outcome.rejected == 0
                    ? ""
                    : fmt::format(", {} rejected: the last column gives the reason", outcome.rejected));
  return outcome.rejected == 0 ? kOk : 3;
}

}  // namespace graft::cli
