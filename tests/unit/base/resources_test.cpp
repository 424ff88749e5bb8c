// What this process may use of processors and memory: control groups of both versions as files of a test, the
// affinity mask and ulimit of this process.

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/resources.h>

#include "base/cgroup.h"
#include "sanitizers.h"
#include "temp_folder.h"

namespace graft::test {
namespace {

using ::testing::Optional;

constexpr std::uint64_t kMiB = 1 << 20;

/// A tree of control groups, and the list of the groups that the process is in.
class CgroupTest : public ::testing::Test {
 protected:
  void member(const std::string& lines) { folder_.write("self", lines); }
  void file(const std::string& name, const std::string& content) { folder_.write("cgroup/" + name, content); }
  CgroupLimits limits() const { return read_cgroup_limits(folder_ / "self", folder_ / "cgroup"); }

  TempFolder folder_;
};

TEST_F(CgroupTest, WithoutGroupsNothingIsLimited) {
  EXPECT_EQ(limits().processors, std::nullopt);  // neither file nor folder: no /proc, no /sys
  EXPECT_EQ(limits().memory, std::nullopt);
  member("0::/\n");
  EXPECT_EQ(limits().processors, std::nullopt);
  EXPECT_EQ(limits().memory, std::nullopt);
}

TEST_F(CgroupTest, VersionTwoGivesAQuotaAndALimit) {
  member("0::/work/job\n");
  file("work/job/cpu.max", "150000 100000\n");
  file("work/job/memory.max", "536870912\n");
  EXPECT_THAT(limits().processors, Optional(1.5));
  EXPECT_THAT(limits().memory, Optional(512 * kMiB));
}

TEST_F(CgroupTest, TheLowestOfAllGroupsAboveCounts) {
  member("0::/a/b/c\n");
  file("cpu.max", "800000 100000\n");
  file("a/cpu.max", "100000 50000\n");
  file("a/b/cpu.max", "max 100000\n");
  file("a/b/c/cpu.max", "400000 100000\n");
  file("memory.max", "max\n");
  file("a/memory.max", std::to_string(300 * kMiB) + "\n");
  file("a/b/memory.high", std::to_string(200 * kMiB) + "\n");
  file("a/b/c/memory.max", std::to_string(900 * kMiB) + "\n");
  EXPECT_THAT(limits().processors, Optional(2.0));
  EXPECT_THAT(limits().memory, Optional(200 * kMiB));
}

TEST_F(CgroupTest, MaxIsNoLimit) {
  member("0::/job\n");
  file("job/cpu.max", "max 100000\n");
  file("job/memory.max", "max\n");
  file("job/memory.high", "max\n");
  EXPECT_EQ(limits().processors, std::nullopt);
  EXPECT_EQ(limits().memory, std::nullopt);
}

TEST_F(CgroupTest, InAContainerTheTopmostGroupIsThatOfTheContainer) {
  file("cpu.max", "50000 100000\n");
  file("memory.max", "1048576\n");
  // By the path on the host, which is not visible, and by one that leads out of the namespace.
  for (const char* path :
       {"0::/system.slice/docker-0a1b.scope\n", "0::/../other\n", "0::/..\n", "0::/\n", "0::\n"}) {
    member(path);
    EXPECT_THAT(limits().processors, Optional(0.5)) << path;
    EXPECT_THAT(limits().memory, Optional(kMiB)) << path;
  }
}

TEST_F(CgroupTest, VersionOneHasATreeForEachController) {
  member(
      "12:pids:/job\n"
      "5:cpuset:/elsewhere\n"
      "4:memory:/job/step:1\n"
      "3:cpu,cpuacct:/job\n"
      "1:name=systemd:/init.scope\n");
  file("cpu,cpuacct/job/cpu.cfs_quota_us", "250000\n");
  file("cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  file("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  file("memory/job/memory.limit_in_bytes", "134217728\n");
  file("memory/job/step:1/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_THAT(limits().processors, Optional(2.5));
  EXPECT_THAT(limits().memory, Optional(128 * kMiB));
}

TEST_F(CgroupTest, AFolderOfVersionOneMayHaveTheNameOfOneController) {
  member("3:cpuacct,cpu:/job\n");
  file("cpu/job/cpu.cfs_quota_us", "300000\n");  // the usual period where there is no file of it
  EXPECT_THAT(limits().processors, Optional(3.0));
}

TEST_F(CgroupTest, BothVersionsMayBeMounted) {
  member("4:memory:/job\n0::/job\n");
  file("memory/job/memory.limit_in_bytes", "4194304\n");
  file("unified/job/cpu.max", "700000 100000\n");
  EXPECT_THAT(limits().processors, Optional(7.0));
  EXPECT_THAT(limits().memory, Optional(4 * kMiB));
}

TEST_F(CgroupTest, WhatMakesNoSenseLimitsNothing) {
  member("0::/job\n");
  for (const char* text : {"", "\n", "0\n", "-1\n", "-5 100000\n", "many\n", "12x\n", "1e3\n", " \n\n",
                           "99999999999999999999999\n", "0x10\n", "\x01\xff\n"}) {
    file("job/cpu.max", text);
    file("job/memory.max", text);
    EXPECT_EQ(limits().processors, std::nullopt) << text;
    EXPECT_EQ(limits().memory, std::nullopt) << text;
  }
  // A period that makes no sense is the usual one.
  for (const char* text : {"200000\n", "200000 0\n", "200000 -1\n", "200000 x\n"}) {
    file("job/cpu.max", text);
    EXPECT_THAT(limits().processors, Optional(2.0)) << text;
  }
  for (const char* lines :
       {"", "\n", "nonsense", "0:", "0:memory", ":::", "0::job", "7:cpu,:/job", "\n\n0::/job"}) {
    member(lines);
    file("job/cpu.max", "max");
    EXPECT_EQ(limits().processors, std::nullopt) << lines;
  }
}

/// Exit code of a child that does `body`.
template <typename Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Resources, AtMostTheProcessorsOfTheAffinityMask) {
  EXPECT_GE(usable_processors(), 1);
  EXPECT_EQ(in_child([] {
              cpu_set_t mask;
              ::sched_getaffinity(0, sizeof mask, &mask);
              int one = 0;
              while (!CPU_ISSET(one, &mask)) ++one;
              CPU_ZERO(&mask);
              CPU_SET(one, &mask);
              ::sched_setaffinity(0, sizeof mask, &mask);
              return usable_processors();
            }),
            1);
}

TEST(Resources, AtMostTheMemoryThatUlimitAllows) {
  if (kSanitized) GTEST_SKIP() << "sanitizers map more than any limit allows";
  const std::uint64_t before = usable_memory();
  EXPECT_GT(before, 64 * kMiB);
  EXPECT_EQ(in_child([&] {
              const rlimit half{before / 2, before / 2};
              ::setrlimit(RLIMIT_AS, &half);
              return usable_memory() == before / 2 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace graft::test
