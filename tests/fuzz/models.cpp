#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>

#include <graft/hash.h>
#include <graft/learner.h>
#include <graft/predictor.h>
#include <graft/testing/stage_harness.h>

#include <training/checkpoint.h>
#include "fuzz.h"
#include "run/bundle_file.h"

namespace graft::fuzz {
namespace {

using testing::StageHarness;

constexpr std::size_t kDim = 3;
constexpr const char* kLearners[] = {"linear_probe", "mlp", "knn", "prototypes", "hybrid"};

StageHarness& harness(const std::string& plugin) {
  static auto& made = *new std::map<std::string, std::unique_ptr<StageHarness>>;
  std::unique_ptr<StageHarness>& slot = made[plugin];
  if (!slot) slot = std::make_unique<StageHarness>(plugin);
  return *slot;
}

MemoryRows rows(std::size_t n) {
  std::vector<float> values;
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(static_cast<std::int32_t>(i % 2));
    for (std::size_t d = 0; d < kDim; ++d)
      values.push_back(static_cast<float>((i * 7 + d * 3) % 11) + (i % 2) * 5.0f);
  }
  return {values, kDim, labels};
}

// A model that a run has left: the length of bundle.json, that, and weights.safetensors. Every learner is
// asked to take it, and to judge two rows with it.
void bundle(std::string_view input) {
  Pieces in(input);
  const std::string_view facts = in.text(in.number(4));
  std::filesystem::create_directories(scratch_folder() / "model");
  write_scratch(facts, "model/bundle.json");
  write_scratch(in.rest(), "model/weights.safetensors");
  const Bundle read = load_bundle(scratch_folder() / "model");
  Sequential sequential;
  const MemoryRows two = rows(2);
  for (const char* plugin : kLearners) try {
      harness(plugin).as<Learner>().load(read)->predict({&two}, sequential);
    } catch (const Error&) {
    }
  Scores scores(2, 2);
  std::fill(scores.values.begin(), scores.values.end(), 0.5f);
  harness("temperature").as<Calibrator>().load(read)->apply(scores);
}

// The digest after it is right.
void training_checkpoint(std::string_view input) {
  training::read_checkpoint(write_scratch(std::string(input) + digest(input).hex()).string());
}

std::string packed(const Bundle& bundle) {
  const auto folder = scratch_folder() / "seed";
  save_bundle(folder, bundle);
  const auto read = [&](const char* name) {
    std::ifstream in(folder / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  // Without the digests, which no mutation would get past.
  Value json = Value::from_json(read("bundle.json"));
  std::erase_if(json.as_map(), [](const auto& fact) { return fact.first == "sha256"; });
  const std::string facts = json.to_json_pretty();
  return little_endian(facts.size(), 4) + facts + read("weights.safetensors");
}

std::vector<std::string> bundle_seeds() {
  std::vector<std::string> out;
  const MemoryRows train = rows(20), val = rows(6);
  for (const char* plugin : kLearners) {
    Bundle bundle;
    harness(plugin).fit(train, val, {"a", "b"}).predictor->save(bundle);
    out.push_back(packed(bundle));
  }
  Predictions predictions;
  predictions.classes = {"a", "b"};
  predictions.val.scores = Scores(4, 2);
  for (std::int32_t i = 0; i < 4; ++i) {
    predictions.val.keys.push_back(std::to_string(i));
    predictions.val.labels.push_back({i % 2});
    predictions.val.scores.row(static_cast<std::size_t>(i))[0] = i % 3 == 0 ? 0.7f : 0.4f;
    predictions.val.scores.row(static_cast<std::size_t>(i))[1] = i % 3 == 0 ? 0.3f : 0.6f;
  }
  Bundle bundle;
  harness("temperature").calibrate(predictions).calibration->save(bundle);
  out.push_back(packed(bundle));
  return out;
}

std::vector<std::string> checkpoint_seeds() {
  Bundle state;
  state.facts["epoch"] = 3;
  state.tensors["fc.weight"] = Tensor::allocate(DType::F32, {2, 3});
  std::fill_n(state.tensors["fc.weight"].as<float>(), 6, 1.0f);
  const std::string path = (scratch_folder() / "checkpoint").string();
  training::write_checkpoint(path, state);
  std::ifstream in(path, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(in), {});
  content.resize(content.size() - 32);
  return {content};
}

}  // namespace

std::vector<Target> model_targets() {
  return {
      {"bundle", bundle, bundle_seeds, nullptr, 16384},
      {"training_checkpoint", training_checkpoint, checkpoint_seeds},
  };
}

}  // namespace graft::fuzz
