#include "graph/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

namespace graft {
namespace {

class Counted final : public Stage {
 public:
  void enter_worker() override { ++entered; }
  std::atomic<int> entered{0};
};

TEST(Workers, AnObservationEndsWithItsScopeWhereAnErrorEndsThat) {
  Workers workers(4);
  Counted stage;
  const auto work = [&] { workers.for_each(64, [](std::size_t) {}); };
  try {
    const Workers::Observation observation(workers, {{&stage, "stage"}});
    workers.execute(work);
    throw std::runtime_error("a full disk");
  } catch (const std::runtime_error&) {
  }
  const int before = stage.entered;
  EXPECT_GT(before, 0) << "the thread that works joins, too";
  for (int i = 0; i < 200; ++i) workers.execute(work);
  EXPECT_EQ(stage.entered, before) << "the stage may be gone";
}

}  // namespace
}  // namespace graft
