#include <numeric/lbfgs.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <vector>

#include <graft/error.h>

namespace graft::numeric {
namespace {

using Vector = std::vector<double>;

constexpr double kDecrease = 1e-4;  // c1
constexpr double kCurvature = 0.9;  // c2
constexpr int kMaxTrials = 30;      // evaluations of one line search
constexpr int kIdleIterations = 3;  // in a row within the noise: nothing left to gain

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double max_abs(const Vector& v) {
  double top = 0;
  for (const double e : v) top = std::max(top, std::abs(e));
  return top;
}

/// Value and slope of the objective along the search direction.
struct Trial {
  double step = 0;
  double value = 0;
  double slope = 0;
};

/// Minimiser of the cubic through two trials (Nocedal & Wright, equation 3.59), kept well inside the
/// interval.
double interpolate(const Trial& low, const Trial& high) {
  const double width = high.step - low.step;
  const double d1 = low.slope + high.slope - 3 * (high.value - low.value) / width;
  const double d2 = std::sqrt(d1 * d1 - low.slope * high.slope);
  const double step = high.step - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2);
  if (!std::isfinite(step)) return low.step + 0.5 * width;
  return std::clamp(step, low.step + 0.1 * width, high.step - 0.1 * width);
}

struct Pair {
  Vector step, change, conditioned;  // s, y, P y
  double curvature;                  // s.y
};

class Minimizer {
 public:
  Minimizer(const Objective& objective, std::span<double> x, const LbfgsOptions& options,
            const Preconditioner& preconditioner)
      : objective_(objective),
        precondition_(preconditioner),
        options_(options),
        out_(x),
        x_(x.begin(), x.end()),
        gradient_(x.size()),
        direction_(x.size()),
        trial_x_(x.size()),
        trial_gradient_(x.size()) {}

  LbfgsResult run() {
    value_ = objective_(x_, gradient_);
    result_.evaluations = 1;
    if (!std::isfinite(value_) || !std::isfinite(max_abs(gradient_))) {
      throw Error(
          "the objective is not finite where the minimisation starts: the features are too large; "
          "scale them");
    }
    result_.stop = descend();
    result_.objective = value_;
    result_.gradient_max = max_abs(gradient_);
    result_.gap = gap();
    std::copy(x_.begin(), x_.end(), out_.begin());
    return result_;
  }

 private:
  LbfgsStop descend() {
    int idle = 0;
    bool moved = true;
    while (true) {
      if (moved && converged()) return LbfgsStop::Converged;
      if (result_.iterations == options_.max_iterations) return LbfgsStop::MaxIterations;
      choose_direction();
      const double before = value_;
      moved = search();
      if (!moved) {
        if (pairs_.empty()) return LbfgsStop::Precision;
        pairs_.clear();  // a stale model of the curvature: once more along the gradient
        continue;
      }
      ++result_.iterations;
      idle = before - value_ <= slack() ? idle + 1 : 0;
      if (idle == kIdleIterations) return LbfgsStop::Precision;
    }
  }

  double gap() const { return options_.gap ? options_.gap(gradient_) : 0.5 * dot(gradient_, gradient_); }

  bool converged() const {
    return max_abs(gradient_) <= options_.gradient_tolerance ||
           gap() <= options_.gap_tolerance * std::abs(value_);
  }

  double slack() const {
    return options_.noise * std::max(std::abs(value_), std::numeric_limits<double>::min());
  }

  /// direction = -H gradient by the two-loop recursion.
  void choose_direction() {
    direction_ = gradient_;
    Vector weight(pairs_.size());
    for (std::size_t i = pairs_.size(); i-- > 0;) {
      weight[i] = dot(pairs_[i].step, direction_) / pairs_[i].curvature;
      add(direction_, -weight[i], pairs_[i].change);
    }
    if (precondition_) precondition_(direction_);
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      const double scale = last.curvature / dot(last.change, last.conditioned);
      for (double& v : direction_) v *= scale;
    }
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const double b = dot(pairs_[i].change, direction_) / pairs_[i].curvature;
      add(direction_, weight[i] - b, pairs_[i].step);
    }
    for (double& v : direction_) v = -v;
  }

  static void add(Vector& to, double factor, const Vector& v) {
    for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * v[i];
  }

  Trial evaluate(double step) {
    for (std::size_t i = 0; i < x_.size(); ++i) trial_x_[i] = x_[i] + step * direction_[i];
    ++result_.evaluations;
    const double value = objective_(trial_x_, trial_gradient_);
    return {step, value, dot(trial_gradient_, direction_)};
  }

  /// Moves to a point that satisfies the Wolfe conditions; false, staying, when no step lowers the objective.
  bool search() {
    const Trial start{0, value_, dot(gradient_, direction_)};
    if (!(start.slope < 0)) return false;
    const bool plain = pairs_.empty() && !precondition_;
    double step = plain ? std::min(1.0, 1.0 / std::sqrt(dot(gradient_, gradient_))) : 1.0;
    Trial low = start;
    Trial high{std::numeric_limits<double>::infinity(), 0, 0};
    for (int trial = 0; trial < kMaxTrials; ++trial) {
      const Trial now = evaluate(step);
      const bool finite = std::isfinite(now.value) && std::isfinite(now.slope);
      const bool decreased = finite && now.value <= start.value + kDecrease * step * start.slope;
      const bool within_noise =
          finite && now.value <= start.value + slack() && now.slope <= (2 * kDecrease - 1) * start.slope;
      const bool is_lower = decreased || within_noise;
      if (!finite) {
        high = {step, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
      } else if (is_lower && std::abs(now.slope) <= kCurvature * std::abs(start.slope)) {
        accept(now);
        return true;
      } else if (!is_lower || now.slope > 0) {
        high = now;
      } else {
        low = now;
      }
      if (std::isinf(high.step)) {
        step = 4 * low.step;
      } else if (high.step - low.step <= 1e-15 * high.step) {
        break;
      } else {
        step = interpolate(low, high);
      }
    }
    if (low.step == 0) return false;
    accept(evaluate(low.step));  // it lowers the objective, if not by as much as it should
    return true;
  }

  void accept(const Trial& trial) {
    Pair pair;
    if (pairs_.size() == static_cast<std::size_t>(options_.history)) {
      pair = std::move(pairs_.front());
      pairs_.pop_front();
    }
    pair.step.resize(x_.size());
    pair.change.resize(x_.size());
    for (std::size_t i = 0; i < x_.size(); ++i) {
      pair.step[i] = trial_x_[i] - x_[i];
      pair.change[i] = trial_gradient_[i] - gradient_[i];
    }
    pair.curvature = dot(pair.step, pair.change);
    x_.swap(trial_x_);
    gradient_.swap(trial_gradient_);
    value_ = trial.value;
    // Without positive curvature the pair would make the model indefinite.
    const double scale = std::sqrt(dot(pair.step, pair.step) * dot(pair.change, pair.change));
    if (!(pair.curvature > std::numeric_limits<double>::epsilon() * scale)) return;
    pair.conditioned = pair.change;
    if (precondition_) precondition_(pair.conditioned);
    pairs_.push_back(std::move(pair));
  }

  const Objective& objective_;
  const Preconditioner& precondition_;
  const LbfgsOptions options_;
  std::span<double> out_;
  Vector x_, gradient_, direction_, trial_x_, trial_gradient_;
  double value_ = 0;
  std::deque<Pair> pairs_;
  LbfgsResult result_;
};

}  // namespace

const char* to_string(LbfgsStop stop) {
  switch (stop) {
    case LbfgsStop::Converged:
      return "converged";
    case LbfgsStop::Precision:
      return "precision";
    case LbfgsStop::MaxIterations:
      break;
  }
  return "max iterations";
}

LbfgsResult minimize(const Objective& objective, std::span<double> x, const LbfgsOptions& options,
                     const Preconditioner& preconditioner) {
  return Minimizer(objective, x, options, preconditioner).run();
}

}  // namespace graft::numeric
