// No file outside of a source's root, no FIFO, no device and no address is opened because an input says so.
// The kernel watches: everything that the inputs name lies in one folder, at one FIFO and at one port, and
// what is opened there is seen, whoever opens it and how.

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>

#include <network/testing/zip_writer.h>

#include "hdf5_files.h"
#include "open_watch.h"
#include "program.h"

namespace graft::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string picture(char grey) {
  return "P6\n8 8\n255\n" + std::string(192, grey);
}

/// Little-endian.
template <typename T>
std::string bytes_of(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

class Outside : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"secret.ppm", "secret.txt", "secret.mp4", "secret.h5", "secret.safetensors"})
      folder_.write(std::string("outside/") + name, picture('s'));
    fs::create_directories(folder_ / "root/a");
    fs::create_directories(folder_ / "fifos");
    ASSERT_EQ(::mkfifo((folder_ / "fifos/fifo").c_str(), 0600), 0);
    for (int i = 0; i < 6; ++i)
      folder_.write("root/a/good" + std::to_string(i) + ".ppm", picture(static_cast<char>('0' + i)));
  }

  std::string outside(const std::string& name) const { return folder_ / ("outside/" + name); }
  std::string fifo() const { return folder_ / "fifos/fifo"; }

  /// A FIFO that lies in a source's root, and is watched by itself.
  void put_fifo(const std::string& name) {
    fs::create_directories((folder_ / name).parent_path());
    ASSERT_EQ(::mkfifo((folder_ / name).c_str(), 0600), 0);
    fifos_.push_back(folder_ / name);
  }

  /// Runs a config, with and without computing; what it says is for the caller to judge, what it opens is
  /// not.
  ProgramResult run(const std::string& stages, const std::vector<std::string>& environment = {}) {
    folder_.write("config.yaml",
                  "name: outside\nrun: {max_rejects: 100%, stall_limit: 60}\nstages:\n" + stages);
    OpenWatch watch;
    watch.add(folder_ / "outside");
    watch.add(folder_ / "fifos");
    for (const std::string& path : fifos_) watch.add(path);
    for (const char* command : {"check", "plan"})
      run_program({command, folder_ / "config.yaml", "--store", folder_ / "s"}, folder_.path(), environment);
    ProgramResult result =
        run_program({"run", folder_ / "config.yaml", "--store", folder_ / "s", "--out", folder_ / "r"},
                    folder_.path(), environment);
    EXPECT_THAT(watch.opened(), IsEmpty()) << result.err;
    EXPECT_FALSE(port_.was_called()) << result.err;
    return result;
  }
  /// As run, for a source of images.
  ProgramResult run_images(const std::string& source) {
    return run("  images: " + source +
               "\n  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
               "  rows: {plugin: pixel_table, from: pixels}\n");
  }
  std::string inputs() const { return slurp(folder_ / "r/inputs.csv"); }

  TempFolder folder_;
  LoopbackPort port_;
  std::vector<std::string> fifos_;
};

TEST_F(Outside, LinksFifosAndNamesLikeAddressesInAFolder) {
  fs::create_symlink(outside("secret.ppm"), folder_ / "root/a/link.ppm");
  fs::create_symlink(folder_ / "outside", folder_ / "root/b");
  fs::create_symlink("/dev/zero", folder_ / "root/a/zero.ppm");
  put_fifo("root/a/fifo.ppm");
  fs::create_directories(folder_ / "root/a/http:");
  folder_.write("root/a/http:/127.0.0.1.ppm", picture('h'));
  folder_.write("root/a/concat:x|y.ppm", picture('c'));
  folder_.write("root/a/%03d.ppm", picture('p'));
  const auto result =
      run_images("{plugin: image_folder, with: {root: root, val_fraction: 0, test_fraction: 0}}");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* name : {"a/http:/127.0.0.1.ppm", "a/concat:x|y.ppm", "a/%03d.ppm", "a/good0.ppm"})
    EXPECT_THAT(inputs(), HasSubstr(name));
}

class OutsideByList : public Outside {
 protected:
  void SetUp() override {
    Outside::SetUp();
    fs::create_symlink(outside("secret.ppm"), folder_ / "root/link.ppm");
    fs::create_symlink(folder_ / "outside", folder_ / "root/b");
    put_fifo("root/a/fifo.ppm");
  }
  /// Every line leads out of the root.
  std::string paths() const {
    const std::string secret = outside("secret.ppm");
    return "../outside/secret.ppm\na/../../outside/secret.ppm\n" + secret + "\n" + fifo() +
           "\nlink.ppm\nb/secret.ppm\na/fifo.ppm\n/dev/zero\n/dev/stdin\n/proc/self/fd/0\nhttp://" +
           port_.name() + "/x.ppm\nfile://" + secret + "\npipe:0\nconcat:" + secret + "|" + secret +
           "\na/%03d.ppm\n|cat " + secret + "\n";
  }
};

TEST_F(OutsideByList, PathsOfAListStayBelowItsRoot) {
  folder_.write("list.txt", "path\n" + paths() + "a/good0.ppm\na/good1.ppm\n");
  const auto result = run_images(
      "{plugin: image_list, with: {file: list.txt, root: root, format: csv, path: path, val_fraction: 0, "
      "test_fraction: 0}}");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(inputs(), HasSubstr("outside-root"));
  EXPECT_THAT(inputs(), HasSubstr("a/good0.ppm"));
}

TEST_F(OutsideByList, PathsOnStandardInputStayBelowTheRoot) {
  folder_.write("paths", paths() + "a/good0.ppm\n");
  folder_.write("config.yaml",
                "name: outside\nrun: {max_rejects: 100%}\nstages:\n"
                "  images: {plugin: stdin, with: {root: root, val_fraction: 0, test_fraction: 0}}\n"
                "  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}\n"
                "  rows: {plugin: pixel_table, from: pixels}\n");
  OpenWatch watch;
  for (const char* name : {"outside", "fifos", "root/a/fifo.ppm"}) watch.add(folder_ / name);
  const TempFolder output;
  const auto result =
      wait_for(output, start("/bin/sh", output,
                             {"-c", "exec " GRAFT_PROGRAM " run config.yaml --store s --out r < paths"},
                             folder_.path()));
  EXPECT_THAT(watch.opened(), IsEmpty()) << result.err;
  EXPECT_FALSE(port_.was_called());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(inputs(), HasSubstr("a/good0.ppm"));
}

TEST_F(Outside, MembersOfArchivesLeadNowhere) {
  struct Member {
    std::string name, symlink, hardlink;
  };
  const std::string secret = outside("secret.ppm");
  for (const char* name : {"root/t.tar", "root/t.zip"}) {
    struct archive* a = archive_write_new();
    archive_write_set_format_filter_by_ext(a, name);
    ASSERT_EQ(archive_write_open_filename(a, (folder_ / name).c_str()), ARCHIVE_OK);
    for (const Member& m : {Member{"a/sym.ppm", secret, ""},
                            {"a/up.ppm", "../../outside/secret.ppm", ""},
                            {"a/hard.ppm", "", secret},
                            {"a/device.ppm", "/dev/zero", ""},
                            {"../outside/secret.ppm", "", ""},
                            {secret, "", ""},
                            {"a/http://" + port_.name() + "/x.ppm", "", ""},
                            {"a/in.ppm", "", ""}}) {
      struct archive_entry* e = archive_entry_new();
      archive_entry_set_pathname(e, m.name.c_str());
      archive_entry_set_perm(e, 0644);
      archive_entry_set_filetype(e, m.symlink.empty() ? AE_IFREG : AE_IFLNK);
      if (!m.symlink.empty()) archive_entry_set_symlink(e, m.symlink.c_str());
      if (!m.hardlink.empty()) archive_entry_set_hardlink(e, m.hardlink.c_str());
      const std::string content = m.symlink.empty() && m.hardlink.empty() ? picture('m') : "";
      archive_entry_set_size(e, static_cast<la_int64_t>(content.size()));
      archive_write_header(a, e);
      archive_write_data(a, content.data(), content.size());
      archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
  }
  fs::create_symlink(outside("secret.ppm"), folder_ / "root/link.tar");
  put_fifo("root/fifo.tar");
  const auto result = run_images("{plugin: archive, with: {root: root, val_fraction: 0, test_fraction: 0}}");
  EXPECT_THAT(inputs(), HasSubstr("a/in.ppm")) << result.err;
  EXPECT_EQ(slurp(outside("secret.ppm")), picture('s'));
}

/// Big-endian.
std::string number(std::size_t value, std::size_t bytes) {
  std::string out;
  while (bytes-- > 0) out += static_cast<char>(value >> (8 * bytes));
  return out;
}

/// The QuickTime file with its data said to be in the file at `path`: an alias of the Macintosh for the
/// reference to the file itself.
std::string with_data_at(std::string file, const std::string& path) {
  std::string of_mac = "V" + path;  // after the volume's name, ':' between folders
  std::replace(of_mac.begin(), of_mac.end(), '/', ':');
  if (of_mac.size() % 2 == 1) of_mac += '\0';
  std::string alias = "alis" + number(0, 4) + std::string(10, '\0') + "\1V" + std::string(26, '\0') +
                      std::string(12, '\0') + "\1x" + std::string(62, '\0') + std::string(16, '\0') +
                      number(0, 4) + std::string(16, '\0') + number(2, 2) + number(of_mac.size(), 2) +
                      of_mac + number(0xffff, 2) + number(0, 2);
  alias = number(alias.size() + 4, 4) + alias;
  const std::string itself = number(12, 4) + "url " + number(1, 4);
  const std::size_t at = file.find(itself, file.find("dref"));
  if (at == std::string::npos) return {};
  file.replace(at, itself.size(), alias);
  for (const char* box : {"dref", "dinf", "minf", "mdia", "trak", "moov"}) {
    const std::size_t size_at = file.rfind(box, at) - 4;
    std::size_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(file[size_at + i]);
    file.replace(size_at, 4, number(size + alias.size() - itself.size(), 4));
  }
  return file;
}

/// A video of the same frames in another file; empty where this OpenCV writes none.
std::string quicktime(const fs::path& path) {
  cv::VideoWriter out(path.string(), cv::CAP_FFMPEG, cv::VideoWriter::fourcc('m', 'p', '4', 'v'), 10,
                      {32, 32});
  if (!out.isOpened()) return {};
  for (int i = 0; i < 3; ++i) out.write(cv::Mat(32, 32, CV_8UC3, cv::Scalar(10, 200, 10)));
  out.release();
  return slurp(path);
}

/// Texts that FFmpeg takes for play lists and session descriptions, some after the magic bytes of a
/// container.
TEST_F(Outside, VideosOpenNothingButThemselves) {
  const std::string secret = outside("secret.mp4");
  const auto write = [&](const std::string& name, const std::string& text) {
    folder_.write("root/a/" + name, text);
  };
  const std::string dash =
      "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" "
      "type=\"static\" mediaPresentationDuration=\"PT2S\" minBufferTime=\"PT1S\"><Period "
      "duration=\"PT2S\"><AdaptationSet mimeType=\"video/mp4\" contentType=\"video\"><Representation "
      "id=\"v\" "
      "bandwidth=\"1000\" width=\"64\" height=\"48\" codecs=\"mp4v.20\"><BaseURL>" +
      secret + "</BaseURL></Representation></AdaptationSet></Period></MPD>\n";
  const std::string sdp =
      "o=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
      "a=rtpmap:96 H264/90000\n";
  const std::string list = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n" + secret +
                           "\n#EXTINF:9,\nhttp://" + port_.name() + "/x.ts\n#EXT-X-ENDLIST\n";
  for (const char* box : {"ftyp", "moov", "mdat", "free", "skip", "wide"})
    write(std::string("dash-") + box + ".mp4", std::string("<!--") + box + "-->" + dash);
  write("sdp.mp4", "v=0\nfree=1\n" + sdp);
  write("plain.sdp.mp4", "v=0\n" + sdp);
  write("hls.mp4", list);
  write("hls-box.mp4", "#EXTfree\n" + list);
  write("concat.mp4", "ffconcat version 1.0\nfile '" + secret + "'\n");
  std::string stream = "G" + std::string(187, ' ') + "G" + std::string(187, ' ') + "G\n" + sdp + list;
  write("stream.ts", stream);
  write("redirect.wmv", "[Reference]\nRef1=http://" + port_.name() + "/x\n");
  write("%03d.mp4", list);
  write("http:__x.mp4", "RIFF");
  const std::string video = quicktime(secret);
  if (!video.empty()) {
    write("sound.mov", video);
    write("reference.mov", with_data_at(video, secret));
    write("concat:a|http:b.mp4", video);
  }
  put_fifo("root/a/fifo.mp4");
  fs::create_symlink(secret, folder_ / "root/a/link.mp4");
  const std::string stages =
      "  images: {plugin: video, with: {root: root, val_fraction: 0, test_fraction: 0}}\n"
      "  pixels: {plugin: resize, from: images, with: {resize: 8, crop: 8}}\n"
      "  rows: {plugin: pixel_table, from: pixels}\n";
  const auto result = run(stages);
  EXPECT_THAT(inputs(), HasSubstr("dash-free.mp4")) << result.err;
  EXPECT_THAT(inputs(), HasSubstr("not-a-video"));
  for (const char* name : {"a/sound.mov#000002", "a/concat:a|http:b.mp4#000002"})
    if (!video.empty()) {
      EXPECT_THAT(inputs(), HasSubstr(std::string(name) + ",train,a,ok"));
    }
  // What the environment allows is for videos, not for what they name.
  run(stages, {"OPENCV_FFMPEG_CAPTURE_OPTIONS=format_whitelist;ALL|protocol_whitelist;file,http,tcp,udp,rtp|"
               "enable_drefs;1|use_absolute_path;1"});
  run(stages, {"OPENCV_FFMPEG_CAPTURE_OPTIONS=no option at all"});
}

TEST_F(Outside, TablesAreReadFromTheirOwnFileAlone) {
  { Hdf5File(outside("secret.h5")).write<float>("features", {4, 2}, std::vector<float>(8, 1)); }
  { Hdf5File(outside("filter.h5")).write<float>("features", {4, 2}, std::vector<float>(8, 1)); }
  for (const std::string& target : {outside("secret.h5"), fifo(), std::string("/dev/zero")}) {
    const std::string path = folder_ / "t.h5";
    {
      const Hdf5File file(path);
      const hid_t external = H5Pcreate(H5P_DATASET_CREATE), virtual_one = H5Pcreate(H5P_DATASET_CREATE);
      H5Pset_external(external, target.c_str(), 0, 32);
      const hsize_t extents[2] = {4, 2};
      const hid_t space = H5Screate_simple(2, extents, nullptr);
      H5Pset_virtual(virtual_one, space, target.c_str(), "features", space);
      file.write<float>("elsewhere", {4, 2}, {}, -1, external);
      file.write<float>("composed", {4, 2}, {}, -1, virtual_one);
      H5Lcreate_external(target.c_str(), "features", file.id(), "link", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_external(target.c_str(), "/", file.id(), "group", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_external(target.c_str(), "keys", file.id(), "keys", H5P_DEFAULT, H5P_DEFAULT);
      H5Lcreate_external(target.c_str(), "classes", file.id(), "classes", H5P_DEFAULT, H5P_DEFAULT);
      file.write<float>("features", {4, 2}, std::vector<float>(8, 2));
      H5Pclose(external);
      H5Pclose(virtual_one);
      H5Sclose(space);
    }
    for (const char* name : {"features", "elsewhere", "composed", "link", "group/features"}) {
      const auto result = run(std::string("  t: {plugin: table_file, with: {files: t.h5, features: ") + name +
                                  "}}\n  rows: {plugin: feature_table, from: t}\n",
                              {"HDF5_PLUGIN_PATH=" + (folder_ / "outside").string()});
      EXPECT_NE(result.exit_code, 0) << name;
      EXPECT_THAT(result.err, ::testing::ContainsRegex("link to elsewhere|lie in another file")) << name;
    }
  }
}

TEST_F(Outside, DataSetsInFilesOfFixedNames) {
  const std::string record = std::string(1, '\3') + std::string(3072, 'x');
  for (const char* name : {"data_batch_1.bin", "test_batch.bin"})
    folder_.write(std::string("cifar/") + name, record);
  put_fifo("cifar/batches.meta.txt");
  put_fifo("cifar/data_batch_2.bin");
  run("  images: {plugin: cifar, with: {root: cifar}}\n  rows: {plugin: pixel_table, from: images}\n");
  put_fifo("idx/train-images-idx3-ubyte");
  put_fifo("idx/train-labels-idx1-ubyte");
  run("  images: {plugin: idx, with: {root: idx}}\n  rows: {plugin: pixel_table, from: images}\n");
}

TEST_F(Outside, WeightsAreOneFile) {
  const std::string secret = outside("secret.safetensors");
  const std::string header = R"({"__metadata__": {"file": ")" + secret +
                             R"("}, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "file": ")" +
                             secret + R"("}})";
  folder_.write("weights/model.safetensors",
                bytes_of<std::uint64_t>(header.size()) + header + std::string(4, '\0'));
  folder_.write("weights/model.safetensors.index.json",
                R"({"weight_map": {"conv1.weight": "../outside/secret.safetensors", "fc.weight": ")" +
                    secret + R"("}})");
  fs::copy_file(folder_ / "weights/model.safetensors.index.json", folder_ / "weights/index.safetensors");
  // Calls open(SECRET) when Python reads it.
  const std::string content = "cio\nopen\n(V" + secret + "\ntR.";
  folder_.write(
      "weights/model.pth",
      make_zip({{"archive/data.pkl", content}, {"../outside/secret.txt", content}, {secret, content}}));
  for (const char* model :
       {"model.safetensors", "model.safetensors.index.json", "index.safetensors", "model.pth"}) {
    const auto result =
        run(std::string("  images: {plugin: image_folder, with: {root: root}}\n"
                        "  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}\n"
                        "  features: {plugin: backbone, from: pixels, with: {model: weights/") +
            model +
            ", architecture: resnet18, normalize: imagenet}}\n"
            "  rows: {plugin: feature_table, from: features}\n");
    EXPECT_EQ(result.exit_code, 2) << model << result.err;
  }
}

}  // namespace
}  // namespace graft::test
