// What the shapes of a vision transformer's tensors say, and the files beside them.

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>

#include "vit.h"

namespace graft::nn::zoo::vit {
namespace {

using preprocessing::Rules;

constexpr int kMostBlocks = 1000;

class FactFinder {
 public:
  FactFinder(const ModelFiles& files, TensorMap& tensors, const Dialect& words, std::optional<int> heads)
      : files_(files), map_(tensors), words_(&words), given_heads_(heads) {
    keep_own_descriptions();
  }

  std::optional<Facts> find() {
    find_description();
    if (depth() == 0) return {};
    sizes();
    identity();
    attention_heads();
    positions();
    pooling();
    preprocessing();
    name_guesses();
    return std::move(f_);
  }

 private:
  /// A folder may hold a model in the forms of several publishers: what describes another form than that of
  /// the tensors does not count.
  void keep_own_descriptions() {
    const std::string_view publisher = words_->publisher;
    const bool is_open_clip =
        !files_.open_clip.is_null() && (publisher == "OpenAI" || map_.prefix().ends_with("visual.trunk."));
    if (is_open_clip)
      files_.config = files_.preprocessor = Value();
    else
      files_.open_clip = Value();
    if (publisher != "Hugging Face") files_.preprocessor = Value();
  }

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
    f_.depth = depth();
    agree({"hidden_size", "model_args.embed_dim", "model_cfg.vision_cfg.width",
           "model_cfg.vision_cfg.timm_model_kwargs.embed_dim"},
          f_.width, "width");
    agree({"patch_size", "model_args.patch_size", "model_cfg.vision_cfg.patch_size",
           "model_cfg.vision_cfg.timm_model_kwargs.patch_size"},
          f_.patch, "patch");
    agree({"num_hidden_layers", "model_args.depth", "model_cfg.vision_cfg.layers",
           "model_cfg.vision_cfg.timm_model_kwargs.depth"},
          f_.depth, "number of blocks");
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
    agree({"num_register_tokens", "model_args.reg_tokens"}, f_.registers, "number of register tokens");
    if (f_.registers > kMaxWidth) fail(fmt::format("has {} register tokens", f_.registers));
    f_.prefix = (f_.cls ? 1 : 0) + (f_.distilled ? 1 : 0) + f_.registers;
    found(
        "size",
        fmt::format("width {}, {} blocks, MLP {}, patches of {} px", f_.width, f_.depth, f_.hidden, f_.patch),
        "shapes of tensors");
    found("prefix tokens",
          fmt::format("{}{}{} registers", f_.cls ? "class, " : "", f_.distilled ? "distillation, " : "",
                      f_.registers),
          "names and shapes of tensors");
  }

  Names with_block(const Names& names) const {
    Names out;
    for (const std::string& name : names) out.push_back(block(0) + name);
    return out;
  }

  /// What no tensor shows depends on whose model it is.
  enum class Kind { Vit, Dinov2, Dinov3, Clip, Siglip, Torchvision };

  void identity() {
    const std::string publisher = words_->publisher;
    const bool is_timm = from_timm();
    const bool is_meta = is_timm && architecture_.empty() &&
                         (map_.has("register_tokens") || map_.has("mask_token") ||
                          map_.has("storage_tokens") || map_.has("rope_embed.periods"));
    kind_ = kind();
    of_files_ = publisher == "Hugging Face" ? Rules::HuggingFace
                : is_timm && !is_meta       ? Rules::Timm
                                            : Rules::Original;
    rules_ = files_.rules == Rules::OfFiles ? of_files_ : files_.rules;
    name_family(is_meta);
    found("family", f_.family, fmt::format("names of tensors, as {} has them", is_meta ? "Meta" : publisher));
    found("rules", rules_text(rules_), is_overruled() ? "`rules`" : "whose names the tensors have");
    find_eps();
    find_activation();
  }

  Kind kind() const {
    const auto named = [&](std::string_view part) { return architecture_.find(part) != std::string::npos; };
    if (map_.first(words_->position).empty() && f_.cls) return Kind::Dinov3;
    const std::string_view publisher = words_->publisher;
    if (publisher == "torchvision") return Kind::Torchvision;
    if (publisher == "OpenAI") return Kind::Clip;
    if (publisher == "timm") {
      if (named("dinov2") || map_.has("register_tokens") || (map_.has("mask_token") && architecture_.empty()))
        return Kind::Dinov2;
      if (named("siglip") || map_.has("attn_pool.kv.weight")) return Kind::Siglip;
      return map_.has("norm_pre.weight") ? Kind::Clip : Kind::Vit;
    }
    if (words_->patch[0] == "embeddings.patch_embedding.") return f_.cls ? Kind::Clip : Kind::Siglip;
    return map_.has(block(0) + "norm1.weight") ? Kind::Dinov2 : Kind::Vit;
  }

  void name_family(bool is_meta) {
    if (kind_ == Kind::Dinov3)
      f_.family = "DINOv3";
    else if (kind_ == Kind::Torchvision)
      f_.family = "torchvision ViT";
    else if (from_timm() && !is_meta)
      f_.family = architecture_.empty() ? "ViT" : architecture_;
    else if (kind_ == Kind::Clip)
      f_.family = files_.open_clip.is_null() ? "CLIP" : "OpenCLIP";
    else
      f_.family = kind_ == Kind::Siglip   ? "SigLIP"
                  : kind_ == Kind::Dinov2 ? "DINOv2"
                  : f_.distilled          ? "DeiT"
                                          : "ViT";
  }

  /// Whether the user wants the rules of another owner than that of the files.
  bool is_overruled() const { return rules_ != of_files_; }

  static std::string rules_text(Rules rules) {
    return preprocessing::rules_names().at(static_cast<std::size_t>(rules) - 1);
  }

  double usual_eps(Rules rules) const {
    if (kind_ == Kind::Clip || kind_ == Kind::Dinov3) return 1e-5;
    return kind_ == Kind::Vit && rules == Rules::HuggingFace ? 1e-12 : 1e-6;
  }

  void find_eps() {
    std::string from = "the family";
    f_.eps = usual_eps(rules_);
    if (kind_ == Kind::Vit && is_overruled()) {
      from = "`rules`";
    } else if (const auto eps = number(*description_, "layer_norm_eps")) {
      f_.eps = *eps;
      from = "config.json";
    } else if (const auto open = number(files_.open_clip, "model_cfg.vision_cfg.norm_kwargs.eps")) {
      f_.eps = *open;
      from = "open_clip_config.json";
    }
    if (!(f_.eps > 0 && f_.eps < 1)) fail(fmt::format("{} has `layer_norm_eps`: {}", from, f_.eps));
    found("LayerNorm's eps", fmt::format("{}", f_.eps), from);
  }

  void find_activation() {
    std::string from = "the family";
    if (kind_ == Kind::Clip && !from_timm()) {
      f_.activation = Op::QuickGelu;
      if (!files_.open_clip.is_null()) {
        const Value* quick = member(files_.open_clip, "model_cfg.quick_gelu");
        if (quick == nullptr || !quick->is_bool() || !quick->as_bool()) f_.activation = Op::Gelu;
        from = "open_clip_config.json";
      }
    } else if (kind_ == Kind::Siglip && rules_ != Rules::Timm) {
      f_.activation = Op::GeluTanh;
    } else if (from_timm() && !architecture_.empty()) {
      for (const char* part : {"so400m_patch16_siglip", "giantopt", "base_patch32_siglip",
                               "large_patch16_siglip_512", "large_patch16_siglip_gap_512"})
        if (architecture_.find(part) != std::string::npos) f_.activation = Op::GeluTanh;
      if (architecture_.find("quickgelu") != std::string::npos) f_.activation = Op::QuickGelu;
      from = "the name of the architecture";
    }
    if (kind_ == Kind::Siglip && is_overruled()) {
      from = "`rules`";
    } else if (const std::string act = word(*description_, "hidden_act"); !act.empty() && !f_.gated) {
      f_.activation = activation_named(act);
      from = "config.json";
    }
    if (f_.gated) {
      f_.activation = Op::Silu;
      from = "shapes of tensors";
    }
    found("activation", f_.gated ? "SwiGLU" : to_string(f_.activation), from);
  }

  PositionRule position_rule(Rules rules) const {
    const bool antialiased = kind_ == Kind::Dinov2 && f_.registers > 0;
    if (rules == Rules::HuggingFace) return antialiased ? PositionRule::Timm : PositionRule::HuggingFace;
    if (rules == Rules::Timm || antialiased) return PositionRule::Timm;
    return kind_ == Kind::Dinov2        ? PositionRule::Meta
           : kind_ == Kind::Clip        ? PositionRule::OpenClip
           : kind_ == Kind::Torchvision ? PositionRule::Torchvision
                                        : PositionRule::Timm;
  }

  Op activation_named(const std::string& name) const {
    constexpr std::pair<std::string_view, Op> kNames[] = {{"gelu", Op::Gelu},
                                                          {"quick_gelu", Op::QuickGelu},
                                                          {"gelu_pytorch_tanh", Op::GeluTanh},
                                                          {"gelu_new", Op::GeluTanh},
                                                          {"relu", Op::Relu},
                                                          {"silu", Op::Silu},
                                                          {"swish", Op::Silu}};
    for (const auto& [known, op] : kNames)
      if (name == known) return op;
    fail(
        fmt::format("config.json has `hidden_act`: {}, expected gelu, quick_gelu, gelu_pytorch_tanh, relu or "
                    "silu",
                    name));
  }

  void attention_heads() {
    std::string place = "`heads`";
    std::optional<int> heads = given_heads_ == 0 ? std::nullopt : given_heads_;
    const auto take = [&](const Value& description, const char* path, const char* file) {
      const auto said = whole_number(description, path);
      if (!said) return;
      if (heads && *heads != *said)
        fail(fmt::format("{} is {}, but {} has `{}`: {}", place, *heads, file, path, *said));
      heads = said;
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
    if (!heads && map_.has("rope_embed.periods")) {
      // A quarter of what a head has.
      const std::int64_t head = 4 * map_.shape("rope_embed.periods", 1)[0];
      if (f_.width % head == 0) heads = static_cast<int>(f_.width / head);
      place = "periods in tensor 'rope_embed.periods'";
    }
    if (!heads) {
      heads = usual_heads();
      place = "the width, as usual for the family";
    }
    if (!heads && given_heads_ == 0) {
      f_.heads = 1;
      found("heads", "unknown", "nothing: give `heads`");
      guess("nothing specifies how many heads its attention has: a stage needs `heads`");
      return;
    }
    if (!heads)
      fail(fmt::format(
          "nothing specifies how many heads its attention has (its width is {}): give `heads`, or name "
          "the folder with its config.json",
          f_.width));
    f_.heads = *heads;
    if (f_.heads < 1 || f_.width % f_.heads != 0)
      fail(fmt::format("{} is {}, which does not divide the width of the tensors, {}", place, f_.heads,
                       f_.width));
    found("heads", std::to_string(f_.heads), place);
  }

  std::optional<int> usual_heads() const {
    // The widths that were published with heads of another size than 64.
    constexpr std::array<std::pair<int, int>, 4> kOthers{{{1152, 16}, {1280, 16}, {1408, 16}, {1664, 16}}};
    const bool is_open_ai = std::string_view(words_->publisher) == "OpenAI";
    if (kind_ == Kind::Dinov3 && f_.width == 4096) return 32;
    if (kind_ != Kind::Dinov3 && !is_open_ai)
      for (const auto& [width, usual] : kOthers)
        if (f_.width == width) return usual;
    if (f_.width % 64 == 0) return f_.width / 64;
    return {};
  }

  void positions() {
    if (kind_ == Kind::Dinov3) return rotary();
    f_.positions = position_rule(rules_);
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
    if (from_timm() && of_files_ == Rules::Timm) leading = {f_.prefix, 0, tokens};
    for (const int own : leading) {
      if (rows <= own) continue;
      const int side = static_cast<int>(std::lround(std::sqrt(rows - own)));
      if (side * side != rows - own) continue;
      f_.position_rows = own;
      f_.grid_height = f_.grid_width = side;
      break;
    }
    if (f_.grid_height == 0)
      fail(fmt::format("tensor '{}' is {}: its {} rows are not {} tokens followed by a square of patches",
                       table.name, to_string(table.shape), rows, f_.prefix));
    found("positions",
          fmt::format("{} x {}, at other sizes by the rule of {}", f_.grid_height, f_.grid_width,
                      to_string(f_.positions)),
          is_overruled() ? "shapes of tensors, `rules`" : "shapes of tensors, the family");
    for (const char* key : {"image_size", "model_args.img_size"})
      if (const auto side = whole_number(*description_, key); side && *side / f_.patch != f_.grid_width)
        fail(fmt::format(
            "config.json has `{}`: {}, which gives {} patches a side with patches of {} px, but tensor '{}' "
            "has positions for {}",
            key, *side, *side / f_.patch, f_.patch, table.name, f_.grid_width));
  }

  /// DINOv3: periods of the file where there are any (Meta's are rounded to bfloat16), else computed.
  void rotary() {
    const int head = f_.width / f_.heads;
    if (head % 4 != 0)
      fail(fmt::format("has heads of {} values: rotary positions need a multiple of 4", head));
    if (map_.has("rope_embed.periods") && rules_ == Rules::Original) {
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
      found("positions", "rotary, periods as stored", "tensor 'rope_embed.periods'");
      return;
    }
    map_.ignore("rope_embed.periods");
    const auto theta = number(*description_, "rope_theta");
    found("positions", "rotary, periods computed", theta ? "config.json" : "the family");
    const double base = theta.value_or(100);
    if (!(base > 0)) fail(fmt::format("config.json has `rope_theta`: {}", base));
    for (int j = 0; j < head / 4; ++j)
      f_.rope_periods.push_back(static_cast<float>(std::pow(base, 2.0 * j / (head / 2.0))));
  }

  void pooling() {
    const std::string from = find_pooling();
    constexpr const char* kNames[] = {"cls", "avg", "cls_avg", "mean of class and distillation token",
                                      "attention"};
    found("pooling", kNames[static_cast<std::size_t>(f_.pool)], from);
  }

  /// Returns from where it is known.
  std::string find_pooling() {
    using Pool = Facts::Pool;
    if (map_.has("attn_pool.kv.weight") || map_.has("head.attention.in_proj_weight")) {
      f_.pool = Pool::Attention;
      return "names of tensors";
    }
    f_.pool = f_.distilled ? Pool::Prefix : f_.cls ? Pool::Class : Pool::Mean;
    if (kind_ == Kind::Dinov3 && rules_ != Rules::Timm) return is_overruled() ? "`rules`" : "the family";
    const Value* how = from_timm() ? member(files_.config, "model_args.global_pool") : nullptr;
    if (how == nullptr && from_timm()) how = member(files_.config, "global_pool");
    if (how == nullptr || !how->is_string()) {
      if (kind_ == Kind::Dinov3) f_.pool = Pool::Mean;
      if (map_.has("fc_norm.weight")) f_.pool = Pool::Mean;
      return map_.has("fc_norm.weight") ? "names of tensors" : is_overruled() ? "`rules`" : "the family";
    }
    const std::string& name = how->as_string();
    if (name == "avg" || name == "avgmax") f_.pool = Pool::Mean;
    if (name.empty()) {
      f_.pool = f_.cls ? Pool::Both : Pool::Mean;
      guess(
          "config.json leaves the pooling out: features are the class token and the mean of the patches, one "
          "after the other");
    }
    if (name == "avgmax" || (name == "token" && !f_.cls) || (name == "map"))
      fail(
          fmt::format("config.json has `global_pool`: {}, for which the tensors have no class token or no "
                      "attention pool",
                      name));
    return "config.json";
  }

  void preprocessing() {
    const int native =
        f_.grid_width > 0 ? f_.grid_width * f_.patch : whole_number(*description_, "image_size").value_or(0);
    const Preprocessing own = preprocessing_of(files_, usual_preprocessing(of_files_, native));
    const char* file = preprocessing_file(files_);
    f_.preprocessing = own;
    if (is_overruled()) {
      f_.preprocessing = usual_preprocessing(rules_, file == nullptr ? native : own.crop);
      f_.preprocessing.preset = own.preset;
      f_.preprocessing.scale = own.scale;
      f_.preprocessing.mean = own.mean;
      f_.preprocessing.deviation = own.deviation;
    }
    found("preprocessing", to_string(f_.preprocessing),
          is_overruled()    ? "`rules`"
          : file == nullptr ? "the family"
                            : file);
  }

  /// A file alone: what its publisher usually does is a guess, which other owners do not share.
  void name_guesses() {
    const std::string_view publisher = words_->publisher;
    const bool described = !files_.config.is_null() || !files_.open_clip.is_null();
    if (described || files_.rules != Rules::OfFiles) return;
    if (publisher == "OpenAI")
      guess(
          "the activation is OpenAI's quick GELU; weights that OpenCLIP trained have another one, which "
          "open_clip_config.json gives it");
    if (of_files_ == Rules::Original) return;
    std::string text =
        fmt::format("the rules are those of {}, because no config.json is beside the file", publisher);
    for (const Rules other : {Rules::Original, Rules::Timm, Rules::HuggingFace})
      if (const std::string differences = differences_from(other); !differences.empty())
        text += fmt::format("; with `rules: {}`: {}", rules_text(other), differences);
    guess(text);
    if (kind_ == Kind::Clip && from_timm())
      guess(
          "the activation is the exact GELU; weights of OpenAI and MetaCLIP have the quick one, which the "
          "name of the architecture in config.json tells");
  }

  std::string differences_from(Rules other) const {
    std::vector<std::string> out;
    if (usual_eps(other) != f_.eps) out.push_back(fmt::format("LayerNorm's eps {}", usual_eps(other)));
    if (kind_ == Kind::Siglip && (other == Rules::Timm) != (rules_ == Rules::Timm))
      out.emplace_back(to_string(other == Rules::Timm ? Op::Gelu : Op::GeluTanh));
    if (kind_ == Kind::Dinov3 && (other == Rules::Timm) != (rules_ == Rules::Timm))
      out.emplace_back(other == Rules::Timm ? "the mean of the patches" : "the class token");
    if (f_.grid_width > 0 && position_rule(other) != f_.positions)
      out.push_back(fmt::format("positions at other sizes as {}", to_string(position_rule(other))));
    const std::string images = to_string(usual_preprocessing(other, f_.grid_width * f_.patch));
    if (images != to_string(f_.preprocessing)) out.push_back("images " + images);
    return fmt::format("{}", fmt::join(out, ", "));
  }

  /// `native`: the side of the images that the positions are for; 0: unknown.
  Preprocessing usual_preprocessing(Rules rules, int native) const {
    Preprocessing p;
    p.floor_crop = rules == Rules::HuggingFace;
    p.filter = "bicubic";
    p.crop = p.resize = native > 0 ? native : 224;
    const auto own = [&](std::array<double, 3> mean, std::array<double, 3> deviation) {
      p.preset = "own";
      p.mean = mean;
      p.deviation = deviation;
    };
    const bool is_timm = rules == Rules::Timm;
    switch (kind_) {
      case Kind::Torchvision:
        p.resize = (p.crop * 256 + 112) / 224;
        p.filter = "bilinear";
        return p;
      case Kind::Dinov2:
        // Trained on 518 px, used with 224.
        if (is_timm) return p;
        if (p.crop == 518) p.crop = 224;
        p.resize = p.crop * 256 / 224;
        return p;
      case Kind::Dinov3:
        if (native == 0) p.resize = p.crop = rules == Rules::HuggingFace ? 224 : 256;
        p.squash = !is_timm;
        p.tensors = !is_timm;
        if (!is_timm) p.filter = "bilinear";
        // Trained on satellite images; only the published file's name says so.
        if (files_.weights.filename().string().find("sat493m") != std::string::npos)
          own({0.430, 0.411, 0.296}, {0.213, 0.156, 0.143});
        return p;
      case Kind::Clip:
        own({0.48145466, 0.4578275, 0.40821073}, {0.26862954, 0.26130258, 0.27577711});
        break;
      case Kind::Siglip:
        own({0.5, 0.5, 0.5}, {0.5, 0.5, 0.5});
        p.squash = !is_timm;
        break;
      case Kind::Vit:
        if (f_.distilled) {
          p.squash = rules == Rules::HuggingFace;
          if (p.squash) p.resize = p.crop * 256 / 224;
        } else {
          own({0.5, 0.5, 0.5}, {0.5, 0.5, 0.5});
          p.squash = !is_timm;
          if (p.squash) p.filter = "bilinear";
        }
        break;
    }
    if (is_timm) p.resize = static_cast<int>(p.crop / 0.9);
    return p;
  }

  [[noreturn]] void fail(const std::string& text) const {
    throw Error(fmt::format("{}: {}", files_.path.string(), text));
  }

  /// `keys`: of one thing, in the words of several publishers; the files have one of them at most.
  void agree(const std::vector<const char*>& keys, int found_in_tensors, const char* what) const {
    for (const char* key : keys)
      for (const auto& [description, file] :
           {std::pair(description_, "config.json"), std::pair(&files_.open_clip, "open_clip_config.json")})
        if (const auto said = whole_number(*description, key); said && *said != found_in_tensors)
          fail(fmt::format(
              "{} has `{}`: {}, but the tensors have a {} of {}: the two belong to different models; "
              "download both again",
              file, key, *said, what, found_in_tensors));
  }

  void guess(const std::string& text) { f_.guesses.push_back(text); }
  void found(const char* what, std::string value, std::string from) {
    f_.findings.push_back({what, std::move(value), std::move(from)});
  }

  ModelFiles files_;
  TensorMap& map_;
  const Dialect* const words_;
  const std::optional<int> given_heads_;
  const Value* description_ = nullptr;
  Kind kind_ = Kind::Vit;
  Rules of_files_ = Rules::Original, rules_ = Rules::Original;
  std::string architecture_;
  Facts f_;
};

}  // namespace

std::optional<Facts> facts_of(const ModelFiles& files, TensorMap& tensors, const Dialect& words,
                              std::optional<int> heads) {
  return FactFinder(files, tensors, words, heads).find();
}

}  // namespace graft::nn::zoo::vit
