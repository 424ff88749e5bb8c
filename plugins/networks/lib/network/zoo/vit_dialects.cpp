#include <fmt/format.h>

#include "vit.h"

namespace graft::nn::zoo::vit {

const std::vector<Dialect>& dialects() {
  static const std::vector<Dialect> kAll = {
      {"timm",
       {"patch_embed.proj."},
       {"cls_token"},
       {"dist_token"},
       {"reg_token", "register_tokens", "storage_tokens"},
       {"pos_embed"},
       {"norm_pre."},
       "blocks.{}.",
       {"norm1."},
       {"norm2."},
       {"attn.qkv."},
       {},
       {},
       {},
       {"attn.proj."},
       {"mlp.fc1.", "mlp.w12."},
       {"mlp.fc2.", "mlp.w3."},
       {"mlp.fc1_g.", "mlp.w1."},
       {"mlp.fc1_x.", "mlp.w2."},
       {"ls1.gamma", "gamma_1"},
       {"ls2.gamma", "gamma_2"},
       {"norm."},
       {"fc_norm."},
       {"head."},
       {}},
      {"Hugging Face",
       {"embeddings.patch_embeddings.projection."},
       {"embeddings.cls_token"},
       {"embeddings.distillation_token"},
       {"embeddings.register_tokens"},
       {"embeddings.position_embeddings"},
       {},
       "encoder.layer.{}.",
       {"layernorm_before.", "norm1."},
       {"layernorm_after.", "norm2."},
       {},
       {"attention.attention.query."},
       {"attention.attention.key."},
       {"attention.attention.value."},
       {"attention.output.dense."},
       {"intermediate.dense.", "mlp.fc1.", "mlp.weights_in."},
       {"output.dense.", "mlp.fc2.", "mlp.weights_out."},
       {"mlp.gate_proj."},
       {"mlp.up_proj."},
       {"layer_scale1.lambda1"},
       {"layer_scale2.lambda1"},
       {"layernorm."},
       {},
       {"/classifier."},
       {}},
      {"Hugging Face",  // DINOv3
       {"embeddings.patch_embeddings."},
       {"embeddings.cls_token"},
       {},
       {"embeddings.register_tokens"},
       {},
       {},
       "layer.{}.",
       {"norm1."},
       {"norm2."},
       {},
       {"attention.q_proj."},
       {"attention.k_proj."},
       {"attention.v_proj."},
       {"attention.o_proj."},
       {"mlp.up_proj."},
       {"mlp.down_proj."},
       {"mlp.gate_proj."},
       {"mlp.up_proj."},
       {"layer_scale1.lambda1"},
       {"layer_scale2.lambda1"},
       {"norm."},
       {},
       {},
       {}},
      {"Hugging Face",  // CLIP and SigLIP
       {"embeddings.patch_embedding."},
       {"embeddings.class_embedding"},
       {},
       {},
       {"embeddings.position_embedding.weight"},
       {"pre_layrnorm."},
       "encoder.layers.{}.",
       {"layer_norm1."},
       {"layer_norm2."},
       {},
       {"self_attn.q_proj."},
       {"self_attn.k_proj."},
       {"self_attn.v_proj."},
       {"self_attn.out_proj."},
       {"mlp.fc1."},
       {"mlp.fc2."},
       {},
       {},
       {},
       {},
       {"post_layernorm."},
       {},
       {},
       {"/visual_projection."}},
      {"OpenAI",
       {"conv1."},
       {"class_embedding"},
       {},
       {},
       {"positional_embedding"},
       {"ln_pre."},
       "transformer.resblocks.{}.",
       {"ln_1."},
       {"ln_2."},
       {"attn.in_proj_"},
       {},
       {},
       {},
       {"attn.out_proj."},
       {"mlp.c_fc."},
       {"mlp.c_proj."},
       {},
       {},
       {"ls_1.gamma"},
       {"ls_2.gamma"},
       {"ln_post."},
       {},
       {},
       {"proj"}},
      {"torchvision",
       {"conv_proj."},
       {"class_token"},
       {},
       {},
       {"encoder.pos_embedding"},
       {},
       "encoder.layers.encoder_layer_{}.",
       {"ln_1."},
       {"ln_2."},
       {"self_attention.in_proj_"},
       {},
       {},
       {},
       {"self_attention.out_proj."},
       {"mlp.0.", "mlp.linear_1."},
       {"mlp.3.", "mlp.linear_2."},
       {},
       {},
       {},
       {},
       {"encoder.ln."},
       {},
       {"heads.head."},
       {}},
  };
  return kAll;
}

std::vector<std::string> all_names() {
  std::vector<std::string> out;
  const auto add = [&](const std::string& at, const Names& names) {
    for (const std::string& name : names) {
      const bool is_module = name.ends_with(".") || name.ends_with("_");
      for (const char* ending : {"weight", "bias"}) out.push_back(at + name + (is_module ? ending : ""));
    }
  };
  for (const Dialect& d : dialects()) {
    for (const Names* names : {&d.patch, &d.cls, &d.distilled, &d.registers, &d.position, &d.pre_norm,
                               &d.norm, &d.pooled_norm, &d.classifier, &d.projection})
      add("", *names);
    const std::string block = fmt::format(fmt::runtime(d.block), "#");
    for (const Names* names : {&d.norm1, &d.norm2, &d.qkv, &d.query, &d.key, &d.value, &d.out, &d.fc1, &d.fc2,
                               &d.gate, &d.up, &d.scale1, &d.scale2})
      add(block, *names);
  }
  return out;
}

std::string block_name(const Dialect& words, int index) {
  return fmt::format(fmt::runtime(words.block), index);
}

std::string first_in(const TensorMap& tensors, const std::string& at, const Names& names) {
  for (const std::string& name : names)
    if (tensors.has(at + name + "weight")) return at + name;
  return at + names[0];
}

}  // namespace graft::nn::zoo::vit
