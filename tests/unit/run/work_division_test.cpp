#include "run/work_division.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temp_folder.h"

namespace graft {
namespace {

using State = WorkerOutlook::State;

/// A job with workers as the test says that they are.
class WorkDivisionTest : public ::testing::Test {
 protected:
  WorkDivisionTest() { job_.join(Value::map()); }

  WorkerRecord& add(const std::string& name, const WorkShard& shard, double finished, double rate) {
    WorkerRecord& w = workers_[name];
    w.attempt = name;
    w.shard = shard;
    w.state = "running";
    w.alive = true;
    w.all_listed = true;
    w.open = shard.slots();
    w.open_listed = 1000;
    w.finished.assign(w.open.count(), 0);
    w.rejected.assign(w.open.count(), 0);
    w.finished.back() = static_cast<std::uint32_t>(finished);  // all of them in its last slot
    w.rate = rate;
    w.seconds = 100;
    claim(name, shard.slots());
    return w;
  }
  void claim(const std::string& name, const SlotSet& slots) {
    ASSERT_TRUE(job_.add_claim(owners_.last_claim() + 1, name, slots));
    owners_.update(job_);
  }
  SlotSet take(const std::string& self) const { return slots_to_take(workers_, owners_, self, 15); }

  const test::TempFolder folder_;
  const JobFolder job_{folder_.path(), "job"};
  SlotOwners owners_;
  std::map<std::string, WorkerRecord> workers_;
};

TEST_F(WorkDivisionTest, TheLastClaimOfASlotCounts) {
  add("a", {0, 2}, 0, 1);
  add("b", {1, 2}, 0, 1);
  claim("b", WorkShard{1, 4}.slots());
  EXPECT_EQ(owners_.owned_by("a"), (WorkShard{0, 4}.slots()));
  EXPECT_EQ(owners_.owned_by("b").count(), 3 * kSlots / 4);
  EXPECT_TRUE(owners_.claimed().all());
  EXPECT_EQ(owners_.owner(0), "a");
  EXPECT_EQ(owners_.owner(kSlots - 1), "b");
  EXPECT_FALSE(job_.add_claim(1, "c", WorkShard{0, 1}.slots())) << "a number is given once";
}

TEST_F(WorkDivisionTest, NothingIsTakenFromThoseThatAreNearlyThrough) {
  add("me", {0, 3}, 1000, 10).done = WorkShard{0, 3}.slots();
  add("b", {1, 3}, 900, 10);  // 10 s to go
  add("c", {2, 3}, 1000, 10).done = WorkShard{2, 3}.slots();
  EXPECT_TRUE(take("me").none());
}

TEST_F(WorkDivisionTest, HalfIsTakenFromTheOneThatNeedsMostTime) {
  add("me", {0, 3}, 1000, 10).done = WorkShard{0, 3}.slots();
  add("b", {1, 3}, 500, 10);
  add("c", {2, 3}, 500, 2);
  EXPECT_EQ(take("me"), upper_half(WorkShard{2, 3}.slots()));
  // Once it has been given away, the other one has less to do than the thief would have.
  claim("me", take("me"));
  EXPECT_EQ(outlook(workers_["c"], owners_).open,
            (WorkShard{2, 3}.slots() & ~upper_half(WorkShard{2, 3}.slots())));
}

TEST_F(WorkDivisionTest, EverythingIsTakenFromTheDeadAndTheStalled) {
  add("me", {0, 3}, 1000, 10).done = WorkShard{0, 3}.slots();
  WorkerRecord& dead = add("b", {1, 3}, 400, 10);
  dead.alive = false;
  dead.done = WorkShard{3, 9}.slots();  // it was through with a third
  dead.open &= ~dead.done;
  dead.finished.front() = 300;
  dead.rejected.front() = 2;
  EXPECT_EQ(outlook(dead, owners_).state, State::Gone);
  EXPECT_EQ(take("me"), (WorkShard{1, 3}.slots() & ~WorkShard{3, 9}.slots()));
  // Its counts are those of what it still owns.
  EXPECT_EQ(outlook(dead, owners_).finished, 700u);
  claim("me", take("me"));
  EXPECT_EQ(outlook(dead, owners_).finished, 300u);
  EXPECT_EQ(outlook(dead, owners_).rejected, 2u);
  dead.done = dead.shard.slots();
  EXPECT_EQ(outlook(dead, owners_).state, State::Done);
  EXPECT_TRUE(take("me").none());
  WorkerRecord& stopped = add("c", {2, 3}, 400, 10);
  stopped.silent = 120;
  EXPECT_EQ(outlook(stopped, owners_).state, State::Stalled);
  EXPECT_EQ(take("me"), (WorkShard{2, 3}.slots()));
}

TEST_F(WorkDivisionTest, AWorkerThatHasJustBegunIsLeftAlone) {
  add("me", {0, 2}, 1000, 10).done = WorkShard{0, 2}.slots();
  WorkerRecord& fresh = add("b", {1, 2}, 0, 0);
  fresh.seconds = 3;
  EXPECT_TRUE(take("me").none()) << "it loads its model";
  fresh.seconds = 60;
  EXPECT_EQ(take("me"), upper_half(WorkShard{1, 2}.slots()));
}

TEST_F(WorkDivisionTest, UnlistedInputsAreEstimatedFromTheWholeList) {
  WorkerRecord& w = add("a", {0, 4}, 100, 10);
  w.all_listed = false;
  w.total = 8000;
  EXPECT_DOUBLE_EQ(outlook(w, owners_).remaining, 1900);
  EXPECT_DOUBLE_EQ(*outlook(w, owners_).seconds, 190);
}

TEST_F(WorkDivisionTest, AWorkerBeginsWithWhatNobodyWorksOn) {
  WorkerRecord& thief = add("a", {0, 2}, 10, 1);
  claim("a", upper_half(WorkShard{1, 2}.slots()));
  EXPECT_EQ(slots_to_begin_with({1, 2}, workers_, owners_),
            (WorkShard{1, 2}.slots() & ~upper_half(WorkShard{1, 2}.slots())));
  thief.alive = false;
  EXPECT_EQ(slots_to_begin_with({1, 2}, workers_, owners_), (WorkShard{1, 2}.slots()));
  EXPECT_EQ(slots_to_begin_with({3, 8}, workers_, owners_), (WorkShard{3, 8}.slots()))
      << "another number of shards";
}

}  // namespace
}  // namespace graft
