#include "run/cluster_estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/testing/error_of.h>

namespace graft {
namespace {

using ::testing::HasSubstr;

TEST(ClusterEstimate, ShapesAreReadAndOthersNamed) {
  const ClusterShape shape = ClusterShape::parse("slurm:40x8");
  EXPECT_EQ(shape.engine, "slurm");
  EXPECT_EQ(shape.tasks, 40);
  EXPECT_EQ(shape.cpus, 8);
  EXPECT_EQ(shape.text(), "slurm:40x8");
  for (const char* text : {"", "slurm", "40x8", "slurm:40", "slurm:0x8", "slurm:40x0", "slurm:-1x8",
                           "slurm:40x8x2", "spark:4x4", "slurm:x", "slurm:99999999999x1"})
    EXPECT_EQ(
        testing::error_of([&] { ClusterShape::parse(text); }),
        "expected ENGINE:TASKSxCPUS such as slurm:40x8 (engines: local, slurm, kubernetes, mpi), got '" +
            std::string(text) + "'");
}

TEST(ClusterEstimate, WorkIsDividedAndEveryTaskStarts) {
  WorkToDo work;
  work.core_seconds = 3200 * 3600.0;
  work.start_seconds = 36;
  work.inputs = 1000000;
  work.disk_bytes = 4096;
  work.memory_bytes = 1 << 30;
  work.machine = {"n1", "Fast 3000", 8, std::uint64_t{32} << 30};
  const ClusterEstimate e = estimate_on({"slurm", 40, 8}, work, 1.5);
  EXPECT_DOUBLE_EQ(*e.wall_seconds, 10 * 3600 + 36);
  EXPECT_DOUBLE_EQ(*e.task_hours, 40 * 10.01);
  EXPECT_DOUBLE_EQ(*e.core_hours, 320 * 10.01);
  EXPECT_DOUBLE_EQ(*e.cost, 1.5 * 40 * 10.01);
  EXPECT_THAT(to_text(e),
              HasSubstr("time about 10:00:36, 400.40 machine-hours (3203.20 processor-hours), 600.60 at the "
                        "price given, at the pace of this machine\n"
                        "  measured on n1: Fast 3000, 8 processors, 32.0 GiB of memory\n"));
  EXPECT_EQ(to_value(e).find("machine")->to_json(),
            R"({"name":"n1","processor":"Fast 3000","processors":8,"memory_bytes":34359738368})");
  EXPECT_THAT(to_text(e), HasSubstr("  disk +4.0 KiB, memory of a task about 1.0 GiB\n"));
}

TEST(ClusterEstimate, TasksWithoutInputsCostNothing) {
  WorkToDo work;
  work.core_seconds = 10;
  work.inputs = 2;
  EXPECT_DOUBLE_EQ(*estimate_on({"slurm", 40, 1}, work, {}).wall_seconds, 5);
  work.inputs = 0;
  work.core_seconds = 0;
  EXPECT_DOUBLE_EQ(*estimate_on({"slurm", 40, 1}, work, {}).task_hours, 0);
}

TEST(ClusterEstimate, WhatWasNotMeasuredIsNotMadeUp) {
  WorkToDo work;
  work.why_not = "not measured: few inputs";
  const ClusterEstimate e = estimate_on({"mpi", 2, 2}, work, 1);
  EXPECT_THAT(to_text(e), HasSubstr("  time not known: not measured: few inputs\n"));
  EXPECT_TRUE(to_value(e).find("cost")->is_null());
}

}  // namespace
}  // namespace graft
