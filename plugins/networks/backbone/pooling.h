#pragma once

#include <optional>
#include <string_view>

#include <graft/payload.h>
#include <network/tokens.h>

/// What becomes of a tapped value of one image.
enum class Pooling {
  Average,  ///< Mean over height and width, or over the tokens of patches.
  Maximum,  ///< Largest over them.
  GeM,      ///< Generalised mean, (mean of max(x, 1e-6)^p)^(1/p) (Radenovic et al. 2018, arXiv:1711.02512).
  Flatten,  ///< Everything as one vector.
  None,     ///< An image as it is; of tokens, those of patches by their place: [rows,columns,d].
  Class,    ///< The class token.
  ClassAverage,  ///< The class token, then the mean of the patches.
};

/// "avg", "max", "gem", "flatten", "none", "cls" or "cls_avg".
Pooling pooling_from(std::string_view name);

/// `value`: f32 of `shape`, one image's. [c,h,w] is pooled over h and w; tokens [n,d] as `tokens` says, where
/// the network's layout is known; [d] stays. Sums in double, in a fixed order. Any thread.
graft::Tensor pooled(const float* value, const graft::Shape& shape, Pooling pooling, double gem_power,
                     const std::optional<graft::nn::TokenLayout>& tokens = {});

/// The shape that pooled() gives.
graft::Shape pooled_shape(const graft::Shape& shape, Pooling pooling,
                          const std::optional<graft::nn::TokenLayout>& tokens = {});

/// Divides by the Euclidean norm, in place; zeros stay.
void normalise_length(const graft::Tensor& vector);
