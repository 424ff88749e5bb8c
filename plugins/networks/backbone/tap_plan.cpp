#include "tap_plan.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include <graft/text.h>
#include <network/cost.h>
#include <network/tokens.h>

using namespace graft;

namespace {

/// One of taps, concatenate and last_blocks; empty: the network's own features.
std::string selecting_parameter(const Params& params) {
  std::vector<std::string> given;
  if (!params.get<std::vector<std::string>>("taps").empty()) given.emplace_back("taps");
  for (const char* name : {"concatenate", "last_blocks"})
    if (params.has(name)) given.emplace_back(name);
  if (given.size() > 1)
    throw TapError(given.back(),
                   fmt::format("expected one of taps, concatenate and last_blocks, got {}", joined(given)));
  return given.empty() ? "" : given[0];
}

std::optional<std::string> pool_of(const Params& params) {
  return params.has("pool") ? std::optional(params.get<std::string>("pool")) : std::nullopt;
}

/// The value's shape for one image of the size that the network was trained on; nothing where that fails.
std::optional<Shape> shape_of(const nn::Architecture& network, const std::string& layer) {
  const nn::Architecture needed = nn::reduced_to(network, {layer});
  const nn::Extent size = network.usual_size();
  try {
    return nn::cost_of(needed, size.height, size.width).layers.back().output;
  } catch (const Error&) {
    return {};
  }
}

/// The pooling of a layer's value. Throws TapError for one that it cannot have.
Pooling pooling_of(const nn::Architecture& network, const std::string& layer, const std::string& pool) {
  const std::optional<Shape> shape = shape_of(network, layer);
  if (pool == "attention")
    throw TapError(
        "pool",
        fmt::format("attention pools the last tokens of a network that has such a pool{}; "
                    "at layer {}, take cls, avg, cls_avg or none",
                    network.pool == "attention" ? "" : fmt::format(", {} has none", network.name), layer));
  const bool wants_class = pool == "cls" || pool == "cls_avg";
  if (wants_class && shape && shape->size() != 2)
    throw TapError("pool",
                   fmt::format("{} is for tokens, but layer {} of {} gives {} for an image; take avg, "
                               "max, gem, flatten or none",
                               pool, layer, network.name, to_string(*shape)));
  if (wants_class && network.class_tokens == 0)
    throw TapError("pool", fmt::format("{} has no class token; take avg{} or none", network.name,
                                       network.pool == "attention" ? ", attention" : ""));
  return pooling_from(pool);
}

TapPlan of_last_blocks(const Params& params, const nn::Architecture& network) {
  const auto count = params.get<std::size_t>("last_blocks");
  const std::string norm = nn::last_norm(network);
  if (norm.empty())
    throw TapError(
        "last_blocks",
        fmt::format("{} is not a vision transformer; name layers with `concatenate`", network.name));
  if (count > network.blocks.size())
    throw TapError("last_blocks", fmt::format("{} is more than the {} blocks of {}", count,
                                              network.blocks.size(), network.name));
  const std::string pool = pool_of(params).value_or("cls_avg");
  if (pool != "cls" && pool != "avg" && pool != "cls_avg" && pool != "none")
    throw TapError("pool",
                   fmt::format("expected cls, avg, cls_avg or none beside last_blocks, got {}", pool));
  TapPlan plan;
  plan.one_row = true;
  plan.needed.push_back(norm);
  for (std::size_t i = network.blocks.size() - count; i < network.blocks.size(); ++i) {
    const std::string layer = nn::resolve_tap(network, network.blocks[i].name);
    const bool is_last = i + 1 == network.blocks.size();
    plan.needed.push_back(layer);
    if (is_last && network.find(norm)->from[0] == layer) {
      plan.taps.push_back(norm);
    } else {
      plan.taps.push_back("normed." + layer);
      plan.normed.emplace_back(plan.taps.back(), layer);
    }
    // As DINOv2's linear evaluation: the patches of the last alone.
    plan.pooling.push_back(pooling_of(network, layer, pool == "cls_avg" && !is_last ? "cls" : pool));
  }
  return plan;
}

/// The network's own features, or its last tokens pooled otherwise.
TapPlan of_features(const Params& params, const nn::Architecture& network) {
  TapPlan plan;
  const std::optional<std::string> pool = pool_of(params);
  const std::string tokens = pool && *pool != network.pool ? nn::last_tokens(network) : "";
  if (tokens.empty()) {
    if (pool == "attention" && network.pool != "attention") pooling_of(network, network.tap, *pool);
    plan.needed = plan.taps = {network.tap};
    plan.pooling = {pool && *pool != network.pool ? pooling_of(network, network.tap, *pool)
                                                  : Pooling::Average};
    return plan;
  }
  plan.pooling = {pooling_of(network, tokens, *pool)};
  const std::string norm = nn::last_norm(network);
  plan.needed = {tokens};
  if (norm.empty() || norm == tokens) {
    plan.taps = {tokens};
    return plan;
  }
  // The norm that stands after the owner's average.
  plan.needed.push_back(norm);
  plan.taps = {"normed." + tokens};
  plan.normed = {{plan.taps[0], tokens}};
  return plan;
}

}  // namespace

void TapPlan::extend(nn::Architecture& network, std::map<std::string, Tensor>* weights) const {
  for (const auto& [tap, layer] : normed) nn::add_last_norm(network, layer, weights);
}

TapPlan plan_taps(const Params& params, const nn::Architecture& network, std::vector<TapError>* faults) {
  const std::string by = selecting_parameter(params);
  if (by.empty()) return of_features(params, network);
  if (by == "last_blocks") return of_last_blocks(params, network);
  TapPlan plan;
  plan.one_row = by == "concatenate";
  const auto names = params.get<std::vector<std::string>>(by);
  for (std::size_t i = 0; i < names.size(); ++i) try {
      plan.taps.push_back(nn::resolve_tap(network, names[i]));
    } catch (const Error& fault) {
      const TapError error(fmt::format("{}.{}", by, i), fault.what());
      if (faults == nullptr) throw error;
      faults->push_back(error);
    }
  if (faults != nullptr && !faults->empty()) return plan;
  plan.needed = plan.taps;
  const std::string pool = pool_of(params).value_or("avg");
  for (const std::string& tap : plan.taps)
    plan.pooling.push_back(pool == "attention" && network.pool == "attention" && tap == network.tap
                               ? Pooling::Average
                               : pooling_of(network, tap, pool));
  return plan;
}

TapPlan plan_taps(const Params& params) {
  const std::string by = selecting_parameter(params);
  if (by == "last_blocks")
    throw TapError("last_blocks",
                   "the blocks of a TorchScript file are not known; name layers with `concatenate`");
  TapPlan plan;
  plan.one_row = by == "concatenate";
  if (!by.empty()) plan.taps = params.get<std::vector<std::string>>(by);
  plan.needed = plan.taps;
  const std::string pool = pool_of(params).value_or("avg");
  if (pool == "attention")
    throw TapError("pool", "the pooling of a TorchScript file is what it does itself; leave `pool` out");
  plan.pooling.assign(std::max<std::size_t>(plan.taps.size(), 1), pooling_from(pool));
  return plan;
}
