#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include <graft/payload.h>

#include "lowering.h"
#include "onednn.h"

namespace graft::fused {

/// Whether oneDNN has AVX-512 to use here.
bool has_avx512();

/// What the programs of one network share: its steps, and their weights in the layouts that kernels want,
/// each made once. Any number of threads.
class PackedNetwork {
 public:
  /// `bf16`: activations and weights have 16 bits; sums, bias and results 32.
  PackedNetwork(nn::Architecture architecture, Lowered lowered, bool bf16);

  const nn::Architecture& architecture() const { return architecture_; }
  const Lowered& lowered() const { return lowered_; }
  bool bf16() const { return bf16_; }
  const dnnl::engine& engine() const { return engine_; }

  /// The weights of a step, `plain` as they are in the step, in the layout `wanted`. What the step holds is
  /// released once it can be had from a packed form again, which is not so for Winograd's.
  dnnl::memory weights(std::size_t step, const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted);
  dnnl::memory bias(std::size_t step) const;

 private:
  struct Packed {
    dnnl::memory::desc plain;  // what the step held
    std::vector<dnnl::memory> forms;
  };

  const nn::Architecture architecture_;
  Lowered lowered_;
  const bool bf16_;
  const dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  std::mutex mutex_;
  std::vector<Packed> packed_;  // by step
};

/// oneDNN's fastest kernels make numbers of NaN: max(NaN, 0), which is ReLU, is 0.
enum class Nan { Lost, Kept };

/// A network for a number of images of one size, as oneDNN primitives over one arena, in which values that
/// are not alive together share their place. Immutable; any number of threads may call run at once, each of
/// which uses an arena of its own, kept for the next call.
class Program {
 public:
  /// Throws nn::UnfitInput for a size that the network does not take. `threads`: how many a call of run uses.
  /// Programs that keep NaN are slower.
  Program(PackedNetwork& network, int images, int height, int width, int threads, Nan nan = Nan::Lost);
  ~Program();

  int images() const { return images_; }
  /// Of each output, [images, ...].
  const std::vector<Shape>& output_shapes() const { return output_shapes_; }
  /// Bytes of one arena.
  std::size_t arena_bytes() const { return arena_bytes_; }

  /// `images`: images x 3 x height x width. `outputs`: where each output goes, row-major float. Whether an
  /// instruction was invalid, as IEEE 754 calls it: one that made NaN of numbers (inf - inf), or that took
  /// the larger or smaller of NaN and a number. If not, no NaN is lost.
  [[nodiscard]] bool run(const float* images, std::span<float* const> outputs) const;

 private:
  friend class Builder;
  /// A value in a layout: in the arena, or (`place` < 0) somewhere that is named for each call.
  struct Slot {
    dnnl::memory::desc layout;
    std::ptrdiff_t place = 0;  // index of a Region; kInput; kOutput - i
  };
  /// A part of the arena, needed from one call of a kernel to another.
  struct Region {
    std::size_t bytes = 0, first = 0, last = 0, offset = 0;
  };
  struct Call {
    dnnl::primitive kernel;
    dnnl::memory::desc scratch;
    bool one_thread = false;
    std::vector<std::pair<int, std::size_t>> slots;               // argument, slot
    std::vector<std::pair<int, dnnl::memory>> constants;          // argument, weights
    std::function<void(const std::vector<dnnl::memory>&)> plain;  // instead of a kernel
  };
  struct Workspace;
  static constexpr std::ptrdiff_t kInput = -1, kOutput = -2;

  std::unique_ptr<Workspace> make_workspace() const;

  const dnnl::engine engine_;
  const int images_, threads_;
  std::vector<Slot> slots_;
  std::vector<Region> regions_;
  std::vector<Call> calls_;
  std::vector<Shape> output_shapes_;
  std::size_t scratch_bytes_ = 0, arena_bytes_ = 0;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace graft::fused
