#include "run/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

const ProgressCounts kCounts{12000, 3000, 500, 17, false, 0};

TEST(ProgressLine, FitsTheTerminal) {
  const std::string full =
      "██████░░░░░░░░░░░░░░░░░░ 3000/12000 images  25.0/s  17 rejected  6:00 left  500 reused";
  EXPECT_EQ(progress_line(kCounts, 100, true, 0), full);
  EXPECT_EQ(progress_line(kCounts, 100, true, 200), full);
  EXPECT_EQ(progress_line(kCounts, 100, true, 80),
            "████░░░░░░░░░░░░░ 3000/12000 images  25.0/s  17 rejected  6:00 left  500 reused");
  EXPECT_EQ(progress_line(kCounts, 100, true, 40), "3000/12000 images  25.0/s  17 rejected");
  EXPECT_EQ(progress_line(kCounts, 100, true, 5), "3000/12000 images");
  EXPECT_EQ(progress_line(kCounts, 100, false, 0),
            "3000/12000 images  25.0/s  17 rejected  6:00 left  500 reused");
}

TEST(ProgressLine, LeavesOutWhatIsNotKnown) {
  EXPECT_EQ(progress_line({0, 12, 0, 0, false, 0}, 4, true, 80),
            "12 images  3.0/s  how many follow is not known");
  EXPECT_EQ(progress_line({0, 12, 0, 0, false, 0}, 4, true, 40), "12 images  3.0/s");
  EXPECT_EQ(progress_line({0, 12, 0, 0, true, 0}, 4, true, 80), "12 images  3.0/s");
  EXPECT_EQ(progress_line({10, 10, 0, 0, true, 0}, 5, false, 0), "10/10 images  2.0/s");
  EXPECT_EQ(progress_line({10, 0, 0, 0, false, 0}, 0, false, 0), "0/10 images  0.0/s");
}

TEST(ProgressLine, TheTimeLeftFollowsFromTheRateOfLate) {
  // Nearly all of them are copies of one image.
  EXPECT_EQ(progress_line({200'000, 150'000, 149'997, 0, false, 25'000}, 6, false, 0),
            "150000/200000 images  0.5/s  2 s left  149997 reused");
}

TEST(FitLine, HasTheStepTheTimeLeftAndTheScores) {
  const FitStep step{"epoch", 5, 20, {{"train_loss", 0.51239}, {"val_accuracy", 0.875}}};
  EXPECT_EQ(fit_line("mlp", step, 10, 0),
            "mlp: epoch 5 of 20  30 s left  train loss 0.5124  val accuracy 0.875");
  EXPECT_EQ(fit_line("mlp", step, 10, 40), "mlp: epoch 5 of 20  30 s left");
  EXPECT_EQ(fit_line("mlp", {"candidate", 3, 0, {}}, 10, 0), "mlp: candidate 3");
  EXPECT_EQ(fit_line("mlp", {"epoch\x1b[2J", 1, 1, {}}, 10, 0), "mlp: epoch\\x1b[2J 1 of 1");
}

}  // namespace
}  // namespace graft
