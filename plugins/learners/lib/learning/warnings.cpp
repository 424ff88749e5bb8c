#include <learning/warnings.h>

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include <graft/error.h>
#include <graft/text.h>

namespace graft::learning {
namespace {

/// Names of the classes that no label is of, "ants, bees and 3 more"; empty when all are there.
std::string absent_classes(const std::vector<std::int32_t>& labels, const std::vector<std::string>& classes) {
  constexpr std::size_t kMostNamed = 5;
  std::vector<bool> seen(classes.size());
  for (const std::int32_t label : labels) seen[static_cast<std::size_t>(label)] = true;
  std::vector<std::string> absent;
  for (std::size_t c = 0; c < classes.size(); ++c)
    if (!seen[c]) absent.push_back(classes[c]);
  return joined(absent, kMostNamed);
}

}  // namespace

std::vector<std::int32_t> classes_present(const FeatureRows& rows) {
  const std::set<std::int32_t> present(rows.labels().begin(), rows.labels().end());
  return {present.begin(), present.end()};
}

void warn_absent_classes(const std::vector<std::int32_t>& labels, const std::vector<std::string>& classes,
                         const Warn& warn, const char* effect) {
  if (const std::string absent = absent_classes(labels, classes); !absent.empty())
    warn(fmt::format("no train rows of {}: {}", absent, effect));
  if (classes.size() == 1 && !labels.empty())
    warn(fmt::format(
        "all train rows are of one class, '{}': every input is taken for it, and scores say nothing; "
        "give the source rows of another class",
        shortened(classes[0])));
}

void warn_absent_val_classes(const std::vector<std::int32_t>& labels, const std::vector<std::string>& classes,
                             const char* parameter, const Warn& warn) {
  if (const std::string absent = absent_classes(labels, classes); !absent.empty())
    warn(fmt::format("no val rows of {}: {} is chosen without such a class", absent, parameter));
}

void require_rows(const std::string& table, std::size_t rows) {
  if (rows > 0) return;
  throw Error(
      fmt::format("table '{}' has no labelled train rows: expected at least 1; check the labels, the splits "
                  "and the rejected inputs",
                  table));
}

void require_classes(const std::string& table, std::size_t present, std::size_t classes,
                     metrics::LabelMode mode) {
  const bool multi = mode == metrics::LabelMode::Multi;
  if (present >= (multi ? 1 : 2)) return;
  throw Error(fmt::format(
      "table '{}' has train rows of {} of its {} classes: expected at least {}; check the labels, "
      "the splits and the rejected inputs",
      table, present, classes, multi ? "1 class" : "2 classes to tell apart"));
}

std::vector<std::int32_t> classes_to_learn(const FeatureRows& train, const std::vector<std::string>& classes,
                                           const std::string& table, const Warn& warn) {
  std::vector<std::int32_t> present = classes_present(train);
  require_classes(table, present.size(), classes.size(), train.mode());
  warn_absent_classes(train.labels(), classes, warn);
  return present;
}

std::size_t warn_constant_features(const FeatureRows& train, const std::string& table, RowScaler::Kind scale,
                                   Parallel& parallel, const Warn& warn) {
  const std::size_t dim = train.dim();
  struct Part {
    std::vector<float> low, high;
    std::size_t zero_rows = 0;
  };
  std::vector<Part> parts(train.blocks());
  parallel.for_each(train.blocks(), [&](std::size_t b) {
    std::vector<float> scratch;
    const float* x = train.block(b, scratch);
    Part& part = parts[b];
    part.low.assign(x, x + dim);
    part.high.assign(x, x + dim);
    for (std::size_t r = 0; r < train.count(b); ++r, x += dim) {
      for (std::size_t d = 0; d < dim; ++d) {
        part.low[d] = std::min(part.low[d], x[d]);
        part.high[d] = std::max(part.high[d], x[d]);
      }
      part.zero_rows += std::all_of(x, x + dim, [](float v) { return v == 0; }) ? 1 : 0;
    }
  });
  std::size_t constant = 0, zero_rows = 0;
  for (const Part& part : parts) zero_rows += part.zero_rows;
  for (std::size_t d = 0; d < dim; ++d) {
    constant += std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
      return part.low[d] == parts[0].low[d] && part.high[d] == parts[0].low[d];
    });
  }
  if (constant == dim) {
    warn(
        fmt::format("table '{}': all {} features are the same in all train rows: every input gets the shares "
                    "of the classes as its scores; check the backbone and its normalisation",
                    table, dim));
  }
  if (zero_rows > 0 && scale == RowScaler::Kind::L2) {
    warn(
        fmt::format("table '{}': {} train rows have zeros only; they have no direction, and scale: l2 leaves "
                    "them as they are",
                    table, zero_rows));
  }
  return constant;
}

void warn_no_val_rows(const std::string& table, const std::string& purpose, const std::string& effect,
                      const std::string& fix, const Warn& warn) {
  warn(fmt::format("table '{}' has no labelled val rows to {}: {}; give the source a val split{}{}", table,
                   purpose, effect, fix.empty() ? "" : ", ", fix));
}

void warn_no_val_rows(const std::string& table, const std::vector<TakenValue>& taken, const Warn& warn) {
  std::vector<std::string> names, values;
  for (const TakenValue& t : taken) {
    if (t.candidates == 1) continue;
    names.emplace_back(t.parameter);
    values.push_back(fmt::format("{} = {} (nearest to {})", t.parameter, t.value, t.usual));
  }
  if (names.empty()) return;
  warn_no_val_rows(table, fmt::format("choose {} on", fmt::join(names, " and ")),
                   fmt::format("taking {}", fmt::join(values, ", ")),
                   fmt::format("or set {} to one value", names.size() == 1 ? names[0] : "each"), warn);
}

}  // namespace graft::learning
