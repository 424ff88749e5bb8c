// Files of rows are read in processes of their own: what their crashes, their number and their memory do.

#include <graft/table_file.h>

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>

#include "sanitizers.h"
#include "table_file_fixture.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::all_features;
using test::Hdf5File;
using test::Id;
using test::TableFileTest;
using ::testing::HasSubstr;

/// Processes that this one has started.
std::vector<pid_t> children() {
  std::vector<pid_t> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string stat = test::slurp(entry.path() / "stat");
    const std::size_t name = stat.rfind(')');
    int parent = 0;
    if (name == std::string::npos || std::sscanf(stat.c_str() + name + 1, " %*c %d", &parent) != 1) continue;
    if (parent == ::getpid()) out.push_back(std::atoi(entry.path().filename().c_str()));
  }
  return out;
}

TEST_F(TableFileTest, AFileOnWhichHdf5CrashesIsAnError) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers answer the signal of the crash themselves";
  EXPECT_EQ(fault_with([](const Hdf5File&) {}), "ok");
  const TableFile file(path());
  ASSERT_EQ(children().size(), 1u);
  ::kill(children()[0], SIGSEGV);
  float row[3];
  try {
    file.read(0, 1, row);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.what(),
              path() +
                  ": the HDF5 library crashed (Segmentation fault) while it read this file, in a process "
                  "of its own; the file is likely damaged: write it again with the software that made it");
  }
  EXPECT_EQ(children().size(), 0u);
}

TEST_F(TableFileTest, ManyFilesAreOpenWithFewProcesses) {
  constexpr std::size_t kFiles = 20;
  std::vector<TableFile> files;
  for (std::size_t i = 0; i < kFiles; ++i) {
    const std::string name = folder_ / (std::to_string(i) + ".h5");
    { Hdf5File(name).write<float>("features", {1, 1}, {static_cast<float>(i)}); }
    files.emplace_back(name);
    EXPECT_LE(children().size(), 8u);
  }
  for (std::size_t i = 0; i < kFiles; ++i) EXPECT_EQ(all_features(files[i])[0], static_cast<float>(i));
  { Hdf5File(folder_ / "0.h5").write<float>("features", {2, 1}, {0, 0}); }
  try {
    all_features(files[0]);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("has changed while it was being read; run again"));
  }
  files.clear();
  EXPECT_EQ(children().size(), 0u);
}

// A text of zeros packs to a thousandth: what it unpacks to must not be more than a machine has.
TEST_F(TableFileTest, ASmallFileDoesNotNeedMuchMemory) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers need more address space than the reader may have";
  const Id packed{H5Pcreate(H5P_DATASET_CREATE)};
  const hsize_t chunk[2] = {1, hsize_t{1} << 23};
  H5Pset_chunk(packed.id, 2, chunk);
  H5Pset_deflate(packed.id, 9);
  {
    const Hdf5File file(path());
    file.write<double>("features", {1, chunk[1]}, std::vector<double>(chunk[1]), -1, packed.id);
  }
  ASSERT_LT(fs::file_size(path()), 1u << 20);
  // HDF5 1.14 does not tell why a filter failed.
  EXPECT_THAT(fault(), AnyOf(HasSubstr("memory"), HasSubstr("filter returned failure during read")));
  const hsize_t rows[2] = {1 << 15, 1};
  H5Pset_chunk(packed.id, 2, rows);
  {
    const Hdf5File file(path());
    file.write<float>("features", {1 << 20, 1}, std::vector<float>(1 << 20), -1, packed.id);
  }
  EXPECT_THAT(fault(), HasSubstr("dataset 'features': 1048576 packed rows in a file of "));
}

}  // namespace
}  // namespace graft
