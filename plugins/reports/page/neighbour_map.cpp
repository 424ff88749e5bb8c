// A map in which neighbours stay neighbours: UMAP's graph and layout, on the exact neighbours of few points.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>

#include <graft/random.h>

#include "feature_map.h"

namespace graft::page {
namespace {

constexpr std::size_t kNeighbours = 15, kFewest = 8;
/// The curve 1 / (1 + a d^2b) of the layout for a least distance of 0.1 between points.
constexpr double kA = 1.5769, kB = 0.8951;
constexpr int kNegatives = 5;  ///< Points that are pushed away for each edge that pulls.

struct Edge {
  std::size_t from = 0, to = 0;
  double weight = 0;
};

struct Near {
  double distance = 0;
  std::size_t point = 0;
};

std::vector<std::vector<float>> read_points(const RowSet& rows, const FeatureMap& map) {
  std::vector<std::vector<float>> out(map.points.size(), std::vector<float>(rows.dim()));
  for (std::size_t i = 0; i < out.size(); ++i) rows.read(map.points[i].row, 1, out[i].data());
  return out;
}

double distance_of(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += d * d;
  }
  return std::sqrt(sum);
}

/// The k nearest other points of each, the nearest first; ties go to the lower one.
std::vector<std::vector<Near>> neighbours_of(const std::vector<std::vector<float>>& points, std::size_t k,
                                             Parallel& parallel) {
  std::vector<std::vector<Near>> out(points.size());
  parallel.for_each(points.size(), [&](std::size_t i) {
    std::vector<Near> all;
    for (std::size_t j = 0; j < points.size(); ++j)
      if (j != i) all.push_back({distance_of(points[i], points[j]), j});
    std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(k), all.end(),
                      [](const Near& a, const Near& b) {
                        return a.distance != b.distance ? a.distance < b.distance : a.point < b.point;
                      });
    all.resize(k);
    out[i] = std::move(all);
  });
  return out;
}

/// How much a point belongs to another one, from 1 for the nearest down: widths are such that the weights of
/// a point sum to log2 k (section 3.1 of the paper).
std::vector<double> weights_of(const std::vector<Near>& near) {
  double nearest = 0;
  for (const Near& n : near)
    if (n.distance > 0) {
      nearest = n.distance;
      break;
    }
  const double wanted = std::log2(static_cast<double>(near.size()));
  double low = 0, high = INFINITY, width = 1;
  for (int step = 0; step < 64; ++step) {
    double sum = 0;
    for (const Near& n : near) sum += std::exp(-std::max(0.0, n.distance - nearest) / width);
    if (sum > wanted) {
      high = width;
      width = (low + high) / 2;
    } else {
      low = width;
      width = std::isinf(high) ? width * 2 : (low + high) / 2;
    }
  }
  std::vector<double> out;
  for (const Near& n : near)
    out.push_back(std::exp(-std::max(0.0, n.distance - nearest) / std::max(width, 1e-12)));
  return out;
}

/// Both directions as one weight: a + b - ab.
std::vector<Edge> edges_of(const std::vector<std::vector<Near>>& near) {
  std::map<std::pair<std::size_t, std::size_t>, std::pair<double, double>> both;
  for (std::size_t i = 0; i < near.size(); ++i) {
    const std::vector<double> weights = weights_of(near[i]);
    for (std::size_t k = 0; k < near[i].size(); ++k) {
      const std::size_t j = near[i][k].point;
      (i < j ? both[{i, j}].first : both[{j, i}].second) = weights[k];
    }
  }
  std::vector<Edge> out;
  for (const auto& [ends, w] : both)
    out.push_back({ends.first, ends.second, w.first + w.second - w.first * w.second});
  return out;
}

using Place = std::pair<double, double>;

/// From the PCA, as large as the layout expects, with some noise: equal rows must be able to part.
std::vector<Place> first_places(const FeatureMap& map) {
  double most = 1e-30;
  for (const FeatureMap::Point& p : map.points) most = std::max({most, std::abs(p.x), std::abs(p.y)});
  Random random(29);
  std::vector<Place> out;
  for (const FeatureMap::Point& p : map.points)
    out.emplace_back(10 * p.x / most + 1e-4 * random.normal(), 10 * p.y / most + 1e-4 * random.normal());
  return out;
}

double clipped(double step) {
  return std::clamp(step, -4.0, 4.0);
}

class Placing {
 public:
  Placing(std::vector<Place> places, std::vector<Edge> edges)
      : places_(std::move(places)), edges_(std::move(edges)) {
    for (const Edge& e : edges_) most_ = std::max(most_, e.weight);
  }

  std::vector<Place> run(int epochs, Interruptible& parallel) {
    std::vector<double> due;
    for (const Edge& e : edges_) due.push_back(most_ / e.weight);
    for (int epoch = 1; epoch <= epochs; ++epoch) {
      parallel.check();
      rate_ = 1 - static_cast<double>(epoch - 1) / epochs;
      for (std::size_t i = 0; i < edges_.size(); ++i) {
        if (due[i] > epoch) continue;
        due[i] += most_ / edges_[i].weight;
        pull(edges_[i].from, edges_[i].to);
        for (int n = 0; n < kNegatives; ++n) push(edges_[i].from);
        for (int n = 0; n < kNegatives; ++n) push(edges_[i].to);
      }
    }
    return std::move(places_);
  }

 private:
  void pull(std::size_t a, std::size_t b) {
    const double dx = places_[a].first - places_[b].first, dy = places_[a].second - places_[b].second;
    const double square = dx * dx + dy * dy;
    if (!(square > 0)) return;
    const double power = std::pow(square, kB);
    const double force = -2 * kA * kB * power / square / (1 + kA * power);
    move(a, force * dx, force * dy);
    move(b, -force * dx, -force * dy);
  }

  void push(std::size_t a) {
    const auto b = static_cast<std::size_t>(random_.below(places_.size()));
    if (a == b) return;
    const double dx = places_[a].first - places_[b].first, dy = places_[a].second - places_[b].second;
    const double square = dx * dx + dy * dy;
    const double force = 2 * kB / ((0.001 + square) * (1 + kA * std::pow(square, kB)));
    move(a, force * dx, force * dy);
  }

  void move(std::size_t a, double x, double y) {
    places_[a].first += rate_ * clipped(x);
    places_[a].second += rate_ * clipped(y);
  }

  std::vector<Place> places_;
  const std::vector<Edge> edges_;
  double most_ = 0, rate_ = 1;
  Random random_{31};
};

}  // namespace

std::vector<std::pair<double, double>> neighbour_map(const RowSet& rows, const FeatureMap& map,
                                                     Interruptible& parallel) {
  if (map.points.size() < kFewest) return {};
  const std::size_t k = std::min(kNeighbours, map.points.size() - 1);
  const std::vector<std::vector<Near>> near = neighbours_of(read_points(rows, map), k, parallel);
  const int epochs = map.points.size() > 2000 ? 100 : 200;
  return Placing(first_places(map), edges_of(near)).run(epochs, parallel);
}

}  // namespace graft::page
