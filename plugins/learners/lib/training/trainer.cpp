#include <training/trainer.h>

#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <graft/error.h>
#include <graft/random.h>

#include <libtorch/libtorch.h>
#include <libtorch/network_module.h>
#include <libtorch/program.h>
#include <training/frozen_part.h>
#include <training/tensors.h>
#include <training/trainable_network.h>
#include "loss.h"

namespace graft::training {
namespace {

using torch::jit::Module;

at::Tensor empty_images(const Pixels& pixels, std::size_t n) {
  return at::empty({static_cast<std::int64_t>(n), 3, pixels.height(), pixels.width()});
}

float* image_at(const at::Tensor& images, std::size_t i) {
  return images.data_ptr<float>() + static_cast<std::int64_t>(i) * images.stride(0);
}

/// Casts for products to bf16 on the calling thread while it lives. Its cache of casts would be shared by
/// threads, and every weight is cast once only.
class Autocast {
 public:
  explicit Autocast(bool on) : on_(on) {
    if (!on_) return;
    at::autocast::set_autocast_cache_enabled(false);
    libtorch::set_cpu_autocast(true);
  }
  ~Autocast() {
    if (!on_) return;
    libtorch::set_cpu_autocast(false);
    at::autocast::set_autocast_cache_enabled(true);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
};

/// The module at a path such as "layer1.0.bn1".
Module child_of(Module module, const std::string& path) {
  for (std::size_t from = 0; from < path.size();) {
    const std::size_t to = std::min(path.find('.', from), path.size());
    module = module.attr(path.substr(from, to - from)).toModule();
    from = to + 1;
  }
  return module;
}

/// Paths of the batch-norm layers whose scale is among these parameters.
std::vector<std::string> norms_among(const NamedTensors& buffers, const std::set<std::string>& parameters) {
  static const std::string kMean = ".running_mean";
  std::vector<std::string> out;
  for (const auto& [name, value] : buffers) {
    if (!name.ends_with(kMean)) continue;
    const std::string path = name.substr(0, name.size() - kMean.size());
    if (parameters.contains(path + ".weight")) out.push_back(path);
  }
  return out;
}

}  // namespace

struct Trainer::Impl {
  struct Replica {
    Module module;
    libtorch::Program program;
    NamedTensors buffers;
    std::vector<at::Tensor> gradients;
    StepSum sum;
  };

  TrainerOptions options;
  const FrozenPart* before;
  Parallel& parallel;
  std::vector<nn::Layer> dropouts;
  std::vector<Replica> replicas;
  NamedTensors all;                  ///< Every parameter.
  NamedTensors parameters;           ///< Those of the groups.
  std::vector<ParameterPace> paces;  ///< Parallel to them.
  std::unique_ptr<Optimizer> optimizer;
  Module shown;  ///< For inference: the averages, or what replica 0 has.
  libtorch::Program inference;

  std::vector<at::Tensor> active;      ///< Parameters that take part in the present step.
  std::vector<std::size_t> active_at;  ///< Their places among the parameters.
  std::set<std::string> open;          ///< Buffers that do.

  Impl(TrainerOptions o, const TrainableNetwork& network, const FrozenPart* b, Parallel& p)
      : options(std::move(o)), before(b), parallel(p), dropouts(network.dropouts()) {
    for (std::size_t i = 0; i < parts(options.batch); ++i) {
      Module module = network.training(options.bf16);
      if (i == 0)
        use_channels_last(module);
      else
        share(replicas[0].module, module, false);
      replicas.push_back({module, libtorch::Program(module), buffers_of(module), {}, {}});
    }
    shown = network.inference();
    if (options.ema > 0)
      use_channels_last(shown);
    else
      share(replicas[0].module, shown, true);
    inference = libtorch::Program(shown);
    all = parameters_of(replicas[0].module);
    for (const auto& [name, value] : all) value.requires_grad_(false);
    choose_parameters();
    optimizer = make_optimizer(options.optimizer, parameters, paces);
  }

  void choose_parameters() {
    if (options.groups.empty()) {
      parameters = all;
      paces.assign(all.size(), {});
      return;
    }
    std::map<std::string, const ParameterGroup*> group_of;
    for (const ParameterGroup& group : options.groups)
      for (const std::string& path : group.paths) group_of[path] = &group;
    for (const auto& [name, value] : all) {
      const auto found = group_of.find(name);
      if (found == group_of.end()) continue;
      parameters.emplace_back(name, value);
      paces.push_back({found->second->rate, found->second->first_step});
      group_of.erase(found);
    }
    if (!group_of.empty())
      throw Error(fmt::format("the network has no parameter '{}'", group_of.begin()->first));
  }

  /// Opens what the step trains. Nothing that was open is closed again.
  void prepare(std::int64_t step) {
    const auto trained = [&](const ParameterPace& pace) { return step >= pace.first_step; };
    if (std::cmp_equal(std::count_if(paces.begin(), paces.end(), trained), active.size())) return;
    active.clear();
    active_at.clear();
    std::set<std::string> names;
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      parameters[p].second.requires_grad_(trained(paces[p]));
      if (!trained(paces[p])) continue;
      active.push_back(parameters[p].second);
      active_at.push_back(p);
      names.insert(parameters[p].first);
    }
    std::vector<std::string> norms;
    if (options.train_statistics) norms = norms_among(replicas[0].buffers, names);
    for (Replica& replica : replicas) {
      replica.module.eval();
      for (const std::string& path : norms) child_of(replica.module, path).train();
    }
    for (const std::string& path : norms)
      for (const char* name : {".running_mean", ".running_var"}) open.insert(path + name);
  }

  /// Weights and statistics as the last step left them.
  NamedTensors current() const {
    NamedTensors out = all;
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

  /// The images of part `r` after random changes, not mixed yet; or what the frozen part has kept of them.
  at::Tensor packed(const Pixels& pixels, const TrainingStep& step, const TrainingStep::Batch& batch,
                    std::size_t r) const {
    const auto which = part_of(batch.images, r);
    if (before != nullptr && before->keeps(pixels)) return before->kept(pixels, which);
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

  /// What the network gets of images.
  at::Tensor input_of(const Pixels& pixels, const at::Tensor& images) const {
    const at::Tensor input = before == nullptr || before->keeps(pixels) ? images : before->run(images);
    return input.dim() == 4 ? input.contiguous(at::MemoryFormat::ChannelsLast) : input;
  }

  /// Zero with the layer's probability, else what keeps the mean: [rows, values]. `first`: place of the first
  /// row among the images of the step.
  at::Tensor dropout_mask(const nn::Layer& layer, std::int64_t step, std::size_t first,
                          std::size_t rows) const {
    at::Tensor mask = at::empty({static_cast<std::int64_t>(rows), layer.out});
    float* to = mask.data_ptr<float>();
    const auto kept = static_cast<float>(1 / (1 - layer.dropout));
    for (std::size_t row = 0; row < rows; ++row) {
      Random random(options.seed, fmt::format("{}/{}", layer.name, step),
                    static_cast<std::uint32_t>(first + row));
      for (int i = 0; i < layer.out; ++i) *to++ = random.chance(layer.dropout) ? 0.0f : kept;
    }
    return mask;
  }

  at::Tensor logits_of(const Replica& replica, const at::Tensor& input) const {
    const Autocast cast(options.bf16);
    return replica.program.run(input).toTensor().to(at::kFloat);
  }

  /// Forward, loss and hits of one part; the loss is divided by the images of the step for the gradient.
  void compute(const Pixels& pixels, const TrainingStep& step, std::size_t b, std::size_t r,
               const at::Tensor& images, std::size_t images_of_step) {
    Replica& replica = replicas[r];
    const TrainingStep::Batch& batch = step.batches[b];
    const auto which = part_of(batch.images, r);
    for (const nn::Layer& layer : dropouts)
      libtorch::set_mask(
          replica.module, layer.name,
          dropout_mask(layer, step.number, b * options.batch + r * options.part, which.size()));
    const at::Tensor logits = logits_of(replica, input_of(pixels, images));
    const LossOptions bent{options.label_smoothing, step.temperature};
    const auto targets = [&](std::span<const std::uint32_t> of) {
      return targets_of(pixels, of, logits.size(1), options.several_labels);
    };
    at::Tensor target = targets(which);
    at::Tensor loss = loss_of(logits, target, bent);
    if (batch.mix.active()) {
      std::vector<std::uint32_t> partners;
      for (std::size_t i = 0; i < which.size(); ++i)
        partners.push_back(batch.images[batch.mix.partner[r * options.part + i]]);
      const at::Tensor other = targets(partners);
      loss = loss * batch.mix.own + loss_of(logits, other, bent) * (1 - batch.mix.own);
      if (batch.mix.own < 0.5) target = other;
    }
    replica.gradients = torch::autograd::grad({loss / static_cast<double>(images_of_step)}, active, {}, {},
                                              false, /*allow_unused=*/true);
    replica.sum = {loss.item<double>(), hits(logits, target), which.size()};
  }

  /// Adds the gradients of one batch to `sum`, and brings its statistics together.
  void collect(std::size_t used, std::vector<at::Tensor>& sum) {
    const at::NoGradGuard no_grad;
    for (std::size_t r = 0; r < used; ++r) {
      std::vector<at::Tensor> part = std::move(replicas[r].gradients);
      if (sum.empty()) {
        sum = std::move(part);
        continue;
      }
      for (std::size_t p = 0; p < sum.size(); ++p)
        if (sum[p].defined()) sum[p] = sum[p] + part[p];
    }
    for (std::size_t b = 0; b < replicas[0].buffers.size(); ++b) {
      if (!open.contains(replicas[0].buffers[b].first)) continue;
      at::Tensor mean = replicas[0].buffers[b].second.clone();
      for (std::size_t r = 1; r < used; ++r) mean.add_(replicas[r].buffers[b].second);
      mean.div_(static_cast<double>(used));
      for (Replica& replica : replicas) replica.buffers[b].second.copy_(mean);
    }
  }

  void update(const std::vector<at::Tensor>& sum, const TrainingStep& step) {
    const at::NoGradGuard no_grad;
    if (options.clip > 0) clip_gradients(sum, options.clip);
    std::vector<at::Tensor> gradients(parameters.size());
    for (std::size_t i = 0; i < active_at.size(); ++i) gradients[active_at[i]] = sum[i];
    optimizer->update(gradients, step.learning_rate, step.number + 1);
    if (options.ema == 0) return;
    const auto t = static_cast<double>(step.number + 1);
    const double decay = std::min(options.ema, (1 + t) / (10 + t));
    const NamedTensors to = averages(), from = current();
    for (std::size_t i = 0; i < to.size(); ++i) to[i].second.lerp_(from[i].second, 1 - decay);
  }
};

Trainer::Trainer(TrainerOptions options, const TrainableNetwork& network, const FrozenPart* before,
                 Parallel& parallel)
    : impl_(std::make_unique<Impl>(std::move(options), network, before, parallel)) {}

Trainer::~Trainer() = default;

StepSum Trainer::step(const Pixels& pixels, const TrainingStep& step) {
  impl_->prepare(step.number);
  std::size_t images_of_step = 0;
  for (const auto& batch : step.batches) images_of_step += batch.images.size();
  std::vector<at::Tensor> gradients;
  StepSum sum;
  for (std::size_t b = 0; b < step.batches.size(); ++b) {
    const TrainingStep::Batch& batch = step.batches[b];
    const std::size_t used = impl_->parts(batch.images.size());
    std::vector<at::Tensor> images(used);
    const auto pack = [&](std::size_t r) { return impl_->packed(pixels, step, batch, r); };
    if (batch.mix.active()) impl_->parallel.for_each(used, [&](std::size_t r) { images[r] = pack(r); });
    impl_->parallel.for_each(used, [&](std::size_t r) {
      libtorch::use_one_thread();
      const at::Tensor part = batch.mix.active() ? impl_->mixed(images, batch.mix, r) : pack(r);
      try {
        impl_->compute(pixels, step, b, r, part, images_of_step);
      } catch (const c10::Error& fault) {
        throw Error(fmt::format("the network cannot be trained{}: {}",
                                impl_->options.bf16 ? " with precision bf16; use fp32" : "",
                                libtorch::reason(fault)));
      }
    });
    libtorch::use_one_thread();
    impl_->collect(used, gradients);
    for (std::size_t r = 0; r < used; ++r) sum += impl_->replicas[r].sum;
  }
  impl_->update(gradients, step);
  return sum;
}

metrics::Score Trainer::evaluate(const Pixels& pixels) {
  const std::size_t part = impl_->options.part;
  std::vector<metrics::ScoreSum> parts((pixels.size() + part - 1) / part);
  impl_->parallel.for_each(parts.size(), [&](std::size_t r) {
    libtorch::use_one_thread();
    const c10::InferenceMode inference;
    const std::size_t from = r * part, to = std::min(pixels.size(), from + part);
    std::vector<std::uint32_t> which;
    for (std::size_t i = from; i < to; ++i) which.push_back(static_cast<std::uint32_t>(i));
    at::Tensor images;
    if (impl_->before != nullptr && impl_->before->keeps(pixels)) {
      images = impl_->before->kept(pixels, which);
    } else {
      images = empty_images(pixels, to - from);
      for (std::size_t i = from; i < to; ++i) pixels.pack(i, image_at(images, i - from));
    }
    const at::Tensor logits = impl_->inference.run(impl_->input_of(pixels, images)).toTensor();
    const at::Tensor target = targets_of(pixels, which, logits.size(1), impl_->options.several_labels);
    parts[r] = score_of(logits, target);
  });
  metrics::ScoreSum sum;
  for (const metrics::ScoreSum& one : parts) sum += one;
  return sum.mean();
}

std::int64_t Trainer::trainable_parameters() const {
  std::int64_t n = 0;
  for (const auto& [name, value] : impl_->parameters) n += value.numel();
  return n;
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

}  // namespace graft::training
