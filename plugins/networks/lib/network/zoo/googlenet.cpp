// GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) with batch-norm, of torchvision, whose third branch has
// 3 x 3 convolutions, not 5 x 5.

#include <utility>

#include "cnn.h"

namespace graft::nn::zoo {
namespace {

void googlenet_conv(CnnReader& r, const std::string& at, int stride = 1) {
  r.conv(at + ".conv", stride);
  r.norm(at + ".bn");
  r.act(at + ".relu", Op::Relu);
}

void googlenet_block(CnnReader& r, const std::string& at) {
  r.net.block(at, "Inception");
  const Builder::Value in = r.net.last();
  std::vector<Builder::Value> ends;
  googlenet_conv(r, at + ".branch1");
  ends.push_back(r.net.last());
  for (const char* branch : {".branch2", ".branch3"}) {
    r.net.go_on_from(in);
    googlenet_conv(r, at + branch + ".0");
    googlenet_conv(r, at + branch + ".1");
    ends.push_back(r.net.last());
  }
  r.net.go_on_from(in);
  r.net.max_pool(at + ".branch4.0", 3, 1, 1).padding_rule = PaddingRule::Ceil;
  googlenet_conv(r, at + ".branch4.1");
  ends.push_back(r.net.last());
  r.concat(at + ".concat", ends);
}

}  // namespace

std::optional<Architecture> build_googlenet(const ModelFiles& files, TensorMap& tensors,
                                            std::vector<std::string>& notes) {
  for (const char* head : {"aux1.", "aux2."}) ignore_below(tensors, head);
  CnnReader r("GoogLeNet", tensors, 1e-3);
  const auto pool = [&](const char* name, int kernel) {
    r.net.max_pool(name, kernel, 2).padding_rule = PaddingRule::Ceil;
  };
  googlenet_conv(r, "conv1", 2);
  pool("maxpool1", 3);
  googlenet_conv(r, "conv2");
  googlenet_conv(r, "conv3");
  pool("maxpool2", 3);
  for (const char* name : {"inception3a", "inception3b"}) googlenet_block(r, name);
  pool("maxpool3", 3);
  for (const char* name : {"inception4a", "inception4b", "inception4c", "inception4d", "inception4e"})
    googlenet_block(r, name);
  pool("maxpool4", 2);
  for (const char* name : {"inception5a", "inception5b"}) googlenet_block(r, name);
  r.net.pooled_tap();
  r.net.dropout("dropout", 0.2);
  r.classifier("fc");
  Preprocessing preprocessing = cnn_preprocessing(files, 256, 224, "bilinear", notes);
  if (preprocessing_file(files) == nullptr) normalise_to_half(preprocessing, notes);
  return r.net.finish(std::move(preprocessing));
}

}  // namespace graft::nn::zoo
