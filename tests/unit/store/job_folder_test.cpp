#include "store/job_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include <graft/error.h>

#include "temp_folder.h"

namespace graft {
namespace {

Value job_with_seed(int seed) {
  Value v = Value::map();
  v["seed"] = Value(std::int64_t{seed});
  return v;
}

class JobFolderTest : public ::testing::Test {
 protected:
  const test::TempFolder folder_;
  const JobFolder job_{folder_.path(), "job"};
};

TEST_F(JobFolderTest, AClaimThatIsSeenLateIsNotPassedOver) {
  job_.join(job_with_seed(0));
  const SlotSet first = WorkShard{0, 4}.slots(), second = WorkShard{1, 4}.slots();
  ASSERT_TRUE(job_.add_claim(1, "a", first));
  ASSERT_TRUE(job_.add_claim(2, "b", second));
  ASSERT_TRUE(job_.add_claim(3, "c", first));
  // A listing of a network file system may have the third before the second.
  const auto claims = job_.path() / "claims";
  std::filesystem::rename(claims / "00000002", folder_ / "late");
  SlotOwners owners;
  owners.update(job_);
  EXPECT_EQ(owners.last_claim(), 1u);
  EXPECT_EQ(owners.owned_by("a"), first);
  std::filesystem::rename(folder_ / "late", claims / "00000002");
  owners.update(job_);
  EXPECT_EQ(owners.last_claim(), 3u);
  EXPECT_EQ(owners.owned_by("b"), second);
  EXPECT_EQ(owners.owned_by("c"), first);
  EXPECT_TRUE(owners.owned_by("a").none());
}

TEST_F(JobFolderTest, ADamagedClaimIsNamed) {
  job_.join(job_with_seed(0));
  folder_.write("jobs/job/claims/00000001", "{}");
  try {
    job_.claims_after(0);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.what(),
              (job_.path() / "claims/00000001").string() +
                  ": not a claim of a worker: 'worker' is missing; graft launch --restart begins the "
                  "job again");
  }
}

TEST_F(JobFolderTest, ARestartForgetsClaimsAndSparesRunningWorkers) {
  job_.restart(job_with_seed(0));  // there is none yet
  ASSERT_TRUE(job_.add_claim(1, "a", WorkShard{0, 1}.slots()));
  {
    const WorkerLease lease(job_, "a");
    WorkerRecord record;
    record.state = "running";
    record.host = "node7";
    record.pid = 42;
    lease.write(record);
    try {
      job_.restart(job_with_seed(1));
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.what(),
                job_.path().string() +
                    ": a worker of this job is running: shard 0/1 on node7 (process 42); stop it first");
    }
    EXPECT_EQ(job_.description().to_json(), job_with_seed(0).to_json());
    EXPECT_EQ(job_.claims_after(0).size(), 1u);
    record.state = "done";
    lease.write(record);
  }
  job_.restart(job_with_seed(1));
  EXPECT_EQ(job_.description().to_json(), job_with_seed(1).to_json());
  EXPECT_TRUE(job_.claims_after(0).empty());
  EXPECT_TRUE(job_.workers().empty());
}

// It has locked its lease, and its record is not there yet, or of a later version.
TEST_F(JobFolderTest, ARestartSparesAWorkerWhoseRecordCannotBeRead) {
  job_.join(job_with_seed(0));
  {
    const WorkerLease lease(job_, "a.b.c");
    const std::string path = (job_.path() / "workers/a.b.c.lease").string();
    for (const char* record : {"", "{}"}) {
      if (*record != 0) folder_.write("jobs/job/workers/a.b.c.json", record);
      try {
        job_.restart(job_with_seed(1));
        FAIL();
      } catch (const Error& e) {
        EXPECT_EQ(e.what(), job_.path().string() + ": a worker of this job is running: the one of " + path +
                                "; stop it first");
      }
    }
  }
  job_.restart(job_with_seed(1));  // nobody holds it any more
  EXPECT_EQ(job_.description().to_json(), job_with_seed(1).to_json());
}

TEST_F(JobFolderTest, AWorkerThatIsJustJoiningIsWaitedFor) {
  std::optional<WorkerLease> lease;
  std::string refused;
  std::thread restart;
  ASSERT_TRUE(job_.join(job_with_seed(0), [&] {
    restart = std::thread([&] {
      try {
        job_.restart(job_with_seed(1));
      } catch (const Error& e) {
        refused = e.what();
      }
    });
    lease.emplace(job_, "a");
    WorkerRecord record;
    record.state = "running";
    lease->write(record);
  }));
  restart.join();
  EXPECT_NE(refused.find("a worker of this job is running"), std::string::npos) << refused;
  EXPECT_EQ(job_.description().to_json(), job_with_seed(0).to_json());
}

TEST_F(JobFolderTest, ARunMarksOnlyTheJobThatItHasMerged) {
  job_.join(job_with_seed(0));
  job_.restart(job_with_seed(1));
  EXPECT_FALSE(job_.mark_merged(job_with_seed(0), "r"));
  EXPECT_EQ(job_.merged(), "");
  EXPECT_TRUE(job_.mark_merged(job_with_seed(1), "r"));
  EXPECT_FALSE(job_.remove_merged([] { return false; }));
  EXPECT_TRUE(job_.exists());
  EXPECT_TRUE(job_.remove_merged([] { return true; }));
  EXPECT_FALSE(job_.exists());
}

// Where the folder goes while another process makes its parts, one of them fails.
TEST_F(JobFolderTest, RestartsAndJoinsAtOnceSeeWholeJobs) {
  std::atomic<int> errors{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) try {
          if (t % 2 == 0)
            job_.restart(job_with_seed(0));
          else if (!job_.join(job_with_seed(0)))
            ++errors;
        } catch (const Error& e) {
          if (++errors == 1) ADD_FAILURE() << e.what();
        }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(job_.description().to_json(), job_with_seed(0).to_json());
}

}  // namespace
}  // namespace graft
