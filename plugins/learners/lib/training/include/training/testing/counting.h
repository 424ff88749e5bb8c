#pragma once

#include <cstddef>
#include <functional>

#include <graft/predictor.h>

namespace graft::training {

/// Runs bodies in turn, and counts the rounds: each step of a training takes some.
class Counting final : public Parallel {
 public:
  void for_each(std::size_t n, const std::function<void(std::size_t)>& body) override {
    ++rounds_;
    for (std::size_t i = 0; i < n; ++i) body(i);
  }
  int threads() const override { return 1; }
  std::size_t rounds() const { return rounds_; }

 private:
  std::size_t rounds_ = 0;
};

}  // namespace graft::training
