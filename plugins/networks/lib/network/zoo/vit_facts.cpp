// What the shapes of a vision transformer's tensors say, and the files beside them.

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "vit.h"

namespace graft::nn::zoo::vit {
namespace {

constexpr int kMostBlocks = 1000;

class FactFinder {
 public:
  FactFinder(const ModelFiles& files, TensorMap& tensors, const Dialect& words, std::optional<int> heads)
      : files_(files), map_(tensors), words_(&words), given_heads_(heads) {}

  std::optional<Facts> find() {
    find_description();
    if (depth() == 0) return {};
    sizes();
    identity();
    attention_heads();
    positions();
    pooling();
    f_.preprocessing = preprocessing_of(files_, usual_preprocessing());
    return std::move(f_);
  }

 private:
  /// The part of a description that is about images.
  void find_description() {
    description_ = &files_.config;
    if (const Value* vision = member(files_.config, "vision_config")) description_ = vision;
    architecture_ = word(files_.config, "architecture");
    if (architecture_.empty()) architecture_ = word(files_.open_clip, "model_cfg.vision_cfg.timm_model_name");
  }

  bool from_timm() const { return std::string_view(words_->publisher) == "timm"; }
  std::string block(int i) const { return block_name(*words_, i); }

  int depth() const {
    int depth = 0;
    while (depth < kMostBlocks && map_.has(first_in(map_, block(depth), words_->norm1) + "weight")) ++depth;
    return depth;
  }

  void sizes() {
    const Shape patch = map_.shape(words_->patch[0] + "weight", 4);
    if (patch[1] != 3 || patch[2] != patch[3] || patch[0] > 1 << 16 || patch[2] > kMaxSide)
      fail(fmt::format("tensor '{}{}weight' is {}: expected [width,3,patch,patch]", map_.prefix(),
                       words_->patch[0], to_string(patch)));
    f_.width = static_cast<int>(patch[0]);
    f_.patch = static_cast<int>(patch[2]);
    agree("hidden_size", f_.width, "width");
    agree("patch_size", f_.patch, "patch");
    f_.depth = depth();
    agree("num_hidden_layers", f_.depth, "number of blocks");
    const std::string gate = map_.first(with_block(words_->gate), "weight");
    const std::string fc1 = map_.first(with_block(words_->fc1), "weight");
    const std::string fc2 = map_.first(with_block(words_->fc2), "weight");
    if ((gate.empty() && fc1.empty()) || fc2.empty()) fail("has blocks without an MLP that graft knows");
    f_.hidden = static_cast<int>(map_.shape(fc2 + "weight", 2)[1]);
    const std::int64_t rows = gate.empty() ? map_.shape(fc1 + "weight", 2)[0] : 2 * f_.hidden;
    f_.gated = rows == 2 * std::int64_t{f_.hidden};
    f_.cls = !map_.first(words_->cls).empty();
    f_.distilled = !map_.first(words_->distilled).empty();
    if (const std::string name = map_.first(words_->registers); !name.empty())
      f_.registers = static_cast<int>(map_.shape(name, 3)[1]);
    if (f_.registers > kMaxWidth) fail(fmt::format("has {} register tokens", f_.registers));
    f_.prefix = (f_.cls ? 1 : 0) + (f_.distilled ? 1 : 0) + f_.registers;
  }

  Names with_block(const Names& names) const {
    Names out;
    for (const std::string& name : names) out.push_back(block(0) + name);
    return out;
  }

  /// Of whom the model is: what no tensor shows depends on it.
  void identity() {
    const std::string publisher = words_->publisher;
    const bool is_rope = map_.first(words_->position).empty() && f_.cls;
    if (is_rope)
      dinov3();
    else if (publisher == "timm")
      map_.has("register_tokens") || (map_.has("mask_token") && architecture_.empty()) ? dinov2() : timm();
    else if (publisher == "torchvision")
      f_.family = "torchvision ViT", f_.positions = PositionRule::Torchvision;
    else if (publisher == "OpenAI")
      open_clip();
    else
      hugging_face();
    if (f_.gated) f_.activation = Op::Silu;
    if (const auto eps = number(*description_, "layer_norm_eps")) f_.eps = *eps;
    if (!(f_.eps > 0 && f_.eps < 1)) fail(fmt::format("config.json has `layer_norm_eps`: {}", f_.eps));
    if (const std::string act = word(*description_, "hidden_act"); !act.empty() && !f_.gated)
      f_.activation = activation_named(act);
  }

  void dinov2() {
    f_.family = "DINOv2";
    f_.positions = f_.registers > 0 ? PositionRule::Timm : PositionRule::Meta;
  }

  void dinov3() {
    f_.family = "DINOv3";
    f_.eps = 1e-5;
  }

  void timm() {
    f_.family = architecture_.empty() ? "ViT" : architecture_;
    const auto named = [&](std::string_view part) { return architecture_.find(part) != std::string::npos; };
    if (map_.has("norm_pre.weight")) f_.eps = 1e-5;
    if (named("quickgelu")) f_.activation = Op::QuickGelu;
    for (const char* part : {"so400m_patch16_siglip", "giantopt", "base_patch32_siglip",
                             "large_patch16_siglip_512", "large_patch16_siglip_gap_512"})
      if (named(part)) f_.activation = Op::GeluTanh;
    if (named("siglip") && architecture_.empty()) guess("GELU is the exact one");
  }

  void open_clip() {
    f_.eps = 1e-5;
    f_.family = "CLIP";
    if (files_.open_clip.is_null()) {
      // OpenAI's own checkpoints hold the size of their images.
      f_.activation = Op::QuickGelu;
      f_.positions = PositionRule::OpenClip;
      guess(
          "the activation is OpenAI's quick GELU; weights that OpenCLIP trained have another one, which "
          "open_clip_config.json tells");
      return;
    }
    f_.family = "OpenCLIP";
    f_.positions = PositionRule::OpenClip;
    const Value* quick = member(files_.open_clip, "model_cfg.quick_gelu");
    if (quick != nullptr && quick->is_bool() && quick->as_bool()) f_.activation = Op::QuickGelu;
    if (const auto eps = number(files_.open_clip, "model_cfg.vision_cfg.norm_kwargs.eps")) f_.eps = *eps;
  }

  void hugging_face() {
    f_.positions = PositionRule::HuggingFace;
    if (words_->patch[0] == "embeddings.patch_embedding.") {
      f_.family = f_.cls ? "CLIP" : "SigLIP";
      f_.eps = f_.cls ? 1e-5 : 1e-6;
      f_.activation = f_.cls ? Op::QuickGelu : Op::GeluTanh;
    } else if (map_.has(block(0) + "norm1.weight")) {
      f_.family = "DINOv2";
      if (f_.registers > 0) f_.positions = PositionRule::Timm;
    } else {
      f_.family = f_.distilled ? "DeiT" : "ViT";
      f_.eps = 1e-12;
    }
    if (files_.config.is_null())
      guess(
          fmt::format("LayerNorm's eps is {} and the activation {}, as usual for {} of Hugging Face: name "
                      "the folder with its config.json",
                      f_.eps, to_string(f_.activation), f_.family));
  }

  Op activation_named(const std::string& name) const {
    if (name == "gelu") return Op::Gelu;
    if (name == "quick_gelu") return Op::QuickGelu;
    if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Op::GeluTanh;
    if (name == "relu") return Op::Relu;
    if (name == "silu" || name == "swish") return Op::Silu;
    fail(
        fmt::format("config.json has `hidden_act`: {}, expected gelu, quick_gelu, gelu_pytorch_tanh, relu or "
                    "silu",
                    name));
  }

  void attention_heads() {
    std::string place = "`heads`";
    std::optional<int> heads = given_heads_;
    const auto take = [&](const Value& description, const char* path, const char* file) {
      if (heads) return;
      heads = whole_number(description, path);
      place = fmt::format("`{}` in {}", path, file);
    };
    take(*description_, "num_attention_heads", "config.json");
    take(files_.config, "model_args.num_heads", "config.json");
    take(files_.open_clip, "model_cfg.vision_cfg.timm_model_kwargs.num_heads", "open_clip_config.json");
    if (const auto each = whole_number(files_.open_clip, "model_cfg.vision_cfg.head_width"); each && !heads) {
      place = "`head_width` in open_clip_config.json";
      if (*each < 1 || f_.width % *each != 0)
        fail(fmt::format("{} is {}, which does not divide the width of the tensors, {}", place, *each,
                         f_.width));
      heads = f_.width / *each;
    }
    // The widths that were published with heads of another size than 64.
    constexpr std::array<std::pair<int, int>, 4> kOthers{{{1152, 16}, {1280, 16}, {1408, 16}, {1664, 16}}};
    const bool is_open_ai = std::string_view(words_->publisher) == "OpenAI";
    if (!heads && !is_open_ai)
      for (const auto& [width, usual] : kOthers)
        if (f_.width == width) heads = usual;
    if (!heads && f_.width % 64 == 0) heads = f_.width / 64;
    if (!heads)
      fail(fmt::format(
          "nothing tells how many heads its attention has (its width is {}): name the folder with "
          "its config.json, or make one with `num_attention_heads`",
          f_.width));
    f_.heads = *heads;
    if (f_.heads < 1 || f_.width % f_.heads != 0)
      fail(fmt::format("{} is {}, which does not divide the width of the tensors, {}", place, f_.heads,
                       f_.width));
  }

  void positions() {
    if (f_.family == "DINOv3") return rotary();
    const std::string name = map_.first(words_->position);
    if (name.empty())
      fail(fmt::format("has no positional embedding ('{}{}')", map_.prefix(), words_->position[0]));
    const TensorInfo& table = *map_.find(name);
    if (table.shape.size() < 2 || table.shape.back() != f_.width ||
        table.shape[table.shape.size() - 2] > kMaxClasses)
      fail(fmt::format("tensor '{}' is {}: expected [1,positions,{}]", table.name, to_string(table.shape),
                       f_.width));
    const auto rows = static_cast<int>(table.shape[table.shape.size() - 2]);
    const int tokens = (f_.cls ? 1 : 0) + (f_.distilled ? 1 : 0);
    std::vector<int> leading{tokens};
    if (from_timm() && f_.family != "DINOv2") leading = {f_.prefix, 0, tokens};
    for (const int own : leading) {
      if (rows <= own) continue;
      const int side = static_cast<int>(std::lround(std::sqrt(rows - own)));
      if (side * side != rows - own) continue;
      f_.position_rows = own;
      f_.grid_height = f_.grid_width = side;
      break;
    }
    if (f_.grid_height == 0)
      fail(fmt::format("tensor '{}' is {}: its {} rows are no square of patches behind {} tokens", table.name,
                       to_string(table.shape), rows, f_.prefix));
    if (const auto side = whole_number(*description_, "image_size");
        side && *side / f_.patch != f_.grid_width)
      fail(fmt::format(
          "config.json has `image_size`: {}, which gives {} patches a side with patches of {} px, but "
          "tensor '{}' has positions for {}",
          *side, *side / f_.patch, f_.patch, table.name, f_.grid_width));
  }

  /// DINOv3: periods of the file where there are any (Meta's are rounded to bfloat16), else computed.
  void rotary() {
    const int head = f_.width / f_.heads;
    if (head % 4 != 0)
      fail(fmt::format("has heads of {} values: rotary positions need a multiple of 4", head));
    if (map_.has("rope_embed.periods")) {
      const std::vector<float> periods = map_.values("rope_embed.periods");
      f_.rope_periods.assign(periods.begin(), periods.end());
      map_.ignore("rope_embed.periods");
      if (periods.size() != static_cast<std::size_t>(head) / 4)
        fail(
            fmt::format("tensor '{}rope_embed.periods' has {} values, but heads of {} values need {}: is "
                        "the number of heads ({}) right?",
                        map_.prefix(), periods.size(), head, head / 4, f_.heads));
      for (const double period : f_.rope_periods)
        if (!(period > 0 && period < 1e9)) fail("has rotary periods that are not positive numbers");
      return;
    }
    const double base = number(*description_, "rope_theta").value_or(100);
    if (!(base > 0)) fail(fmt::format("config.json has `rope_theta`: {}", base));
    for (int j = 0; j < head / 4; ++j)
      f_.rope_periods.push_back(static_cast<float>(std::pow(base, 2.0 * j / (head / 2.0))));
  }

  void pooling() {
    using Pool = Facts::Pool;
    if (f_.distilled) f_.pool = Pool::Prefix;
    if (map_.has("attn_pool.kv.weight") || map_.has("head.attention.in_proj_weight"))
      f_.pool = Pool::Attention;
    const Value* how = from_timm() ? member(files_.config, "model_args.global_pool") : nullptr;
    if (how == nullptr && from_timm()) how = member(files_.config, "global_pool");
    if (how == nullptr || !how->is_string() || f_.pool == Pool::Attention) {
      if (!f_.cls && f_.pool == Pool::Class) f_.pool = Pool::Mean;
      if (map_.has("fc_norm.weight")) f_.pool = Pool::Mean;
      return;
    }
    const std::string& name = how->as_string();
    if (name == "avg" || name == "avgmax") f_.pool = Pool::Mean;
    if (name.empty()) {
      f_.pool = f_.cls ? Pool::Both : Pool::Mean;
      guess(
          "config.json leaves the pooling out: features are the class token and the mean of the patches, one "
          "behind the other");
    }
    if (name == "avgmax" || (name == "token" && !f_.cls) || (name == "map"))
      fail(
          fmt::format("config.json has `global_pool`: {}, for which the tensors have no class token or no "
                      "attention pool",
                      name));
  }

  Preprocessing usual_preprocessing() const {
    Preprocessing p;
    const int native = f_.grid_width > 0 ? f_.grid_width * f_.patch : 224;
    const std::string publisher = words_->publisher;
    p.crop = native;
    p.resize = native;
    if (publisher == "torchvision") {
      p.resize = native * 256 / 224;
    } else if (f_.family == "DINOv2" || f_.family == "DINOv3") {
      p.filter = "bicubic";
      p.resize = 256;
      p.crop = 224;
    } else if (f_.family == "CLIP" || f_.family == "OpenCLIP") {
      p.filter = "bicubic";
      p.preset = "own";
      p.mean = {0.48145466, 0.4578275, 0.40821073};
      p.deviation = {0.26862954, 0.26130258, 0.27577711};
    } else {
      p.filter = "bicubic";
      p.preset = "own";
      p.mean = p.deviation = {0.5, 0.5, 0.5};
      p.squash = f_.family == "SigLIP";
      if (from_timm()) p.resize = static_cast<int>(native / 0.9);
    }
    return p;
  }

  [[noreturn]] void fail(const std::string& text) const {
    throw Error(fmt::format("{}: {}", files_.path.string(), text));
  }

  void agree(const char* key, int found, const char* what) const {
    if (const auto said = whole_number(*description_, key); said && *said != found)
      fail(fmt::format(
          "config.json has `{}`: {}, but the tensors have a {} of {}: the two belong to different "
          "models; download both again",
          key, *said, what, found));
  }

  void guess(const std::string& text) { f_.guesses.push_back(text); }

  const ModelFiles& files_;
  TensorMap& map_;
  const Dialect* const words_;
  const std::optional<int> given_heads_;
  const Value* description_ = nullptr;
  std::string architecture_;
  Facts f_;
};

}  // namespace

std::optional<Facts> facts_of(const ModelFiles& files, TensorMap& tensors, const Dialect& words,
                              std::optional<int> heads) {
  return FactFinder(files, tensors, words, heads).find();
}

}  // namespace graft::nn::zoo::vit
