#include <fmt/format.h>

#include "vit.h"

namespace graft::nn::zoo::vit {

const std::vector<Dialect>& dialects() {
  static const std::vector<Dialect> kAll = {
      {.publisher = "timm",
       .patch = {"patch_embed.proj."},
       .cls = {"cls_token"},
       .distilled = {"dist_token"},
       .registers = {"reg_token", "register_tokens", "storage_tokens"},
       .position = {"pos_embed"},
       .pre_norm = {"norm_pre."},
       .block = "blocks.{}.",
       .norm1 = {"norm1."},
       .norm2 = {"norm2."},
       .qkv = {"attn.qkv."},
       .out = {"attn.proj."},
       .fc1 = {"mlp.fc1.", "mlp.w12."},
       .fc2 = {"mlp.fc2.", "mlp.w3."},
       .gate = {"mlp.fc1_g.", "mlp.w1."},
       .up = {"mlp.fc1_x.", "mlp.w2."},
       .scale1 = {"ls1.gamma", "gamma_1"},
       .scale2 = {"ls2.gamma", "gamma_2"},
       .norm = {"norm."},
       .pooled_norm = {"fc_norm."},
       .classifier = {"head."}},
      {.publisher = "Hugging Face",
       .patch = {"embeddings.patch_embeddings.projection."},
       .cls = {"embeddings.cls_token"},
       .distilled = {"embeddings.distillation_token"},
       .registers = {"embeddings.register_tokens"},
       .position = {"embeddings.position_embeddings"},
       .block = "encoder.layer.{}.",
       .norm1 = {"layernorm_before.", "norm1."},
       .norm2 = {"layernorm_after.", "norm2."},
       .query = {"attention.attention.query."},
       .key = {"attention.attention.key."},
       .value = {"attention.attention.value."},
       .out = {"attention.output.dense."},
       .fc1 = {"intermediate.dense.", "mlp.fc1.", "mlp.weights_in."},
       .fc2 = {"output.dense.", "mlp.fc2.", "mlp.weights_out."},
       .gate = {"mlp.gate_proj."},
       .up = {"mlp.up_proj."},
       .scale1 = {"layer_scale1.lambda1"},
       .scale2 = {"layer_scale2.lambda1"},
       .norm = {"layernorm."},
       .classifier = {"/classifier."}},
      {.publisher = "Hugging Face",  // DINOv3
       .patch = {"embeddings.patch_embeddings."},
       .cls = {"embeddings.cls_token"},
       .registers = {"embeddings.register_tokens"},
       .block = "layer.{}.",
       .norm1 = {"norm1."},
       .norm2 = {"norm2."},
       .query = {"attention.q_proj."},
       .key = {"attention.k_proj."},
       .value = {"attention.v_proj."},
       .out = {"attention.o_proj."},
       .fc1 = {"mlp.up_proj."},
       .fc2 = {"mlp.down_proj."},
       .gate = {"mlp.gate_proj."},
       .up = {"mlp.up_proj."},
       .scale1 = {"layer_scale1.lambda1"},
       .scale2 = {"layer_scale2.lambda1"},
       .norm = {"norm."}},
      {.publisher = "Hugging Face",  // CLIP and SigLIP
       .patch = {"embeddings.patch_embedding."},
       .cls = {"embeddings.class_embedding"},
       .position = {"embeddings.position_embedding.weight"},
       .pre_norm = {"pre_layrnorm."},
       .block = "encoder.layers.{}.",
       .norm1 = {"layer_norm1."},
       .norm2 = {"layer_norm2."},
       .query = {"self_attn.q_proj."},
       .key = {"self_attn.k_proj."},
       .value = {"self_attn.v_proj."},
       .out = {"self_attn.out_proj."},
       .fc1 = {"mlp.fc1."},
       .fc2 = {"mlp.fc2."},
       .norm = {"post_layernorm."},
       .projection = {"/visual_projection."}},
      {.publisher = "OpenAI",
       .patch = {"conv1."},
       .cls = {"class_embedding"},
       .position = {"positional_embedding"},
       .pre_norm = {"ln_pre."},
       .block = "transformer.resblocks.{}.",
       .norm1 = {"ln_1."},
       .norm2 = {"ln_2."},
       .qkv = {"attn.in_proj_"},
       .out = {"attn.out_proj."},
       .fc1 = {"mlp.c_fc."},
       .fc2 = {"mlp.c_proj."},
       .scale1 = {"ls_1.gamma"},
       .scale2 = {"ls_2.gamma"},
       .norm = {"ln_post."},
       .projection = {"proj"}},
      {.publisher = "torchvision",
       .patch = {"conv_proj."},
       .cls = {"class_token"},
       .position = {"encoder.pos_embedding"},
       .block = "encoder.layers.encoder_layer_{}.",
       .norm1 = {"ln_1."},
       .norm2 = {"ln_2."},
       .qkv = {"self_attention.in_proj_"},
       .out = {"self_attention.out_proj."},
       .fc1 = {"mlp.0.", "mlp.linear_1."},
       .fc2 = {"mlp.3.", "mlp.linear_2."},
       .norm = {"encoder.ln."},
       .classifier = {"heads.head."}},
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
