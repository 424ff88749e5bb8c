#pragma once

#include <string>
#include <utility>

#include <network/architecture.h>

namespace graft::nn::zoo {

/// Appends layers, each fed by the one before unless given otherwise, and keeps count of channels. The layer
/// that is returned may be changed until the next one comes.
class Builder {
 public:
  /// A layer's name and the channels (or values) of what it gives.
  struct Value {
    std::string name;
    int channels;
  };

  explicit Builder(std::string name) { net_.name = std::move(name); }

  const Value& last() const { return last_; }
  /// The next layer is fed by this one.
  void go_on_from(Value value) { last_ = std::move(value); }
  void block(std::string name, std::string type) {
    net_.blocks.push_back({std::move(name), std::move(type)});
  }

  /// Without bias; padded so that stride 1 keeps the size.
  Layer& conv(const std::string& name, int out, int kernel, int stride = 1) {
    const int pad = kernel / 2;
    Layer& layer = add(name, Op::Conv, out);
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = {pad, pad, pad, pad};
    return layer;
  }
  Layer& depthwise(const std::string& name, int kernel, int stride) {
    Layer& layer = conv(name, last_.channels, kernel, stride);
    layer.groups = layer.in;
    return layer;
  }
  Layer& norm(const std::string& name) { return add(name, Op::BatchNorm, last_.channels); }
  /// An operation that keeps the channels.
  Layer& simple(const std::string& name, Op op) { return add(name, op, last_.channels); }
  Layer& binary(const std::string& name, Op op, const Value& a, const Value& b) {
    last_ = a;
    Layer& layer = simple(name, op);
    layer.from.push_back(b.name);
    return layer;
  }
  Layer& max_pool(const std::string& name, int kernel, int stride, int pad = 0) {
    Layer& layer = simple(name, Op::MaxPool);
    layer.kernel = kernel;
    layer.stride = stride;
    layer.padding = {pad, pad, pad, pad};
    return layer;
  }
  void dropout(const std::string& name, double probability) {
    simple(name, Op::Dropout).dropout = probability;
  }
  Layer& linear(const std::string& name, int out) {
    Layer& layer = add(name, Op::Linear, out);
    layer.bias = true;
    return layer;
  }
  Layer& add(const std::string& name, Op op, int out) {
    Layer layer;
    layer.name = name;
    layer.op = op;
    layer.from = {last_.name};
    layer.in = last_.channels;
    layer.out = out;
    net_.layers.push_back(std::move(layer));
    last_ = {name, out};
    return net_.layers.back();
  }

  /// The value that is there now is the default tap.
  void tap_here() {
    net_.tap = last_.name;
    net_.features = last_.channels;
  }
  /// The mean of each channel is the default tap.
  void pooled_tap() {
    simple("avgpool", Op::GlobalPool);
    simple("flatten", Op::Flatten);
    tap_here();
  }
  /// The classifier, unless there are no classes.
  void classifier(const std::string& name, int classes) {
    net_.classifier = name;
    net_.classes = classes;
    if (classes > 0) linear(name, classes);
  }
  /// Of a classifier that was added by other means.
  void set_classes(int classes) { net_.classes = classes; }
  /// With the preprocessing of the published weights.
  Architecture finish() { return finish(*preprocessing::find(net_.name)); }
  Architecture finish(Preprocessing preprocessing) {
    net_.preprocessing = std::move(preprocessing);
    return std::move(net_);
  }

 private:
  Architecture net_;
  Value last_ = {"input", 3};
};

}  // namespace graft::nn::zoo
