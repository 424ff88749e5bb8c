#include "config/following.h"

#include <algorithm>

namespace graft {

std::vector<Followed> followed_by(const Plan& plan, std::size_t stage, const ParamSpec& spec) {
  std::vector<Followed> out;
  for (const std::size_t behind : plan.consumers(stage)) {
    const StagePlan& s = plan.stages[behind];
    const auto value_of = [&](const std::string& name) {
      const Value* v = s.params.find(name);
      return v != nullptr && v->is_string() ? v : nullptr;
    };
    const auto has = std::find_if(spec.followed.begin(), spec.followed.end(), value_of);
    const bool gives_what_it_takes = !s.schema.inputs.empty() && !s.schema.outputs.empty() &&
                                     s.schema.inputs[0].type == s.schema.outputs[0].type;
    if (has != spec.followed.end()) {
      out.push_back({behind, value_of(*has)->as_string()});
    } else if (gives_what_it_takes && s.params.find(spec.name) == nullptr) {
      const std::vector<Followed> further = followed_by(plan, behind, spec);
      out.insert(out.end(), further.begin(), further.end());
    }
  }
  return out;
}

}  // namespace graft
