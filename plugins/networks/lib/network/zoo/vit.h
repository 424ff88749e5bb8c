#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tensor_map.h"

namespace graft::nn::zoo::vit {

using Names = std::vector<std::string>;

/// Names of one publisher, of which a file has one each at most. They end before "weight" and "bias".
struct Dialect {
  const char* publisher;
  Names patch = {}, cls = {}, distilled = {}, registers = {}, position = {}, pre_norm = {};
  const char* block;  ///< With a number in place of {}.
  Names norm1 = {}, norm2 = {}, qkv = {}, query = {}, key = {}, value = {}, out = {}, fc1 = {}, fc2 = {},
        gate = {}, up = {}, scale1 = {}, scale2 = {};
  Names norm = {}, pooled_norm = {}, classifier = {}, projection = {};
};

/// Of every publisher: a file that has one of these patch embeddings is one of theirs.
const std::vector<Dialect>& dialects();

/// Names of all tensors that such a file may have, with # in place of numbers.
std::vector<std::string> all_names();

/// "blocks.3."
std::string block_name(const Dialect& words, int index);

/// The first of the names below `at` that the file has, else the first.
std::string first_in(const TensorMap& tensors, const std::string& at, const Names& names);

/// What shapes and descriptions say of one model.
struct Facts {
  std::string family;
  int width = 0, patch = 0, depth = 0, hidden = 0, heads = 0;
  bool gated = false;
  double eps = 1e-6;
  Op activation = Op::Gelu;
  bool cls = false, distilled = false;
  int registers = 0, prefix = 0;
  /// Leading rows of the positional embedding that belong to the prefix; the grid after them.
  int position_rows = 0, grid_height = 0, grid_width = 0;
  PositionRule positions = PositionRule::Timm;
  std::vector<double> rope_periods;
  /// Both: class token, then the mean of the patches. Prefix: the mean of class and distillation token.
  enum class Pool { Class, Mean, Both, Prefix, Attention } pool = Pool::Class;
  std::vector<Finding> findings;
  std::vector<std::string> guesses;  ///< A line each.
  Preprocessing preprocessing;
};

/// Nothing for a file whose blocks have other names. Throws Error for files that contradict each other.
std::optional<Facts> facts_of(const ModelFiles& files, TensorMap& tensors, const Dialect& words,
                              std::optional<int> heads);

}  // namespace graft::nn::zoo::vit
