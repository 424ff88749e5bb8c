#pragma once

#include <string_view>

#include <graft/payload.h>

/// What becomes of a tapped value of one image.
enum class Pooling {
  Average,  ///< Mean over height and width.
  Maximum,  ///< Largest over height and width.
  GeM,      ///< Generalised mean, (mean of max(x, 1e-6)^p)^(1/p) (Radenovic et al. 2018, arXiv:1711.02512).
  Flatten,  ///< [c,h,w] as one vector.
  None,     ///< As it is.
};

/// "avg", "max", "gem", "flatten" or "none".
Pooling pooling_from(std::string_view name);

/// `value`: f32 of `shape`, one image's: [c,h,w] is pooled over h and w, [d] stays. Returns [c], or as the
/// pooling says. Sums in double, in a fixed order. Any thread.
graft::Tensor pooled(const float* value, const graft::Shape& shape, Pooling pooling, double gem_power);

/// Divides by the Euclidean norm, in place; zeros stay.
void normalise_length(const graft::Tensor& vector);
