#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>

#include "evaluate.h"
#include "movement.h"
#include "resample.h"

namespace graft::nn::onnx {
namespace {

using Inputs = std::vector<ArrayPtr>;

/// An input of real numbers.
const Array& reals(const Node& node, const Inputs& inputs, std::size_t i) {
  if (i >= inputs.size() || inputs[i] == nullptr) node.fail(fmt::format("has no input {}", i));
  if (!inputs[i]->is_float) node.fail(fmt::format("has whole numbers as its input {}", i));
  return *inputs[i];
}

const Array* optional_reals(const Node& node, const Inputs& inputs, std::size_t i) {
  return node.has_input(i) ? &reals(node, inputs, i) : nullptr;
}

const Array& image(const Node& node, const Inputs& inputs) {
  const Array& in = reals(node, inputs, 0);
  if (in.shape.size() != 4) node.fail(fmt::format("takes images [n,c,h,w], gets {}", to_string(in.shape)));
  return in;
}

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

Array conv(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array &in = image(node, inputs), &weight = reals(node, inputs, 1);
  const Array* bias = optional_reals(node, inputs, 2);
  const Windows win = windows_of(node, in.shape, weight.shape);
  const std::int64_t groups = node.integer("group", 1), c = in.shape[1], h = in.shape[2], w = in.shape[3],
                     out_c = weight.shape[0], each = weight.shape[1];
  if (groups < 1 || groups > kMostElements || each * groups != c || out_c % groups != 0 ||
      (bias != nullptr && bias->shape != Shape{out_c}))
    node.fail(fmt::format("has weights {} in {} groups for {}", to_string(weight.shape), groups,
                          to_string(in.shape)));
  const std::int64_t rows = win.count(node, 0, h), columns = win.count(node, 1, w);
  Array out = effort.make({in.shape[0], out_c, rows, columns});
  effort.work(elements({out.size(), each, win.kernel[0], win.kernel[1]}));
  std::vector<double> row(at(columns));
  for (std::int64_t n = 0; n < in.shape[0]; ++n)
    for (std::int64_t o = 0; o < out_c; ++o)
      for (std::int64_t y = 0; y < rows; ++y) {
        std::fill(row.begin(), row.end(), bias != nullptr ? static_cast<double>(bias->reals[at(o)]) : 0.0);
        for (std::int64_t i = 0; i < each; ++i)
          for (std::int64_t v = 0; v < win.kernel[0]; ++v) {
            const std::int64_t from = y * win.stride[0] - win.before[0] + v * win.dilation[0];
            if (from < 0 || from >= h) continue;
            const float* source =
                in.reals.data() + ((n * c + o / (out_c / groups) * each + i) * h + from) * w;
            for (std::int64_t u = 0; u < win.kernel[1]; ++u) {
              const double factor =
                  weight.reals[at(((o * each + i) * win.kernel[0] + v) * win.kernel[1] + u)];
              const std::int64_t shift = u * win.dilation[1] - win.before[1], step = win.stride[1];
              for (std::int64_t x = 0; x < columns; ++x)
                if (const std::int64_t place = x * step + shift; place >= 0 && place < w)
                  row[at(x)] += factor * static_cast<double>(source[place]);
            }
          }
        std::transform(row.begin(), row.end(), out.reals.begin() + ((n * out_c + o) * rows + y) * columns,
                       [](double v) { return static_cast<float>(v); });
      }
  return out;
}

template <bool Max>
Array pool(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array& in = image(node, inputs);
  const Windows win = windows_of(node, in.shape, {});
  const bool counts = node.integer("count_include_pad", 0) != 0;
  const std::int64_t h = in.shape[2], w = in.shape[3], rows = win.count(node, 0, h),
                     columns = win.count(node, 1, w);
  Array out = effort.make({in.shape[0], in.shape[1], rows, columns});
  effort.work(elements({out.size(), win.kernel[0], win.kernel[1]}));
  std::size_t i = 0;
  for (std::int64_t c = 0; c < in.shape[0] * in.shape[1]; ++c)
    for (std::int64_t y = 0; y < rows; ++y)
      for (std::int64_t x = 0; x < columns; ++x) {
        double sum = 0, most = -std::numeric_limits<double>::infinity();
        std::int64_t inside = 0, counted = 0;
        for (std::int64_t v = 0; v < win.kernel[0]; ++v)
          for (std::int64_t u = 0; u < win.kernel[1]; ++u) {
            const std::int64_t row = y * win.stride[0] - win.before[0] + v * win.dilation[0],
                               column = x * win.stride[1] - win.before[1] + u * win.dilation[1];
            if (row < h + win.behind[0] && column < w + win.behind[1]) ++counted;
            if (row < 0 || column < 0 || row >= h || column >= w) continue;
            ++inside;
            const double value = in.reals[at((c * h + row) * w + column)];
            sum += value;
            most = std::max(most, value);
          }
        out.reals[i++] = static_cast<float>(
            Max ? most : sum / static_cast<double>(std::max<std::int64_t>(counts ? counted : inside, 1)));
      }
  return out;
}

Array global_average(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array& in = image(node, inputs);
  const std::size_t area = at(in.shape[2] * in.shape[3]);
  Array out = effort.make({in.shape[0], in.shape[1], 1, 1});
  for (std::size_t c = 0; c < out.reals.size(); ++c) {
    double sum = 0;
    for (std::size_t i = 0; i < area; ++i) sum += static_cast<double>(in.reals[c * area + i]);
    out.reals[c] = static_cast<float>(sum / static_cast<double>(area));
  }
  return out;
}

Array batch_norm(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array& in = reals(node, inputs, 0);
  if (in.shape.size() < 2) node.fail("takes values with channels");
  const std::int64_t channels = in.shape[1];
  const Array* with[4];
  for (std::size_t i = 0; i < 4; ++i) {
    with[i] = &reals(node, inputs, i + 1);
    if (with[i]->shape != Shape{channels})
      node.fail(fmt::format("has statistics {} for {}", to_string(with[i]->shape), to_string(in.shape)));
  }
  if (node.integer("training_mode", 0) != 0)
    node.fail("is in training mode: export the model after model.eval()");
  const double eps = node.real("epsilon", 1e-5);
  std::int64_t area = 1;
  for (std::size_t i = 2; i < in.shape.size(); ++i) area *= in.shape[i];
  Array out = effort.make(in.shape);
  for (std::size_t i = 0; i < out.reals.size(); ++i) {
    const std::size_t c = i / at(area) % at(channels);
    out.reals[i] = static_cast<float>(
        (in.at(i) - with[2]->at(c)) / std::sqrt(with[3]->at(c) + eps) * with[0]->at(c) + with[1]->at(c));
  }
  return out;
}

Array layer_norm(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array &in = reals(node, inputs, 0), &scale = reals(node, inputs, 1);
  const Array* bias = optional_reals(node, inputs, 2);
  const std::size_t first = axis_of(node, node.integer("axis", -1), in.shape.size());
  std::size_t length = 1;
  for (std::size_t i = first; i < in.shape.size(); ++i) length *= at(in.shape[i]);
  if (scale.reals.size() != length || (bias != nullptr && bias->reals.size() != length))
    node.fail(fmt::format("has factors {} for {}", to_string(scale.shape), to_string(in.shape)));
  const double eps = node.real("epsilon", 1e-5);
  Array out = effort.make(in.shape);
  for (std::size_t begin = 0; begin < out.reals.size(); begin += length) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < length; ++i) mean += in.at(begin + i);
    mean /= static_cast<double>(length);
    for (std::size_t i = 0; i < length; ++i)
      variance += (in.at(begin + i) - mean) * (in.at(begin + i) - mean);
    const double factor = 1 / std::sqrt(variance / static_cast<double>(length) + eps);
    for (std::size_t i = 0; i < length; ++i)
      out.reals[begin + i] = static_cast<float>((in.at(begin + i) - mean) * factor * scale.at(i) +
                                                (bias != nullptr ? bias->at(i) : 0.0));
  }
  return out;
}

/// One matrix by another, rows of sums in double.
void multiply(const float* a, const float* b, float* out, std::size_t rows, std::size_t inner,
              std::size_t columns) {
  std::vector<double> sums(columns);
  for (std::size_t r = 0; r < rows; ++r) {
    std::fill(sums.begin(), sums.end(), 0.0);
    for (std::size_t k = 0; k < inner; ++k) {
      const double factor = a[r * inner + k];
      for (std::size_t c = 0; c < columns; ++c) sums[c] += factor * static_cast<double>(b[k * columns + c]);
    }
    for (std::size_t c = 0; c < columns; ++c) out[r * columns + c] = static_cast<float>(sums[c]);
  }
}

Array mat_mul(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array &a = reals(node, inputs, 0), &b = reals(node, inputs, 1);
  if (a.shape.size() < 2 || b.shape.size() < 2 || a.shape.back() != b.shape[b.shape.size() - 2])
    node.fail(fmt::format("multiplies {} by {}", to_string(a.shape), to_string(b.shape)));
  const Shape batch = broadcast({a.shape.begin(), a.shape.end() - 2}, {b.shape.begin(), b.shape.end() - 2});
  const std::size_t rows = at(a.shape[a.shape.size() - 2]), inner = at(a.shape.back()),
                    columns = at(b.shape.back());
  Shape shape = batch;
  shape.push_back(static_cast<std::int64_t>(rows));
  shape.push_back(static_cast<std::int64_t>(columns));
  Array out = effort.make(shape);
  effort.work(elements({out.size(), static_cast<std::int64_t>(inner)}));
  const auto left = broadcast_places({a.shape.begin(), a.shape.end() - 2}, batch),
             right = broadcast_places({b.shape.begin(), b.shape.end() - 2}, batch);
  for (std::size_t i = 0; i < left.size(); ++i)
    multiply(a.reals.data() + at(left[i]) * rows * inner, b.reals.data() + at(right[i]) * inner * columns,
             out.reals.data() + i * rows * columns, rows, inner, columns);
  return out;
}

Array gemm(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array &a = reals(node, inputs, 0), &b = reals(node, inputs, 1);
  const Array* c = optional_reals(node, inputs, 2);
  if (a.shape.size() != 2 || b.shape.size() != 2) node.fail("takes two matrices");
  const auto upright = [&](const Array& m, const char* turned) {
    if (node.integer(turned, 0) == 0) return m;
    Array out = effort.make({m.shape[1], m.shape[0]});
    for (std::int64_t r = 0; r < m.shape[0]; ++r)
      for (std::int64_t k = 0; k < m.shape[1]; ++k)
        out.reals[at(k * m.shape[0] + r)] = m.reals[at(r * m.shape[1] + k)];
    return out;
  };
  const Array left = upright(a, "transA"), right = upright(b, "transB");
  if (left.shape[1] != right.shape[0])
    node.fail(fmt::format("multiplies {} by {}", to_string(left.shape), to_string(right.shape)));
  Array out = effort.make({left.shape[0], right.shape[1]});
  effort.work(elements({out.size(), left.shape[1]}));
  multiply(left.reals.data(), right.reals.data(), out.reals.data(), at(left.shape[0]), at(left.shape[1]),
           at(right.shape[1]));
  const double alpha = node.real("alpha", 1), beta = node.real("beta", 1);
  if (c != nullptr && broadcast(c->shape, out.shape) != out.shape) node.fail("adds a larger value");
  const auto places = c != nullptr ? broadcast_places(c->shape, out.shape) : std::vector<std::int32_t>();
  for (std::size_t i = 0; i < out.reals.size(); ++i)
    out.reals[i] = static_cast<float>(alpha * out.at(i) + (c != nullptr ? beta * c->at(at(places[i])) : 0.0));
  return out;
}

/// Before opset 13 all axes from `axis` on are one.
Array softmax(const Node& node, std::int64_t opset, const Inputs& inputs, Effort& effort) {
  const Array& in = reals(node, inputs, 0);
  const std::size_t axis = axis_of(node, node.integer("axis", opset < 13 ? 1 : -1), in.shape.size());
  std::size_t length = 1, step = 1;
  for (std::size_t i = axis; i < in.shape.size(); ++i)
    (i == axis || opset < 13 ? length : step) *= at(in.shape[i]);
  Array out = effort.make(in.shape);
  for (std::size_t k = 0; length > 0 && k < out.reals.size() / length; ++k) {
    const std::size_t begin = k / step * length * step + k % step;
    double most = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::size_t i = 0; i < length; ++i) most = std::max(most, in.at(begin + i * step));
    for (std::size_t i = 0; i < length; ++i) sum += std::exp(in.at(begin + i * step) - most);
    for (std::size_t i = 0; i < length; ++i)
      out.reals[begin + i * step] = static_cast<float>(std::exp(in.at(begin + i * step) - most) / sum);
  }
  return out;
}

Array reduce(const Node& node, std::int64_t, const Inputs& inputs, Effort& effort) {
  const Array& in = reals(node, inputs, 0);
  std::optional<std::vector<std::int64_t>> axes = node.integers("axes");
  if (node.has_input(1) && inputs.size() > 1) {
    if (inputs[1]->is_float) node.fail("has real numbers as axes");
    axes = inputs[1]->integers;
  }
  std::vector<bool> gone(in.shape.size(), !axes || axes->empty());
  if (axes && axes->empty() && node.integer("noop_with_empty_axes", 0) != 0) return in;
  if (axes)
    for (const std::int64_t a : *axes) gone[axis_of(node, a, in.shape.size())] = true;
  Shape kept, left;
  for (std::size_t i = 0; i < gone.size(); ++i) {
    kept.push_back(gone[i] ? 1 : in.shape[i]);
    if (!gone[i]) left.push_back(in.shape[i]);
  }
  Array out = effort.make(kept);
  effort.work(in.size());
  const auto to = broadcast_places(kept, in.shape);
  const bool takes_most = node.op == "ReduceMax", squares = node.op == "ReduceL2";
  std::vector<double> sums(out.reals.size(), takes_most ? -std::numeric_limits<double>::infinity() : 0.0);
  for (std::size_t i = 0; i < to.size(); ++i) {
    double& sum = sums[at(to[i])];
    sum = takes_most ? std::max(sum, in.at(i)) : sum + (squares ? in.at(i) * in.at(i) : in.at(i));
  }
  const double divisor =
      node.op == "ReduceMean"
          ? static_cast<double>(to.size()) / static_cast<double>(std::max<std::size_t>(sums.size(), 1))
          : 1;
  for (std::size_t i = 0; i < sums.size(); ++i)
    out.reals[i] = static_cast<float>(squares ? std::sqrt(sums[i]) : sums[i] / divisor);
  if (node.integer("keepdims", 1) == 0) out.shape = left;
  return out;
}

}  // namespace

std::int64_t Windows::count(const Node& node, std::size_t side, std::int64_t length) const {
  const std::int64_t rest = length + before[side] + behind[side] - ((kernel[side] - 1) * dilation[side] + 1);
  if (rest < 0) node.fail(fmt::format("has a window of {} for {} px", kernel[side], length));
  std::int64_t n = (ceil ? rest + stride[side] - 1 : rest) / stride[side] + 1;
  if (ceil && (n - 1) * stride[side] >= length + before[side]) --n;
  return n;
}

Windows windows_of(const Node& node, const Shape& image, const Shape& weight) {
  constexpr std::int64_t kMost = 1 << 16;
  const auto two = [&](const char* name, std::size_t n, const std::vector<std::int64_t>& usual) {
    std::vector<std::int64_t> out = node.integers(name).value_or(usual);
    if (out.size() != n ||
        std::any_of(out.begin(), out.end(), [&](auto v) { return v < (n == 4 ? 0 : 1) || v > kMost; }))
      node.fail(fmt::format("has the attribute `{}`: {}, expected {} numbers", name, to_string(out), n));
    return out;
  };
  if (image.size() != 4 || (!weight.empty() && weight.size() != 4))
    node.fail(fmt::format("takes images [n,c,h,w], gets {}", to_string(image)));
  Windows out{};
  const auto kernel =
      two("kernel_shape", 2,
          weight.empty() ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{weight[2], weight[3]});
  const auto stride = two("strides", 2, {1, 1}), dilation = two("dilations", 2, {1, 1}),
             pads = two("pads", 4, {0, 0, 0, 0});
  if (!weight.empty() && (kernel[0] != weight[2] || kernel[1] != weight[3]))
    node.fail("has a `kernel_shape` that is not that of its weights");
  const std::string automatic = node.text("auto_pad", "NOTSET");
  out.ceil = node.integer("ceil_mode", 0) != 0;
  for (std::size_t side = 0; side < 2; ++side) {
    out.kernel[side] = kernel[side];
    out.stride[side] = stride[side];
    out.dilation[side] = dilation[side];
    out.before[side] = pads[side];
    out.behind[side] = pads[side + 2];
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      const std::int64_t length = image[side + 2], span = (kernel[side] - 1) * dilation[side] + 1,
                         all = std::max<std::int64_t>(
                             (length - 1) / stride[side] * stride[side] + span - length, 0),
                         less = all / 2;
      out.before[side] = automatic == "SAME_UPPER" ? less : all - less;
      out.behind[side] = all - out.before[side];
    } else if (automatic == "VALID") {
      out.before[side] = out.behind[side] = 0;
    } else if (automatic != "NOTSET" && !automatic.empty()) {
      node.fail(fmt::format("has auto_pad '{}'", automatic));
    }
  }
  return out;
}

Evaluate layer_evaluation(const std::string& op) {
  static const std::map<std::string, Evaluate> kAll = {
      {"Conv", conv},
      {"MaxPool", pool<true>},
      {"AveragePool", pool<false>},
      {"GlobalAveragePool", global_average},
      {"BatchNormalization", batch_norm},
      {"LayerNormalization", layer_norm},
      {"MatMul", mat_mul},
      {"Gemm", gemm},
      {"Softmax", softmax},
      {"ReduceMean", reduce},
      {"ReduceSum", reduce},
      {"ReduceMax", reduce},
      {"ReduceL2", reduce},
      {"Resize", resample},
  };
  const auto found = kAll.find(op);
  return found == kAll.end() ? nullptr : found->second;
}

}  // namespace graft::nn::onnx
