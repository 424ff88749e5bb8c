#include "unfreezing.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include <graft/error.h>

namespace graft {
namespace {

std::vector<std::size_t> last_of(const std::string& backbone, std::size_t blocks, std::int64_t n) {
  if (n > static_cast<std::int64_t>(blocks))
    throw Error(
        fmt::format("unfreeze.last: {} has {} blocks, got {}; use `unfreeze: all`", backbone, blocks, n));
  std::vector<std::size_t> out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), blocks - static_cast<std::size_t>(n));
  return out;
}

}  // namespace

std::int64_t Unfreezing::first_epoch(std::size_t block) const {
  const auto after = std::count_if(blocks.begin(), blocks.end(), [&](std::size_t b) { return b >= block; });
  return gradual_epochs * static_cast<std::int64_t>(after);
}

ParamSpec unfreeze_parameter() {
  Value usual = Value::map();
  usual["last"] = 3;
  ParamSpec spec =
      one_of(
          "unfreeze",
          {object("head", {}).doc("Only the new classifier."),
           integer("last").range(1, 10000).unit("blocks").doc("The blocks next to the classifier."),
           list("blocks", text(""))
               .items(1, 10000)
               .or_scalar()
               .doc("Blocks by name: `layer4` means all that begin with it."),
           object("all", {}).doc("The whole network."),
           object(
               "gradual",
               {integer("epochs", 1).range(1, 100000).unit("epochs").doc("Between one block and the next."),
                integer("last").range(1, 10000).unit("blocks").optional().doc(
                    "Maximum number; default: all.")})
               .or_scalar()
               .doc("The classifier first, then one block more every few epochs (Howard and Ruder 2018).")})
          .doc("What is trained beside the new classifier; the rest stays as it is.");
  spec.default_value = usual;
  return spec;
}

Unfreezing unfreezing_from(const Params& params, const std::string& backbone, std::size_t blocks,
                           const std::function<std::vector<std::size_t>(const std::string&)>& named) {
  const auto& [how, what] = params.raw("unfreeze").as_map().at(0);
  Unfreezing out;
  if (how == "last") out.blocks = last_of(backbone, blocks, what.as_int());
  if (how == "all") out.blocks = last_of(backbone, blocks, static_cast<std::int64_t>(blocks));
  if (how == "blocks")
    for (const Value& name : what.as_list())
      for (const std::size_t block : named(name.as_string())) out.blocks.push_back(block);
  if (how == "gradual") {
    const Params gradual(what);
    out.gradual_epochs = gradual.get<std::int64_t>("epochs");
    out.blocks =
        last_of(backbone, blocks,
                gradual.has("last") ? gradual.get<std::int64_t>("last") : static_cast<std::int64_t>(blocks));
  }
  std::sort(out.blocks.begin(), out.blocks.end());
  out.blocks.erase(std::unique(out.blocks.begin(), out.blocks.end()), out.blocks.end());
  return out;
}

}  // namespace graft
