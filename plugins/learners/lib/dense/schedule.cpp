#include <dense/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include <graft/error.h>

namespace graft::dense {

const std::vector<std::string>& Schedule::names() {
  static const std::vector<std::string> kAll = {"constant", "cosine", "step"};
  return kAll;
}

Schedule::Kind Schedule::kind_from(const std::string& name) {
  const auto found = std::find(names().begin(), names().end(), name);
  if (found == names().end()) throw Error("schedule '" + name + "': expected constant, cosine or step");
  return static_cast<Kind>(found - names().begin());
}

double Schedule::factor(double now, double step) const {
  if (now < warmup_epochs) return std::min(1.0, (now + step) / (warmup_epochs + step));
  switch (kind) {
    case Kind::Constant:
      break;
    case Kind::Cosine: {
      const double rest = epochs - warmup_epochs;
      const double share = rest > 0 ? std::min(1.0, (now - warmup_epochs) / rest) : 0;
      return 0.5 * (1 + std::cos(std::numbers::pi * share));
    }
    case Kind::Step:
      return std::pow(drop_factor, std::count_if(drops.begin(), drops.end(),
                                                 [&](double at) { return now >= at * epochs; }));
  }
  return 1;
}

}  // namespace graft::dense
