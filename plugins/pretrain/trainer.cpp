#include "trainer.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include <graft/error.h>
#include <graft/random.h>

#include "model_file.h"
#include "network_module.h"
#include "program.h"

namespace graft {
namespace {

using torch::jit::Module;

/// In the logical order of the elements, whatever their memory format.
Tensor copy_of(const at::Tensor& in) {
  const at::Tensor source = in.detach().contiguous();
  Tensor out = Tensor::allocate(DType::F32, Shape(source.sizes().begin(), source.sizes().end()));
  std::memcpy(out.data, source.data_ptr<float>(), out.bytes());
  return out;
}

void fill(const std::string& name, const at::Tensor& to, const std::map<std::string, Tensor>& from) {
  const auto found = from.find(name);
  if (found == from.end()) throw Error(fmt::format("tensor {} is missing", name));
  const Tensor& tensor = found->second;
  const Shape wanted(to.sizes().begin(), to.sizes().end());
  if (tensor.dtype != DType::F32 || tensor.shape != wanted)
    throw Error(fmt::format("tensor {}: expected f32{}, got {}{}", name, to_string(wanted),
                            to_string(tensor.dtype), to_string(tensor.shape)));
  to.copy_(at::from_blob(tensor.data, to.sizes()));
}

NamedTensors parameters_of(const Module& module) {
  NamedTensors out;
  for (const auto& p : module.named_parameters()) out.emplace_back(p.name, p.value);
  return out;
}

NamedTensors buffers_of(const Module& module) {
  NamedTensors out;
  for (const auto& b : module.named_buffers()) out.emplace_back(b.name, b.value);
  return out;
}

/// oneDNN's convolutions are a fifth faster where channels are the innermost dimension of all that they see.
void use_channels_last(const Module& module) {
  for (const auto& p : module.named_parameters())
    if (p.value.dim() == 4) p.value.set_data(p.value.contiguous(at::MemoryFormat::ChannelsLast));
}

at::Tensor empty_images(const Pixels& pixels, std::size_t n) {
  return at::empty({static_cast<std::int64_t>(n), 3, pixels.height(), pixels.width()});
}

float* image_at(const at::Tensor& images, std::size_t i) {
  return images.data_ptr<float>() + static_cast<std::int64_t>(i) * images.stride(0);
}

at::Tensor labels(const Pixels& pixels, std::span<const std::uint32_t> which) {
  at::Tensor out = at::empty({static_cast<std::int64_t>(which.size())}, at::kLong);
  for (std::size_t i = 0; i < which.size(); ++i) out.data_ptr<std::int64_t>()[i] = pixels.label(which[i]);
  return out;
}

/// Makes `module` use the parameters of `master`, and the batch-norm statistics where `statistics`.
void share(const Module& master, Module module, bool statistics) {
  for (const auto& p : module.named_parameters(/*recurse=*/false))
    module.setattr(p.name, master.attr(p.name));
  if (statistics)
    for (const auto& b : module.named_buffers(/*recurse=*/false)) module.setattr(b.name, master.attr(b.name));
  for (const auto& child : module.named_children())
    share(master.attr(child.name).toModule(), child.value, statistics);
}

}  // namespace

struct Trainer::Impl {
  struct Replica {
    Module module;
    Program program;
    NamedTensors buffers;
    std::vector<at::Tensor> gradients;
    Score score;
  };

  TrainerOptions options;
  Parallel& parallel;
  std::vector<Replica> replicas;
  NamedTensors parameters;
  std::unique_ptr<Optimizer> optimizer;
  Module shown;  ///< For inference: the averages, or what replica 0 has.
  Program inference;

  Impl(TrainerOptions o, Parallel& p) : options(std::move(o)), parallel(p) {
    for (std::size_t i = 0; i < parts(options.batch); ++i) {
      Module module = make_training_module(options.architecture);
      if (i == 0) {
        forget(module, options.seed);
        use_channels_last(module);
      } else {
        share(replicas[0].module, module, false);
      }
      replicas.push_back({module, Program(module), buffers_of(module), {}, {}});
    }
    shown = make_module(options.architecture);
    shown.eval();
    if (options.ema > 0) {
      forget(shown, options.seed);
      use_channels_last(shown);
    } else {
      share(replicas[0].module, shown, true);
    }
    inference = Program(shown);
    parameters = parameters_of(replicas[0].module);
    for (const auto& [name, value] : parameters) value.requires_grad_(true);
    optimizer = make_optimizer(options.optimizer, parameters);
  }

  /// Weights and statistics as the last step left them.
  NamedTensors current() const {
    NamedTensors out = parameters;
    out.insert(out.end(), replicas[0].buffers.begin(), replicas[0].buffers.end());
    return out;
  }

  NamedTensors averages() const {
    NamedTensors out = parameters_of(shown);
    for (auto& buffer : buffers_of(shown)) out.push_back(std::move(buffer));
    return out;
  }

  /// All that is trained, under the names that a checkpoint gives it.
  NamedTensors state() const {
    NamedTensors out = optimizer->state();
    for (const auto& [name, value] : current()) out.emplace_back("weights/" + name, value);
    if (options.ema > 0)
      for (const auto& [name, value] : averages()) out.emplace_back("average/" + name, value);
    return out;
  }

  /// Into how many parts so many images are cut. One image that is left over joins the part before: alone, it
  /// may leave batch-norm a single value, which has no variance.
  std::size_t parts(std::size_t images) const {
    return std::max<std::size_t>(1, (images + options.part - 2) / options.part);
  }

  std::span<const std::uint32_t> part_of(std::span<const std::uint32_t> images, std::size_t r) const {
    const std::size_t from = r * options.part;
    const bool last = r + 1 == parts(images.size());
    return images.subspan(from, last ? images.size() - from : options.part);
  }

  /// The images of part `r` after random changes, not mixed yet.
  at::Tensor packed(const Pixels& pixels, const TrainingStep& step, std::size_t r) const {
    const auto which = part_of(step.images, r);
    at::Tensor out = empty_images(pixels, which.size());
    for (std::size_t i = 0; i < which.size(); ++i)
      pixels.pack(which[i], step.augmentation, options.seed, step.epoch, image_at(out, i));
    return out;
  }

  /// A copy of part `r`, each image mixed with its partner, which may be in any part.
  at::Tensor mixed(const std::vector<at::Tensor>& images, const augment::BatchMix& mix, std::size_t r) const {
    at::Tensor out = images[r].clone();
    for (std::size_t i = 0; i < static_cast<std::size_t>(out.size(0)); ++i) {
      const std::size_t other = mix.partner[r * options.part + i];
      const std::size_t part = std::min(other / options.part, images.size() - 1);
      mix.apply(image_at(out, i), image_at(images[part], other - part * options.part),
                static_cast<int>(out.size(2)), static_cast<int>(out.size(3)));
    }
    return out;
  }

  /// Zero with the layer's probability, else what keeps the mean: [images of part `r`, values].
  at::Tensor dropout_mask(const nn::Layer& layer, const TrainingStep& step, std::size_t r) const {
    const auto rows = static_cast<std::int64_t>(part_of(step.images, r).size());
    at::Tensor mask = at::empty({rows, layer.out});
    float* to = mask.data_ptr<float>();
    const auto kept = static_cast<float>(1 / (1 - layer.dropout));
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto place = static_cast<std::uint32_t>(r * options.part + static_cast<std::size_t>(row));
      Random random(options.seed, fmt::format("{}/{}", layer.name, step.number), place);
      for (int i = 0; i < layer.out; ++i) *to++ = random.chance(layer.dropout) ? 0.0f : kept;
    }
    return mask;
  }

  /// Forward, loss and hits of one part; the loss is divided by the images of the step for the gradient.
  void compute(const Pixels& pixels, const TrainingStep& step, std::size_t r, const at::Tensor& images) {
    Replica& replica = replicas[r];
    const auto which = part_of(step.images, r);
    for (const nn::Layer& layer : options.architecture.layers)
      if (layer.op == nn::Op::Dropout) set_mask(replica.module, layer.name, dropout_mask(layer, step, r));
    const at::Tensor logits =
        replica.program.run(images.contiguous(at::MemoryFormat::ChannelsLast)).toTensor();
    const auto loss_of = [&](const at::Tensor& target) {
      return at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum, -100, options.label_smoothing);
    };
    at::Tensor target = labels(pixels, which);
    at::Tensor loss = loss_of(target);
    if (step.mix.active()) {
      std::vector<std::uint32_t> partners;
      for (std::size_t i = 0; i < which.size(); ++i)
        partners.push_back(step.images[step.mix.partner[r * options.part + i]]);
      const at::Tensor other = labels(pixels, partners);
      loss = loss * step.mix.own + loss_of(other) * (1 - step.mix.own);
      if (step.mix.own < 0.5) target = other;
    }
    std::vector<at::Tensor> inputs;
    for (const auto& [name, value] : parameters) inputs.push_back(value);
    replica.gradients = torch::autograd::grad({loss / static_cast<double>(step.images.size())}, inputs);
    replica.score = {loss.item<double>(),
                     static_cast<std::size_t>(logits.argmax(1).eq(target).sum().item<std::int64_t>()),
                     which.size()};
  }

  void update(std::size_t used, const TrainingStep& step) {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients = std::move(replicas[0].gradients);
    for (std::size_t r = 1; r < used; ++r)
      for (std::size_t p = 0; p < gradients.size(); ++p)
        gradients[p] = gradients[p] + replicas[r].gradients[p];
    optimizer->update(gradients, step.learning_rate, step.number + 1);
    for (std::size_t b = 0; b < replicas[0].buffers.size(); ++b) {
      at::Tensor mean = replicas[0].buffers[b].second.clone();
      for (std::size_t r = 1; r < used; ++r) mean.add_(replicas[r].buffers[b].second);
      mean.div_(static_cast<double>(used));
      for (Replica& replica : replicas) replica.buffers[b].second.copy_(mean);
    }
    if (options.ema == 0) return;
    const auto t = static_cast<double>(step.number + 1);
    const double decay = std::min(options.ema, (1 + t) / (10 + t));
    const NamedTensors to = averages(), from = current();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].second.lerp_(from[i].second, 1 - decay);
  }
};

Trainer::Trainer(TrainerOptions options, Parallel& parallel)
    : impl_(std::make_unique<Impl>(std::move(options), parallel)) {}

Trainer::~Trainer() = default;

Score Trainer::step(const Pixels& pixels, const TrainingStep& step) {
  const std::size_t used = impl_->parts(step.images.size());
  std::vector<at::Tensor> images(used);
  if (step.mix.active())
    impl_->parallel.for_each(used, [&](std::size_t r) { images[r] = impl_->packed(pixels, step, r); });
  impl_->parallel.for_each(used, [&](std::size_t r) {
    use_one_thread();
    impl_->compute(pixels, step, r,
                   step.mix.active() ? impl_->mixed(images, step.mix, r) : impl_->packed(pixels, step, r));
  });
  use_one_thread();
  impl_->update(used, step);
  Score sum;
  for (std::size_t r = 0; r < used; ++r) {
    const Score& score = impl_->replicas[r].score;
    sum = {sum.loss + score.loss, sum.correct + score.correct, sum.images + score.images};
  }
  return sum;
}

Score Trainer::evaluate(const Pixels& pixels) {
  const std::size_t part = impl_->options.part;
  std::vector<Score> scores((pixels.size() + part - 1) / part);
  impl_->parallel.for_each(scores.size(), [&](std::size_t r) {
    use_one_thread();
    const c10::InferenceMode inference;
    const std::size_t from = r * part, to = std::min(pixels.size(), from + part);
    const at::Tensor images = empty_images(pixels, to - from);
    std::vector<std::uint32_t> which;
    for (std::size_t i = from; i < to; ++i) {
      pixels.pack(i, image_at(images, i - from));
      which.push_back(static_cast<std::uint32_t>(i));
    }
    const at::Tensor target = labels(pixels, which);
    const at::Tensor logits =
        impl_->inference.run(images.contiguous(at::MemoryFormat::ChannelsLast)).toTensor();
    scores[r] = {at::cross_entropy_loss(logits, target, {}, at::Reduction::Sum).item<double>(),
                 static_cast<std::size_t>(logits.argmax(1).eq(target).sum().item<std::int64_t>()), to - from};
  });
  Score sum;
  for (const Score& score : scores)
    sum = {sum.loss + score.loss, sum.correct + score.correct, sum.images + score.images};
  return sum;
}

std::map<std::string, Tensor> Trainer::weights() const {
  std::map<std::string, Tensor> out;
  for (const auto& [name, value] : impl_->averages()) out.emplace(name, copy_of(value));
  return out;
}

std::map<std::string, Tensor> Trainer::state() const {
  std::map<std::string, Tensor> out;
  for (const auto& [name, value] : impl_->state()) out.emplace(name, copy_of(value));
  return out;
}

void Trainer::restore(const std::map<std::string, Tensor>& state) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] : impl_->state()) fill(name, value, state);
  const NamedTensors& first = impl_->replicas[0].buffers;
  for (auto& replica : impl_->replicas)
    for (std::size_t b = 0; b < first.size(); ++b) replica.buffers[b].second.copy_(first[b].second);
}

}  // namespace graft
