#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include <graft/predictor.h>

namespace graft::training {

/// Runs bodies in turn, and raises a flag after so many rounds.
class Interrupting final : public Parallel {
 public:
  Interrupting(int rounds, std::atomic<bool>& flag) : rounds_(rounds), flag_(flag) {}
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    for (std::size_t i = 0; i < n; ++i) body(i);
    if (--rounds_ == 0) flag_ = true;
  }
  int threads() const override { return 1; }

 private:
  int rounds_;
  std::atomic<bool>& flag_;
};

}  // namespace graft::training
