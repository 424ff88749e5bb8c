#include <network/checked_engine.h>

#include <fmt/format.h>

#include <utility>

#include <network/engine_check.h>

namespace graft::nn {
namespace {

constexpr std::size_t kThoroughSizes = 2;  // later ones are compared in whole batches only

/// Another engine works on this thread with its own settings; even if it throws, the settings of `own` are
/// restored.
class Lent {
 public:
  Lent(const Engine& other, const Engine& own) : own_(own) { other.enter_thread(); }
  ~Lent() { own_.enter_thread(); }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;

 private:
  const Engine& own_;
};

}  // namespace

CheckedEngine::CheckedEngine(Make fast, Make reference, Make instead, EngineOptions options, std::string name)
    : make_fast_(std::move(fast)),
      make_reference_(std::move(reference)),
      make_instead_(std::move(instead)),
      options_(std::move(options)),
      name_(std::move(name)),
      fast_(make_fast_(options_.batch)) {}

void CheckedEngine::enter_thread() const {
  fast_->enter_thread();
}

const Architecture* CheckedEngine::described() const {
  const std::lock_guard lock(mutex_);
  return instead_ ? nullptr : fast_->described();
}

std::vector<ScriptModule> CheckedEngine::modules() const {
  const std::lock_guard lock(mutex_);
  return instead_ ? instead_->modules() : std::vector<ScriptModule>();
}

const Engine& CheckedEngine::reference() const {
  const std::lock_guard lock(reference_mutex_);
  if (!reference_) reference_ = make_reference_(options_.batch);
  return *reference_;
}

std::vector<Tensor> CheckedEngine::run_plainly(const float* images, int count, int height, int width) const {
  const Engine& truth = reference();
  const Lent thread(truth, *fast_);
  return truth.run_plainly(images, count, height, width);
}

bool CheckedEngine::agrees(int height, int width) const {
  const RunImages plain = [&](const float* images, int count) {
    return run_plainly(images, count, height, width);
  };
  const RunImages fast = [&](const float* images, int count) {
    const auto other = count == options_.batch ? nullptr : make_fast_(count);
    return (other ? *other : *fast_).run(images, height, width);
  };
  const EngineCheck check(plain, options_.batch, height, width, use_fast_.size() < kThoroughSizes);
  try {
    const auto found = check.difference(fast, plain, Tolerance::of(options_.precision).trusted);
    if (!found) return true;
    options_.warn(fmt::format(
        "{}: merged layers are wrong for {} x {} images ({}); LibTorch's optimiser is used, which is slower",
        name_, width, height, *found));
  } catch (const UnfitInput& fault) {
    options_.warn(
        fmt::format("{}: merged layers fail where the model works ({}); LibTorch's optimiser is used, "
                    "which is slower",
                    name_, fault.what()));
  }
  return false;
}

std::vector<Tensor> CheckedEngine::run(const float* images, int height, int width) const {
  const Engine* chosen = fast_.get();
  {
    const std::lock_guard lock(mutex_);
    auto known = use_fast_.find({height, width});
    if (known == use_fast_.end())
      known = use_fast_.emplace(std::pair(height, width), agrees(height, width)).first;
    if (!known->second) {
      if (!instead_) instead_ = make_instead_(options_.batch);
      chosen = instead_.get();
    }
  }
  if (chosen == fast_.get()) return fast_->run(images, height, width);
  const Lent thread(*chosen, *fast_);
  return chosen->run(images, height, width);
}

}  // namespace graft::nn
