// What is read from outside costs memory and time in proportion to its size: every parser, on inputs that are
// made to be expensive, each in two sizes. Memory is that of the whole program beside what it takes for a
// tiny input of the kind; time is that of the processor, and the bound is far from both what is linear and
// what is quadratic.

#include <sys/resource.h>
#include <sys/wait.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include <gtest/gtest.h>

#include <network/testing/checkpoint_writer.h>
#include "image_files.h"
#include "program.h"
#include "sanitizers.h"

namespace graft::test {
namespace {

std::string little(std::uint32_t value, int bytes = 4) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string big(std::uint32_t value, int bytes = 4) {
  std::string out = little(value, bytes);
  std::reverse(out.begin(), out.end());
  return out;
}

/// `n` times what `piece` gives for 0, 1, ...
std::string repeated(std::size_t n, const std::function<std::string(std::size_t)>& piece) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += piece(i);
  return out;
}

std::string packed(const std::string& data) {
  z_stream z{};
  if (::deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string out(::deflateBound(&z, data.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = static_cast<uInt>(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  ::deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  ::deflateEnd(&z);
  return out;
}

/// A member of a tar archive: header and data.
std::string tar_member(const std::string& name, const std::string& data, char type = '0') {
  std::string header(512, '\0');
  header.replace(0, std::min<std::size_t>(name.size(), 100), name.substr(0, 100));
  header.replace(100, 8, std::string("0000644\0", 8));
  char size[12];
  std::snprintf(size, sizeof size, "%011zo", data.size());
  header.replace(124, 12, std::string(size, 12));
  header.replace(148, 8, "        ");
  header[156] = type;
  header.replace(257, 8, std::string("ustar  \0", 8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  char check[8];
  std::snprintf(check, sizeof check, "%06o", sum);
  header.replace(148, 7, std::string(check, 7));
  return header + data + std::string((512 - data.size() % 512) % 512, '\0');
}
const std::string kTarEnd(1024, '\0');

std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string body = type + data;
  const auto crc = ::crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big(static_cast<std::uint32_t>(data.size())) + body + big(static_cast<std::uint32_t>(crc));
}

std::string tiff(std::uint32_t strips) {
  constexpr std::uint32_t kEntries = 7, kArray = 8 + 2 + 12 * kEntries + 4;
  const auto entry = [](std::uint32_t tag, std::uint32_t type, std::uint32_t count, std::uint32_t value) {
    return little(tag, 2) + little(type, 2) + little(count) + little(value);
  };
  return "II" + little(42, 2) + little(8) + little(kEntries, 2) + entry(256, 4, 1, 4) + entry(257, 4, 1, 4) +
         entry(258, 3, 1, 8) + entry(262, 3, 1, 1) + entry(273, 4, strips, kArray) + entry(277, 3, 1, 1) +
         entry(279, 4, strips, kArray) + little(8) + repeated(strips, [](std::size_t) { return little(1); });
}

/// An input file that grows with `n`, and the arguments of graft that read it.
struct Case {
  const char* name;
  const char* file;
  const char* config;  ///< The source and what is after it; empty: the file is one itself, or a weight file.
  std::size_t n;       ///< For the smaller of the two files.
  std::function<std::string(std::size_t)> content;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

constexpr const char* kArchive = "{plugin: archive, with: {root: in}}";
constexpr const char* kWebDataset = "{plugin: archive, with: {root: in, layout: webdataset}}";
constexpr const char* kList = "{plugin: image_list, with: {file: in/l.csv, labels: label}}";
constexpr const char* kLines = "{plugin: image_list, with: {file: in/l.jsonl}}";
constexpr const char* kFolder = "{plugin: image_folder, with: {root: in}}";
constexpr const char* kIdx =
    "{plugin: idx, with: {root: in, train: {labels: null}, test: {images: null, labels: null}}}";
constexpr const char* kCifar = "{plugin: cifar, with: {root: in}}";

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"TarOfLongNames", "x.tar.gz", kArchive, 4,
       [](std::size_t n) {
         return packed(repeated(n,
                                [](std::size_t) {
                                  return tar_member("././@LongLink", std::string(1'000'000, 'a'), 'L') +
                                         tar_member("c/a.jpg", "x");
                                }) +
                       kTarEnd);
       }},
      {"TarOfNamesAtTheLimit", "x.tar.gz", kArchive, 500,
       [](std::size_t n) {
         return packed(
             repeated(n,
                      [](std::size_t i) {
                        const std::string name = "c/" + std::to_string(i) + std::string(4000, 'a') + ".jpg";
                        return tar_member("././@LongLink", name + '\0', 'L') + tar_member(name, "x");
                      }) +
             kTarEnd);
       }},
      {"TarOfPaxHeaders", "x.tar.gz", kArchive, 20,
       [](std::size_t n) {
         return packed(repeated(n,
                                [](std::size_t) {
                                  std::string record = " path=c/" + std::string(99'000, 'a') + ".jpg\n";
                                  record = std::to_string(record.size() + 5) + record;
                                  return tar_member("pax", record, 'x') + tar_member("c/a.jpg", "x");
                                }) +
                       kTarEnd);
       }},
      {"TarOfManyMembers", "x.tar.gz", kArchive, 8'000,
       [](std::size_t n) {
         return packed(
             repeated(n, [](std::size_t i) { return tar_member("c/" + std::to_string(i) + ".jpg", ""); }) +
             kTarEnd);
       }},
      {"TarOfOneLargeMember", "x.tar.gz", kArchive, 8,
       [](std::size_t n) { return packed(tar_member("c/a.jpg", std::string(n << 20, '\0')) + kTarEnd); }},
      {"WebDatasetOfManyLabels", "x.tar.gz", kWebDataset, 30,
       [](std::size_t n) {
         return packed(repeated(n,
                                [](std::size_t i) {
                                  const std::string labels = repeated(5000, [](std::size_t k) {
                                    return (k == 0 ? "\"" : ",\"") + std::to_string(k) + "\"";
                                  });
                                  const std::string name = std::to_string(i);
                                  return tar_member(name + ".json", "{\"label\":[" + labels + "]}") +
                                         tar_member(name + ".jpg", "x");
                                }) +
                       kTarEnd);
       }},
      {"ZipOfManyMembers", "x.zip", kArchive, 4'000,
       [](std::size_t n) {
         std::vector<std::pair<std::string, std::string>> members;
         for (std::size_t i = 0; i < n; ++i) members.emplace_back("c/" + std::to_string(i) + ".jpg", "");
         return make_zip(members);
       }},
      {"PackedIdx", "train-images-idx3-ubyte.gz", kIdx, 500'000,
       [](std::size_t n) {
         return packed(std::string("\0\0\x08\x03", 4) + big(static_cast<std::uint32_t>(n)) + big(1) + big(1) +
                       std::string(n, '\0'));
       }},
      {"Cifar", "data_batch_1.bin", kCifar, 500, [](std::size_t n) { return std::string(3073 * n, '\0'); }},
      {"CsvOfManyColumns", "l.csv", kList, 1'200,
       [](std::size_t n) {
         return "path,label" + repeated(n, [](std::size_t i) { return ",c" + std::to_string(i); }) + "\n" +
                repeated(
                    20, [&](std::size_t i) { return std::to_string(i) + ",x" + std::string(n, ',') + "\n"; });
       }},
      {"CsvOfManyLabels", "l.csv", kList, 10'000,
       [](std::size_t n) {
         return "path,label\na.jpg," + repeated(n, [](std::size_t i) { return "|" + std::to_string(i); }) +
                "\n";
       }},
      {"CsvOfManyLines", "l.csv", kList, 5'000,
       [](std::size_t n) {
         return "path,label\n" + repeated(n, [](std::size_t i) {
                  return "photographs/2024/" + std::to_string(i) + ".jpg,ant\n";
                });
       }},
      {"JsonLineOfManyNames", "l.jsonl", kLines, 11'000,
       [](std::size_t n) {
         return "{\"path\":\"a.jpg\"" +
                repeated(n, [](std::size_t i) { return ",\"" + std::to_string(i) + "\":1"; }) + "}\n";
       }},
      {"JsonLinesOfDifferentNames", "l.jsonl", kLines, 200,
       [](std::size_t n) {
         return repeated(n, [](std::size_t l) {
           return "{\"path\":\"" + std::to_string(l) + ".jpg\"" +
                  repeated(500, [l](std::size_t i) { return ",\"" + std::to_string(500 * l + i) + "\":1"; }) +
                  "}\n";
         });
       }},
      {"JsonLineOfLists", "l.jsonl", kLines, 40'000,
       [](std::size_t n) {
         return "{\"path\":\"a.jpg\",\"x\":[[]" + repeated(n, [](std::size_t) { return ",[]"; }) + "]}\n";
       }},
      {"ConfigOfManyKeys", "c.yaml", "", 2'500,
       [](std::size_t n) {
         return "{" + repeated(n, [](std::size_t i) { return "a" + std::to_string(i) + ": 1,"; }) + "}";
       }},
      {"ConfigOfOneKeyManyTimes", "c.yaml", "", 2'500,
       [](std::size_t n) {
         return "{" + repeated(n, [](std::size_t) { return std::string("a: 1,"); }) + "}";
       }},
      {"ConfigOfAList", "c.yaml", "", 60'000,
       [](std::size_t n) {
         return "name: [" + repeated(n, [](std::size_t) { return std::string("1,"); }) + "]";
       }},
      {"ConfigOfManyStages", "c.yaml", "", 100,
       [](std::size_t n) {
         return "name: c\nstages:\n" + repeated(n, [](std::size_t i) {
                  return "  s" + std::to_string(i) + ": {plugin: none, from: s" + std::to_string(i + 1) +
                         "}\n";
                });
       }},
      {"JpegOfManySegments", "c/a.jpg", kFolder, 20'000,
       [](std::size_t n) {
         const std::string jpeg = image_file(".jpg", {200, 100, 50});
         return jpeg.substr(0, 2) +
                repeated(n, [](std::size_t) { return std::string("\xff\xe5\x00\x02", 4); }) + jpeg.substr(2);
       }},
      {"PngOfManyChunks", "c/a.png", kFolder, 10'000,
       [](std::size_t n) {
         const std::string png = image_file(".png", {200, 100, 50});
         return png.substr(0, 33) +
                repeated(n, [](std::size_t) { return png_chunk("tEXt", std::string("a\0b", 3)); }) +
                png.substr(33);
       }},
      {"TiffOfManyStrips", "c/a.tiff", kFolder, 30'000,
       [](std::size_t n) { return tiff(static_cast<std::uint32_t>(n)); }},
      {"WebPOfManyChunks", "c/a.webp", kFolder, 20'000,
       [](std::size_t n) {
         const std::string webp = image_file(".webp", {200, 100, 50});
         const std::string body =
             webp.substr(8) + repeated(n, [](std::size_t) { return "JUNK" + little(0); });
         return "RIFF" + little(static_cast<std::uint32_t>(body.size())) + body;
       }},
      {"BmpWithALongTail", "c/a.bmp", kFolder, 100'000,
       [](std::size_t n) {
         return image_file(".bmp", {200, 100, 50}) + std::string(n, '\0');
       }},
      {"PnmWithALongComment", "c/a.pgm", kFolder, 100'000,
       [](std::size_t n) { return "P2\n#" + std::string(n, 'c') + "\n2 2\n255\n1 2 3 4\n"; }},
      {"SafetensorsOfManyTensors", "w.safetensors", "", 3'000,
       [](std::size_t n) {
         const std::string header = "{" +
                                    repeated(n,
                                             [](std::size_t i) {
                                               return (i == 0 ? "\"t" : ",\"t") + std::to_string(i) +
                                                      R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
                                             }) +
                                    "}";
         return little(static_cast<std::uint32_t>(header.size())) + little(0) + header;
       }},
      {"CheckpointOfManyTensors", "w.pth", "", 500,
       [](std::size_t n) {
         CheckpointWriter writer;
         static const float kOne = 1;
         Tensor one;
         one.shape = {1};
         one.data = const_cast<float*>(&kOne);
         CheckpointWriter::Items items;
         for (std::size_t i = 0; i < n; ++i) items.emplace_back("t" + std::to_string(i), writer.tensor(one));
         return writer.file(CheckpointWriter::map(items));
       }},
      {"CheckpointOfManyNumbers", "w.pth", "", 20'000,
       [](std::size_t n) {
         CheckpointWriter::Items items;
         for (std::size_t i = 0; i < n; ++i)
           items.emplace_back("k" + std::to_string(i),
                              CheckpointWriter::number(static_cast<std::int64_t>(i)));
         return CheckpointWriter().file(CheckpointWriter::map(items));
       }},
  };
  return kCases;
}

struct Cost {
  int exit_code = -1;
  std::uintmax_t file_bytes = 0;
  std::uint64_t memory = 0;  ///< Bytes, at most.
  double seconds = 0;        ///< Of the processor.
  std::string err;
};

Cost cost_of(const Case& c, std::size_t n) {
  const TempFolder folder, log;
  const std::filesystem::path file = folder / "in" / c.file;
  // By a process of its own: what this one holds would count as memory of those that it starts.
  const pid_t writer = ::fork();
  if (writer == 0) {
    folder.write(std::filesystem::path("in") / c.file, c.content(n));
    ::_exit(0);
  }
  ::waitpid(writer, nullptr, 0);
  std::vector<std::string> arguments{"check", file.string()};
  if (*c.config != '\0') {
    const bool decodes = c.config != kIdx && c.config != kCifar;
    folder.write("c.yaml",
                 std::string("name: c\nrun: {max_rejects: 100%, threads: 2}\nstages:\n  images: ") +
                     c.config +
                     (decodes ? "\n  px: {plugin: decode, from: images, with: {resize: 16, crop: 16}}" : "") +
                     "\n  rows: {plugin: pixel_table, from: " + (decodes ? "px" : "images") + "}\n");
    // What is in a folder is decoded; of lists and archives the listing is what grows.
    arguments = {c.config == kFolder ? "run" : "plan", "c.yaml", "--quiet", "--json"};
    if (c.config != kFolder) arguments.push_back("--no-sample");
  } else if (file.extension() != ".yaml") {
    arguments = {"model", "summary", file.string(), "--json"};
  }
  const pid_t pid = start_program(log, arguments, folder.path());
  int status = 0;
  rusage usage{};
  ::wait4(pid, &status, 0, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), std::filesystem::file_size(file),
          static_cast<std::uint64_t>(usage.ru_maxrss) * 1024,
          seconds(usage.ru_utime) + seconds(usage.ru_stime), slurp(log / "stderr").substr(0, 300)};
}

class Growth : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Parsers, Growth, ::testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.name; });

TEST_P(Growth, MemoryAndTimeAreLinearInTheFile) {
  if (kSanitized) GTEST_SKIP() << "sanitizers take memory and time of their own";
  const Cost tiny = cost_of(GetParam(), 1), one = cost_of(GetParam(), GetParam().n),
             eight = cost_of(GetParam(), 8 * GetParam().n);
  for (const Cost& cost : {tiny, one, eight}) {
    EXPECT_LE(cost.exit_code, 3) << cost.err;
    const std::uint64_t beside = cost.memory - std::min(cost.memory, tiny.memory);
    EXPECT_LE(beside, (std::uint64_t{64} << 20) + 8 * cost.file_bytes)
        << cost.file_bytes << " bytes: " << cost.err;
  }
  // 8 is linear, 64 quadratic; a second is for the start of the program on a busy machine.
  EXPECT_LE(eight.seconds, 24 * one.seconds + 1) << one.seconds << " s for " << one.file_bytes << " bytes";
  RecordProperty("file_bytes", static_cast<int>(eight.file_bytes));
  RecordProperty("megabytes", static_cast<int>(eight.memory >> 20));
  RecordProperty("milliseconds", static_cast<int>(eight.seconds * 1000));
}

}  // namespace
}  // namespace graft::test
