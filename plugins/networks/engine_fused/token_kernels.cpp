#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include <network/operation.h>
#include <network/positions.h>

#include "builder.h"
#include "onednn.h"
#include "thread_count.h"

// Steps on tokens, and norms: their values have the channels last.

namespace graft::fused {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

float* floats(const memory& at) {
  return static_cast<float*>(at.get_data_handle());
}

/// Cosine and sine of the angles by which a patch is turned: of each patch, head / 2 times two.
std::vector<float> turns_of(const nn::Layer& layer, std::int64_t rows, std::int64_t columns) {
  const double full = 2 * std::acos(-1.0);
  std::vector<float> out;
  for (std::int64_t y = 0; y < rows; ++y)
    for (std::int64_t x = 0; x < columns; ++x)
      for (const double place : {2 * (static_cast<double>(y) + 0.5) / static_cast<double>(rows) - 1,
                                 2 * (static_cast<double>(x) + 0.5) / static_cast<double>(columns) - 1})
        for (const double period : layer.rope_periods) {
          out.push_back(static_cast<float>(std::cos(full * place / period)));
          out.push_back(static_cast<float>(std::sin(full * place / period)));
        }
  return out;
}

/// Attention of one image and head after the other, some queries at a time, so that their products with all
/// keys stay in the second-level cache and memory grows with the number of tokens, not with its square.
class AttentionKernel {
 public:
  AttentionKernel(const dnnl::engine& engine, const nn::Layer& layer, std::int64_t tokens, bool keeps_nan)
      : engine_(engine),
        tokens_(tokens),
        width_(layer.out),
        heads_(layer.heads),
        head_(width_ / heads_),
        keeps_nan_(keeps_nan) {
    const ThreadCount one(1);  // each kernel runs on one thread; threads share out heads
    constexpr std::int64_t kScores = std::int64_t{64} << 10, kFewest = 16;
    block_ = std::clamp(kScores / tokens, std::min(kFewest, tokens), tokens);
    block_ = (tokens + (tokens + block_ - 1) / block_ - 1) / ((tokens + block_ - 1) / block_);
    whole_ = kernels_for(block_);
    if (tokens % block_ != 0) rest_ = kernels_for(tokens % block_);
  }

  /// Floats that each thread needs.
  std::int64_t scratch() const { return block_ * tokens_; }

  /// What is added to the products of queries and keys, each [tokens,tokens]: one of each head, and of each
  /// image one of several masks, or none (null).
  struct Bias {
    std::vector<float> heads;
    std::vector<std::vector<float>> masks;
    std::vector<int> mask_of;  ///< By image, again from the first when they end; -1: none.
  };

  /// `qkv`: [images, tokens, 3 width]; `out`: [images, tokens, width]. `bias` may be null.
  void run(const float* qkv, float* out, float* scratch, std::int64_t images, int threads,
           const Bias* bias = nullptr) const {
    const std::int64_t blocks = (tokens_ + block_ - 1) / block_, tasks = images * heads_ * blocks;
    // An exception must not leave the region: it would end the process.
    std::vector<std::exception_ptr> failures(static_cast<std::size_t>(threads));
#pragma omp parallel num_threads(threads)
    try {
      const std::int64_t thread = omp_get_thread_num(), all = omp_get_num_threads();
      Worker worker(*this, scratch + thread * this->scratch());
      for (std::int64_t task = tasks * thread / all; task < tasks * (thread + 1) / all; ++task) {
        const std::int64_t image = task / (heads_ * blocks), head = task / blocks % heads_,
                           first = task % blocks * block_;
        std::array<const float*, 2> added = {nullptr, nullptr};
        if (bias != nullptr) {
          const int mask = bias->mask_of[static_cast<std::size_t>(image) % bias->mask_of.size()];
          added[0] = bias->heads.data() + (head * tokens_ + first) * tokens_;
          if (mask >= 0) added[1] = bias->masks[static_cast<std::size_t>(mask)].data() + first * tokens_;
        }
        const float* keys = qkv + (image * tokens_ * 3 + 1) * width_ + head * head_;
        worker.run(qkv + (image * tokens_ + first) * 3 * width_ + head * head_, keys, keys + width_,
                   out + (image * tokens_ + first) * width_ + head * head_,
                   first + block_ > tokens_ ? *rest_ : *whole_, added);
      }
    } catch (...) {
      failures[static_cast<std::size_t>(omp_get_thread_num())] = std::current_exception();
    }
    for (const std::exception_ptr& failure : failures)
      if (failure) std::rethrow_exception(failure);
  }

 private:
  /// For a number of queries.
  struct Kernels {
    memory::desc q, k, scores, v, out;
    dnnl::primitive score, soften, mix;
    std::size_t scratchpad = 0;
  };

  std::unique_ptr<Kernels> kernels_for(std::int64_t queries) const {
    constexpr auto kF32 = memory::data_type::f32;
    const memory::dim step = 3 * width_;
    auto out = std::make_unique<Kernels>();
    out->q = {{queries, head_}, kF32, memory::dims{step, 1}};
    out->k = {{head_, tokens_}, kF32, memory::dims{1, step}};
    out->v = {{tokens_, head_}, kF32, memory::dims{step, 1}};
    out->scores = {{queries, tokens_}, kF32, Tag::ab};
    out->out = {{queries, head_}, kF32, memory::dims{width_, 1}};
    dnnl::primitive_attr plain, scaled;
    plain.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    scaled.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    dnnl::post_ops scale;
    onednn::append_eltwise(scale, dnnl::algorithm::eltwise_linear, 1 / std::sqrt(static_cast<float>(head_)),
                           0);
    scaled.set_post_ops(scale);
    const auto score = onednn::matmul(engine_, out->q, out->k, out->scores, scaled);
    const auto soften = onednn::softmax(engine_, out->scores, plain);
    const auto mix = onednn::matmul(engine_, out->scores, out->v, out->out, plain);
    out->score = dnnl::matmul(score);
    out->soften = onednn::Softmax(soften);
    out->mix = dnnl::matmul(mix);
    out->scratchpad = std::max({score.scratchpad_desc().get_size(), soften.scratchpad_desc().get_size(),
                                mix.scratchpad_desc().get_size()});
    return out;
  }

  /// What one thread needs.
  class Worker {
   public:
    Worker(const AttentionKernel& kernel, float* scores)
        : stream_(kernel.engine_),
          engine_(kernel.engine_),
          scores_(scores),
          tokens_(kernel.tokens_),
          keeps_nan_(kernel.keeps_nan_) {
      const std::size_t rest = kernel.rest_ ? kernel.rest_->scratchpad : 0;
      scratchpad_.resize(std::max(kernel.whole_->scratchpad, rest) + kAlignment);
    }

    void run(const float* q, const float* k, const float* v, float* out, const Kernels& with,
             const std::array<const float*, 2>& added) {
      if (with_ != &with) prepare(with);
      memory& queries = score_.at(DNNL_ARG_SRC);
      queries.set_data_handle(const_cast<float*>(q));
      score_.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<float*>(k));
      mix_.at(DNNL_ARG_WEIGHTS).set_data_handle(const_cast<float*>(v));
      mix_.at(DNNL_ARG_DST).set_data_handle(out);
      with.score.execute(stream_, score_);
      for (const float* matrix : added) {
        if (matrix == nullptr) continue;
        stream_.wait();
        const auto size = static_cast<std::ptrdiff_t>(with.scores.get_size() / sizeof(float));
        std::transform(scores_, scores_ + size, matrix, scores_, std::plus<>());
      }
      if (keeps_nan_)
        soften_plainly(with);
      else
        with.soften.execute(stream_, soften_);
      with.mix.execute(stream_, mix_);
      stream_.wait();
    }

   private:
    static constexpr std::size_t kAlignment = 64;

    void soften_plainly(const Kernels& with) {
      stream_.wait();
      float* const end = scores_ + with.scores.get_size() / sizeof(float);
      for (float* row = scores_; row != end; row += tokens_) {
        const float most = *std::max_element(row, row + tokens_);
        float sum = 0;
        for (std::int64_t t = 0; t < tokens_; ++t) sum += row[t] = std::exp(row[t] - most);
        for (std::int64_t t = 0; t < tokens_; ++t) row[t] /= sum;
      }
    }

    void prepare(const Kernels& with) {
      with_ = &with;
      void* at = scratchpad_.data();
      std::size_t space = scratchpad_.size();
      std::align(kAlignment, space - kAlignment, at, space);
      const memory::desc bytes({static_cast<memory::dim>(scratchpad_.size() - kAlignment)},
                               memory::data_type::u8, Tag::x);
      const memory scratchpad(bytes, engine_, at), scores(with.scores, engine_, scores_);
      score_ = {{DNNL_ARG_SRC, {with.q, engine_, nullptr}},
                {DNNL_ARG_WEIGHTS, {with.k, engine_, nullptr}},
                {DNNL_ARG_DST, scores},
                {DNNL_ARG_SCRATCHPAD, scratchpad}};
      soften_ = {{DNNL_ARG_SRC, scores}, {DNNL_ARG_DST, scores}, {DNNL_ARG_SCRATCHPAD, scratchpad}};
      mix_ = {{DNNL_ARG_SRC, scores},
              {DNNL_ARG_WEIGHTS, {with.v, engine_, nullptr}},
              {DNNL_ARG_DST, {with.out, engine_, nullptr}},
              {DNNL_ARG_SCRATCHPAD, scratchpad}};
    }

    dnnl::stream stream_;
    const dnnl::engine& engine_;
    float* scores_;
    const std::int64_t tokens_;
    const bool keeps_nan_;
    const Kernels* with_ = nullptr;
    std::vector<std::byte> scratchpad_;
    std::unordered_map<int, memory> score_, soften_, mix_;
  };

  const dnnl::engine engine_;
  const std::int64_t tokens_, width_, heads_, head_;
  const bool keeps_nan_;
  std::int64_t block_ = 0;
  std::unique_ptr<Kernels> whole_, rest_;
};

}  // namespace

void Builder::loop(const Step& step, Loop run) {
  const std::size_t in = slot_in(step.from, channels_last(step.from, Type::f32));
  const std::size_t to = make_slot(step.to, channels_last(step.to, Type::f32));
  call({}, Desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}}).plain =
      [in, to, run = std::move(run)](const std::vector<memory>& slots) {
        run(floats(slots[in]), floats(slots[to]));
      };
}

void Builder::layer_norm(const Step& step) {
  const std::size_t in = slot_in(step.from, channels_last(step.from, type_));
  const std::size_t to = make_slot(step.to, channels_last(step.to, type_));
  const memory::dim channels = step.layer.out, places = elements(shape_[step.from]) / channels;
  const Desc rows({program_.images_ * places, channels}, type_, Tag::ab);
  const auto kernel =
      onednn::layer_norm(network_.engine(), rows, static_cast<float>(step.layer.eps), attributes(false, {}));
  Program::Call& made = call(dnnl::layer_normalization_forward(kernel), kernel.scratchpad_desc(),
                             {{DNNL_ARG_SRC, view(in, rows)}, {DNNL_ARG_DST, view(to, rows)}});
  const auto tensor = [&](const float* values) {
    return memory({{channels}, Type::f32, Tag::x}, network_.engine(), const_cast<float*>(values));
  };
  made.constants = {{DNNL_ARG_SCALE, tensor(step.weights.data())},
                    {DNNL_ARG_SHIFT, tensor(step.bias.data())}};
}

void Builder::response_norm(const Step& step) {
  const std::int64_t channels = step.layer.out, places = elements(shape_[step.from]) / channels;
  loop(step, [&step, channels, places, images = program_.images_](const float* in, float* out) {
    std::vector<double> length(static_cast<std::size_t>(channels));
    for (int image = 0; image < images; ++image) {
      std::fill(length.begin(), length.end(), 0.0);
      for (std::int64_t i = 0; i < places * channels; ++i)
        length[static_cast<std::size_t>(i % channels)] +=
            static_cast<double>(in[i]) * static_cast<double>(in[i]);
      double mean = 0;
      for (double& l : length) mean += (l = std::sqrt(l)) / static_cast<double>(channels);
      for (std::int64_t p = 0; p < places; ++p)
        for (std::size_t c = 0; c < length.size(); ++c, ++in) {
          const auto factor = static_cast<float>(length[c] / (mean + step.layer.eps));
          *out++ = *in + step.weights[c] * *in * factor + step.bias[c];
        }
    }
  });
}

void Builder::embed(const Step& step) {
  const nn::Layer& layer = step.layer;
  const Shape& grid = shape_[step.from];
  const std::int64_t patches = grid[1] * grid[2] * layer.out, images = program_.images_;
  std::vector<float> position;
  if (layer.grid_height > 0)
    position = nn::resized_positions(step.weights.data(), layer.grid_height, layer.grid_width, layer.out,
                                     layer.positions, static_cast<int>(grid[1]), static_cast<int>(grid[2]));
  loop(step, [&step, patches, images, position = std::move(position)](const float* in, float* out) {
    for (std::int64_t image = 0; image < images; ++image) {
      out = std::copy(step.bias.begin(), step.bias.end(), out);
      if (position.empty())
        std::copy_n(in, patches, out);
      else
        std::transform(in, in + patches, position.begin(), out, [](float a, float b) { return a + b; });
      in += patches;
      out += patches;
    }
  });
}

void Builder::attention(const Step& step) {
  const nn::Layer& layer = step.layer;
  const std::int64_t tokens = shape_[step.to][0], images = program_.images_, width = layer.out;
  const auto kernel = std::make_shared<const AttentionKernel>(network_.engine(), layer, tokens, keeps_nan_);
  std::size_t in = slot_in(step.from, channels_last(step.from, Type::f32));
  if (!layer.rope_periods.empty()) {
    // Into a copy: another step may read the value.
    const std::size_t turned =
        add_slot(layout_of(in), static_cast<std::ptrdiff_t>(new_region(layout_of(in))));
    const std::int64_t head = width / layer.heads, prefix = layer.prefix;
    const Shape& grid = shape_[step.shapes.at(0)];
    auto turns = turns_of(layer, grid[1], grid[2]);
    call({}, Desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, turned}}).plain =
        [=, turns = std::move(turns)](const std::vector<memory>& slots) {
          const float* from = floats(slots[in]);
          float* to = floats(slots[turned]);
          std::copy_n(from, images * tokens * 3 * width, to);
          for (std::int64_t row = 0; row < images * tokens; ++row) {
            if (row % tokens < prefix) continue;
            const float* turn = turns.data() + (row % tokens - prefix) * head;
            for (std::int64_t first = 0; first < 2 * width; first += head)  // queries, then keys
              for (std::int64_t j = 0; j < head / 2; ++j) {
                float &a = to[row * 3 * width + first + j], &b = to[row * 3 * width + first + head / 2 + j];
                const float cosine = turn[2 * j], sine = turn[2 * j + 1], before = a;
                a = before * cosine - b * sine;
                b = b * cosine + before * sine;
              }
          }
        };
    in = turned;
  }
  const std::size_t to = make_slot(step.to, channels_last(step.to, Type::f32));
  const int threads = program_.threads_;
  const Desc room({threads * kernel->scratch()}, Type::f32, Tag::x);
  const std::size_t scores = add_slot(room, static_cast<std::ptrdiff_t>(new_region(room)));
  call({}, Desc(), {{DNNL_ARG_SRC, in}, {DNNL_ARG_DST, to}, {DNNL_ARG_WORKSPACE, scores}}).plain =
      [=](const std::vector<memory>& slots) {
        kernel->run(floats(slots[in]), floats(slots[to]), floats(slots[scores]), images, threads);
      };
}

void Builder::attention_pool(const Step& step) {
  const std::int64_t tokens = shape_[step.from][0], width = step.layer.out, head = width / step.layer.heads;
  loop(step, [&step, tokens, width, head, images = program_.images_](const float* in, float* out) {
    std::vector<double> score(static_cast<std::size_t>(tokens)), sum(static_cast<std::size_t>(head));
    for (int image = 0; image < images; ++image, in += tokens * 2 * width, out += width)
      for (std::int64_t first = 0; first < width; first += head) {
        for (std::int64_t t = 0; t < tokens; ++t) {
          double product = 0;
          for (std::int64_t c = first; c < first + head; ++c)
            product += static_cast<double>(step.weights[static_cast<std::size_t>(c)]) *
                       static_cast<double>(in[t * 2 * width + c]);
          score[static_cast<std::size_t>(t)] = product / std::sqrt(static_cast<double>(head));
        }
        const double most = *std::max_element(score.begin(), score.end());
        double all = 0;
        for (double& s : score) all += s = std::exp(s - most);
        std::fill(sum.begin(), sum.end(), 0.0);
        for (std::int64_t t = 0; t < tokens; ++t)
          for (std::int64_t c = 0; c < head; ++c)
            sum[static_cast<std::size_t>(c)] +=
                score[static_cast<std::size_t>(t)] * static_cast<double>(in[(t * 2 + 1) * width + first + c]);
        std::transform(sum.begin(), sum.end(), out + first,
                       [all](double v) { return static_cast<float>(v / all); });
      }
  });
}

void Builder::token_mean(const Step& step) {
  const std::int64_t tokens = shape_[step.from][0], width = step.layer.out, first = step.layer.first,
                     last = step.layer.count > 0 ? first + step.layer.count : tokens;
  loop(step, [=, images = program_.images_](const float* in, float* out) {
    std::vector<double> sum(static_cast<std::size_t>(width));
    for (int image = 0; image < images; ++image, in += tokens * width, out += width) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (std::int64_t t = first; t < last; ++t)
        for (std::int64_t c = 0; c < width; ++c)
          sum[static_cast<std::size_t>(c)] += static_cast<double>(in[t * width + c]);
      std::transform(sum.begin(), sum.end(), out,
                     [&](double v) { return static_cast<float>(v / static_cast<double>(last - first)); });
    }
  });
}

void Builder::concat(const Step& step) {
  // In blocks where no channels of two values share one.
  const bool whole = std::all_of(step.more.begin(), step.more.end(), [&](ValueId value) {
    return shape_[value].size() == 3 && shape_[value][0] % 16 == 0;
  });
  const auto layout = [&](ValueId value) { return whole ? blocked(value) : channels_last(value, type_); };
  std::vector<Desc> layouts;
  std::vector<std::pair<int, std::size_t>> slots;
  for (const ValueId value : step.more) {
    slots.emplace_back(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(slots.size()), slot_in(value, layout(value)));
    layouts.push_back(layout(value));
  }
  const std::size_t to = make_slot(step.to, layout(step.to));
  const auto kernel = onednn::concat(network_.engine(), layout_of(to), 1, layouts, attributes(false, {}));
  slots.emplace_back(DNNL_ARG_DST, to);
  call(dnnl::concat(kernel), kernel.scratchpad_desc(), std::move(slots));
}

void Builder::blur_pool(const Step& step) {
  const Shape &from = shape_[step.from], &to = shape_[step.to];
  const std::int64_t stride = step.layer.stride, images = program_.images_;
  loop(step, [=](const float* in, float* out) {
    const std::int64_t channels = from[0], height = from[1], width = from[2];
    for (std::int64_t image = 0; image < images; ++image, in += channels * height * width)
      for (std::int64_t y = 0; y < to[1]; ++y)
        for (std::int64_t x = 0; x < to[2]; ++x, out += channels) {
          std::fill_n(out, channels, 0.0f);
          for (std::int64_t v = -1; v <= 1; ++v)
            for (std::int64_t u = -1; u <= 1; ++u) {
              const float* pixel =
                  in + (nn::mirrored(y * stride + v, height) * width + nn::mirrored(x * stride + u, width)) *
                           channels;
              const float factor = static_cast<float>((2 - v * v) * (2 - u * u)) / 16;
              for (std::int64_t c = 0; c < channels; ++c) out[c] += factor * pixel[c];
            }
        }
  });
}

void Builder::gather(const Step& step) {
  const nn::Layer& layer = step.layer;
  const std::int64_t channels = layer.in, places = elements(shape_[step.from]) / channels;
  std::vector<std::int64_t> from;
  if (layer.op == nn::Op::ChannelSlice)
    for (std::int64_t c = 0; c < layer.out; ++c) from.push_back(layer.first + c);
  else
    for (std::int64_t c = 0; c < channels; ++c)
      from.push_back(c % layer.groups * (channels / layer.groups) + c / layer.groups);
  loop(step,
       [channels, rows = program_.images_ * places, from = std::move(from)](const float* in, float* out) {
         for (std::int64_t row = 0; row < rows; ++row, in += channels)
           for (const std::int64_t c : from) *out++ = in[c];
       });
}

void Builder::scale(const Step& step) {
  loop(step, [factors = step.weights, images = program_.images_](const float* in, float* out) {
    for (std::int64_t image = 0; image < images; ++image)
      for (std::size_t i = 0; i < factors.size(); ++i) *out++ = *in++ * factors[i];
  });
}

void Builder::patch_merge(const Step& step) {
  const Shape &from = shape_[step.from], &to = shape_[step.to];
  loop(step, [from, to, images = program_.images_](const float* in, float* out) {
    const std::int64_t channels = from[0], height = from[1], width = from[2];
    for (std::int64_t image = 0; image < images; ++image, in += channels * height * width)
      for (std::int64_t y = 0; y < to[1]; ++y)
        for (std::int64_t x = 0; x < to[2]; ++x)
          for (std::int64_t part = 0; part < 4; ++part) {
            const std::int64_t v = 2 * y + part % 2, u = 2 * x + part / 2;
            out = v < height && u < width ? std::copy_n(in + (v * width + u) * channels, channels, out)
                                          : std::fill_n(out, channels, 0.0f);
          }
  });
}

namespace {

/// The bias of each pair of places, of each head, and the masks of windows with pixels of several regions.
AttentionKernel::Bias window_bias(const Step& step, const std::array<nn::WindowSide, 2>& sides) {
  const nn::Layer& layer = step.layer;
  const std::int64_t rows = layer.kernel.height, columns = layer.kernel.width, n = rows * columns;
  AttentionKernel::Bias out;
  for (std::int64_t head = 0; head < layer.heads; ++head)
    for (std::int64_t q = 0; q < n; ++q)
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t pair = (q / columns - k / columns + rows - 1) * (2 * columns - 1) + q % columns -
                                  k % columns + columns - 1;
        out.heads.push_back(step.weights[static_cast<std::size_t>(pair * layer.heads + head)]);
      }
  std::map<std::vector<int>, int> known;  // by the regions of a window's pixels
  const auto height = static_cast<std::int64_t>(sides[0].from.size()),
             width = static_cast<std::int64_t>(sides[1].from.size());
  for (std::int64_t top = 0; top < height; top += rows)
    for (std::int64_t left = 0; left < width; left += columns) {
      std::vector<int> region;
      for (std::int64_t i = 0; i < n; ++i)
        region.push_back(3 * sides[0].region[static_cast<std::size_t>(top + i / columns)] +
                         sides[1].region[static_cast<std::size_t>(left + i % columns)]);
      if (std::count(region.begin(), region.end(), region[0]) == n) {
        out.mask_of.push_back(-1);
        continue;
      }
      const auto [found, is_new] = known.emplace(region, static_cast<int>(out.masks.size()));
      out.mask_of.push_back(found->second);
      if (!is_new) continue;
      std::vector<float>& mask = out.masks.emplace_back();
      for (const int q : region)
        for (const int k : region) mask.push_back(q == k ? 0.0f : -static_cast<float>(nn::kOtherRegion));
    }
  return out;
}

}  // namespace

void Builder::window_attention(const Step& step) {
  const nn::Layer& layer = step.layer;
  std::vector<Shape> shapes{shape_[step.from]};
  for (const ValueId value : step.shapes) shapes.push_back(shape_[value]);
  const auto sides = nn::window_sides(layer, shapes);
  const std::int64_t rows = layer.kernel.height, columns = layer.kernel.width, n = rows * columns,
                     width = layer.out, padded = shapes[0][2], pixels = shapes[0][1] * padded,
                     own_rows = shapes[1][1], own_columns = shapes[1][2], images = program_.images_;
  // Where a token of the windows, one after the other, lies in the padded image.
  std::vector<std::int64_t> place;
  for (std::int64_t top = 0; top < shapes[0][1]; top += rows)
    for (std::int64_t left = 0; left < padded; left += columns)
      for (std::int64_t i = 0; i < n; ++i)
        place.push_back(sides[0].from[static_cast<std::size_t>(top + i / columns)] * padded +
                        sides[1].from[static_cast<std::size_t>(left + i % columns)]);
  const auto kernel = std::make_shared<const AttentionKernel>(network_.engine(), layer, n, keeps_nan_);
  const auto bias = std::make_shared<const AttentionKernel::Bias>(window_bias(step, sides));
  const int threads = program_.threads_;
  const auto room = [&](std::int64_t floats) {
    const Desc desc({floats}, Type::f32, Tag::x);
    return add_slot(desc, static_cast<std::ptrdiff_t>(new_region(desc)));
  };
  const std::size_t in = slot_in(step.from, channels_last(step.from, Type::f32));
  const std::size_t to = make_slot(step.to, channels_last(step.to, Type::f32));
  const std::size_t qkv = room(images * pixels * 3 * width), mixed = room(images * pixels * width),
                    scores = room(threads * kernel->scratch());
  call({}, Desc(),
       {{DNNL_ARG_SRC, in},
        {DNNL_ARG_DST, to},
        {DNNL_ARG_SRC_1, qkv},
        {DNNL_ARG_SRC_2, mixed},
        {DNNL_ARG_WORKSPACE, scores}})
      .plain = [=, place = std::move(place)](const std::vector<memory>& slots) {
    const float *from = floats(slots[in]), *attended = floats(slots[mixed]);
    float *windows = floats(slots[qkv]), *out = floats(slots[to]);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::int64_t i = 0; i < images * pixels; ++i)
      std::copy_n(from + (i / pixels * pixels + place[static_cast<std::size_t>(i % pixels)]) * 3 * width,
                  3 * width, windows + i * 3 * width);
    kernel->run(windows, floats(slots[mixed]), floats(slots[scores]), images * pixels / n, threads,
                bias.get());
#pragma omp parallel for num_threads(threads) schedule(static)
    for (std::int64_t i = 0; i < images * pixels; ++i) {
      const std::int64_t at = place[static_cast<std::size_t>(i % pixels)], y = at / padded, x = at % padded;
      if (y < own_rows && x < own_columns)
        std::copy_n(attended + i * width, width,
                    out + ((i / pixels * own_rows + y) * own_columns + x) * width);
    }
  };
}

}  // namespace graft::fused
