// Plugins that break the contract of their kind, in the way that the parameter names: for check_contract. One
// plugin per kind, chosen by a macro.

#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

#include <graft/plugin.h>

#include "flush_denormals.h"

namespace {

using namespace graft;

ParamSpec breaks(const char* nothing = "nothing") {
  return text("breaks", nothing).doc("The rule to break.");
}

std::string rule_of(const StageContext& context) {
  return context.params.get<std::string>("breaks");
}

/// Few bytes, which nobody frees.
[[maybe_unused]] void leak() {
  static std::atomic<char*> last{nullptr};  // or the compiler leaves the allocation out
  last = new char[24];
}

#if defined(BREAKING_TRANSFORM)

class Breaking final : public Transform {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)) {
    const auto n = context.params.get<int>("n");
    if (rule_ == "constructor" && n == 9) throw std::runtime_error("nine");
    if (rule_ == "locale") std::setlocale(LC_NUMERIC, "C.UTF-8");
    if (rule_ == "folder" && ::chdir("/") != 0) throw Error("no root");
    if (rule_ == "rounding") std::fesetround(FE_UPWARD);
    if (rule_ == "denormals") graft::test::flush_denormals();  // as -ffast-math
  }
  Payload apply(const Item& item) const override {
    const Image& in = item.image();
    if (rule_ == "refuses") throw Reject("no", "not today");
    if (rule_ == "changes") in.data[0] ^= 1;
    Image out = Image::allocate(2, 1);
    for (int i = 0; i < 6; ++i) out.data[i] = in.data[i];
    const int calls = ++calls_;
    if (rule_ == "counts") out.data[0] = static_cast<std::uint8_t>(calls);
    if (rule_ == "leaks") leak();
    if (rule_ == "memory") {
      const std::vector<std::uint8_t> work(1 << 20, in.data[0]);
      out.data[0] = *static_cast<const volatile std::uint8_t*>(work.data());  // or it is left out
    }
    if (rule_ == "instances") out.data[0] = instance_;
    if (rule_ == "keeps") {
      const std::lock_guard lock(mutex_);
      kept_ = in;
    }
    return out;
  }

 private:
  static inline std::atomic<std::uint8_t> instances_{0};
  std::string rule_;
  std::uint8_t instance_ = ++instances_;
  mutable std::atomic<int> calls_{0};
  mutable std::mutex mutex_;
  mutable Image kept_;
};

#define BREAKING_SCHEMA                                           \
  PluginSchema::transform("Breaks what it is told to.")           \
      .input(PortType::Image, "Any image.")                       \
      .output("out", PortType::Image, "u8[1,2,3]", "Two pixels.") \
      .working_memory(64 << 10, 1)                                \
      .param(breaks())                                            \
      .param(integer("n", 1).range(1, 9).doc("A number."))
#define BREAKING_NAME breaking_transform

#elif defined(BREAKING_BATCH)

class Breaking final : public BatchTransform {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)) {}
  std::size_t batch_size() const override { return 4; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (rule_ == "forgets" && i == 1) continue;
      const Tensor& in = items[i].tensor();
      Tensor sum = Tensor::allocate(DType::F32, {1});
      *sum.as<float>() = in.as<float>()[0];
      if (rule_ == "mixes") *sum.as<float>() += static_cast<float>(items.size());
      if (rule_ == "leaks") leak();
      out.set(i, sum);
    }
  }

 private:
  std::string rule_;
};

#define BREAKING_SCHEMA                                          \
  PluginSchema::batch_transform("Breaks what it is told to.")    \
      .input(PortType::Tensor, "Any tensor.")                    \
      .output("out", PortType::Tensor, "f32[1]", "One element.") \
      .param(breaks())
#define BREAKING_NAME breaking_batch

#elif defined(BREAKING_COLLECTOR)

class Breaking final : public Collector {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)) {}
  RowFormat format(const Item&) const override { return {DType::F32, {4}}; }
  void encode(const Item& item, std::span<std::uint8_t> row) const override {
    std::memcpy(row.data(), item.tensor().data, rule_ == "leaves" ? 12 : 16);
    if (rule_ == "leaks") leak();
    if (rule_ == "keeps") {
      const std::lock_guard lock(mutex_);
      kept_ = item.payload;
    }
    if (rule_ == "beside") *(row.data() + row.size()) ^= 1;
  }

 private:
  std::string rule_;
  mutable std::mutex mutex_;
  mutable Payload kept_;
};

#define BREAKING_SCHEMA                                      \
  PluginSchema::collector("Breaks what it is told to.")      \
      .input(PortType::Tensor, "Any tensor.")                \
      .output("out", PortType::Table, "f32[4]", "A vector.") \
      .param(breaks())
#define BREAKING_NAME breaking_collector

#elif defined(BREAKING_SOURCE)

class Breaking final : public Source {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)) {}
  std::vector<std::string> classes() const override { return {"a", "b"}; }
  std::optional<std::size_t> count() override { return rule_ == "count" ? 9 : 3; }
  bool next(Entry& entry) override {
    static std::atomic<int> ever{0};
    if (next_ == 3) return false;
    entry.key = rule_ == "keys" ? "same" : rule_ == "list" ? std::to_string(++ever) : std::to_string(next_);
    entry.labels = {rule_ == "label" ? 2 : 1};
    ++next_;
    return true;
  }
  Payload load(const Entry& entry) const override {
    if (rule_ == "leaks") leak();
    Tensor out = Tensor::allocate(DType::F32, {1});
    const int calls = ++calls_;
    *out.as<float>() = rule_ == "load" ? static_cast<float>(calls) : static_cast<float>(entry.key.size());
    return out;
  }

 private:
  std::string rule_;
  int next_ = 0;
  mutable std::atomic<int> calls_{0};
};

#define BREAKING_SCHEMA                                          \
  PluginSchema::source("Breaks what it is told to.")             \
      .output("out", PortType::Tensor, "f32[1]", "One element.") \
      .param(breaks())
#define BREAKING_NAME breaking_source

#elif defined(BREAKING_LEARNER)

/// Gives every row the shares of the classes among the train rows.
class Prior final : public Predictor {
 public:
  explicit Prior(std::vector<float> shares) : shares_(std::move(shares)) {}
  Scores predict(const std::vector<const RowSet*>& tables, Parallel&) const override {
    Scores out(tables.at(0)->rows(), shares_.size());
    for (std::size_t r = 0; r < out.rows; ++r) std::copy(shares_.begin(), shares_.end(), out.row(r));
    return out;
  }
  void save(Bundle& bundle) const override {
    Tensor shares = Tensor::allocate(DType::F32, {static_cast<std::int64_t>(shares_.size())});
    std::memcpy(shares.data, shares_.data(), shares.bytes());
    bundle.tensors["shares"] = shares;
  }

 private:
  std::vector<float> shares_;
};

class Breaking final : public Learner {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)), threads_(context.threads) {}
  LearnerResult fit(const LearnerInput& input) override {
    if (rule_ != "interruption") {
      try {
        input.parallel.for_each(2, [](std::size_t) {});
        input.parallel.check();
      } catch (const Interrupted&) {
        if (rule_ == "translation") throw Error("it was interrupted");
        throw;
      }
    } else {
      input.parallel.uninterrupted().for_each(2, [](std::size_t) {});
    }
    if (rule_ != "remembers") counts_.assign(input.classes.size(), 0);
    counts_.resize(input.classes.size());
    const RowSet& train = *input.tables.at(0).train;
    for (std::size_t r = 0; r < train.rows(); ++r) ++counts_[static_cast<std::size_t>(train.label(r))];
    if (rule_ == "remembers") counts_[0] += 5;
    float sum = 0;
    for (const float c : counts_) sum += c;
    std::vector<float> shares;
    for (const float c : counts_) shares.push_back(c / sum);
    if (rule_ == "sums") shares[0] /= 2;
    if (rule_ == "nan") shares[0] = 0.0F / sum - 1;
    if (rule_ == "threads" && threads_ > 1) std::swap(shares[0] += 0.125F, shares[1] -= 0.125F);
    LearnerResult out;
    out.predictor = std::make_unique<Prior>(shares);
    Sequential sequential;
    out.val = out.predictor->predict({input.tables[0].val}, sequential);
    return out;
  }
  std::unique_ptr<Predictor> load(const Bundle& bundle) const override {
    const auto shares = bundle.tensors.find("shares");
    if (shares == bundle.tensors.end()) {
      if (rule_ == "anything") return std::make_unique<Prior>(std::vector<float>{1});
      throw Error("expected tensor 'shares'");
    }
    std::vector<float> values(shares->second.as<float>(), shares->second.as<float>() + shares->second.size());
    if (rule_ == "bundle") std::swap(values[0] += 0.125F, values[1] -= 0.125F);
    return std::make_unique<Prior>(values);
  }

 private:
  std::string rule_;
  int threads_;
  std::vector<float> counts_;
};

#define BREAKING_SCHEMA                                                \
  PluginSchema::learner("Breaks what it is told to.")                  \
      .input(PortType::Table, "Any table.")                            \
      .output("out", PortType::Predictor, "f32[?]", "Always the same") \
      .param(breaks())
#define BREAKING_NAME breaking_learner

#elif defined(BREAKING_REPORT)

class Breaking final : public Report {
 public:
  explicit Breaking(const StageContext& context) : rule_(rule_of(context)) {}
  ReportOutput report(const ReportInput& input) override {
    if (rule_ == "untested" && input.predictions.at(0).test.keys.empty()) throw Error("division by zero");
    ReportOutput out;
    out.text = std::to_string(rule_ == "counts" ? ++calls_ : 1);
    if (rule_ == "leaks") leak();
    out.files[rule_ == "file" ? "../report.txt" : "report.txt"] = "report";
    return out;
  }

 private:
  std::string rule_;
  int calls_ = 0;
};

#define BREAKING_SCHEMA                                     \
  PluginSchema::report("Breaks what it is told to.")        \
      .input(PortType::Predictor, "Any predictions.", true) \
      .param(breaks())
#define BREAKING_NAME breaking_report

#endif

}  // namespace

#define BREAKING_PLUGIN(name) GRAFT_PLUGIN(name, "1.0.0", Breaking, BREAKING_SCHEMA)
BREAKING_PLUGIN(BREAKING_NAME)
