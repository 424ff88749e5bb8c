#include "config/sweep_points.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/files.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// The values of one grid, as overrides of the same key.
std::vector<Override> grid_values(const std::string& grid, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.errors();
  auto whole = parse_assignment("--grid", grid, diagnostics);
  if (!whole) return {};
  if (whole->value.kind != YamlNode::Kind::List) {
    // "a, b" is "[a, b]"; the bracket takes the place of the equals sign, so that columns stay.
    const int file = diagnostics.add_file("--grid", grid);
    const std::size_t equals = whole->key.size();
    whole->value =
        parse_yaml(std::string(equals, ' ') + "[" + grid.substr(equals + 1) + "]", file, diagnostics);
  }
  if (diagnostics.errors() == before && whole->value.items.empty())
    diagnostics.error(whole->at, fmt::format("expected values: --grid \"{}=[1, 2]\"", whole->key));
  std::vector<Override> out;
  for (YamlNode& item : whole->value.items) {
    out.push_back(*whole);
    out.back().value = std::move(item);
  }
  return out;
}

std::vector<SweepPoint> list_points(const fs::path& list, Diagnostics& diagnostics) {
  std::string text;
  try {
    text = read_file(list);
  } catch (const Error& e) {
    diagnostics.error({diagnostics.add_file(list.string(), ""), 0, 0}, e.what());
    return {};
  }
  const int file = diagnostics.add_file(list.string(), text);
  const std::size_t before = diagnostics.errors();
  YamlNode root = parse_yaml(text, file, diagnostics);
  if (diagnostics.errors() > before) return {};
  if (root.kind != YamlNode::Kind::List || root.items.empty()) {
    diagnostics.error({file, root.position.line, root.position.column},
                      fmt::format("expected a list of maps such as `- {{probe.c: 1, knn.k: 5}}`, got {}",
                                  root.kind == YamlNode::Kind::List ? "an empty one" : root.kind_name()));
    return {};
  }
  std::error_code ignored;
  const fs::path folder = fs::weakly_canonical(list, ignored).parent_path();
  std::vector<SweepPoint> out;
  for (YamlNode& item : root.items) {
    if (item.kind != YamlNode::Kind::Map) {
      diagnostics.error(item.position, fmt::format("expected a map such as {{probe.c: 1, knn.k: 5}}, got {}",
                                                   item.kind_name()));
      continue;
    }
    SweepPoint point;
    for (YamlNode::Member& m : item.members)
      point.push_back({m.key, std::move(m.value), m.key_position, list.string(), text, folder});
    out.push_back(std::move(point));
  }
  return out;
}

/// A combination has one value for a key: with two, a table could not say which one was run.
void refuse_doubles(const std::vector<std::vector<Override>>& axes, const std::vector<SweepPoint>& entries,
                    Diagnostics& diagnostics) {
  std::set<std::string> told;
  const auto refuse = [&](const Override& again) {
    if (told.insert(again.key).second)
      diagnostics.error(again.at, fmt::format("{} is varied twice in one combination; give it one "
                                              "list of values",
                                              again.key));
  };
  std::set<std::string> keys;
  for (const std::vector<Override>& axis : axes)
    if (!axis.empty() && !keys.insert(axis.front().key).second) refuse(axis.front());
  for (const SweepPoint& entry : entries)
    for (const Override& value : entry)
      if (keys.contains(value.key)) refuse(value);
}

/// Changing the plugin forgets the parameters, and `with` replaces them all.
int rank(const Override& override) {
  return override.key.ends_with(".plugin") ? 0 : override.key.ends_with(".with") ? 1 : 2;
}

}  // namespace

std::vector<SweepPoint> sweep_points(const std::vector<std::string>& grids, const fs::path& list,
                                     Diagnostics& diagnostics) {
  std::vector<SweepPoint> points{{}};
  if (!list.empty()) points = list_points(list, diagnostics);
  std::vector<std::vector<Override>> axes;
  double size = static_cast<double>(points.size());
  for (const std::string& grid : grids) {
    axes.push_back(grid_values(grid, diagnostics));
    size *= static_cast<double>(axes.back().size());
  }
  if (size > kMaxSweepPoints)
    diagnostics.error({}, fmt::format("{:.0f} combinations; a sweep has at most {}", size, kMaxSweepPoints));
  refuse_doubles(axes, points, diagnostics);
  if (diagnostics.has_errors()) return {};
  for (const std::vector<Override>& axis : axes) {
    std::vector<SweepPoint> more;
    for (const SweepPoint& point : points)
      for (const Override& value : axis) {
        more.push_back(point);
        more.back().push_back(value);
      }
    points = std::move(more);
  }
  for (SweepPoint& point : points)
    std::stable_sort(point.begin(), point.end(),
                     [](const Override& a, const Override& b) { return rank(a) < rank(b); });
  return points;
}

}  // namespace graft
