#pragma once

#include <cstdint>
#include <vector>

#include <network/architecture.h>

namespace graft::nn {

/// What one layer gives and costs for one image.
struct LayerCost {
  Shape output;                 ///< [channels,height,width], [tokens,values] or [values]; without the batch.
  std::int64_t parameters = 0;  ///< Trainable; running statistics are not counted.
  std::int64_t multiply_adds = 0;  ///< Of weights and of attention, as papers count them.
  std::int64_t bytes = 0;          ///< Of the output, float32.
};

struct Cost {
  std::vector<LayerCost> layers;  ///< Parallel to Architecture::layers.
  std::int64_t parameters = 0, multiply_adds = 0;
  std::int64_t activation_bytes = 0;  ///< Of all outputs together: what training keeps.
  std::int64_t peak_bytes = 0;  ///< Of what is alive at once at inference, no output written over its input.
};

/// Infers the shape of every value for an image of height x width pixels. Throws Error naming the layer and
/// the shapes where they do not go together, or where the image is too small.
Cost cost_of(const Architecture& architecture, int height, int width);

}  // namespace graft::nn
