// Out-of-line parts of the SDK's classes: one vtable and type_info for the program and all plugins.

#include <cstring>

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <graft/hash.h>
#include <graft/learner.h>
#include <graft/schema.h>

namespace graft {

Stage::~Stage() = default;
BatchOutput::~BatchOutput() = default;
RowSet::~RowSet() = default;
Parallel::~Parallel() = default;
Predictor::~Predictor() = default;
TensorReader::~TensorReader() = default;

void Interruptible::for_each(std::size_t n, const std::function<void(std::size_t)>& body) {
  threads_.for_each(n, [&](std::size_t i) {
    check();
    body(i);
  });
}

void Interruptible::check() const {
  if (interrupted_) throw Interrupted();
}

void LearnerInput::report_step(const char* what, std::size_t done, std::size_t total,
                               const Value& point) const {
  if (!progress) return;
  FitStep step{what, done, total, {}};
  if (point.is_map())
    for (const auto& [name, value] : point.as_map())
      if (value.is_number() && (name.starts_with("train_") || name.starts_with("val_")))
        step.scores.emplace_back(name, value.as_double());
  progress(step);
}

Calibration::~Calibration() = default;
Trials::~Trials() = default;
RunRecord::~RunRecord() = default;

const std::vector<GivenSection>& RunRecord::sections() const {
  static const std::vector<GivenSection> kNone;
  return kNone;
}

Neighbours Predictor::neighbours(const std::vector<const RowSet*>&, Parallel&) const {
  return {};
}

Payload Source::load(const Entry& entry) const {
  return entry.payload;
}

Payload ForwardSource::load(const Entry&) const {
  throw Error("load was called of a ForwardSource, which read_current reads; this is a bug in graft");
}

const char* to_string(StageKind kind) {
  static constexpr const char* kNames[] = {"source",  "transform", "batch transform", "collector",
                                           "learner", "report",    "service",         "calibrator"};
  return kNames[static_cast<int>(kind)];
}

const char* to_string(PortType type) {
  static constexpr const char* kNames[] = {"bytes", "image", "tensor", "table", "predictor"};
  return kNames[static_cast<int>(type)];
}

std::string Digest::hex() const {
  return fmt::format("{:016x}{:016x}", high, low);
}

Digest digest(const void* data, std::size_t size) {
  const XXH128_hash_t h = XXH3_128bits(data, size);
  return {h.high64, h.low64};
}

std::uint64_t hash64(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

MemoryRows::MemoryRows(std::vector<float> values, std::size_t dim, const std::vector<std::int32_t>& labels,
                       Split split)
    : values_(std::move(values)), shape_{static_cast<std::int64_t>(dim)}, labels_(labels), split_(split) {
  if (values_.size() != labels_.size() * dim)
    throw Error(fmt::format("expected {} x {} values, got {}", labels_.size(), dim, values_.size()));
  for (std::size_t i = 0; i < labels_.size(); ++i) keys_.push_back(fmt::format("row{}", i));
}

std::span<const std::int32_t> MemoryRows::labels(std::size_t row) const {
  return {&labels_[row], labels_[row] < 0 ? 0u : 1u};
}

void MemoryRows::read(std::size_t first, std::size_t count, float* out) const {
  std::memcpy(out, values_.data() + first * dim(), count * dim() * sizeof(float));
}

}  // namespace graft
