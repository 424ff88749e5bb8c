#include <source/walk.h>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <preview/preview_mark.h>

#include "temp_folder.h"

namespace graft::source {
namespace {

TEST(Walk, WhatIsLeftOutIsNamedWithItsReason) {
  const test::TempFolder folder;
  folder.write("a/x.jpg", "1");
  folder.write("a/.hidden.jpg", "1");
  folder.write("a/.DS_Store", "1");
  folder.write(".git/x.jpg", "1");
  folder.write(".thumbs/x.jpg", "1");
  const std::string root = folder.path().string();
  ASSERT_EQ(mkfifo((root + "/a/pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("x.jpg", root + "/a/link.jpg");
  std::vector<std::string> skipped;
  const auto files =
      list_files(root, false, [&](const std::string& kind, const std::string& path, const std::string&) {
        skipped.push_back(kind + " " + path.substr(root.size() + 1));
      });
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].path, "a/x.jpg");
  EXPECT_THAT(skipped, ::testing::UnorderedElementsAre("hidden file or folder .thumbs",
                                                       "hidden file or folder a/.hidden.jpg",
                                                       "special file a/pipe", "symbolic link a/link.jpg"));
}

TEST(Walk, WhatGraftHasWrittenIsNoData) {
  const test::TempFolder folder;
  const std::string manifest = "{\n  \"graft\": \"0.1.0\",\n  \"command\": \"graft run c.yaml\"\n}\n";
  const std::string status = "{\n  \"status\": \"failed\",\n  \"folder\": \"b\"\n}\n";
  folder.write("ants/x.jpg", "1");
  folder.write("runs/a/manifest.json", manifest);
  folder.write("runs/a/reports/confusion.png", "1");
  folder.write("runs/b.failed/status.json", status);
  folder.write("runs/b.failed/log.txt", "1");
  folder.write("deep/er/out/manifest.json", manifest);
  folder.write("deep/er/out/reports/confusion.png", "1");
  folder.write("store/digests.memo", std::string("GRAFTMEM") + std::string(56, '\2'));
  folder.write("store/tables/b4c4c8c74dea66fe0d4c6faa15a70256/rows.h5", "1");
  folder.write("sweep/sweep.json",
               "{\n  \"name\": \"e\",\n  \"metric\": \"accuracy\",\n  \"combinations\": [\n");
  folder.write("sweep/001/manifest.json", manifest);
  folder.write(".c.run-host.1.2.3/status.json", status);
  folder.write("store without memo/tables/b4c4c8c74dea66fe0d4c6faa15a70256/rows.h5", "1");
  folder.write("furniture/tables/chairs.jpg", "1");
  folder.write("running/.c.run-host.1.2.3/status.json", status);
  const std::string preview =
      std::string(preview::kPreviewMarkAt, 'h') + std::string(preview::kPreviewMark) + "pixels";
  folder.write("preview/views.png", preview);
  folder.write("preview/more.png", preview);
  folder.write("wasps/views.png", preview);
  folder.write("wasps/a.png", "1");
  // Files of these names that are somebody else's.
  folder.write("bees/manifest.json", "{\"name\": \"graft\", \"short_name\": \"bees\"}");
  folder.write("bees/status.json", "{\"status\": \"ok\"}");
  folder.write("bees/digests.memo", "notes");
  folder.write("bees/y.jpg", "1");
  folder.write("mixed/a/manifest.json", manifest);
  folder.write("mixed/z.jpg", "1");
  const std::string root = folder.path().string();
  std::vector<std::string> skipped, files;
  const OnSkip skip = [&](const std::string& kind, const std::string& path, const std::string& cure) {
    EXPECT_EQ(cure, "graft has written it; results, previews and stores are not input data");
    skipped.push_back(kind + " " + path.substr(root.size() + 1));
  };
  for (const FoundFile& file : list_files(root, false, skip)) files.push_back(file.path);
  EXPECT_THAT(skipped, ::testing::ElementsAre("output folder deep/er/out", "output folder mixed/a",
                                              "output folder preview", "output folder runs/a",
                                              "output folder runs/b.failed", "output folder store",
                                              "output folder store without memo", "output folder sweep"));
  EXPECT_THAT(files, ::testing::ElementsAre("ants/x.jpg", "bees/digests.memo", "bees/manifest.json",
                                            "bees/status.json", "bees/y.jpg", "furniture/tables/chairs.jpg",
                                            "mixed/z.jpg", "wasps/a.png", "wasps/views.png"));
  for (const char* name : {"runs", "runs/a", "runs/b.failed", "deep/er", "deep/er/out", "preview", "running",
                           "store", "store without memo", "sweep"})
    EXPECT_TRUE(is_output_folder(root + "/" + name)) << name;
  for (const char* name : {"ants", "bees", "furniture", "mixed", "wasps", "deep", "none", "bees/y.jpg"})
    EXPECT_FALSE(is_output_folder(root + "/" + name)) << name;

  // Who names a folder of results as the root means it.
  EXPECT_EQ(list_files(root + "/runs/a", false, [](auto&&...) { FAIL(); }).size(), 2u);
}

}  // namespace
}  // namespace graft::source
