#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <graft/learner.h>
#include <graft/schema.h>

namespace graft::testing {

/// Runs one stage without a graph, the way the runtime would: loads the plugin, checks the parameters as a
/// config does, constructs the stage, and calls it. For the tests of plugins; everything happens on the
/// calling thread.
///
///     StageHarness red("red");
///     Image out = std::get<Image>(red.apply(StageHarness::image(4, 4, {255, 128, 0})));
class GRAFT_API StageHarness {
 public:
  struct Outcome {
    Payload payload;          ///< What the stage gave for port 0, or nothing.
    std::string reject_code;  ///< Empty: the item is well.
    std::string reject_text;
    std::map<std::size_t, Payload> ports;  ///< Every port of a batch transform.
  };

  /// `params` is YAML: "{crop: 224}". Throws Error with every error of the parameters, one per line
  /// ("crop: 0 is out of range: expected at least 1 px"), or with what the stage's constructor threw.
  /// Plugins are looked for in GRAFT_PLUGIN_PATH and in the folder that the build wrote them to.
  explicit StageHarness(const std::string& plugin, const std::string& params = "{}", std::uint64_t seed = 42,
                        int threads = 1);
  ~StageHarness();

  const PluginSchema& schema() const;
  /// Warnings of the stage through StageContext::warn.
  const std::vector<std::string>& warnings() const;
  template <typename T>
  T& as() {
    return dynamic_cast<T&>(stage());
  }

  /// Source: every entry, in order.
  std::vector<Entry> list();
  /// Source: the payload of an entry as the first stage downstream would see it (files are read). A
  /// ForwardSource is asked for the entry that its `next` gave last, which must be this one.
  Payload load(const Entry& entry);
  /// Transform: throws Reject as the stage does.
  Payload apply(Payload in, const std::string& key = "item", std::uint32_t view = 0);
  /// Batch transform: one call; at most batch_size payloads.
  std::vector<Outcome> apply_batch(std::vector<Payload> in);
  /// Collector: the encoded row and its format.
  std::pair<Collector::RowFormat, std::vector<std::uint8_t>> collect(Payload in);
  /// Learner. The rows and this must outlive the predictor, which may read them.
  LearnerResult fit(const RowSet& train, const RowSet& val, std::vector<std::string> classes,
                    Parallel* parallel = nullptr, bool multi_label = false);
  /// Calibrator.
  CalibratorResult calibrate(const Predictions& predictions);
  /// Report. Without `trials`, one that fits learners again fails; without `run`, it finds a run that has
  /// left nothing.
  ReportOutput report(const std::vector<Predictions>& predictions, Trials* trials = nullptr,
                      RunRecord* run = nullptr, std::size_t columns = 0);

  /// An image of one colour.
  static Image image(int width, int height, std::vector<std::uint8_t> rgb);
  /// Bytes that own a copy of `content`.
  static Bytes bytes(const std::string& content);
  static Tensor tensor(Shape shape, const std::vector<float>& values);

 private:
  Stage& stage();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Several threads, for showing that results do not depend on their number.
class GRAFT_API Threads final : public Parallel {
 public:
  explicit Threads(int n) : n_(n) {}
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override;
  int threads() const override { return n_; }

 private:
  int n_;
};

}  // namespace graft::testing
