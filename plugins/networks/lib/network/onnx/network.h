#pragma once

#include <map>
#include <string>
#include <vector>

#include <network/architecture.h>

#include "view.h"

namespace graft::nn::onnx {

/// Tensors of a layer by the last part of their path.
using Weights = std::map<std::string, std::vector<float>>;

/// A network while it is built: layers by number, each after those that it takes.
class Network {
 public:
  struct Made {
    Layer layer;  ///< Without names.
    std::vector<LayerId> from;
    Shape shape;
    Weights weights;
    std::string name;  ///< Wanted.
  };

  explicit Network(Shape image) : image_(std::move(image)) {}

  /// `name`: of the node that it is made of. Throws Error where the operation does not take these values.
  LayerId add(Layer layer, std::vector<LayerId> from, Weights weights, const std::string& name);
  const Made& operator[](LayerId id) const { return made_[static_cast<std::size_t>(id)]; }
  const Shape& shape(LayerId id) const { return id == kImage ? image_ : (*this)[id].shape; }
  std::size_t size() const { return made_.size(); }

  int channels(LayerId id) const;
  /// Pixels, tokens, or 1 of a vector.
  std::int64_t places(LayerId id) const;
  bool is_image(LayerId id) const { return shape(id).size() == 3; }
  bool is_tokens(LayerId id) const { return shape(id).size() == 2; }

 private:
  Shape image_;
  std::vector<Made> made_;
};

/// A network with its tensors by path.
struct NamedNetwork {
  Architecture architecture;
  std::map<std::string, Tensor> weights;
};

/// The layers that `output` needs, named. Values of one pixel at the end become vectors, and the last linear
/// layer with a bias is the classifier. Throws Error for a network without weights.
NamedNetwork finished(const Network& network, LayerId output, std::vector<std::string>& notes);

}  // namespace graft::nn::onnx
