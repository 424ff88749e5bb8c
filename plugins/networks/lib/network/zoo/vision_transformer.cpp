// Vision transformers (Dosovitskiy et al. 2020, arXiv:2010.11929) under the names of their publishers: ViT
// and DeiT, DINOv2 and DINOv3, the image towers of CLIP and SigLIP, and what was made of these. The layers
// have the names of timm, whoever published the file.

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>

#include "builder.h"
#include "vit.h"

namespace graft::nn::zoo {
namespace {

using namespace vit;

class Network {
 public:
  Network(const Dialect& words, const Facts& facts, TensorMap& tensors)
      : words_(&words), f_(facts), map_(tensors) {}

  Architecture build() {
    Builder net(f_.family);
    embed(net);
    for (int i = 0; i < f_.depth; ++i) transformer_block(net, i);
    const std::string last = map_.first(words_->norm, "weight");
    const std::string after = map_.first(words_->pooled_norm, "weight");
    if (after.empty()) norm(net, "norm", last.empty() ? words_->norm[0] : last);
    const Builder::Value tokens = net.last();
    pool(net);
    if (!after.empty()) norm(net, "fc_norm", after);
    projection(net);
    net.tap_here();
    classifier(net, tokens);
    Architecture out = net.finish(f_.preprocessing);
    constexpr const char* kPools[] = {"cls", "avg", "cls_avg", "", "attention"};
    out.pool = kPools[static_cast<std::size_t>(f_.pool)];
    out.class_tokens = (f_.cls ? 1 : 0) + (f_.distilled ? 1 : 0);
    return out;
  }

 private:
  std::string block(int i) const { return block_name(*words_, i); }
  bool from_timm() const { return std::string_view(words_->publisher) == "timm"; }

  void norm(Builder& net, const std::string& name, const std::string& from) {
    Layer& layer = net.simple(name, Op::LayerNorm);
    layer.eps = f_.eps;
    const int width = layer.out;
    map_.take(name + ".weight", {width}, from + "weight");
    map_.take(name + ".bias", {width}, from + "bias");
  }

  void linear(Builder& net, const std::string& name, int out, const std::string& from) {
    const int in = net.last().channels;
    Layer& layer = net.linear(name, out);
    layer.bias = map_.has(from + "bias");
    map_.take(name + ".weight", {out, in}, from + "weight");
    if (layer.bias) map_.take(name + ".bias", {out}, from + "bias");
  }

  /// Several tensors, one after the other.
  void joined(const std::string& path, const Shape& shape,
              const std::vector<std::pair<std::string, Shape>>& from) {
    std::vector<std::int64_t> sizes;
    for (const auto& [name, part] : from) sizes.push_back(elements(part));
    map_.make(path, shape, from, [sizes](const auto& parts, float* to) {
      for (std::size_t i = 0; i < sizes.size(); ++i) to = std::copy_n(parts[i], sizes[i], to);
    });
  }

  void embed(Builder& net) {
    const std::string& patch = words_->patch[0];
    Layer& conv = net.add("patch_embed.proj", Op::Conv, f_.width);
    conv.kernel = conv.stride = f_.patch;
    conv.bias = map_.has(patch + "bias");
    map_.take("patch_embed.proj.weight", {f_.width, 3, f_.patch, f_.patch}, patch + "weight");
    if (conv.bias) map_.take("patch_embed.proj.bias", {f_.width}, patch + "bias");
    Layer& layer = net.simple("embed", Op::Embed);
    layer.prefix = f_.prefix;
    layer.grid_height = f_.grid_height;
    layer.grid_width = f_.grid_width;
    layer.positions = f_.positions;
    const std::int64_t d = f_.width, grid = std::int64_t{f_.grid_height} * f_.grid_width,
                       own = f_.position_rows;
    const std::pair<std::string, Shape> table{map_.first(words_->position), {own + grid, d}};
    if (f_.prefix > 0) prefix(table);
    if (grid > 0)
      map_.make("embed.position", {grid, d}, {table}, [own, grid, d](const auto& from, float* to) {
        std::copy_n(from[0] + own * d, grid * d, to);
      });
    if (const std::string name = map_.first(words_->pre_norm, "weight"); !name.empty())
      norm(net, "norm_pre", name);
  }

  /// Class, distillation and register tokens, with the rows of the positional embedding that are theirs.
  void prefix(const std::pair<std::string, Shape>& table) {
    const std::int64_t d = f_.width, own = f_.position_rows;
    std::vector<std::pair<std::string, Shape>> from;
    std::vector<std::int64_t> sizes;
    const auto add = [&](const Names& names, std::int64_t rows) {
      if (rows == 0) return;
      from.emplace_back(map_.first(names), Shape{rows, d});
      sizes.push_back(rows * d);
    };
    add(words_->cls, f_.cls ? 1 : 0);
    add(words_->distilled, f_.distilled ? 1 : 0);
    add(words_->registers, f_.registers);
    if (own > 0) from.push_back(table);
    map_.make("embed.prefix", {f_.prefix, d}, from, [sizes, own, d](const auto& parts, float* to) {
      float* const begin = to;
      for (std::size_t i = 0; i < sizes.size(); ++i) to = std::copy_n(parts[i], sizes[i], to);
      for (std::int64_t i = 0; i < own * d; ++i) begin[i] += parts[sizes.size()][i];
    });
  }

  void qkv(Builder& net, const std::string& path, const std::string& at) {
    const std::int64_t d = f_.width;
    const std::string name = path + "attn.qkv";
    Layer& layer = net.linear(name, 3 * f_.width);
    const Shape weight{3 * d, d};
    if (!words_->qkv.empty()) {
      const std::string from = at + words_->qkv[0];
      map_.take(name + ".weight", weight, from + "weight");
      if (map_.has(from + "bias_mask")) {
        map_.make(name + ".bias", {3 * d}, {{from + "bias", {3 * d}}, {from + "bias_mask", {3 * d}}},
                  [n = 3 * d](const auto& parts, float* to) {
                    for (std::int64_t i = 0; i < n; ++i)
                      to[i] = parts[1][i] == 0 ? 0 : parts[0][i] * parts[1][i];
                  });
      } else if (map_.has(from + "bias")) {
        map_.take(name + ".bias", {3 * d}, from + "bias");
      } else if (map_.has(at + "attn.q_bias")) {
        biases(name, {at + "attn.q_bias", "", at + "attn.v_bias"});
      } else {
        layer.bias = false;
      }
      return;
    }
    const std::string q = at + words_->query[0], k = at + words_->key[0], v = at + words_->value[0];
    joined(name + ".weight", weight,
           {{q + "weight", {d, d}}, {k + "weight", {d, d}}, {v + "weight", {d, d}}});
    const auto bias_of = [&](const std::string& part) {
      return map_.has(part + "bias") ? part + "bias" : "";
    };
    layer.bias = !(bias_of(q) + bias_of(k) + bias_of(v)).empty();
    if (layer.bias) biases(name, {bias_of(q), bias_of(k), bias_of(v)});
  }

  /// Of queries, keys and values; an empty name: zeros.
  void biases(const std::string& name, const std::array<std::string, 3>& parts) {
    const std::int64_t d = f_.width;
    std::vector<std::pair<std::string, Shape>> from;
    std::array<bool, 3> there{};
    for (std::size_t i = 0; i < 3; ++i) {
      there[i] = !parts[i].empty();
      if (there[i]) from.emplace_back(parts[i], Shape{d});
    }
    map_.make(name + ".bias", {3 * d}, from, [there, d](const auto& tensors, float* to) {
      std::size_t next = 0;
      for (const bool is_there : there)
        to = is_there ? std::copy_n(tensors[next++], d, to) : std::fill_n(to, d, 0.0f);
    });
  }

  void mlp(Builder& net, const std::string& path, const std::string& at, const Names& fc1, const Names& fc2,
           bool gated) {
    const auto name_in = [&](const Names& names, const char* ending) {
      for (const std::string& name : names)
        if (map_.has(at + name + ending)) return at + name;
      return names.empty() ? std::string() : at + names[0];
    };
    const std::string gate = gated ? name_in(words_->gate, "weight") : "";
    const std::int64_t h = f_.hidden, d = f_.width;
    if (!gate.empty() && map_.has(gate + "weight")) {
      const std::string up = name_in(words_->up, "weight");
      Layer& layer = net.linear(path + "fc1", 2 * f_.hidden);
      joined(path + "fc1.weight", {2 * h, d}, {{gate + "weight", {h, d}}, {up + "weight", {h, d}}});
      layer.bias = map_.has(gate + "bias");
      if (layer.bias) joined(path + "fc1.bias", {2 * h}, {{gate + "bias", {h}}, {up + "bias", {h}}});
    } else {
      linear(net, path + "fc1", gated ? 2 * f_.hidden : hidden_of(name_in(fc1, "weight")),
             name_in(fc1, "weight"));
    }
    if (gated)
      net.add(path + "act", Op::SwiGlu, f_.hidden);
    else
      net.simple(path + "act", f_.activation);
    linear(net, path + "fc2", f_.width, name_in(fc2, "weight"));
  }

  int hidden_of(const std::string& fc1) const {
    return map_.has(fc1 + "weight") ? static_cast<int>(map_.shape(fc1 + "weight", 2)[0]) : f_.hidden;
  }

  void scale(Builder& net, const std::string& name, const std::string& at, const Names& names) {
    for (const std::string& one : names)
      if (map_.has(at + one)) {
        net.simple(name, Op::LayerScale);
        map_.take(name + ".gamma", {f_.width}, at + one);
        return;
      }
  }

  void transformer_block(Builder& net, int index) {
    const std::string at = block(index), path = fmt::format("blocks.{}.", index);
    net.block(fmt::format("blocks.{}", index), "Block");
    const Builder::Value in = net.last();
    norm(net, path + "norm1", first_in(map_, at, words_->norm1));
    qkv(net, path, at);
    Layer& attention = net.add(path + "attn.heads", Op::Attention, f_.width);
    attention.heads = f_.heads;
    if (!f_.rope_periods.empty()) {
      attention.rope_periods = f_.rope_periods;
      attention.prefix = f_.prefix;
      attention.from.emplace_back("patch_embed.proj");
    }
    linear(net, path + "attn.proj", f_.width, first_in(map_, at, words_->out));
    scale(net, path + "ls1", at, words_->scale1);
    const Builder::Value branch = net.last();
    net.binary(path + "add1", Op::Add, branch, in);
    const Builder::Value middle = net.last();
    norm(net, path + "norm2", first_in(map_, at, words_->norm2));
    mlp(net, path + "mlp.", at, words_->fc1, words_->fc2, f_.gated);
    scale(net, path + "ls2", at, words_->scale2);
    const Builder::Value second = net.last();
    net.binary(path + "add2", Op::Add, second, middle);
  }

  Builder::Value token_mean(Builder& net, const std::string& name, const Builder::Value& from, int first,
                            int count) {
    net.go_on_from(from);
    Layer& layer = net.simple(name, Op::TokenMean);
    layer.first = first;
    layer.count = count;
    return net.last();
  }

  /// One vector of the tokens.
  void pool(Builder& net) {
    const Builder::Value tokens = net.last();
    switch (f_.pool) {
      case Facts::Pool::Class:
        token_mean(net, "pool", tokens, 0, 1);
        break;
      case Facts::Pool::Mean:
        token_mean(net, "pool", tokens, f_.prefix, 0);
        break;
      case Facts::Pool::Prefix:
        token_mean(net, "pool", tokens, 0, 2);
        break;
      case Facts::Pool::Both:
        class_and_mean(net, "pool", tokens);
        break;
      case Facts::Pool::Attention:
        map_.has("attn_pool.kv.weight") ? attention_pool_of_timm(net) : attention_pool_of_hugging_face(net);
        break;
    }
  }

  void class_and_mean(Builder& net, const std::string& name, const Builder::Value& tokens) {
    const Builder::Value mean = token_mean(net, name + "_mean", tokens, f_.prefix, 0);
    const Builder::Value cls = token_mean(net, name + "_cls", tokens, 0, 1);
    net.add(name, Op::Concat, 2 * f_.width).from = {cls.name, mean.name};
  }

  void attention_pool_of_timm(Builder& net) {
    const std::int64_t d = f_.width;
    linear(net, "attn_pool.kv", 2 * f_.width, "attn_pool.kv.");
    net.add("attn_pool.heads", Op::AttentionPool, f_.width).heads = f_.heads;
    query({{"attn_pool.latent", {d}}, {"attn_pool.q.weight", {d, d}}, {"attn_pool.q.bias", {d}}});
    linear(net, "attn_pool.proj", f_.width, "attn_pool.proj.");
    pool_mlp(net, "attn_pool.norm.", "attn_pool.mlp.");
  }

  void attention_pool_of_hugging_face(Builder& net) {
    const std::int64_t d = f_.width;
    const std::pair<std::string, Shape> weight{"head.attention.in_proj_weight", {3 * d, d}},
        bias{"head.attention.in_proj_bias", {3 * d}};
    net.linear("attn_pool.kv", 2 * f_.width);
    map_.make("attn_pool.kv.weight", {2 * d, d}, {weight},
              [d](const auto& from, float* to) { std::copy_n(from[0] + d * d, 2 * d * d, to); });
    map_.make("attn_pool.kv.bias", {2 * d}, {bias},
              [d](const auto& from, float* to) { std::copy_n(from[0] + d, 2 * d, to); });
    net.add("attn_pool.heads", Op::AttentionPool, f_.width).heads = f_.heads;
    query({{"head.probe", {d}}, weight, bias});
    linear(net, "attn_pool.proj", f_.width, "head.attention.out_proj.");
    pool_mlp(net, "head.layernorm.", "head.mlp.");
  }

  /// The query that is always the same: of `from`, its token, weights and biases; the first rows are meant.
  void query(const std::vector<std::pair<std::string, Shape>>& from) {
    map_.make("attn_pool.heads.query", {f_.width}, from,
              [d = std::int64_t{f_.width}](const auto& parts, float* to) {
                for (std::int64_t i = 0; i < d; ++i) {
                  double sum = parts[2][i];
                  for (std::int64_t j = 0; j < d; ++j)
                    sum += static_cast<double>(parts[1][i * d + j]) * static_cast<double>(parts[0][j]);
                  to[i] = static_cast<float>(sum);
                }
              });
  }

  void pool_mlp(Builder& net, const std::string& norm_name, const std::string& mlp_at) {
    const Builder::Value in = net.last();
    norm(net, "attn_pool.norm", norm_name);
    mlp(net, "attn_pool.mlp.", mlp_at, {"fc1."}, {"fc2."}, false);
    const Builder::Value branch = net.last();
    net.binary("pool", Op::Add, branch, in);
  }

  /// Into the space that images and texts share; with [width, out] in OpenAI's files.
  void projection(Builder& net) {
    if (map_.has("/visual.head.mlp.fc1.weight"))
      throw Error("has an MLP as its projection ('visual.head.mlp'), which graft does not compute");
    std::string name = map_.first(words_->projection, "weight");
    if (from_timm() && map_.has("/visual.head.proj.weight")) name = "/visual.head.proj.";
    if (!name.empty()) return linear(net, "proj", static_cast<int>(map_.shape(name + "weight", 2)[0]), name);
    name = map_.first(words_->projection);
    if (name.empty()) return;
    const std::int64_t in = f_.width, out = map_.shape(name, 2)[1];
    net.linear("proj", static_cast<int>(out)).bias = false;
    map_.make("proj.weight", {out, in}, {{name, {in, out}}}, [in, out](const auto& from, float* to) {
      for (std::int64_t o = 0; o < out; ++o)
        for (std::int64_t i = 0; i < in; ++i) *to++ = from[0][i * out + o];
    });
  }

  void classifier(Builder& net, const Builder::Value& tokens) {
    const std::string name = map_.first(words_->classifier, "weight");
    if (name.empty()) return net.classifier("head", 0);
    const Shape shape = map_.shape(name + "weight", 2);
    const int classes = static_cast<int>(shape[0]);
    const std::string second =
        f_.distilled ? map_.first({"head_dist.", "/distillation_classifier.", "/cls_classifier."}, "weight")
                     : "";
    if (!second.empty()) return two_classifiers(net, tokens, classes, name, second);
    // Of DINOv2, Hugging Face classifies by the class token and the mean of the patches.
    if (shape[1] == 2 * std::int64_t{f_.width} && net.last().channels == f_.width)
      class_and_mean(net, "head_pool", tokens);
    const std::int64_t in = net.last().channels;
    net.classifier("head", classes);
    map_.take("head.weight", {classes, in}, name + "weight");
    map_.take("head.bias", {classes}, name + "bias");
  }

  /// DeiT: the mean of what both say, as one product of both tokens.
  void two_classifiers(Builder& net, const Builder::Value& tokens, int classes, const std::string& a,
                       const std::string& b) {
    const std::int64_t d = f_.width, n = classes;
    const Builder::Value cls = token_mean(net, "head_cls", tokens, 0, 1),
                         distilled = token_mean(net, "head_distilled", tokens, 1, 1);
    net.add("head_tokens", Op::Concat, 2 * f_.width).from = {cls.name, distilled.name};
    net.classifier("head", classes);
    map_.make("head.weight", {n, 2 * d}, {{a + "weight", {n, d}}, {b + "weight", {n, d}}},
              [d, n](const auto& from, float* to) {
                for (std::int64_t i = 0; i < n; ++i)
                  for (const float* part : {from[0], from[1]})
                    for (std::int64_t j = 0; j < d; ++j) *to++ = part[i * d + j] / 2;
              });
    map_.make("head.bias", {n}, {{a + "bias", {n}}, {b + "bias", {n}}}, [n](const auto& from, float* to) {
      for (std::int64_t i = 0; i < n; ++i) to[i] = (from[0][i] + from[1][i]) / 2;
    });
  }

  const Dialect* const words_;
  const Facts& f_;
  TensorMap& map_;
};

/// A tensor of a block that nothing was made of: the blocks compute something else.
void check_blocks(const TensorMap& tensors, const std::string& stem, const std::string& family) {
  for (const std::string& name : tensors.unused())
    if (name.starts_with(stem))
      throw Error(
          fmt::format("has a tensor '{}', which no block of {} has: it is another network; export it "
                      "as TorchScript",
                      name, family));
}

}  // namespace

std::optional<Published> read_vision_transformer(const ModelFiles& files, TensorMap tensors,
                                                 std::optional<int> heads) {
  const auto words = std::find_if(dialects().begin(), dialects().end(), [&](const Dialect& dialect) {
    return tensors.has(dialect.patch[0] + "weight");
  });
  if (words == dialects().end()) return {};
  const auto facts = facts_of(files, tensors, *words, heads);
  if (!facts) return {};
  Published out;
  out.architecture = Network(*words, *facts, tensors).build();
  tensors.require_all(facts->family);
  const std::string first = block_name(*words, 0);
  check_blocks(tensors, tensors.prefix() + first.substr(0, first.find('0')), facts->family);
  for (const std::string& guess : facts->guesses) out.notes.push_back(std::string(kGuessed) + guess);
  for (const char* known : {"mask_token", "embeddings.mask_token", "embeddings.position_ids"})
    tensors.ignore(known);
  out.findings = facts->findings;
  out.unused = tensors.unused();
  out.weights = TensorMap::renamed(std::move(tensors));
  return out;
}

}  // namespace graft::nn::zoo
