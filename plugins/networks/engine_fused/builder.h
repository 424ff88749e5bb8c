#pragma once

#include <functional>
#include <map>
#include <vector>

#include "program.h"

namespace graft::fused {

/// Fills in a Program: chooses a kernel for every step, brings values into the layouts that kernels want, and
/// keeps count of how long each is needed. Used once.
class Builder {
 public:
  Builder(PackedNetwork& network, int height, int width, Program& program, Nan nan);
  void build();

 private:
  using Desc = dnnl::memory::desc;
  using Dims = dnnl::memory::dims;
  using Type = dnnl::memory::data_type;

  void add(const Step& step);
  void convolution(const Step& step);
  void linear(const Step& step);
  void max_pool(const Step& step);
  void average_pool(const Step& step);
  void average_by_loops(const Step& step);
  void binary(const Step& step);
  void activate(const Step& step);
  void flatten(const Step& step);
  void layer_norm(const Step& step);
  void response_norm(const Step& step);
  void embed(const Step& step);
  void attention(const Step& step);
  void attention_pool(const Step& step);
  void token_mean(const Step& step);
  void concat(const Step& step);
  void blur_pool(const Step& step);
  void gather(const Step& step);
  void patch_merge(const Step& step);
  void scale(const Step& step);
  void window_attention(const Step& step);
  void store(std::size_t output);

  /// A step by plain loops, from values of float in one order to another: `in` and `out` have the channels
  /// last. Gives the slots in that order.
  using Loop = std::function<void(const float* in, float* out)>;
  void loop(const Step& step, Loop run);
  /// An operation without tensors by the loops that kernels are compared with, which keep NaN: from a slot
  /// to another, each some values of a shape one after the other.
  void plainly(const nn::Layer& layer, nn::Op how, std::size_t from, std::size_t to, std::int64_t values,
               const Shape& in, const Shape& out);
  void activate_plainly(const Step& step);

  std::size_t index_of(const Step& step) const {
    return static_cast<std::size_t>(&step - network_.lowered().steps.data());
  }
  bool is_tokens(ValueId value) const { return shape_[value].size() == 2; }
  /// [images, ...]; tokens [n,d] are images of d channels, 1 x n.
  Dims dims_of(ValueId value) const;
  /// The layout that a value has between kernels.
  Desc blocked(ValueId value) const;
  Desc channels_last(ValueId value, Type type) const;
  Desc plain(const Dims& dims, Type type) const;

  /// The slot of a value, in the layout that it has or, copied first, in another.
  std::size_t slot_of(ValueId value) const { return slot_.at(value); }
  std::size_t slot_in(ValueId value, const Desc& layout);
  /// A new part of the arena for a value, which becomes the value's slot.
  std::size_t make_slot(ValueId value, const Desc& layout);
  std::size_t new_region(const Desc& layout);
  std::size_t add_slot(const Desc& layout, std::ptrdiff_t place);
  /// Another look at a slot's memory.
  std::size_t view(std::size_t slot, const Desc& layout) { return add_slot(layout, place_of(slot)); }
  std::ptrdiff_t place_of(std::size_t slot) const { return program_.slots_[slot].place; }
  const Desc& layout_of(std::size_t slot) const { return program_.slots_[slot].layout; }

  Program::Call& call(const dnnl::primitive& kernel, const Desc& scratchpad,
                      std::vector<std::pair<int, std::size_t>> slots);
  void copy(std::size_t from, std::size_t to);
  dnnl::primitive_attr attributes(bool residual, Activation activation) const;
  /// Whether no later step and no output reads the value.
  bool ends_here(ValueId value, std::size_t step) const { return last_reader_.at(value) <= step; }

  PackedNetwork& network_;
  Program& program_;
  const int height_, width_;
  const bool keeps_nan_;  // then values lie without blocks, in 32 bits
  const Type type_;
  bool channels_last_ = false;  // everywhere: the network has norms over channels, or NaN is kept
  std::vector<Shape> shape_;    // by value, without the batch
  std::map<ValueId, std::size_t> slot_, last_reader_;
};

}  // namespace graft::fused
