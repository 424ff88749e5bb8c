#include <filesystem>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>

#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

#include <graft/stage.h>
#include <graft/testing/stage_harness.h>
#include <graft/value.h>

#include <network/testing/zip_writer.h>
#include <source/folder_labels.h>
#include <source/glob.h>
#include <split_names/split_names.h>

#include "../../plugins/sources/video/orientation.h"
#include "fuzz.h"
#include "plugin/split.h"

namespace graft::fuzz {
namespace {

using testing::StageHarness;

std::string quoted(const std::filesystem::path& path) {
  return Value(path.string()).to_json();
}

std::filesystem::path folder(const std::string& name) {
  std::filesystem::path path = scratch_folder() / name;
  std::filesystem::create_directories(path);
  return path;
}

/// A whole source: its list, and what its first inputs hold.
void read_source(const std::string& plugin, const std::string& params) {
  StageHarness source(plugin, params);
  source.as<Source>().classes();
  Entry entry;
  for (int i = 0; source.as<Source>().next(entry); ++i, entry = Entry()) {
    if (i >= 16) continue;
    try {
      source.load(entry);
    } catch (const Reject&) {
    }
  }
}

void csv(std::string_view input) {
  const auto root = folder("list");
  const auto file = write_scratch(input, "list/list.csv");
  read_source("image_list", "{file: " + quoted(file) + ", root: " + quoted(root) + "}");
  read_source("image_list", "{file: " + quoted(file) + ", format: tsv, labels: label, split: split}");
}

void json_lines(std::string_view input) {
  folder("list");
  const auto file = write_scratch(input, "list/list.jsonl");
  read_source("image_list", "{file: " + quoted(file) + "}");
  read_source("image_list", "{file: " + quoted(file) + ", labels: label, id: id}");
}

void stdin_list(std::string_view input) {
  const auto root = folder("list");
  std::istringstream in{std::string(input)};
  for (const char* separator : {"newline", "nul"}) {
    in.clear();
    in.seekg(0);
    std::cin.clear();
    std::streambuf* const before = std::cin.rdbuf(in.rdbuf());
    try {
      read_source("stdin", "{label_from: parent_folder, separator: " + std::string(separator) +
                               ", root: " + quoted(root) + "}");
    } catch (const Error&) {
    }
    std::cin.rdbuf(before);
  }
}

// The names of classes beside a list: an optional mapping of the labels in it.
void class_names(std::string_view input) {
  folder("list");
  const auto file = write_scratch("path,label\na.png,0\nb.png,1\n", "list/list.csv");
  const auto classes = write_scratch(input, "list/classes.txt");
  read_source("image_list", "{file: " + quoted(file) + ", classes: " + quoted(classes) + "}");
}

void read_archive(std::string_view content) {
  const auto root = folder("archive");
  write_scratch(content, "archive/train-0.tar");
  for (const char* layout : {"folders", "webdataset"}) try {
      read_source("archive",
                  "{layout: " + std::string(layout) + ", root: " + quoted(root) + ", max_bytes: 65536}");
    } catch (const Error&) {
    }
}

std::string tar_header(const std::string& name, std::size_t size, char type) {
  std::string out(512, '\0');
  out.replace(0, std::min<std::size_t>(name.size(), 100), name, 0, 100);
  out.replace(100, 8, "0000644");
  char digits[16];
  std::snprintf(digits, sizeof digits, "%011zo", size);
  out.replace(124, 11, digits);
  out.replace(136, 11, "00000000000");
  out.replace(148, 8, "        ");
  out[156] = type;
  out.replace(257, 8,
              std::string("ustar\0"
                          "00",
                          8));
  unsigned sum = 0;
  for (const char c : out) sum += static_cast<unsigned char>(c);
  std::snprintf(digits, sizeof digits, "%06o", sum);
  out.replace(148, 7, std::string(digits, 7));
  return out;
}

std::string tar_member(const std::string& name, std::string_view content, char type = '0') {
  std::string out = tar_header(name, content.size(), type);
  out += content;
  out.append((512 - content.size() % 512) % 512, '\0');
  return out;
}

// Members with sound headers: type, length of the name, length of the content, name, content.
void archive_members(std::string_view input) {
  std::string tar;
  for (Pieces in(input); in.more();) {
    const auto type = static_cast<char>(in.number(1));
    const auto name_bytes = in.number(1), bytes = in.number(2);
    const std::string name(in.text(name_bytes));
    tar += tar_member(name, in.text(bytes), type);
  }
  read_archive(tar + std::string(1024, '\0'));
}

void idx(std::string_view input) {
  const auto root = folder("idx");
  write_scratch(input, "idx/images");
  write_scratch(std::string("\0\0\x8\1\0\0\0\2\0\1", 10), "idx/labels");
  read_source("idx",
              "{root: " + quoted(root) + ", train: {images: images, labels: labels}, test: {images: null}}");
}

void idx_labels(std::string_view input) {
  const auto root = folder("idx");
  write_scratch(std::string("\0\0\x8\3\0\0\0\2\0\0\0\1\0\0\0\1\7\7", 18), "idx/images");
  write_scratch(input, "idx/labels");
  read_source("idx",
              "{root: " + quoted(root) + ", train: {images: images, labels: labels}, test: {images: null}}");
}

// The records, and after a zero byte the names of the classes.
void cifar(std::string_view input) {
  const auto root = folder("cifar");
  Pieces in(input);
  const auto kind = in.number(1);
  const std::string_view names = in.text(in.number(1));
  const bool many = kind % 2 == 1;
  write_scratch(in.rest(), many ? "cifar/train.bin" : "cifar/data_batch_1.bin");
  const auto names_file = root / (many ? "fine_label_names.txt" : "batches.meta.txt");
  if (kind % 4 > 1)
    write_scratch(names, "cifar/" + names_file.filename().string());
  else
    std::filesystem::remove(names_file);
  read_source("cifar", "{root: " + quoted(root) + ", dataset: " + (many ? "cifar100" : "cifar10") + "}");
}

void mp4(std::string_view input) {
  mp4_orientation(write_scratch(input).string());
}

// A pattern, and paths, a line each.
void glob(std::string_view input) {
  Pieces in(input);
  const std::string pattern(in.until('\n'));
  const source::Glob as_written(pattern), either(pattern, source::Glob::Case::Either);
  while (in.more()) {
    const std::string_view path = in.until('\n');
    // But for sets, of which [!a] means fewer then.
    if (as_written.matches(path) && !either.matches(path) && pattern.find('[') == std::string::npos)
      throw std::logic_error("a pattern matches less when letters match in either case");
  }
}

// A pattern of groups, and keys, a line each.
void group(std::string_view input) {
  Pieces in(input);
  Value given = Value::map();
  given["group"] = std::string(in.until('\n'));
  std::vector<ParamFault> faults;
  const Params params(resolve(SplitRule::parameters(), given, faults));
  const SplitRule rule(params, {});
  while (in.more()) rule.hashed(in.until('\n'));
}

// Folders and splits by their names, a line each.
void folder_names(std::string_view input) {
  Value given = Value::map();
  std::vector<ParamFault> faults;
  const Params params(resolve(source::FolderLabels::parameters(), given, faults));
  source::FolderLabels labels(params);
  for (Pieces in(input); in.more();) labels.see(std::string(in.until('\n')));
  labels.find_splits("root");
  source::UnusedSplits unused;
  for (Pieces in(input); in.more();) {
    const std::string path(in.until('\n'));
    labels.place(path);
    unused.see_folders(path);
    unused.see_words(path);
  }
  const auto quiet = [](const std::string&) {};
  unused.warn("", quiet);
  labels.report("root", quiet, [](const std::string&, const std::string&, const std::string&) {});
}

std::string gzipped(const std::string& plain) {
  std::string out(plain.size() + 64, '\0');
  z_stream stream{};
  ::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

std::vector<std::string> csv_seeds() {
  return {"path,label,split\na.png,cat,train\nb.png,\"d\"\"og\",val\n",
          "path;label\r\na.png;1\r\nb.png;2\r\n", "\xef\xbb\xbfpath\tlabel\tsplit\na\tcat|dog\ttest\n",
          "file,species\nx,y\n", "path\n\"a\nb\"\n"};
}

std::vector<std::string> json_line_seeds() {
  return {
      "{\"path\":\"a.png\",\"label\":\"cat\",\"split\":\"val\",\"id\":1}\n{\"path\":\"b\",\"label\":[\"x\","
      "\"y\"],\"id\":2}\n",
      "{\"path\": 7}\n\n{\"path\":\"b\",\"label\":null}", "{\"file\":\"a\"}"};
}

std::vector<std::string> stdin_seeds() {
  return {"a/b.png\na/c.png\n", "a/b\r\nc/d\r\n", "a/b\rc/d\r", std::string("a/b\0c/d\0", 8),
          "../x\n/etc/passwd\n"};
}

std::vector<std::string> archive_seeds() {
  const std::string tar = tar_member("train/cat/1.png", "pixels") + tar_member("val/dog/2.png", "pixels") +
                          std::string(1024, '\0');
  std::vector<std::string> out = {tar, gzipped(tar),
                                  test::make_zip({{"cat/1.png", "pixels"}, {"dog/2.png", "more"}}),
                                  test::make_zip({{"cat/1.png", std::string(300, 'x')}}, true)};
  out.push_back(tar_member("././@LongLink", std::string("cat/") + std::string(120, 'n'), 'L') +
                tar_member("cat/n", "pixels") + std::string(1024, '\0'));
  out.push_back(tar_member("pax", "19 path=cat/ü.png\n", 'x') + tar_member("cat/u", "pixels") +
                std::string(1024, '\0'));
  return out;
}

std::string member_input(char type, const std::string& name, const std::string& content) {
  return type + little_endian(name.size(), 1) + little_endian(content.size(), 2) + name + content;
}

std::vector<std::string> member_seeds() {
  return {member_input('0', "train/cat/1.png", "pixels") + member_input('0', "val/dog/2.png", "pixels"),
          member_input('0', "1.png", "pixels") + member_input('0', "1.cls", "3") +
              member_input('0', "2.jpg", "pixels") + member_input('0', "2.cls", "4"),
          member_input('0', "1.png", "pixels") + member_input('0', "1.json", R"({"label": ["a", "b"]})"),
          member_input('2', "a.png", "") + member_input('0', "../b.png", "x") + member_input('5', "d/", "") +
              member_input('L', "././@LongLink", "a/long.png") + member_input('x', "pax", "13 path=c/d\n")};
}

std::vector<std::string> idx_seeds() {
  const std::string plain("\0\0\x8\3\0\0\0\2\0\0\0\1\0\0\0\1\7\7", 18);
  return {plain, gzipped(plain)};
}

std::vector<std::string> idx_label_seeds() {
  const std::string plain("\0\0\x8\1\0\0\0\2\0\1", 10);
  return {plain, gzipped(plain)};
}

std::vector<std::string> cifar_seeds() {
  const std::string record(3072, 'p');
  return {std::string(2, '\0') + '\3' + record, "\1" + std::string(1, '\0') + "\1\2" + record,
          "\2\x14" + repeated("a\n", 20) + '\3' + record};
}

std::string box(const std::string& type, const std::string& data) {
  const std::string size = little_endian(data.size() + 8, 4);
  return std::string(size.rbegin(), size.rend()) + type + data;
}

std::string rotated_video() {
  const std::string one("\0\1\0\0", 4), zero(4, '\0'), minus("\xff\xff\0\0", 4);
  const std::string matrix = zero + one + zero + minus + zero + zero + zero + zero + one;
  return box("ftyp", "isom") +
         box("moov",
             box("mvhd", std::string(36, '\0') + one + zero + zero + zero + one + zero + zero + zero + one) +
                 box("trak", box("tkhd", std::string(40, '\0') + matrix) +
                                 box("mdia", box("hdlr", std::string(8, '\0') + "vide"))));
}

std::string grown_mp4(std::size_t bytes) {
  return box("moov", box("trak", repeated(box("mdia", box("hdlr", "")), bytes)));
}

std::string grown_csv(std::size_t bytes) {
  std::string out = "path,label\n";
  for (std::size_t i = 0; out.size() < bytes; ++i) out += std::to_string(i) + "," + std::to_string(i) + "\n";
  return out;
}

std::string grown_json_lines(std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; out.size() < bytes; ++i)
    out += "{\"path\":" + std::to_string(i) + ",\"label\":[" + std::to_string(i % 7) + "]}\n";
  return out;
}

std::string grown_stdin(std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; out.size() < bytes; ++i) out += std::to_string(i) + "/x\n";
  return out;
}

std::string grown_archive(std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; out.size() < bytes; ++i)
    out += tar_member(std::to_string(i) + ".png", "") + tar_member(std::to_string(i) + ".cls", "1");
  return out + std::string(1024, '\0');
}

std::string grown_idx(std::size_t bytes) {
  const std::string count = little_endian(bytes, 4);
  return std::string("\0\0\x8\3", 4) + std::string(count.rbegin(), count.rend()) +
         std::string("\0\0\0\1\0\0\0\1", 8) + std::string(bytes, '\7');
}

}  // namespace

std::vector<Target> source_targets() {
  return {
      {"csv", csv, csv_seeds, grown_csv},
      {"json_lines", json_lines, json_line_seeds, grown_json_lines},
      {"stdin", stdin_list, stdin_seeds, grown_stdin},
      {"class_names", class_names,
       [] {
         return std::vector<std::string>{"cat\ndog\n",
                                         "\xef\xbb\xbf"
                                         "a\r\nb\r\n"};
       },
       [](std::size_t bytes) { return grown_stdin(bytes); }},
      {"archive", read_archive, archive_seeds, grown_archive},
      {"archive_members", archive_members, member_seeds},
      {"idx", idx, idx_seeds, grown_idx},
      {"idx_labels", idx_labels, idx_label_seeds},
      {"cifar", cifar, cifar_seeds,
       [](std::size_t bytes) { return std::string(bytes / 3073 * 3073 + 2, '\0'); }},
      {"mp4", mp4, [] { return std::vector<std::string>{rotated_video()}; }, grown_mp4},
      {"glob", glob,
       [] {
         return std::vector<std::string>{"**/*.jp[eg]\na/b.jpg\nc.JPE", "/[!a-c]?\\*\nx/y\nd1*",
                                         "a/**/b\na/b\na/c/b"};
       },
       nullptr, 4096},
      {"group", group,
       [] {
         return std::vector<std::string>{"^([^_]*)_\na_1\nb_2", "scene[0-9]+\nscene12/x.png"};
       },
       nullptr, 1024},
      {"folder_names", folder_names,
       [] {
         return std::vector<std::string>{"train/cat/1.png\nval/dog/2.png\ntest/x", "Training/a\nvalid/b\n"};
       },
       [](std::size_t bytes) { return grown_stdin(bytes); }},
  };
}

}  // namespace graft::fuzz
