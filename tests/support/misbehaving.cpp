// Plugins for tests that do one thing wrong in one place, `at` and `does`; otherwise they are correct. One of
// each kind is compiled from this file.

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include <chrono>
#include <clocale>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <graft/plugin.h>

#include "flush_denormals.h"

namespace {

using namespace graft;  // NOLINT: a test plugin

/// Not inlined, or the compiler sees that some of it never returns.
[[gnu::noinline]] void misbehave(const std::string& does) {
  if (does == "int") throw 7;
  if (does == "text") throw "a text";
  if (does == "exception") throw std::runtime_error("it broke");
  if (does == "empty") throw std::runtime_error("");
  if (does == "bad_alloc") throw std::bad_alloc();
  if (does == "exit") std::exit(0);
  if (does == "print and _exit") std::printf("printed before");
  if (does == "_exit" || does == "print and _exit") ::_exit(0);
  if (does == "fork and _exit") {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(3);
    int status = 0;
    if (::waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 3) std::abort();
  }
  if (does == "_Exit") std::_Exit(0);
  if (does == "quick_exit") std::quick_exit(0);
  if (does == "end the thread") ::pthread_exit(nullptr);
  if (does == "thrd_exit") ::thrd_exit(0);
  if (does == "umask") ::umask(S_IRWXG | S_IRWXO);
  if (does == "ignore SIGTERM") ::signal(SIGTERM, SIG_IGN);
  if (does == "handle SIGPIPE") ::signal(SIGPIPE, [](int) {});
  if (does == "setenv") ::setenv("TMPDIR", "/nowhere", 1);
  if (does == "unsetenv") ::unsetenv("HOME");
  if (does == "a variable of its own") ::setenv("MISBEHAVING", "1", 1);
  if (does == "abort") std::abort();
  if (does == "setlocale") std::setlocale(LC_ALL, "C.UTF-8");
  if (does.starts_with("chdir") && ::chdir("/") != 0) std::abort();
  if (does == "chdir and throw") throw std::runtime_error("elsewhere");
  if (does == "fast math") graft::test::flush_denormals();
  if (does == "fork") {
    const pid_t pid = ::fork();
    if (pid == 0) return;
    ::waitpid(pid, nullptr, 0);  // whatever it writes is written then
  }
  if (does == "segv") {
    volatile int* volatile nowhere = nullptr;
    *nowhere = 1;
  }
  if (does == "overflow") {
    struct Deep {
      [[gnu::noinline]] static int dive(int n) {
        volatile char page[4096];
        page[n % 4096] = static_cast<char>(n);
        return n < 0 ? 0 : dive(n + 1) + page[n % 4096];
      }
    };
    if (Deep::dive(0) == 7) throw 8;
  }
  while (does == "hang") std::this_thread::sleep_for(std::chrono::seconds(1));
}

class Fault {
 public:
  explicit Fault(const StageContext& context)
      : at_(context.params.get<std::string>("at")), does_(context.params.get<std::string>("does")) {
    at("constructor");
  }
  void at(std::string_view function) const {
    if (at_ == function) misbehave(does_);
  }
  bool gives(std::string_view what) const { return does_ == what; }

 private:
  std::string at_, does_;
};

[[maybe_unused]] Tensor four(float first) {
  Tensor t = Tensor::allocate(DType::F32, {4});
  for (int i = 0; i < 4; ++i) t.as<float>()[i] = first + static_cast<float>(i);
  return t;
}

/// Outputs that no stage may return, by name; false if `fault` names none of them.
[[maybe_unused]] bool give_wrong(const Fault& fault, Payload& out) {
  Tensor t = four(0);
  Image image = Image::allocate(4, 4);
  if (fault.gives("tensor without data")) t.data = nullptr;
  if (fault.gives("negative extent")) t.shape = {-4};
  if (fault.gives("extents that overflow")) t.shape = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  if (t.data == nullptr || t.shape != Shape{4}) return out = t, true;
  if (fault.gives("image without data")) image.data = nullptr;
  if (fault.gives("narrow stride")) image.stride = 11;
  if (fault.gives("negative stride")) image.stride = -12;
  if (fault.gives("negative width")) image.width = -4;
  if (fault.gives("no height")) image.height = 0;
  if (image.data == nullptr || image.stride != 12 || image.width != 4 || image.height != 4)
    return out = image, true;
  if (fault.gives("bytes without data")) return out = Bytes{nullptr, nullptr, 5}, true;
  if (fault.gives("nothing")) return out = {}, true;
  return false;
}

#if defined(MISBEHAVING_SOURCE) || defined(MISBEHAVING_FORWARD_SOURCE)
#if defined(MISBEHAVING_SOURCE)
using Base = Source;
#define PLUGIN misbehaving_source
#else
using Base = ForwardSource;
#define PLUGIN misbehaving_forward_source
#endif
class Misbehaving final : public Base {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  void enter_worker() override { fault_.at("enter_worker"); }
  void finish() override { fault_.at("finish"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  std::vector<std::string> classes() const override {
    fault_.at("classes");
    if (fault_.gives("no classes")) return {};
    if (fault_.gives("two classes of one name")) return {"a", "a"};
    if (fault_.gives("a class without a name")) return {"a", ""};
    return {"a", "b"};
  }
  std::optional<std::size_t> count() override {
    fault_.at("count");
    return 30;
  }
  bool next(Entry& entry) override {
    if (at_ == 20) fault_.at("next");
    if (at_ == 30) return false;
    entry.key = fault_.gives("equal keys") ? "same"
                : fault_.gives("no key")   ? ""
                                           : "item " + std::to_string(at_);
    entry.labels = {fault_.gives("label 7") ? 7 : fault_.gives("label -1") ? -1 : at_ % 2};
    entry.negative = fault_.gives("a negative with a label");
    entry.split = fault_.gives("split 9") ? static_cast<Split>(9) : static_cast<Split>(at_ % 3);
    entry.content = digest("content " + std::to_string(at_++));
    return true;
  }
#if defined(MISBEHAVING_SOURCE)
  Payload load(const Entry& entry) const override {
    return payload_of(entry.labels[0], "load");
  }
#else
  Payload read_current() override {
    return payload_of((at_ - 1) % 2, "read_current");
  }
#endif

 private:
  Payload payload_of(int label, const char* function) const {
    fault_.at(function);
    Payload wrong;
    if (give_wrong(fault_, wrong)) return wrong;
    return four(label == 0 ? 0.f : 10.f);
  }

  Fault fault_;
  int at_ = 0;
};
#define SCHEMA PluginSchema::source("Misbehaves.").output("out", PortType::Tensor, "f32[4]", "Numbers.")

#elif defined(MISBEHAVING_TRANSFORM)
class Misbehaving final : public Transform {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  void enter_worker() override { fault_.at("enter_worker"); }
  void finish() override { fault_.at("finish"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  std::uint32_t views() const override {
    fault_.at("views");
    return fault_.gives("no views") ? 0 : fault_.gives("9 views") ? 9 : 1;
  }
  Payload apply(const Item& item) const override {
    fault_.at("apply");
    Payload wrong;
    if (give_wrong(fault_, wrong)) return wrong;
    if (fault_.gives("a file")) return FileRef{"/etc/hostname", 1};
    return item.payload;
  }

 private:
  Fault fault_;
};
#define PLUGIN misbehaving_transform
#define SCHEMA                             \
  PluginSchema::transform("Misbehaves.")   \
      .input(PortType::Tensor, "Numbers.") \
      .output("out", PortType::Tensor, "f32[4]", "The same.")

#elif defined(MISBEHAVING_BATCH)
class Misbehaving final : public BatchTransform {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  void enter_worker() override { fault_.at("enter_worker"); }
  void finish() override { fault_.at("finish"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  std::size_t batch_size() const override {
    fault_.at("batch_size");
    return fault_.gives("batches of 0") ? 0 : fault_.gives("batches of 1e9") ? 1'000'000'000 : 4;
  }
  std::size_t concurrency() const override { return fault_.at("concurrency"), 0; }
  void apply(std::span<const Item> items, BatchOutput& out) const override {
    fault_.at("apply");
    for (std::size_t i = 0; i < items.size(); ++i) {
      Payload wrong;
      if (give_wrong(fault_, wrong))
        out.set(i, wrong);
      else if (fault_.gives("an item out of range"))
        out.set(i + 100, items[i].payload);
      else if (fault_.gives("a port out of range"))
        out.set(i, items[i].payload, 3);
      else if (fault_.gives("a reject out of range"))
        out.reject(i + 100, "code", "text");
      else if (!fault_.gives("no results"))
        out.set(i, items[i].payload);
      if (fault_.gives("two results")) out.set(i, items[i].payload);
      if (fault_.gives("a result and a reject")) out.reject(i, "code", "text");
    }
  }

 private:
  Fault fault_;
};
#define PLUGIN misbehaving_batch
#define SCHEMA                                 \
  PluginSchema::batch_transform("Misbehaves.") \
      .input(PortType::Tensor, "Numbers.")     \
      .output("out", PortType::Tensor, "f32[4]", "The same.")

#elif defined(MISBEHAVING_COLLECTOR)
class Misbehaving final : public Collector {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  void enter_worker() override { fault_.at("enter_worker"); }
  void finish() override { fault_.at("finish"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  Compression compression() const override { return fault_.at("compression"), Compression::None; }
  RowFormat format(const Item& item) const override {
    fault_.at("format");
    if (fault_.gives("a negative extent")) return {DType::F32, {-4}};
    if (fault_.gives("no extent")) return {DType::F32, {0}};
    if (fault_.gives("rows of 4 PiB")) return {DType::F32, {std::int64_t{1} << 50}};
    if (fault_.gives("extents that overflow"))
      return {DType::F32, {std::int64_t{1} << 40, std::int64_t{1} << 40}};
    if (fault_.gives("nine extents")) return {DType::F32, {1, 1, 1, 1, 1, 1, 1, 1, 4}};
    if (fault_.gives("type 9")) return {static_cast<DType>(9), {4}};
    if (fault_.gives("rows of many shapes")) return {DType::F32, {item.key().back() % 2 == 0 ? 4 : 2}};
    return {DType::F32, {4}};
  }
  void encode(const Item& item, std::span<std::uint8_t> row) const override {
    fault_.at("encode");
    const auto* from = static_cast<const std::uint8_t*>(item.tensor().data);
    std::copy(from, from + std::min<std::size_t>(row.size(), 16), row.begin());
    if (fault_.gives("writes beside")) row.data()[row.size()] = 1;
  }

 private:
  Fault fault_;
};
#define PLUGIN misbehaving_collector
#define SCHEMA                             \
  PluginSchema::collector("Misbehaves.")   \
      .input(PortType::Tensor, "Numbers.") \
      .output("out", PortType::Table, "f32[4]", "Rows.")

#elif defined(MISBEHAVING_LEARNER)
/// Every row belongs to every class.
class Even final : public Predictor {
 public:
  Even(const Fault& fault, std::size_t classes) : fault_(fault), classes_(classes) {}
  ~Even() override { fault_.at("predictor's destructor"); }
  Scores predict(const std::vector<const RowSet*>& tables, Parallel& parallel) const override {
    fault_.at("predict");
    parallel.for_each(4, [&](std::size_t) { fault_.at("predict in parallel"); });
    Scores scores(tables[0]->rows() + (fault_.gives("too many rows") ? 3 : 0),
                  fault_.gives("too few columns") ? 1 : classes_);
    for (float& v : scores.values) v = 1.f / static_cast<float>(classes_);
    for (std::size_t r = 0; r < tables[0]->rows(); ++r) {  // what is no probability, and still has an order
      if (fault_.gives("NaN")) scores.row(r)[0] = NAN;
      if (fault_.gives("infinity")) scores.row(r)[1] = INFINITY;
      if (fault_.gives("scores of 3")) scores.row(r)[0] = 3;
      if (fault_.gives("negative scores")) scores.row(r)[0] = -1;
      if (fault_.gives("sums of 1.5")) scores.row(r)[0] += 0.5f;
    }
    if (fault_.gives("too few values")) scores.values.resize(1);
    return scores;
  }
  Neighbours neighbours(const std::vector<const RowSet*>& tables, Parallel&) const override {
    fault_.at("neighbours");
    Neighbours n;
    if (!fault_.gives("neighbours out of range") && !fault_.gives("too few neighbours")) return n;
    n.k = 1;
    n.rows.assign(fault_.gives("too few neighbours") ? 1 : tables[0]->rows(), 4'000'000'000u);
    n.similarity.assign(n.rows.size(), 0.5f);
    return n;
  }
  void save(Bundle& bundle) const override {
    fault_.at("save");
    Tensor none;
    none.shape = {5};
    if (fault_.gives("a tensor without data")) bundle.tensors["w"] = none;
    if (fault_.gives("a reader that is null")) bundle.large["w"] = nullptr;
    if (fault_.gives("facts that are not a map")) bundle.facts = Value(5);
  }

 private:
  const Fault fault_;
  std::size_t classes_;
};
class Misbehaving final : public Learner {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  void enter_worker() override { fault_.at("enter_worker"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  LearnerResult fit(const LearnerInput& input) override {
    fault_.at("fit");
    input.parallel.for_each(4, [&](std::size_t) { fault_.at("fit in parallel"); });
    LearnerResult result;
    if (fault_.gives("no predictor")) return result;
    result.predictor = std::make_unique<Even>(fault_, input.classes.size());
    result.val = Scores(input.tables[0].val->rows(), input.classes.size());
    for (float& v : result.val.values) v = fault_.gives("val scores of infinity") ? INFINITY : 0.5f;
    if (fault_.gives("no val scores")) result.val = {};
    return result;
  }
  std::unique_ptr<Predictor> load(const Bundle&) const override { return nullptr; }

 private:
  Fault fault_;
};
#define PLUGIN misbehaving_learner
#define SCHEMA                         \
  PluginSchema::learner("Misbehaves.") \
      .input(PortType::Table, "Rows.") \
      .output("out", PortType::Predictor, "f32[?]", "Scores.")

#elif defined(MISBEHAVING_CALIBRATOR)
class Same final : public Calibration {
 public:
  explicit Same(const Fault& fault) : fault_(fault) {}
  void apply(Scores& scores) const override {
    fault_.at("apply");
    if (fault_.gives("fewer scores")) scores = Scores(1, 1);
    if (fault_.gives("NaN")) scores.values.at(0) = NAN;
  }
  void save(Bundle& bundle) const override {
    fault_.at("save");
    if (fault_.gives("a reader that is null")) bundle.large["w"] = nullptr;
  }

 private:
  const Fault fault_;
};
class Misbehaving final : public Calibrator {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  CalibratorResult fit(const Predictions&) override {
    fault_.at("fit");
    CalibratorResult result;
    if (!fault_.gives("no calibration")) result.calibration = std::make_unique<Same>(fault_);
    return result;
  }
  std::unique_ptr<Calibration> load(const Bundle&) const override { return nullptr; }

 private:
  Fault fault_;
};
#define PLUGIN misbehaving_calibrator
#define SCHEMA                               \
  PluginSchema::calibrator("Misbehaves.")    \
      .input(PortType::Predictor, "Scores.") \
      .output("out", PortType::Predictor, "f32[?]", "The same.")

#elif defined(MISBEHAVING_REPORT) || defined(MISBEHAVING_WHOLE)
class Misbehaving final : public Report {
 public:
  explicit Misbehaving(const StageContext& context) : fault_(context) {}
  ~Misbehaving() override { fault_.at("destructor"); }
  Value facts() const override { return fault_.at("facts"), Value(); }
  ReportOutput report(const ReportInput& input) override {
    fault_.at("report");
    ReportOutput out;
    if (fault_.gives("a file above")) out.files["../../escaped.txt"] = "x";
    if (fault_.gives("a file elsewhere")) out.files["/tmp/graft-escaped.txt"] = "x";
    if (fault_.gives("a file in a folder")) out.files["a/b.txt"] = "x";
    if (fault_.gives("a file without a name")) out.files[""] = "x";
    if (fault_.gives("metrics of nobody")) out.learners["nobody"]["test"]["accuracy"] = 1.0;
    if (fault_.gives("learners that are not a map")) out.learners = Value(5);
    const bool failed = input.run.manifest().find("error") != nullptr;
    if (fault_.gives("a page")) out.page = failed ? "a page of failure" : "a page of success";
    if (fault_.gives("a trial of nobody")) input.trials.inputs("nobody");
    if (fault_.gives("a trial out of range")) input.trials.fit("learner", {{0, 99'999'999}, {}, {1}});
    return out;
  }

 private:
  Fault fault_;
};
#if defined(MISBEHAVING_REPORT)
#define PLUGIN misbehaving_report
#define SCHEMA PluginSchema::report("Misbehaves.").input(PortType::Predictor, "Scores.", true)
#else
#define PLUGIN misbehaving_whole
#define SCHEMA PluginSchema::report("Misbehaves.").input(PortType::Predictor, "Scores.", true).covers_run()
#endif
#endif

}  // namespace

// Expands PLUGIN before GRAFT_PLUGIN makes a text of it.
#define DECLARE(id, ...) GRAFT_PLUGIN(id, "1.0.0", Misbehaving, __VA_ARGS__)
DECLARE(PLUGIN,
        SCHEMA.param(text("at", "").doc("A function.")).param(text("does", "").doc("What it does there.")))
