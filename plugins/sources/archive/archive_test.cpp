#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>

#include <map>
#include <string>
#include <vector>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "loaded_text.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::loaded_text;
using test::TempFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::StageHarness;

struct Member {
  std::string name, content;
  unsigned type = AE_IFREG;
  std::string link = {};
};

class Archive : public ::testing::Test {
 protected:
  /// Packs by the end of the name, as libarchive does; `options` as for archive_write_set_options.
  std::string pack(const std::string& name, const std::vector<Member>& members,
                   const std::string& options = "") {
    std::filesystem::create_directories((folder_ / name).parent_path());
    std::string path = (folder_ / name).string();
    struct archive* a = archive_write_new();
    if (path.ends_with(".tar.zst")) {
      archive_write_set_format_pax_restricted(a);
      archive_write_add_filter_zstd(a);
    } else {
      archive_write_set_format_filter_by_ext(a, path.c_str());
    }
    archive_write_set_bytes_in_last_block(a, 1);
    if (!options.empty()) {
      EXPECT_EQ(archive_write_set_options(a, options.c_str()), ARCHIVE_OK) << archive_error_string(a);
      archive_write_set_passphrase(a, "secret");
    }
    EXPECT_EQ(archive_write_open_filename(a, path.c_str()), ARCHIVE_OK) << archive_error_string(a);
    for (const Member& m : members) {
      struct archive_entry* e = archive_entry_new();
      archive_entry_set_pathname(e, m.name.c_str());
      archive_entry_set_perm(e, 0644);
      archive_entry_set_filetype(e, m.type);
      if (m.type == AE_IFLNK) archive_entry_set_symlink(e, m.link.c_str());
      if (m.type == AE_IFREG && !m.link.empty()) archive_entry_set_hardlink(e, m.link.c_str());
      archive_entry_set_size(
          e, m.link.empty() && m.type == AE_IFREG ? static_cast<la_int64_t>(m.content.size()) : 0);
      EXPECT_GE(archive_write_header(a, e), ARCHIVE_WARN) << archive_error_string(a);
      if (!m.content.empty()) archive_write_data(a, m.content.data(), m.content.size());
      archive_entry_free(e);
    }
    EXPECT_EQ(archive_write_close(a), ARCHIVE_OK) << archive_error_string(a);
    archive_write_free(a);
    return path;
  }
  std::string root() const { return folder_.path().string(); }
  StageHarness open(const std::string& more = "") {
    return StageHarness("archive", "{root: \"" + root() + "\"" + (more.empty() ? "" : ", " + more) + "}");
  }
  std::string fault(const std::string& more = "") {
    try {
      open(more);
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(root())) != std::string::npos;)
        text.replace(at, root().size(), "ROOT");
      return text;
    }
  }
  /// "key label: content" or "key label: [code] text" of every entry, loaded as the runtime does.
  std::vector<std::string> read(StageHarness& stage) {
    std::vector<std::string> out;
    for (Entry e; stage.as<Source>().next(e); e = Entry()) {
      std::string line = e.key;
      for (const std::int32_t l : e.labels)
        line += " " + stage.as<Source>().classes()[static_cast<std::size_t>(l)];
      out.push_back(line + loaded_text(stage, e));
    }
    return out;
  }
  std::vector<std::string> read(const std::string& more = "") {
    auto stage = open(more);
    return read(stage);
  }

  TempFolder folder_;
};

TEST_F(Archive, ReadsEveryKindOfArchive) {
  const std::vector<Member> members{{"cats", "", AE_IFDIR},     {"./cats/a.jpg", "one"},
                                    {"dogs/deep/b.png", "two"}, {"dogs/empty.jpg", ""},
                                    {"dogs/.hidden.jpg", "x"},  {"__MACOSX/cats/._a.jpg", "x"}};
  for (const char* name : {"x.tar", "x.tar.gz", "x.tgz", "x.tar.bz2", "x.tar.xz", "x.tar.zst", "x.zip"}) {
    const std::string path = pack(std::string("sub/") + name, members);
    const std::string key = std::string("sub/") + name + "/";
    auto stage = open("val_fraction: 0, test_fraction: 0");
    EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("cats", "dogs")) << name;
    EXPECT_EQ(stage.as<Source>().count(), 3u);
    EXPECT_THAT(read(stage), ElementsAre(key + "cats/a.jpg cats: one", key + "dogs/deep/b.png dogs: two",
                                         key + "dogs/empty.jpg dogs: "))
        << name;
    std::filesystem::remove(path);
  }
}

TEST_F(Archive, NamesFileMemberAndStampForTheMemo) {
  pack("x.tar", {{"cats/a.jpg", "one"}});
  const auto entries = open().list();
  const auto& file = std::get<FileRef>(entries.at(0).payload);
  EXPECT_EQ(file.path, root() + "/x.tar");
  EXPECT_EQ(file.member, "cats/a.jpg");
  EXPECT_EQ(file.size, std::filesystem::file_size(root() + "/x.tar"));
  EXPECT_GT(file.mtime_ns, 0);
}

TEST_F(Archive, SkipsMembersThatAreNotWanted) {
  std::vector<Member> members;
  for (int i = 0; i < 50; ++i)
    members.push_back({"c/" + std::to_string(i) + ".jpg", std::string(10000, 'a' + i % 26)});
  pack("x.tar.gz", members);
  pack("y.tar", members);
  pack("z.zip", members);
  auto stage = open("val_fraction: 0");
  Entry e;
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(stage.as<Source>().next(e));
    if (i % 7 != 3) continue;
    const auto bytes = std::get<Bytes>(stage.load(e));
    ASSERT_EQ(std::string(bytes.data, bytes.data + bytes.size), std::string(10000, 'a' + i % 50 % 26))
        << e.key;
  }
}

TEST_F(Archive, SplitsFromFoldersAndLabelsOfAllKinds) {
  pack("x.tar", {{"train/a/1.jpg", ""}, {"val/a/2.jpg", ""}, {"other/a/3.jpg", ""}, {"train/4.jpg", ""}});
  auto stage = open("splits: {train: train, test: val}, val_fraction: 0");
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].split, Split::Train);
  EXPECT_EQ(entries[1].split, Split::Test);
  EXPECT_THAT(stage.warnings(),
              Contains("ignored in the archives of " + root() + ", because splits does not name it: other"));
  EXPECT_THAT(stage.warnings(),
              Contains(HasSubstr("1 loose file skipped, for example the archives of " + root() + "/train/")));
  EXPECT_EQ(open("label_from: none").list().size(), 4u);
  EXPECT_THAT(open("label_from: folder").as<Source>().classes(),
              ElementsAre("other/a", "train", "train/a", "val/a"));
}

TEST_F(Archive, DuplicateNamesAreInputsOfOneSplit) {
  std::vector<Member> members;
  for (int i = 0; i < 40; ++i)
    for (int k = 0; k < 3; ++k) members.push_back({"c/" + std::to_string(i) + ".jpg", std::to_string(k)});
  pack("x.tar", members);
  auto stage = open();
  EXPECT_THAT(
      stage.warnings(),
      Contains("80 members with a name that an earlier member of its archive has, for example x.tar/c/0.jpg: "
               "kept as inputs of their own, with keys such as NAME#2"));
  std::map<std::string, Split> splits;
  for (const Entry& e : stage.list()) splits[e.key] = e.split;
  ASSERT_EQ(splits.size(), 120u);
  for (int i = 0; i < 40; ++i) {
    const std::string key = "x.tar/c/" + std::to_string(i) + ".jpg";
    EXPECT_EQ(splits.at(key), splits.at(key + "#2"));
    EXPECT_EQ(splits.at(key), splits.at(key + "#3"));
  }
  EXPECT_THAT(read(), Contains("x.tar/c/7.jpg#3 c: 2"));
}

TEST_F(Archive, UnsafeMembersAreRejectedAndNeverFollowed) {
  pack("x.tar", {{"../../up.jpg", "x"},
                 {"/etc/root.jpg", "x"},
                 {"c/a/../b.jpg", "x"},
                 {"c/a.jpg", "fine"},
                 {"c/link.jpg", "", AE_IFLNK, "/etc/passwd"},
                 {"c/hard.jpg", "", AE_IFREG, "c/a.jpg"},
                 {"c/pipe.jpg", "", AE_IFIFO},
                 {"c/device", "", AE_IFCHR}});
  auto stage = open();
  const std::string path =
      ": [unsafe-member] the member's path is absolute or has '..' in it; pack it with a path without";
  const std::string link =
      ": [unsafe-member] the member is a link or a device, which is not followed; pack the file itself";
  EXPECT_THAT(read(stage),
              ElementsAre("x.tar/../../up.jpg" + path, "x.tar//etc/root.jpg" + path,
                          "x.tar/c/a/../b.jpg" + path, "x.tar/c/a.jpg c: fine", "x.tar/c/link.jpg c" + link,
                          "x.tar/c/hard.jpg c" + link, "x.tar/c/pipe.jpg c" + link));
  EXPECT_THAT(stage.warnings(),
              Contains("1 odd member skipped, for example " + root() +
                       "/x.tar/c/device (a link, a device, or a path that is absolute or has '..' in it)"));
}

TEST_F(Archive, NamesOfAnyCharacters) {
  const std::string utf8 = "c/b\xc3\xa9\xe6\x97\xa5.jpg", raw = "c/\xff\xfe.jpg", newline = "c/a\nb.jpg";
  const std::string longest = "c/" + std::string(251, 'n') + ".jpg";
  pack("x.tar", {{utf8, "1"}, {raw, "2"}, {newline, "3"}, {longest, "4"}}, "");
  EXPECT_THAT(read("val_fraction: 0"),
              ElementsAre("x.tar/" + utf8 + " c: 1", "x.tar/" + raw + " c: 2", "x.tar/" + newline + " c: 3",
                          "x.tar/" + longest + " c: 4"));
}

TEST_F(Archive, BombsStopAtTheLimit) {
  const std::string zeros(5'000'000, '\0');
  for (const char* name : {"x.tar.gz", "x.zip"}) {
    const std::string path = pack(name, {{"c/bomb.jpg", zeros}, {"c/small.jpg", "fine"}});
    EXPECT_LT(std::filesystem::file_size(path), 100'000u);
    EXPECT_THAT(read("max_bytes: 1000000"),
                ElementsAre("" + std::string(name) +
                                "/c/bomb.jpg c: [too-large] the member has 5000000 bytes, more "
                                "than max_bytes: 1000000",
                            std::string(name) + "/c/small.jpg c: fine"));
    std::filesystem::remove(path);
  }
}

TEST_F(Archive, AZipWhoseHeaderLiesAboutTheSizeIsStoppedWhileReading) {
  const std::string path = pack("x.zip", {{"c/bomb.jpg", std::string(5'000'000, '\0')}});
  std::string bytes = test::slurp(path);
  // Every place that holds the size, in the directory and in front of the data.
  const std::string size("\x40\x4b\x4c\x00", 4), lie("\x10\x00\x00\x00", 4);
  for (std::size_t at = 0; (at = bytes.find(size, at)) != std::string::npos;) bytes.replace(at, 4, lie);
  folder_.write("x.zip", bytes);
  EXPECT_THAT(
      read("max_bytes: 1000000"),
      ElementsAre("x.zip/c/bomb.jpg c: [corrupt] expected 16 bytes by the member's header, got more"));
}

TEST_F(Archive, AMemberLargerThanAnArchiveOfImagesHoldsIsRejected) {
  const std::string path = pack("x.tar.gz", {{"c/zeros.jpg", std::string(30'000'000, '\0')}});
  const std::uintmax_t bytes = std::filesystem::file_size(path);
  EXPECT_THAT(read(),
              ElementsAre("x.tar.gz/c/zeros.jpg c: [too-large] the member has at least 30000000 bytes, the "
                          "whole archive " +
                          std::to_string(bytes) + ": not an image"));
}

TEST_F(Archive, ANameThatNoFileHasIsAnError) {
  pack("x.tar", {{"c/" + std::string(100'000, 'a') + ".jpg", "1"}});
  EXPECT_EQ(fault(),
            "ROOT/x.tar: member 1, 'c/" + std::string(38, 'a') +
                "...', has a name of 100006 bytes, more than the 4096 of any file: it is damaged, or made to "
                "fill the memory");
}

TEST_F(Archive, AnArchiveThatUnpacksToAThousandTimesItsSizeIsAnError) {
  pack("x.tar.zst", {{"c/a.jpg", std::string(60'000'000, '\0')}, {"c/b.jpg", std::string(60'000'000, '\0')}});
  EXPECT_THAT(fault(),
              HasSubstr(" bytes and unpacks to more than 1100 times that by member 2: it is damaged, or "
                        "made to keep readers busy"));
}

TEST_F(Archive, DamageInsideAMemberOfAZipIsItsReject) {
  const std::string path =
      pack("x.zip", {{"c/a.jpg", "some content here"}, {"c/b.jpg", "fine"}}, "zip:compression=store");
  std::string bytes = test::slurp(path);
  bytes[bytes.find("content")] = 'C';
  folder_.write("x.zip", bytes);
  EXPECT_THAT(read(),
              ElementsAre(HasSubstr("x.zip/c/a.jpg c: [corrupt] the member cannot be read: ZIP bad CRC"),
                          "x.zip/c/b.jpg c: fine"));
}

TEST_F(Archive, EveryCutOfATarEndsInAnErrorOrAWholeMember) {
  const std::string whole =
      test::slurp(pack("x.tar", {{"c/a.jpg", std::string(1500, 'a')}, {"c/b.jpg", "bb"}}));
  for (std::size_t n = 0; n < whole.size(); n += 64) {
    folder_.write("x.tar", whole.substr(0, n));
    const std::string text = fault();
    if (text != "ok") continue;
    // Nothing of the members that are there is missing.
    auto stage = open();
    EXPECT_THAT(read(stage), Contains("x.tar/c/a.jpg c: " + std::string(1500, 'a'))) << "cut at " << n;
    if (n + 1024 == whole.size()) {
      EXPECT_THAT(stage.warnings(),
                  Contains(HasSubstr("without the zeros that end a tar archive, so that whole "
                                     "members may be missing: x.tar")));
    }
  }
  folder_.write("x.tar", whole);
  EXPECT_THAT(open().warnings(), Not(Contains(HasSubstr("without the zeros"))));
  folder_.write("x.tar", whole.substr(0, 1000));
  EXPECT_EQ(
      fault(),
      "ROOT/x.tar is damaged at byte 1000, in or after member 1 'c/a.jpg': Truncated input file (needed "
      "1536 bytes, only 488 available); get the file again");
}

TEST_F(Archive, AMissingEndThatWasSkippedIsFound) {
  const std::string whole = test::slurp(pack("x.tar", {{"c/a.jpg", std::string(5'000'000, 'a')}}));
  folder_.write("x.tar", whole.substr(0, 1'000'000));
  EXPECT_THAT(fault(), HasSubstr("ROOT/x.tar is damaged at byte "));
}

TEST_F(Archive, EveryCutAndManyFlipsOfPackedArchivesAreSafe) {
  std::string noise;
  for (unsigned i = 0, x = 1; i < 3000; ++i)
    noise += static_cast<char>((x = x * 1664525u + 1013904223u) >> 24);
  for (const char* name : {"x.tar.gz", "x.tar.bz2", "x.tar.xz", "x.zip"}) {
    const std::string whole = test::slurp(pack(name, {{"c/a.jpg", noise}, {"c/b.jpg", "bb"}}));
    for (std::size_t n = 0; n + 1 < whole.size(); n += 37) {
      folder_.write(name, whole.substr(0, n));
      EXPECT_NE(fault(), "ok") << name << " cut at " << n;
    }
    for (std::size_t n = 0; n < whole.size(); n += 11) {
      std::string damaged = whole;
      damaged[n] = static_cast<char>(damaged[n] ^ 0x20);
      folder_.write(name, damaged);
      if (fault() != "ok") continue;
      // What is read is either right or refused; a zip may give a member another name.
      for (const std::string& line : read())
        EXPECT_TRUE(line.find(": [corrupt]") < 100 || line.find(": [too-large]") < 100 ||
                    line.ends_with(": " + noise) || line.ends_with(": bb"))
            << name << " bit turned at " << n << ": " << line.substr(0, 100);
    }
    std::filesystem::remove(folder_ / name);
  }
}

TEST_F(Archive, MembersOfAZipThatShareTheirDataAreNotLostWithoutAWord) {
  const std::string path =
      pack("x.zip", {{"c/a.jpg", "aa"}, {"c/b.jpg", "aa"}, {"d/c.jpg", "cc"}}, "zip:compression=store");
  std::string bytes = test::slurp(path);
  // The second entry of the list gets the place of the first.
  const std::size_t first = bytes.find("PK\1\2"), second = bytes.find("PK\1\2", first + 1);
  ASSERT_NE(second, std::string::npos);
  bytes.replace(second + 42, 4, bytes.substr(first + 42, 4));
  folder_.write("x.zip", bytes);
  EXPECT_EQ(fault(),
            "ROOT/x.zip lists 3 members, of which 2 have data of their own; unpack it and pack it again");
}

TEST_F(Archive, ZipsWithACommentAndWithoutMembers) {
  const std::string path = pack("x.zip", {{"c/a.jpg", "aa"}, {"d/b.jpg", "bb"}});
  const std::string bytes = test::slurp(path);
  const auto with_comment = [&](std::size_t size) {
    std::string out = bytes;
    out[out.size() - 2] = static_cast<char>(size & 0xffU);
    out[out.size() - 1] = static_cast<char>(size >> 8U);
    folder_.write("x.zip", out + std::string(size, ' '));
  };
  with_comment(1000);
  EXPECT_EQ(fault(), "ok");
  with_comment(60'000);
  EXPECT_EQ(
      fault(),
      "ROOT/x.zip is a zip archive that ends with a comment of 60000 bytes, more than can be read; remove "
      "the comment (zip -z)");
  folder_.write("x.zip", std::string("PK\5\6") + std::string(18, '\0'));
  EXPECT_EQ(fault(), "ROOT/x.zip is a zip archive without members; remove it");
}

TEST_F(Archive, SaysWhatIsWrong) {
  EXPECT_EQ(fault(), "expected archives in ROOT, got none");
  folder_.write("notes.txt", "x");
  EXPECT_EQ(fault(), "expected archives in ROOT, got none: files leaves out 1 file");
  folder_.write("x.tar", "this is no archive");
  EXPECT_THAT(fault(), HasSubstr("ROOT/x.tar"));
  EXPECT_NE(fault(), "ok");
  folder_.write("x.tar", "");
  EXPECT_NE(fault(), "ok");
  pack("x.tar", {{"a.jpg", "x"}});
  EXPECT_EQ(fault(),
            "expected images in the 1 archive of ROOT, got none; look at layout, splits and label_from");
  pack("x.tar", {{"c/a.jpg", "x"}, {"c/b.jpg", "x"}});
  EXPECT_EQ(fault("max_members: 1"),
            "the archives of ROOT have more than max_members: 1 members; raise it if they are meant to");
  EXPECT_EQ(fault("splits: {train: t}"),
            "splits: expected a folder 't' in the archives of ROOT, got only c; name the folders that are "
            "there, or "
            "leave splits out to divide by a hash of the key");
}

TEST_F(Archive, EncryptedMembersAreAnError) {
  pack("x.zip", {{"c/a.jpg", "x"}}, "zip:encryption=traditional");
  EXPECT_EQ(fault(),
            "'c/a.jpg' in ROOT/x.zip is encrypted; unpack the archive and pack it without a password");
}

TEST_F(Archive, WebDatasetSamples) {
  pack("train-0.tar", {{"0001.jpg", "one"},
                       {"0001.cls", " 2\n"},
                       {"0001.txt", "a caption"},
                       {"0002.png", "two"},
                       {"0002.json", R"({"label": "10", "box": [[1]]})"},
                       {"deep/0003.left.jpg", "is no image by its extension"},
                       {"0004.webp", "four"}});
  pack("test-0.tar", {{"0001.json", R"({"label": [2, 10, 2]})"}, {"0001.JPG", "five"}, {"0001.ppm", "six"}});
  pack("extra.tar", {{"0001.jpg", "x"}});
  auto stage =
      open("layout: webdataset, splits: {train: \"train-*.tar\", test: \"test-*\"}, val_fraction: 0");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("2", "10"));
  EXPECT_THAT(stage.warnings(),
              Contains("ignored in " + root() + ", because splits does not name it: extra.tar"));
  EXPECT_THAT(stage.warnings(),
              Contains("1 image with several dots in the name skipped, for example "
                       "train-0.tar/deep/0003.left.jpg (a sample's "
                       "name ends at its first dot; rename the members, a-1.jpg for a.1.jpg)"));
  std::map<std::string, Split> splits;
  for (const Entry& e :
       open("layout: webdataset, splits: {train: \"train-*.tar\", test: \"test-*\"}, val_fraction: 0").list())
    splits[e.key] = e.split;
  EXPECT_EQ(splits.at("test-0.tar/0001.JPG"), Split::Test);
  EXPECT_EQ(splits.at("train-0.tar/0001.jpg"), Split::Train);
  EXPECT_THAT(read(stage), ElementsAre("test-0.tar/0001.JPG 2 10: five", "test-0.tar/0001.ppm 2 10: six",
                                       "train-0.tar/0001.jpg 2: one", "train-0.tar/0002.png 10: two",
                                       "train-0.tar/0004.webp: four"));
}

TEST_F(Archive, WebDatasetNamesWithSeveralDotsAreReported) {
  pack("a.tar",
       {{"img.0001.jpg", "x"}, {"img.0001.cls", "0"}, {"2.jpg", "x"}, {"2.seg.png", "x"}, {"2.cls", "1"}});
  auto stage = open("layout: webdataset");
  EXPECT_EQ(stage.list().size(), 1u);
  EXPECT_THAT(stage.warnings(), Contains("2 images with several dots in the name skipped, for example "
                                         "a.tar/img.0001.jpg (a sample's name ends at its "
                                         "first dot; rename the members, a-1.jpg for a.1.jpg)"));
}

TEST_F(Archive, WebDatasetCountsEveryImageWithSeveralDots) {
  pack("a.tar", {{"0.png", "x"},
                 {"0.v2.png", "x"},
                 {"0.v3.JPG", "x"},
                 {"0.cls", "0"},
                 {"1.left.png", "x"},
                 {"1.right.png", "x"},
                 {"1.cls", "1"},
                 {"2.cls", "1"},
                 {"3.cls", "1"},
                 {"3.notes.txt", "x"}});
  pack("b.tar", {{"0.jpg", "x"}, {"0.cls", "1"}, {"0.mask.png", "x"}});
  auto stage = open("layout: webdataset");
  EXPECT_EQ(stage.list().size(), 2u);
  EXPECT_THAT(stage.warnings(), Contains("5 images with several dots in the name skipped, for example "
                                         "a.tar/0.v2.png (a sample's name ends at its "
                                         "first dot; rename the members, a-1.jpg for a.1.jpg)"));
  EXPECT_THAT(stage.warnings(), Contains(::testing::StartsWith("2 samples without an image skipped, ")));
}

TEST_F(Archive, ANumberInAClsIsThePositionOfTheClass) {
  pack("a.tar", {{"1.jpg", "x"}, {"1.cls", "2"}, {"2.jpg", "y"}, {"2.cls", "0"}});
  folder_.write("classes.txt", "2\n1\n0\n");
  const std::string classes = ", classes: \"" + root() + "/classes.txt\"";
  const auto entries = open("layout: webdataset" + classes).list();
  EXPECT_THAT(entries.at(0).labels, ElementsAre(2));
  EXPECT_THAT(entries.at(1).labels, ElementsAre(0));
}

TEST_F(Archive, ArchivesNamedLikeSplitsAreReported) {
  pack("train-0.tar", {{"1.jpg", "x"}, {"1.cls", "0"}});
  pack("test-0.tar", {{"2.jpg", "y"}, {"2.cls", "1"}});
  EXPECT_THAT(
      open("layout: webdataset").warnings(),
      Contains(HasSubstr(
          "names like those of splits, of which nothing is made: test, train, for example in test-0.tar")));
}

TEST_F(Archive, UpperCaseExtensionsAreTaken) {
  pack("a.zip", {{"c/1.jpg", "x"}});
  std::filesystem::rename(root() + "/a.zip", root() + "/B.ZIP");
  EXPECT_EQ(open().list().size(), 1u);
}

// As in lists and .cls members.
TEST_F(Archive, WebDatasetLabelsInJsonAreTrimmedAndMayBeEmpty) {
  pack("a.tar", {{"1.jpg", "1"},
                 {"1.json", R"({"label": " ant\t"})"},
                 {"2.jpg", "2"},
                 {"2.json", R"({"label": ""})"},
                 {"3.jpg", "3"},
                 {"3.json", R"({"label": ["ant ", " ", "bee", "ant"]})"}});
  auto stage = open("layout: webdataset");
  EXPECT_THAT(read(stage), ElementsAre("a.tar/1.jpg ant: 1", "a.tar/2.jpg: 2", "a.tar/3.jpg ant bee: 3"));
}

TEST_F(Archive, WebDatasetSaysWhatIsWrong) {
  pack("a.tar", {{"1.jpg", "x"}, {"1.json", R"({"class": 1})"}});
  EXPECT_THAT(open("layout: webdataset").warnings(),
              ElementsAre("no sample in " + root() +
                          " has a .cls, or a .json with the field 'label': the images have no class"));
  EXPECT_EQ(fault("layout: webdataset, splits: {train: \"train-*.tar\", test: a.tar}"),
            "splits: expected archives in ROOT that match 'train-*.tar', got none; the pattern is for the "
            "archive's "
            "name, with a slash for its path");
  EXPECT_EQ(fault("layout: webdataset, splits: {train: a.tar, test: \"*.tar\"}"),
            "splits: a.tar is in train and in test by its patterns; make them name it once");
  pack("a.tar", {{"1.jpg", "x"}, {"1.json", "{"}});
  EXPECT_EQ(fault("layout: webdataset"),
            "cannot use the label '1.json' in ROOT/a.tar: not valid JSON at byte 2");
  for (const auto& [json, kind] : {std::pair{"1.5", "number"}, {"true", "boolean"}}) {
    pack("a.tar", {{"1.jpg", "x"}, {"1.json", std::string(R"({"label": )") + json + "}"}});
    EXPECT_EQ(fault("layout: webdataset"),
              std::string("cannot use the label '1.json' in ROOT/a.tar: 'label': expected a text or a whole "
                          "number, got a ") +
                  kind + "; write it in quotes");
  }
  pack("a.tar", {{"1.jpg", "x"}, {"1.cls", std::string(100000, 'x')}});
  EXPECT_EQ(
      fault("layout: webdataset"),
      "cannot read the label '1.cls' in ROOT/a.tar: the member has 100000 bytes, more than max_bytes: 65536");
}

}  // namespace
}  // namespace graft
