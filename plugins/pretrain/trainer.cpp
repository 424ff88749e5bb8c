#include "trainer.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <graft/error.h>

#include "model_file.h"
#include "network.h"
#include "program.h"

namespace graft {
namespace {

using torch::jit::Module;

Tensor copy_of(const at::Tensor& in) {
  const at::Tensor source = in.detach().contiguous();
  Tensor out = Tensor::allocate(DType::F32, Shape(source.sizes().begin(), source.sizes().end()));
  std::memcpy(out.data, source.data_ptr<float>(), out.bytes());
  return out;
}

std::vector<std::pair<std::string, at::Tensor>> parameters_of(const Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const auto& p : module.named_parameters()) out.emplace_back(p.name, p.value);
  return out;
}

std::vector<std::pair<std::string, at::Tensor>> buffers_of(const Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> out;
  for (const auto& b : module.named_buffers()) out.emplace_back(b.name, b.value);
  return out;
}

void fill(const std::string& name, at::Tensor to, const std::map<std::string, Tensor>& from) {
  const auto found = from.find(name);
  if (found == from.end()) throw Error(fmt::format("tensor {} is missing", name));
  const Tensor& tensor = found->second;
  const Shape wanted(to.sizes().begin(), to.sizes().end());
  if (tensor.dtype != DType::F32 || tensor.shape != wanted)
    throw Error(fmt::format("tensor {}: expected f32{}, got {}{}", name, to_string(wanted),
                            to_string(tensor.dtype), to_string(tensor.shape)));
  const at::NoGradGuard no_grad;
  std::memcpy(to.data_ptr<float>(), tensor.data, tensor.bytes());
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

/// Makes `replica` use the parameters of `master`, module by module.
void share_parameters(const Module& master, Module replica) {
  for (const auto& p : master.named_parameters(/*recurse=*/false)) replica.setattr(p.name, p.value);
  for (const auto& child : master.named_children())
    share_parameters(child.value, replica.attr(child.name).toModule());
}

}  // namespace

struct Trainer::Impl {
  struct Replica {
    Module module;
    Program program;
    std::vector<std::pair<std::string, at::Tensor>> buffers;
    std::vector<at::Tensor> gradients;
    Score score;
  };

  TrainerOptions options;
  Parallel& parallel;
  std::vector<std::pair<std::string, at::Tensor>> parameters;
  std::vector<at::Tensor> velocity;
  std::vector<Replica> replicas;

  Impl(TrainerOptions o, Parallel& p) : options(std::move(o)), parallel(p) {
    const std::size_t count = (options.batch + options.part - 1) / options.part;
    for (std::size_t i = 0; i < count; ++i) {
      Module module = build_network(options.architecture);
      if (i == 0)
        forget(module, options.seed);
      else
        share_parameters(replicas[0].module, module);
      replicas.push_back({module, Program(module), buffers_of(module), {}, {}});
    }
    parameters = parameters_of(replicas[0].module);
    for (auto& [name, value] : parameters) {
      value.requires_grad_(true);
      velocity.push_back(at::zeros_like(value));
    }
  }

  void train(bool on) {
    for (Replica& replica : replicas)
      if (replica.module.is_training() != on) replica.module.train(on);
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
  at::Tensor mixed(const std::vector<at::Tensor>& parts, const augment::BatchMix& mix, std::size_t r) const {
    at::Tensor out = parts[r].clone();
    for (std::size_t i = 0; i < static_cast<std::size_t>(out.size(0)); ++i) {
      const std::size_t other = mix.partner[r * options.part + i];
      mix.apply(image_at(out, i), image_at(parts[other / options.part], other % options.part),
                static_cast<int>(out.size(2)), static_cast<int>(out.size(3)));
    }
    return out;
  }

  std::span<const std::uint32_t> part_of(std::span<const std::uint32_t> images, std::size_t r) const {
    const std::size_t from = r * options.part;
    return images.subspan(from, std::min(options.part, images.size() - from));
  }

  /// Forward, loss and hits of one part; the loss is divided by the images of the step for the gradient.
  void compute(const Pixels& pixels, const TrainingStep& step, std::size_t r, const at::Tensor& images) {
    Replica& replica = replicas[r];
    const auto which = part_of(step.images, r);
    const at::Tensor logits = replica.program.run(images).toTensor();
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

  void update(std::size_t used, double learning_rate) {
    const at::NoGradGuard no_grad;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      at::Tensor value = parameters[p].second;
      at::Tensor gradient = replicas[0].gradients[p];
      for (std::size_t r = 1; r < used; ++r) gradient = gradient + replicas[r].gradients[p];
      if (value.dim() > 1) gradient = gradient + value * options.weight_decay;
      velocity[p].mul_(options.momentum).add_(gradient);
      value.sub_((gradient + velocity[p] * options.momentum) * learning_rate);
    }
    for (std::size_t b = 0; b < replicas[0].buffers.size(); ++b) {
      at::Tensor mean = replicas[0].buffers[b].second.clone();
      for (std::size_t r = 1; r < used; ++r) mean.add_(replicas[r].buffers[b].second);
      mean.div_(static_cast<double>(used));
      for (Replica& replica : replicas) replica.buffers[b].second.copy_(mean);
    }
  }
};

Trainer::Trainer(TrainerOptions options, Parallel& parallel)
    : impl_(std::make_unique<Impl>(std::move(options), parallel)) {}

Trainer::~Trainer() = default;

Score Trainer::step(const Pixels& pixels, const TrainingStep& step) {
  impl_->train(true);
  const std::size_t part = impl_->options.part;
  const std::size_t used = (step.images.size() + part - 1) / part;
  std::vector<at::Tensor> parts(used);
  if (step.mix.active())
    impl_->parallel.for_each(used, [&](std::size_t r) { parts[r] = impl_->packed(pixels, step, r); });
  impl_->parallel.for_each(used, [&](std::size_t r) {
    use_one_thread();
    impl_->compute(pixels, step, r,
                   step.mix.active() ? impl_->mixed(parts, step.mix, r) : impl_->packed(pixels, step, r));
  });
  use_one_thread();
  impl_->update(used, step.learning_rate);
  Score sum;
  for (std::size_t r = 0; r < used; ++r) {
    const Score& score = impl_->replicas[r].score;
    sum = {sum.loss + score.loss, sum.correct + score.correct, sum.images + score.images};
  }
  return sum;
}

Score Trainer::evaluate(const Pixels& pixels) {
  impl_->train(false);
  // Replicas are equal between steps, so one serves all threads.
  const Program& program = impl_->replicas[0].program;
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
    const at::Tensor logits = program.run(images).toTensor();
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
  for (const auto& [name, value] : impl_->parameters) out.emplace(name, copy_of(value));
  for (const auto& [name, value] : impl_->replicas[0].buffers) out.emplace(name, copy_of(value));
  return out;
}

std::map<std::string, Tensor> Trainer::velocity() const {
  std::map<std::string, Tensor> out;
  for (std::size_t p = 0; p < impl_->parameters.size(); ++p)
    out.emplace(impl_->parameters[p].first, copy_of(impl_->velocity[p]));
  return out;
}

void Trainer::restore(const std::map<std::string, Tensor>& weights,
                      const std::map<std::string, Tensor>& velocity) {
  for (std::size_t p = 0; p < impl_->parameters.size(); ++p) {
    fill(impl_->parameters[p].first, impl_->parameters[p].second, weights);
    fill(impl_->parameters[p].first, impl_->velocity[p], velocity);
  }
  for (auto& replica : impl_->replicas)
    for (const auto& [name, value] : replica.buffers) fill(name, value, weights);
}

struct TrainedNetwork::Impl {
  Architecture architecture;
  Module module;
  Program program;
};

TrainedNetwork::TrainedNetwork(Architecture architecture, const std::map<std::string, Tensor>& weights)
    : impl_(std::make_unique<Impl>()) {
  impl_->architecture = std::move(architecture);
  impl_->module = build_network(impl_->architecture);
  for (const auto& [name, value] : parameters_of(impl_->module)) fill(name, value, weights);
  for (const auto& [name, value] : buffers_of(impl_->module)) fill(name, value, weights);
  impl_->module.eval();
  impl_->program = Program(impl_->module);
}

TrainedNetwork::TrainedNetwork(TrainedNetwork&&) noexcept = default;
TrainedNetwork::~TrainedNetwork() = default;

void TrainedNetwork::predict(const float* images, std::size_t n, int height, int width, float* out) const {
  use_one_thread();
  const c10::InferenceMode inference;
  const at::Tensor input =
      at::from_blob(const_cast<float*>(images), {static_cast<std::int64_t>(n), 3, height, width}, at::kFloat);
  const at::Tensor scores = at::softmax(impl_->program.run(input).toTensor(), 1).contiguous();
  std::memcpy(out, scores.data_ptr<float>(), static_cast<std::size_t>(scores.numel()) * sizeof(float));
}

void TrainedNetwork::save_extractor(const std::string& path) const {
  save_torchscript(build_extractor(impl_->architecture, impl_->module), path);
}

const Architecture& TrainedNetwork::architecture() const {
  return impl_->architecture;
}

std::int64_t TrainedNetwork::parameters() const {
  std::int64_t n = 0;
  for (const auto& [name, value] : parameters_of(impl_->module)) n += value.numel();
  return n;
}

}  // namespace graft
