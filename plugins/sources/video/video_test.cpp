#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>

#include <graft/error.h>
#include <graft/testing/stage_harness.h>

#include "testing/video_fixture.h"

namespace graft::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(Video, ReadsTheFramesThatAreWanted) {
  write("cats/a.avi", 25);
  write("dogs/b.avi", 7);
  auto stage = open("every: 3, val_fraction: 0, test_fraction: 0");
  EXPECT_THAT(stage.as<Source>().classes(), ElementsAre("cats", "dogs"));
  EXPECT_EQ(stage.as<Source>().count(), 12u);
  Entry e;
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(stage.as<Source>().next(e));
    const int frame = i < 9 ? 3 * i : 3 * (i - 9);
    char key[32];
    std::snprintf(key, sizeof key, "%s#%06d", i < 9 ? "cats/a.avi" : "dogs/b.avi", frame);
    EXPECT_EQ(e.key, key);
    EXPECT_THAT(e.labels, ElementsAre(i < 9 ? 0 : 1));
    const auto& file = std::get<FileRef>(e.payload);
    EXPECT_EQ(file.member.substr(0, file.member.find(' ')), std::to_string(frame));
    EXPECT_EQ(file.size, std::filesystem::file_size(file.path));
    if (i % 4 == 1) continue;  // known already
    expect_frame(std::get<Image>(stage.load(e)), frame);
  }
  EXPECT_FALSE(stage.as<Source>().next(e));
}

TEST_F(Video, ChoosesFramesByRateAndNumber) {
  write("c/a.avi", 30, 10);
  EXPECT_EQ(keys("").size(), 30u);
  EXPECT_THAT(keys("fps: 2"), ElementsAre("c/a.avi#000000", "c/a.avi#000005", "c/a.avi#000010",
                                          "c/a.avi#000015", "c/a.avi#000020", "c/a.avi#000025"));
  EXPECT_THAT(keys("fps: 4, max_frames: 4"),
              ElementsAre("c/a.avi#000000", "c/a.avi#000002", "c/a.avi#000005", "c/a.avi#000007"));
  EXPECT_EQ(keys("fps: 100").size(), 30u);
}

TEST_F(Video, FramesOfAVideoShareASplit) {
  for (int i = 0; i < 30; ++i) write("c/" + std::to_string(i) + ".avi", 3);
  std::map<std::string, std::vector<Split>> splits;
  std::map<Split, int> counts;
  auto stage = open();
  for (const Entry& e : stage.list()) {
    splits[e.key.substr(0, e.key.find('#'))].push_back(e.split);
    ++counts[e.split];
  }
  ASSERT_EQ(splits.size(), 30u);
  for (const auto& [video, all] : splits) EXPECT_THAT(all, ElementsAre(all[0], all[0], all[0])) << video;
  EXPECT_EQ(counts.size(), 3u);
}

TEST_F(Video, SplitsFromFolders) {
  write("train/c/a.avi", 2);
  write("test/c/b.avi", 2);
  auto stage = open("splits: {train: train, test: test}, val_fraction: 0");
  const auto entries = stage.list();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].split, Split::Test);
  EXPECT_EQ(entries[2].split, Split::Train);
}

TEST_F(Video, WhatIsNoVideoIsOneReject) {
  write("c/a.avi", 3);
  folder_.write("c/fake.mp4", "this is no video");
  folder_.write("c/list.avi", "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n");
  folder_.write("c/empty.avi", "");
  auto stage = open();
  std::map<std::string, std::string> outcome;
  for (Entry e; stage.as<Source>().next(e);) try {
      outcome[e.key] = std::holds_alternative<Image>(stage.load(e)) ? "image" : "?";
    } catch (const Reject& reject) {
      outcome[e.key] = reject.code();
    }
  const std::map<std::string, std::string> expected{
      {"c/a.avi#000000", "image"},   {"c/a.avi#000001", "image"},   {"c/a.avi#000002", "image"},
      {"c/fake.mp4", "not-a-video"}, {"c/list.avi", "not-a-video"}, {"c/empty.avi", "not-a-video"}};
  EXPECT_EQ(outcome, expected);
}

TEST_F(Video, AVideoThatIsCutOffEndsInRejects) {
  const std::string whole = slurp(write("c/a.avi", 40));
  for (std::size_t n = 0; n < whole.size(); n += whole.size() / 40) {
    folder_.write("c/a.avi", whole.substr(0, n));
    auto stage = open();
    int i = 0;
    for (Entry e; stage.as<Source>().next(e); ++i) try {
        expect_frame(std::get<Image>(stage.load(e)), i);
      } catch (const Reject& reject) {
        EXPECT_THAT(reject.code(), ::testing::AnyOf("truncated", "not-a-video", "empty", "corrupt")) << n;
      }
    EXPECT_GE(i, 1) << n;
  }
}

// Containers without a number of frames: a guess from the duration is not one.
TEST_F(Video, FramesThatNoHeaderCountsAreCounted) {
  const struct {
    const char *name, *codec;
  } files[] = {{"c/a.mpg", "MPG2"}, {"c/a.mkv", "mp4v"}, {"c/a.ts", "mp4v"}};
  for (const auto& [name, codec] : files) {
    const std::string path = folder_.write(name, "").string();
    {
      cv::VideoWriter out(path, cv::CAP_FFMPEG,
                          cv::VideoWriter::fourcc(codec[0], codec[1], codec[2], codec[3]), 25, {48, 32});
      if (!out.isOpened()) GTEST_SKIP() << "this OpenCV does not write " << name;
      for (int i = 0; i < 40; ++i) out.write(cv::Mat(32, 48, CV_8UC3, cv::Scalar(200, green(i), red(i))));
    }
    auto stage = open();
    int frames = 0;
    for (Entry e; stage.as<Source>().next(e); ++frames) {
      const auto image = std::get<Image>(stage.load(e));
      EXPECT_NEAR(image.row(16)[3 * 24], red(frames), 12) << name << ' ' << frames;
    }
    EXPECT_EQ(frames, 40) << name;
    // Cut off long before the end that its duration promises: the frames that are missing are rejects.
    if (std::string(name) == "c/a.mkv") {
      const std::string whole = slurp(path);
      folder_.write(name, whole.substr(0, whole.size() / 2));
      std::map<std::string, int> outcomes;
      auto cut = open();
      for (Entry e; cut.as<Source>().next(e);) try {
          cut.load(e);
          ++outcomes["ok"];
        } catch (const Reject& reject) {
          ++outcomes[reject.code()];
        }
      EXPECT_EQ(outcomes["ok"] + outcomes["truncated"] + outcomes["corrupt"], 40);
      EXPECT_GT(outcomes["truncated"], 10);
    }
    std::filesystem::remove(path);
  }
}

/// Matroska with a duration of its own, in milliseconds.
std::string with_duration(std::string file, double milliseconds) {
  const std::size_t at = file.find("\x44\x89\x88");  // the element Duration, of eight bytes
  EXPECT_NE(at, std::string::npos);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &milliseconds, sizeof bits);
  for (std::size_t b = 0; b < 8; ++b) file[at + 3 + b] = static_cast<char>(bits >> (56 - 8 * b));
  return file;
}

// The duration of a file is that of its longest track: where the sound is longer, no frame is missing.
TEST_F(Video, AFileThatIsWholeHasTheFramesThatItHolds) {
  const std::string path = write_mpeg4("c/a.mkv", 40, 25);
  if (path.empty()) GTEST_SKIP() << "this OpenCV does not write Matroska files";
  EXPECT_EQ(keys("").size(), 40u);
  folder_.write("c/a.mkv", with_duration(slurp(path), 2600));
  auto stage = open();
  EXPECT_EQ(stage.list().size(), 40u);
  EXPECT_THAT(
      stage.warnings(),
      Contains("1 video has no frames for the end of the duration that it has, for example c/a.mkv, whose "
               "last frame is at 1.6 s of 2.6 s: the sound may be longer than the pictures, or frames are "
               "missing"));
}

TEST_F(Video, AnMp4FileWithoutItsHeaderIsTruncated) {
  const std::string path = write_mpeg4("c/a.mp4", 20, 10);
  if (path.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  const std::string whole = slurp(path);
  const std::size_t header = whole.rfind("moov");
  ASSERT_NE(header, std::string::npos);
  ASSERT_GT(header, 100u) << "it is at the end";
  for (const std::size_t bytes : {std::size_t{40}, header / 2, header - 4, header + 3}) {
    folder_.write("c/a.mp4", whole.substr(0, bytes));
    auto stage = open();
    Entry e;
    ASSERT_TRUE(stage.as<Source>().next(e));
    try {
      stage.load(e);
      FAIL() << bytes;
    } catch (const Reject& reject) {
      EXPECT_EQ(reject.code(), "truncated") << bytes;
      EXPECT_THAT(reject.what(), HasSubstr("has no header (moov)"));
    }
  }
}

TEST_F(Video, TooLargeFramesAreRejected) {
  write("c/a.avi", 1);
  auto stage = open("max_pixels: 1000");
  Entry e;
  ASSERT_TRUE(stage.as<Source>().next(e));
  try {
    stage.load(e);
    FAIL();
  } catch (const Reject& reject) {
    EXPECT_EQ(reject.code(), "too-large");
    EXPECT_STREQ(reject.what(), "the frames have 48 x 32 pixels, more than max_pixels: 1000");
  }
}

/// AVI files of Motion JPEG put together from frames: what FFmpeg reads of them.
class MotionJpeg : public Video {
 protected:
  void SetUp() override {
    if (!cv::videoio_registry::hasBackend(cv::CAP_FFMPEG)) GTEST_SKIP() << "this OpenCV has no FFmpeg";
  }
  using Frames = std::vector<std::string>;
  /// Frames, each a JPEG file.
  Frames frames(int count, cv::Size size = {48, 32}) {
    const std::string path = write("parts.avi", count, 10, size);
    const std::string file = slurp(path);
    std::filesystem::remove(path);
    Frames out;
    for (std::size_t at = file.find("movi") + 4; file.compare(at, 4, "00dc") == 0;) {
      std::size_t length = 0;
      for (std::size_t b = 4; b > 0; --b) length = length << 8 | static_cast<unsigned char>(file[at + 3 + b]);
      out.push_back(file.substr(at + 8, length));
      at += 8 + length + length % 2;
    }
    EXPECT_EQ(out.size(), static_cast<std::size_t>(count));
    return out;
  }
  static std::string number(std::size_t value, int bytes = 4) {
    std::string out;
    for (int b = 0; b < bytes; ++b) out += static_cast<char>(value >> 8 * b);
    return out;
  }
  static std::string numbers(const std::vector<std::size_t>& values) {
    std::string out;
    for (const std::size_t value : values) out += number(value);
    return out;
  }
  static std::string chunk(const std::string& type, const std::string& data) {
    return type + number(data.size()) + data + std::string(data.size() % 2, '\0');
  }
  /// `promised`: the frames by the header.
  static std::string avi(const Frames& frames, std::size_t promised, cv::Size size = {48, 32}) {
    const auto w = static_cast<std::size_t>(size.width), h = static_cast<std::size_t>(size.height);
    std::string movi = "movi", index;
    for (const std::string& frame : frames) {
      index += "00dc" + numbers({16, movi.size(), frame.size()});
      movi += chunk("00dc", frame);
    }
    const std::string stream = "vidsMJPG" + numbers({0, 0, 0, 1, 10, 0, promised, 0, 0xffffffff, 0, 0}) +
                               number(w, 2) + number(h, 2);
    const std::string format =
        numbers({40, w, h}) + number(1, 2) + number(24, 2) + "MJPG" + numbers({w * h * 3, 0, 0, 0, 0});
    const std::string header =
        "hdrl" + chunk("avih", numbers({100000, 0, 0, 16, promised, 0, 1, 0, w, h, 0, 0, 0, 0})) +
        chunk("LIST", "strl" + chunk("strh", stream) + chunk("strf", format));
    return chunk("RIFF", "AVI " + chunk("LIST", header) + chunk("LIST", movi) + chunk("idx1", index));
  }
  /// A letter for each frame: o for the right picture, x for another one, - for one that is not asked for, or
  /// of the code of its reject. The texts of rejects are in texts_.
  std::string outcome(const std::string& file, const std::string& asked = "",
                      const std::string& name = "a.avi") {
    folder_.write("c/" + name, file);
    auto stage = open();
    std::string out;
    int i = 0;
    for (Entry e; stage.as<Source>().next(e); ++i) {
      if (static_cast<std::size_t>(i) < asked.size() && asked[static_cast<std::size_t>(i)] == '-') {
        out += '-';
        continue;
      }
      try {
        const auto image = std::get<Image>(stage.load(e));
        const std::uint8_t* pixel = image.row(image.height / 2) + 3 * (image.width / 2);
        out += std::abs(pixel[0] - red(i)) < 7 && std::abs(pixel[1] - green(i)) < 7 ? 'o' : 'x';
      } catch (const Reject& reject) {
        out += reject.code()[0];
        texts_[i] = reject.what();
      }
    }
    return out;
  }
  std::map<int, std::string> texts_;
};

TEST_F(MotionJpeg, FramesOfAnotherSizeAreRejected) {
  for (const cv::Size other : {cv::Size(96, 64), cv::Size(24, 16), cv::Size(48, 64), cv::Size(24, 32)}) {
    const Frames first = frames(10), second = frames(10, other);
    const std::string size = std::to_string(other.width) + " x " + std::to_string(other.height);
    SCOPED_TRACE(size);
    Frames mixed = first;
    for (std::size_t i = 5; i < 10; ++i) mixed[i] = second[i];
    EXPECT_EQ(outcome(avi(mixed, 10)), "ooooosssss");
    EXPECT_EQ(texts_[5], "frame 5 has " + size +
                             " pixels, the video was opened with 48 x 32; divide the video where its size "
                             "changes, or encode it again with one size");
    EXPECT_EQ(outcome(avi(mixed, 10), "-------"), "-------sss") << "the first frames are known already";
    mixed = first;
    mixed[3] = second[3];
    EXPECT_EQ(outcome(avi(mixed, 10)), "ooosoooooo");
    EXPECT_EQ(outcome(avi(mixed, 10), "oo--"), "oo--oooooo");
    mixed = second;
    for (std::size_t i = 5; i < 10; ++i) mixed[i] = first[i];
    EXPECT_EQ(outcome(avi(mixed, 10, other)), "ooooosssss");
  }
}

TEST_F(MotionJpeg, ADamagedFrameIsLostAlone) {
  const Frames good = frames(10);
  const std::map<std::string, std::string> damage{{"half", good[0].substr(0, 100)},
                                                  {"start and end", "\xff\xd8\xff\xd9"},
                                                  {"zeros", std::string(300, '\0')},
                                                  {"text", "this is no JPEG"}};
  for (const auto& [name, bytes] : damage) {
    SCOPED_TRACE(name);
    for (std::size_t at = 0; at < good.size(); ++at)
      for (std::size_t count = 1; count <= 3 && at + count <= good.size(); ++count) {
        Frames bad = good;
        for (std::size_t i = at; i < at + count; ++i) bad[i] = bytes;
        std::string expected(10, 'o');
        expected.replace(at, count, count, 'c');
        EXPECT_EQ(outcome(avi(bad, 10)), expected);
        EXPECT_EQ(texts_[static_cast<int>(at)], "frame " + std::to_string(at) + " cannot be decoded");
        EXPECT_EQ(outcome(avi(bad, 0)), expected) << "counted";
      }
  }
}

TEST_F(MotionJpeg, ADroppedFrameMovesNoOther) {
  Frames some = frames(10);
  some[0] = some[3] = some[6] = some[7] = "";
  EXPECT_EQ(outcome(avi(some, 10)), "doodooddoo");
  EXPECT_EQ(texts_[3], "the file holds nothing for frame 3, which was dropped when the video was recorded");
  EXPECT_EQ(outcome(avi(some, 0)), "doodooddoo") << "counted";
  EXPECT_EQ(outcome(avi(some, 10), "oooo---"), "dood---doo");
  some[5] = std::string(300, '\0');
  EXPECT_EQ(outcome(avi(some, 10)), "doodocccoo") << "which of the three was dropped cannot be told";
}

TEST_F(MotionJpeg, OnlyTheEndIsTheEnd) {
  Frames some = frames(10);
  EXPECT_EQ(outcome(avi(some, 14)), std::string(10, 'o') + "tttt");
  EXPECT_EQ(texts_[10], "the video ends after 10 frames, before frame 10");
  some[9] = std::string(300, '\0');
  EXPECT_EQ(outcome(avi(some, 14)), std::string(9, 'o') + "ctttt");
  EXPECT_EQ(outcome(avi(some, 4)), "oooo");
}

TEST_F(MotionJpeg, AFrameMayHaveTwoFields) {
  const Frames fields = frames(20, {48, 16});
  Frames both;
  for (std::size_t i = 0; i < 10; ++i) both.push_back(fields[i] + fields[i]);
  EXPECT_EQ(outcome(avi(both, 10)), "oooooooooo");
  both[4] = fields[4];
  EXPECT_EQ(outcome(avi(both, 10)).find('x'), std::string::npos);
}

TEST_F(MotionJpeg, OtherContainersHoldItToo) {
  const std::string small = frames(1, {24, 16})[0];
  for (const std::string name : {"a.mp4", "a.mov", "a.mkv"}) {
    SCOPED_TRACE(name);
    const std::string path = (folder_ / name).string();
    cv::VideoWriter out(path, cv::CAP_FFMPEG, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'), 10, {48, 32});
    if (!out.isOpened()) GTEST_SKIP() << "this OpenCV does not write " << name;
    cv::Mat frame(32, 48, CV_8UC3);
    cv::randu(frame, 0, 255);  // as large as the frame that takes its place
    for (int i = 0; i < 10; ++i) {
      frame(cv::Rect(16, 0, 16, 32)) = cv::Scalar(200, green(i), red(i));
      out.write(frame);
    }
    out.release();
    const std::string file = slurp(path);
    std::filesystem::remove(path);
    EXPECT_EQ(outcome(file, "", name), "oooooooooo");
    // The third and the sixth frame, in their places.
    std::vector<std::size_t> starts;
    for (std::size_t at = 0; (at = file.find("\xff\xd8\xff", at)) != std::string::npos; ++at)
      starts.push_back(at);
    ASSERT_EQ(starts.size(), 10u);
    std::string changed = file;
    const std::size_t third = starts[3] - starts[2] - 16, sixth = starts[6] - starts[5] - 16;
    ASSERT_LT(small.size(), third);
    changed.replace(starts[2], small.size(), small);
    changed.replace(starts[2] + small.size(), third - small.size(), third - small.size(), '\0');
    changed.replace(starts[5], sixth, sixth, '\0');
    EXPECT_EQ(outcome(changed, "", name), "oosoocoooo");
    std::filesystem::remove(folder_ / "c" / name);
  }
}

// The decoder of MPEG-4 conceals most damage; what it gives up on is not the end, either.
TEST_F(Video, DamageIsNotTheEnd) {
  const std::string path = write_mpeg4("whole.mp4", 30, 10);
  if (path.empty()) GTEST_SKIP() << "this OpenCV writes no MP4 files";
  std::string file = slurp(path);
  std::vector<std::string> packets;
  cv::VideoCapture raw(path, cv::CAP_FFMPEG);
  ASSERT_TRUE(raw.set(cv::CAP_PROP_FORMAT, -1));
  for (cv::Mat packet; raw.read(packet);)
    packets.emplace_back(reinterpret_cast<const char*>(packet.data), packet.total());
  ASSERT_EQ(packets.size(), 30u);
  std::filesystem::remove(path);
  // A packet after a frame that decodes alone: what is between is lost.
  const std::size_t at = file.find(packets[10]);
  ASSERT_NE(at, std::string::npos);
  file.replace(at, packets[10].size(), packets[10].size(), '\0');
  folder_.write("c/a.mp4", file);
  auto stage = open();
  int i = 0, good = 0;
  for (Entry e; stage.as<Source>().next(e); ++i) try {
      const auto image = std::get<Image>(stage.load(e));
      const std::uint8_t* pixel = image.row(16) + 3 * 24;
      if (i < 10 || i >= 24) {
        EXPECT_NEAR(pixel[0], red(i), 10) << i;
        EXPECT_NEAR(pixel[1], green(i), 10) << i;
      }
      ++good;
    } catch (const Reject& reject) {
      EXPECT_EQ(i, 10) << reject.what();
      EXPECT_EQ(reject.code(), "corrupt");
    }
  EXPECT_EQ(i, 30);
  EXPECT_GE(good, 29);
}

TEST_F(Video, SaysWhatIsWrong) {
  EXPECT_EQ(fault("every: 2, fps: 1"), "every, fps: expected one of the two, got both");
  EXPECT_EQ(fault(),
            "expected videos in the class folders of ROOT, got none; the layout is root/CLASS/VIDEO, or "
            "root/SPLIT/CLASS/VIDEO with splits; label_from: none takes videos without a class");
  folder_.write("c/a.txt", "x");
  EXPECT_EQ(fault(), "expected videos in ROOT, got none: files leaves out 1 file");
  write("c/a.avi", 1);
  EXPECT_EQ(fault("splits: {train: train}"),
            "splits: expected a folder 'train' in ROOT, got only c; name the folders that are there, or "
            "leave splits "
            "out to divide by a hash of the key");
}

}  // namespace
}  // namespace graft::test
