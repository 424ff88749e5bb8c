#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <graft/plugin.h>
#include <source/listed_files.h>

namespace {

using graft::Entry;
using graft::Error;

std::string folder_of(const graft::Params& params) {
  if (params.has("root")) return params.get<std::string>("root");
  std::error_code error;
  const std::filesystem::path here = std::filesystem::current_path(error);
  if (error) throw Error("cannot find out the current folder: " + error.message() + "; give root");
  return here.string();
}

/// Lists the images whose paths come in through the standard input, in that order. All is read when the stage
/// is made; `load` checks that a file is below the root, on any thread.
class Stdin final : public graft::Source {
 public:
  explicit Stdin(const graft::StageContext& context)
      : label_from_parent_(context.params.get<std::string>("label_from") == "parent_folder"),
        files_(context, folder_of(context.params), "the standard input") {
    const bool lines = context.params.get<std::string>("separator") == "newline";
    std::string path;
    char separator = lines ? '\n' : '\0';
    std::istringstream carriage_returns;
    std::istream* in = &std::cin;
    for (std::size_t number = 1; std::getline(*in, path, separator); ++number) {
      if (number == 1 && in == &std::cin) {
        if (path.starts_with("\xef\xbb\xbf")) path.erase(0, 3);
        // Without a single line feed, lines end in carriage returns.
        if (lines && std::cin.eof() && path.find('\r') != std::string::npos) {
          carriage_returns.str(path);
          in = &carriage_returns;
          separator = '\r';
          number = 0;
          continue;
        }
      }
      if (lines && path.ends_with('\r')) path.pop_back();
      if (path.empty()) continue;
      auto labels = labels_of(path);
      files_.add({number, std::move(path), {}, std::move(labels), {}});
    }
    if (std::cin.bad() || std::ferror(stdin) != 0)
      throw Error("cannot read the standard input: it is closed, or fails");
    files_.close();
  }

  std::vector<std::string> classes() const override { return files_.classes(); }
  std::optional<std::size_t> count() override { return files_.count(); }
  bool next(Entry& entry) override { return files_.next(entry); }
  graft::Payload load(const Entry& entry) const override { return files_.load(entry); }

 private:
  /// The name of the folder that holds the file; nothing where the path does not name one.
  std::vector<std::string> labels_of(const std::string& path) const {
    if (!label_from_parent_) return {};
    std::string folder = std::filesystem::path(path).lexically_normal().parent_path().filename().string();
    if (folder.empty() || folder == "..") return {};
    return {std::move(folder)};
  }

  const bool label_from_parent_;
  graft::source::ListedFiles files_;
};

}  // namespace

GRAFT_PLUGIN(
    stdin, "1.0.0", Stdin,
    graft::PluginSchema::source("Lists the images whose paths come in through the standard input.")
        .output("out", graft::PortType::Bytes, "u8[?]", "The files, in the order of the paths.")
        .param(graft::choice("separator", {"newline", "nul"}, "newline")
                   .doc("What ends a path: the end of the line, or a NUL byte, as find -print0 writes."))
        .param(graft::folder("root").optional().doc(
            "Folder where the paths start, and which they may not leave; default: the current folder."))
        .param(graft::choice("label_from", {"none", "parent_folder"}, "none")
                   .doc("What names the class: nothing, or the folder that holds the file."))
        .params_from(graft::source::ListedFiles::parameters())
        .example(R"(name: stdin-example
stages:
  images: {plugin: stdin, with: {label_from: parent_folder}}
  pixels: {plugin: decode, from: images, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: pixels, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
