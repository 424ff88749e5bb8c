#include <cmath>
#include <cstring>
#include <string>

#include <graft/half.h>
#include <graft/plugin.h>

namespace {

using namespace graft;

/// What rounds to infinity as a half: from half-way between 65504 and the next power of two on.
constexpr float kHalfOverflow = 65520;

/// Position of an element in a tensor, as people write it: "[3]", "[0,2,5]".
std::string position(std::int64_t flat, const Shape& shape) {
  Shape at(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    at[axis] = flat % shape[axis];
    flat /= shape[axis];
  }
  return to_string(at);
}

/// Collects tensors as rows of a table, in f32 or f16: of any shape, flattened row by row, or as they are.
/// Stateless, so any number of threads may encode at once.
///
/// Rejects: `wrong-type` (not f32), `empty` (no elements), `non-finite` (NaN or infinity), `out-of-range` (a
/// value that f16 cannot hold): one bad number in a table would spoil every learner downstream of it.
class FeatureTable final : public Collector {
 public:
  explicit FeatureTable(const StageContext& context)
      : dtype_(context.params.get<std::string>("dtype") == "f16" ? DType::F16 : DType::F32),
        flat_(context.params.get<std::string>("rows") == "flat"),
        compression_(context.params.get<std::string>("compression") == "gzip" ? Compression::Gzip
                                                                              : Compression::None) {}

  Compression compression() const override { return compression_; }

  RowFormat format(const Item& item) const override {
    const Tensor& tensor = item.tensor();
    if (tensor.dtype != DType::F32)
      throw Reject("wrong-type", std::string("expected a tensor of f32, got ") + to_string(tensor.dtype) +
                                     to_string(tensor.shape));
    if (tensor.size() < 1)
      throw Reject("empty",
                   "expected at least one feature, got a tensor of shape " + to_string(tensor.shape));
    return {dtype_, flat_ ? Shape{tensor.size()} : tensor.shape};
  }

  void encode(const Item& item, std::span<std::uint8_t> row) const override {
    const Tensor& tensor = item.tensor();
    const float* in = tensor.as<float>();
    const std::int64_t n = tensor.size();
    for (std::int64_t i = 0; i < n; ++i)
      if (!std::isfinite(in[i]))
        throw Reject("non-finite", "feature " + position(i, tensor.shape) + " of " + to_string(tensor.shape) +
                                       " is " +
                                       (std::isnan(in[i]) ? "NaN"
                                        : in[i] > 0       ? "+inf"
                                                          : "-inf") +
                                       "; a damaged model file or a wrong normalisation does that");
    if (dtype_ == DType::F32) {
      std::memcpy(row.data(), in, static_cast<std::size_t>(n) * sizeof(float));
      return;
    }
    for (std::int64_t i = 0; i < n; ++i)
      if (std::abs(in[i]) >= kHalfOverflow)
        throw Reject("out-of-range", "feature " + position(i, tensor.shape) + " is " + std::to_string(in[i]) +
                                         ", f16 ends at 65504; use dtype: f32");
    to_half(in, static_cast<std::size_t>(n), reinterpret_cast<std::uint16_t*>(row.data()));
  }

 private:
  DType dtype_;
  bool flat_;
  Compression compression_;
};

const char* const kExample = R"(name: feature-table
stages:
  images: {plugin: synthetic}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features, with: {dtype: f16}}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)";

}  // namespace

GRAFT_PLUGIN(
    feature_table, "1.0.0", FeatureTable,
    graft::PluginSchema::collector("Keeps feature vectors as a table: one row per item, computed once.")
        .input(graft::PortType::Tensor, "f32 tensors of one shape.")
        .output("out", graft::PortType::Table, "{dtype}[?]", "One row per item and view.")
        .working_memory(4 << 10)
        .param(graft::choice("dtype", {"f32", "f16"}, "f32")
                   .doc("Type on disk; f16 halves the size and keeps about three decimal digits."))
        .param(
            graft::choice("rows", {"flat", "shaped"}, "flat")
                .added_later()
                .doc("flat: every tensor is flattened to a vector, as learners take it; shaped: it keeps its "
                     "shape, for dense features: `pool: none` of backbone gives patches as "
                     "[rows,columns,d]."))
        .param(graft::choice("compression", {"none", "gzip"}, "none")
                   .not_in_fingerprint()
                   .doc("How rows are packed on disk; they read back the same. gzip halves features of which "
                        "many are zero (after a ReLU), barely others, and packs about 50 MB per second."))
        .example(kExample))
