#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

namespace graft {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::StageHarness;

class ImageFolder : public ::testing::Test {
 protected:
  ImageFolder() {
    std::string pattern = (fs::temp_directory_path() / "image_folder.XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~ImageFolder() override {
    std::error_code ignored;
    fs::permissions(root_ / "locked", fs::perms::owner_all, ignored);
    fs::remove_all(root_, ignored);
  }

  void add(const std::string& name, const std::string& content = "x") {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  void add_many(const std::string& folder, int count) {
    for (int i = 0; i < count; ++i) add(folder + "/" + std::to_string(100 + i) + ".jpg");
  }
  StageHarness open(const std::string& more = "") {
    return StageHarness("image_folder",
                        "{root: \"" + root_.string() + "\"" + (more.empty() ? "" : ", " + more) + "}");
  }
  std::string fault(const std::string& more = "") {
    try {
      open(more);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  }
  std::vector<std::string> keys(StageHarness& stage) {
    std::vector<std::string> all;
    for (const Entry& e : stage.list()) all.push_back(e.key);
    return all;
  }

  fs::path root_;
};

TEST_F(ImageFolder, ListsClassesAndFilesInOrder) {
  add("cats/b.jpg", "12345");
  add("cats/a.png");
  add("Dogs/deep/er/z.jpg");
  add("cats/notes.txt");
  auto stage = open();
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("Dogs", "cats"));
  EXPECT_EQ(stage.as<Source>().count(), 4u);
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].key, "Dogs/deep/er/z.jpg");
  EXPECT_THAT(entries[0].labels, ElementsAre(0));
  EXPECT_EQ(entries[1].key, "cats/a.png");
  EXPECT_EQ(entries[2].key, "cats/b.jpg");
  EXPECT_THAT(entries[2].labels, ElementsAre(1));
  EXPECT_EQ(entries[3].key, "cats/notes.txt");
  const auto& file = std::get<FileRef>(entries[2].payload);
  EXPECT_EQ(file.path, (root_ / "cats/b.jpg").string());
  EXPECT_EQ(file.size, 5u);
  EXPECT_GT(file.mtime_ns, 1'000'000'000'000'000'000);
  EXPECT_FALSE(entries[2].content.has_value());
  const auto loaded = std::get<Bytes>(stage.load(entries[2]));
  EXPECT_EQ(std::string(loaded.data, loaded.data + loaded.size), "12345");
}

TEST_F(ImageFolder, TakesSplitsFromFolders) {
  add_many("train/a", 30);
  add_many("train/b", 30);
  add_many("val/a", 20);
  add_many("val/b", 20);
  add("extra/a/x.jpg");
  auto stage = open("splits: {train: train, test: val}, val_fraction: 0");
  std::map<std::pair<std::string, Split>, int> counts;
  for (const Entry& e : stage.list()) ++counts[{e.key.substr(0, e.key.find('/')), e.split}];
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ((counts[{"train", Split::Train}]), 60);
  EXPECT_EQ((counts[{"val", Split::Test}]), 40);
  EXPECT_THAT(stage.warnings(),
              ElementsAre("ignored in " + root_.string() + ", because splits does not name it: extra"));
}

TEST_F(ImageFolder, CarvesValOutOfTrain) {
  add_many("train/a", 300);
  add_many("test/a", 100);
  auto stage = open("splits: {train: train, test: test}, val_fraction: 0.25");
  std::map<Split, int> counts;
  for (const Entry& e : stage.list()) ++counts[e.split];
  EXPECT_EQ(counts[Split::Test], 100);
  EXPECT_NEAR(counts[Split::Val], 75, 30);
  EXPECT_EQ(counts[Split::Train] + counts[Split::Val], 300);
}

TEST_F(ImageFolder, HashedSplitsStayWhenFilesCome) {
  add_many("a", 200);
  auto before = open();
  std::map<std::string, Split> split;
  for (const Entry& e : before.list()) split[e.key] = e.split;
  add_many("b", 50);
  auto after = open();
  std::map<Split, int> counts;
  for (const Entry& e : after.list()) {
    ++counts[e.split];
    if (split.contains(e.key)) {
      EXPECT_EQ(e.split, split[e.key]);
    }
  }
  EXPECT_EQ(counts.size(), 3u);
}

TEST_F(ImageFolder, AnyNameTheFileSystemAllows) {
  const std::string odd[] = {"a\nb.jpg", "\xff\xfe.jpg", "with space.jpg", "quote\".jpg", "a,b.jpg"};
  for (const std::string& name : odd) add("c/" + name, name);
  auto stage = open();
  std::vector<std::string> found;
  for (const Entry& e : stage.list()) {
    const auto bytes = std::get<Bytes>(stage.load(e));
    found.emplace_back(bytes.data, bytes.data + bytes.size);
    EXPECT_EQ(e.key, "c/" + found.back());
  }
  EXPECT_THAT(found, ::testing::UnorderedElementsAreArray(odd));
  EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
}

TEST_F(ImageFolder, LeavesOutWhatIsHidden) {
  add("a/x.jpg");
  add("a/.DS_Store");
  add(".git/x.jpg");
  auto stage = open();
  EXPECT_THAT(keys(stage), ElementsAre("a/x.jpg"));
}

TEST_F(ImageFolder, DoesNotFollowLinksUnlessTold) {
  add("a/x.jpg");
  add("b/y.jpg");
  fs::create_symlink(root_ / "b/y.jpg", root_ / "a/link.jpg");
  fs::create_directory_symlink(root_ / "b", root_ / "a/folder");
  fs::create_symlink("nowhere", root_ / "a/dead.jpg");
  fs::create_directory_symlink(root_, root_ / "a/loop");
  auto stage = open();
  EXPECT_THAT(keys(stage), ElementsAre("a/x.jpg", "b/y.jpg"));
  EXPECT_THAT(stage.warnings(),
              Contains("4 symbolic links skipped, for example " + (root_ / "a/dead.jpg").string() +
                       " (follow_symlinks: true follows them)"));
  auto following = open("follow_symlinks: true");
  EXPECT_THAT(keys(following), ElementsAre("a/folder/y.jpg", "a/link.jpg", "a/x.jpg", "b/y.jpg"));
  EXPECT_THAT(following.warnings(),
              Contains(HasSubstr("2 dead or circular symbolic links skipped, for example ")));
}

TEST_F(ImageFolder, NeverOpensSpecialFiles) {
  add("a/x.jpg");
  ASSERT_EQ(mkfifo((root_ / "a/pipe.jpg").c_str(), 0600), 0);
  auto stage = open();
  EXPECT_THAT(keys(stage), ElementsAre("a/x.jpg"));
  EXPECT_THAT(stage.warnings(),
              Contains("1 special file skipped, for example " + (root_ / "a/pipe.jpg").string() +
                       " (only regular files are images)"));
}

TEST_F(ImageFolder, ResultsInTheRootAreNoClass) {
  add_many("a", 25);
  add_many("b", 25);
  add("runs/first/manifest.json", "{\n  \"graft\": \"0.1.0\"\n}\n");
  add("runs/first/results.json", "{}");
  auto stage = open("test_fraction: 0.2");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("a", "b"));
  EXPECT_THAT(
      stage.warnings(),
      ElementsAre("1 output folder skipped, for example " + root_.string() +
                  "/runs/first (graft has written it; results, previews and stores are not input data)"));
}

TEST_F(ImageFolder, WarnsOfAFolderAroundTheFoldersOfTheClasses) {
  add_many("dataset/cats", 25);
  add_many("dataset/dogs", 25);
  auto stage = open("test_fraction: 0.2");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("dataset"));
  EXPECT_THAT(
      stage.warnings(),
      ElementsAre("there is one class, 'dataset', whose folder has folders itself: cats, dogs; if these are "
                  "the classes, set root to " +
                  root_.string() + "/dataset"));
  EXPECT_THAT(open("test_fraction: 0.2, label_from: folder").warnings(), ::testing::IsEmpty());
}

TEST_F(ImageFolder, WarnsOfSmallAndMissingClasses) {
  add_many("train/a", 25);
  add_many("train/b", 3);
  add_many("test/a", 25);
  fs::create_directories(root_ / "train/empty");
  add("train/README");
  auto stage = open("splits: {train: train, test: test}, val_fraction: 0");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("a", "b"));
  EXPECT_THAT(stage.warnings(),
              ElementsAre("class folders without usable files, skipped: empty",
                          "1 loose file skipped, for example " + root_.string() +
                              "/train/README (it is in no class folder)",
                          "classes without an image in the test split: b",
                          "classes with fewer than 20 images, whose scores will be unreliable: b (3)"));
}

TEST_F(ImageFolder, SaysWhatIsWrong) {
  EXPECT_EQ(fault(), "expected one folder per class in " + root_.string() +
                         ", got none; the layout is root/CLASS/IMAGE, or root/SPLIT/CLASS/IMAGE with splits; "
                         "label_from: none takes images without a class");
  add("train/a/x.jpg");
  EXPECT_EQ(fault("splits: {train: train, test: test}"),
            "splits: expected a folder 'test' in " + root_.string() +
                ", got only train; name the folders that are there, or leave splits out to divide by a hash "
                "of the key");
  EXPECT_THAT(fault("splits: {trian: train}"), HasSubstr("did you mean 'train'?"));
  fs::remove(root_ / "train/a/x.jpg");
  EXPECT_EQ(fault("splits: {train: train}"),
            "expected image files in the class folders of " + root_.string() + ", got none");
  fs::remove_all(root_);
  EXPECT_EQ(fault(), "root: no such folder: " + root_.string());
}

TEST_F(ImageFolder, ClassesFromTheFolderThatHoldsTheImage) {
  add("animals/dogs/a.jpg");
  add("animals/cats/b.jpg");
  add("cars/c.jpg");
  auto stage = open("label_from: folder");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("animals/cats", "animals/dogs", "cars"));
  EXPECT_THAT(stage.list()[1].labels, ElementsAre(1));
}

TEST_F(ImageFolder, ImagesWithoutAClass) {
  add("a.jpg");
  add("deep/er/b.jpg");
  auto stage = open("label_from: none");
  EXPECT_THAT(keys(stage), ElementsAre("a.jpg", "deep/er/b.jpg"));
  EXPECT_THAT(stage.as<Source>().classes(), IsEmpty());
  EXPECT_THAT(stage.warnings(), IsEmpty());
  auto split = open("label_from: none, splits: {test: deep}");
  EXPECT_THAT(keys(split), ElementsAre("deep/er/b.jpg"));
}

TEST_F(ImageFolder, IncludeAndExcludeChooseFiles) {
  add("a/x.jpg");
  add("a/x.txt");
  add("b/thumbs/y.jpg");
  add("b/z.jpeg");
  auto stage = open("include: [\"*.jpg\", \"*.jpeg\", \"*.webp\"], exclude: \"**/thumbs/*\"");
  EXPECT_THAT(keys(stage), ElementsAre("a/x.jpg", "b/z.jpeg"));
  EXPECT_THAT(stage.warnings(),
              Contains("patterns that no file in " + root_.string() + " matches: include '*.webp'"));
  EXPECT_EQ(fault("include: \"*.png\""), "expected image files in " + root_.string() +
                                             ", got none: include and exclude leave out 4 files");
  EXPECT_EQ(fault("exclude: \"[a\""),
            "exclude: '[a' has a '[' without its ']'; write '\\[' for the character itself");
}

TEST_F(ImageFolder, AClassesFileFixesTheOrder) {
  add("cats/a.jpg");
  add("dogs/b.jpg");
  add("classes.txt", "dogs\ncats\n");
  auto stage = open("classes: \"" + (root_ / "classes.txt").string() + "\"");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("dogs", "cats"));
  EXPECT_THAT(stage.list()[0].labels, ElementsAre(1));
}

TEST_F(ImageFolder, AFolderThatCannotBeReadIsAnError) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  add("a/x.jpg");
  add("locked/y.jpg");
  fs::permissions(root_ / "locked", fs::perms::none);
  EXPECT_EQ(fault(),
            "cannot list the folder " + root_.string() +
                "/locked: Permission denied; give yourself read and search permission, or move it away");
}

TEST(ImageFolderData, Hymenoptera) {
  const char* data = std::getenv("GRAFT_DATA");
  const fs::path folder = fs::path(data ? data : "") / "hymenoptera";
  if (data == nullptr || !fs::is_directory(folder))
    GTEST_SKIP() << "set GRAFT_DATA to the folder with hymenoptera (missing " << folder.string() << ")";
  StageHarness stage("image_folder",
                     "{root: \"" + folder.string() + "\", splits: {train: train, test: val}}");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("ants", "bees"));
  EXPECT_EQ(stage.list().size(), 398u);
  EXPECT_THAT(stage.warnings(), ElementsAre("1 file of 398 with a non-image extension: .gif (1); include: "
                                            "[\"*.jpeg\", \"*.jpg\"] takes the rest"));
}

}  // namespace
}  // namespace graft
