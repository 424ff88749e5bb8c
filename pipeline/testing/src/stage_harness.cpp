#include <graft/testing/stage_harness.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <graft/plugin.h>

#include "base/files.h"
#include "base/library_environment.h"
#include "config/yaml_tree.h"
#include "plugin/registry.h"
#include "run/stage_factory.h"
#include "work_folder.h"

namespace graft::testing {
namespace {

Registry& registry() {
  static Registry shared([] {
    set_library_environment();
    auto folders = Registry::search_path({});
    folders.emplace_back(GRAFT_TEST_PLUGIN_DIR);
    return folders;
  }());
  return shared;
}

class Collected final : public BatchOutput {
 public:
  explicit Collected(std::vector<StageHarness::Outcome>& out) : out_(out) {}
  void set(std::size_t item, Payload payload, std::size_t port) override {
    if (port == 0) out_.at(item).payload = payload;
    out_.at(item).ports[port] = std::move(payload);
  }
  void reject(std::size_t item, const std::string& code, const std::string& text) override {
    out_.at(item).reject_code = code;
    out_.at(item).reject_text = text;
  }

 private:
  std::vector<StageHarness::Outcome>& out_;
};

Item make_item(Payload payload, const std::string& key, std::uint32_t view) {
  auto entry = std::make_shared<Entry>();
  entry->key = key;
  return {std::move(entry), view, std::move(payload)};
}

}  // namespace

struct StageHarness::Impl {
  const graft_plugin_descriptor* descriptor = nullptr;
  PluginSchema schema;
  std::vector<std::string> warnings;
  std::mutex warnings_mutex;
  int threads = 1;
  std::uint64_t seed = 0;
  std::map<std::string, std::unique_ptr<Stage>> services;
  std::unique_ptr<Stage> stage;
  std::vector<std::unique_ptr<RowSet>> joined;  ///< Train + val of every fit, for as long as its predictor.

  StageContext context(const std::string& id, const Params& params) {
    return {id,
            params,
            seed,
            threads,
            [this](const std::string& warning) {
              const std::lock_guard lock(warnings_mutex);
              warnings.push_back(warning);
            },
            [this](const std::string& name) -> Service& {
              return open_service(registry(), services, name,
                                  [this](const std::string& i, const Params& p) { return context(i, p); });
            },
            {},
            {}};
  }
};

StageHarness::StageHarness(const std::string& plugin, const std::string& params, std::uint64_t seed,
                           int threads)
    : impl_(std::make_unique<Impl>()) {
  impl_->descriptor = &registry().open(plugin);
  impl_->schema = registry().find(plugin)->schema;
  impl_->seed = seed;
  impl_->threads = threads;

  Diagnostics diagnostics;
  const YamlNode tree = parse_yaml(params, diagnostics.add_file("params", params), diagnostics);
  if (diagnostics.has_errors()) throw Error(diagnostics.render());
  std::vector<ParamFault> faults;
  const Params resolved(resolve(impl_->schema.params, to_value(tree), faults));
  std::string text;
  for (const ParamFault& fault : faults) {
    if (!text.empty()) text += '\n';
    for (const std::string& part : fault.path) text += part + (&part == &fault.path.back() ? ": " : ".");
    text += fault.text;
  }
  if (!text.empty()) throw Error(text);

  impl_->stage.reset(impl_->descriptor->create(impl_->context("stage", resolved)));
  impl_->stage->enter_worker();
}

StageHarness::~StageHarness() = default;

const PluginSchema& StageHarness::schema() const {
  return impl_->schema;
}
const std::vector<std::string>& StageHarness::warnings() const {
  return impl_->warnings;
}
Stage& StageHarness::stage() {
  return *impl_->stage;
}

std::vector<Entry> StageHarness::list() {
  std::vector<Entry> out;
  for (Entry e; as<Source>().next(e); e = Entry()) out.push_back(e);
  return out;
}

Payload StageHarness::load(const Entry& entry) {
  auto* forward = dynamic_cast<ForwardSource*>(&stage());
  Payload payload = forward != nullptr ? forward->read_current() : as<Source>().load(entry);
  if (const auto* file = std::get_if<FileRef>(&payload)) return read_input_file(*file);
  return payload;
}

Payload StageHarness::apply(Payload in, const std::string& key, std::uint32_t view) {
  return as<Transform>().apply(make_item(std::move(in), key, view));
}

std::vector<StageHarness::Outcome> StageHarness::apply_batch(std::vector<Payload> in) {
  std::vector<Item> items;
  for (std::size_t i = 0; i < in.size(); ++i)
    items.push_back(make_item(in[i], "item" + std::to_string(i), 0));
  std::vector<Outcome> out(items.size());
  Collected collected(out);
  as<BatchTransform>().apply(items, collected);
  return out;
}

std::pair<Collector::RowFormat, std::vector<std::uint8_t>> StageHarness::collect(Payload in) {
  const Item item = make_item(std::move(in), "item", 0);
  const auto format = as<Collector>().format(item);
  std::vector<std::uint8_t> row(static_cast<std::size_t>(elements(format.shape)) * size_of(format.dtype));
  as<Collector>().encode(item, row);
  return {format, row};
}

namespace {

/// Two row sets, one after the other: train + val.
class Joined final : public RowSet {
 public:
  Joined(const RowSet& a, const RowSet& b) : a_(a), b_(b) {}
  std::size_t rows() const override { return a_.rows() + b_.rows(); }
  const Shape& shape() const override { return a_.shape(); }
  DType dtype() const override { return a_.dtype(); }
  std::string_view key(std::size_t r) const override { return part(r).key(local(r)); }
  std::uint32_t view(std::size_t r) const override { return part(r).view(local(r)); }
  Split split(std::size_t r) const override { return part(r).split(local(r)); }
  std::span<const std::int32_t> labels(std::size_t r) const override { return part(r).labels(local(r)); }
  bool negative(std::size_t r) const override { return part(r).negative(local(r)); }
  void read(std::size_t first, std::size_t count, float* out) const override {
    const std::size_t n = split_at(first, count);
    if (n > 0) a_.read(first, n, out);
    if (count > n) b_.read(first + n - a_.rows(), count - n, out + n * dim());
  }
  void read_raw(std::size_t first, std::size_t count, void* out) const override {
    const std::size_t n = split_at(first, count);
    if (n > 0) a_.read_raw(first, n, out);
    if (count > n)
      b_.read_raw(first + n - a_.rows(), count - n, static_cast<char*>(out) + n * dim() * size_of(dtype()));
  }

 private:
  const RowSet& part(std::size_t r) const { return r < a_.rows() ? a_ : b_; }
  std::size_t local(std::size_t r) const { return r < a_.rows() ? r : r - a_.rows(); }
  std::size_t split_at(std::size_t first, std::size_t count) const {
    return first >= a_.rows() ? 0 : std::min(count, a_.rows() - first);
  }
  const RowSet& a_;
  const RowSet& b_;
};

}  // namespace

LearnerResult StageHarness::fit(const RowSet& train, const RowSet& val, std::vector<std::string> classes,
                                Parallel* parallel, bool multi_label) {
  const RowSet& both = *impl_->joined.emplace_back(std::make_unique<Joined>(train, val));
  Sequential sequential;
  const std::atomic<bool> interrupted{false};
  Interruptible threads(parallel != nullptr ? *parallel : sequential, interrupted);
  const WorkFolder folder;
  return as<Learner>().fit(
      {{{"table", &train, &val, &both}}, std::move(classes), threads, folder.path(), multi_label});
}

CalibratorResult StageHarness::calibrate(const Predictions& predictions) {
  return as<Calibrator>().fit(predictions);
}

namespace {

/// For reports that fit nothing.
class NoTrials final : public Trials {
 public:
  const std::vector<Input>& inputs(const std::string&) override { throw Error("this test has no trials"); }
  Result fit(const std::string&, const Rows&) override { throw Error("this test has no trials"); }
};

/// For reports that look at their learners alone.
class NoRun final : public RunRecord {
 public:
  std::vector<StageRecord> stages() const override { return {}; }
  Value results() const override { return Value::map(); }
  Value manifest() const override { return Value::map(); }
  std::string config() const override { return {}; }
  const std::vector<Figure>& figures() const override { return figures_; }
  const std::vector<FigureSpec>& figure_specs() const override { return specs_; }
  std::string best_learner() const override { return {}; }
  const RowSet* rows(const std::string&) const override { return nullptr; }
  std::map<std::string, Image> images(const std::string&, const std::set<std::string>&) override {
    return {};
  }

 private:
  std::vector<Figure> figures_;
  std::vector<FigureSpec> specs_;
};

}  // namespace

ReportOutput StageHarness::report(const std::vector<Predictions>& predictions, Trials* trials, RunRecord* run,
                                  std::size_t columns) {
  Sequential sequential;
  NoTrials none;
  NoRun no_run;
  const std::atomic<bool> interrupted{false};
  Interruptible parallel(sequential, interrupted);
  return as<Report>().report(
      {predictions, trials != nullptr ? *trials : none, parallel, run != nullptr ? *run : no_run, columns});
}

Image StageHarness::image(int width, int height, std::vector<std::uint8_t> rgb) {
  Image image = Image::allocate(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) image.row(y)[3 * x + c] = rgb.at(static_cast<std::size_t>(c));
  return image;
}

Bytes StageHarness::bytes(const std::string& content) {
  auto owner = std::make_shared<const std::string>(content);
  return {owner, reinterpret_cast<const std::uint8_t*>(owner->data()), owner->size()};
}

Tensor StageHarness::tensor(Shape shape, const std::vector<float>& values) {
  Tensor t = Tensor::allocate(DType::F32, std::move(shape));
  if (static_cast<std::size_t>(t.size()) != values.size()) throw Error("shape and values differ in size");
  std::copy(values.begin(), values.end(), static_cast<float*>(t.data));
  return t;
}

void Threads::for_each(std::size_t n, const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int t = 0; t < n_; ++t)
    threads.emplace_back([&] {
      try {
        for (std::size_t i = next++; i < n; i = next++) body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
      }
    });
  for (std::thread& t : threads) t.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace graft::testing
