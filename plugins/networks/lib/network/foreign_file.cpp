#include "foreign_file.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/format.h>

#include <graft/text.h>

#include "printable.h"

namespace graft::nn {
namespace {

using namespace std::string_view_literals;

constexpr const char* kExport =
    "export the model as TorchScript, or load its weights into PyTorch and save model.state_dict()";
constexpr const char* kUnpack = "unpack it and name the file inside";

struct Magic {
  std::size_t at;
  std::string_view bytes;
  const char *what, *cure;
};
constexpr Magic kMagics[] = {
    {0, "\x89HDF\r\n\x1a\n"sv, "an HDF5 file (a Keras .h5 model, for example)", kExport},
    {0, "\x93NUMPY"sv, "a NumPy array (.npy)", "save the weights as safetensors"},
    {0, "\x1f\x8b"sv, "a gzip file", kUnpack},
    {0, "BZh"sv, "a bzip2 file", kUnpack},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz file", kUnpack},
    {0, "\x28\xb5\x2f\xfd"sv, "a Zstandard file", kUnpack},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive", kUnpack},
    {0, "Rar!\x1a\x07"sv, "a RAR archive", kUnpack},
    {257, "ustar"sv, "a tar archive", kUnpack},
    {4, "TFL3"sv, "a TensorFlow Lite model", kExport},
    {0, "GGUF"sv, "a GGUF file", kExport},
    {0, "\x08\x01\x12"sv, "a TensorFlow SavedModel (saved_model.pb)", kExport},
};

std::string lower_start(std::string_view text) {
  std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  return lower_case(std::string(text.substr(at, 64)));
}

/// Formats without a magic number, by file name.
bool is_tensorflow(std::string_view start, const std::filesystem::path& path) {
  const std::string name = path.filename();
  const bool is_graph =
      path.extension() == ".pb" && start.size() > 2 && start[0] == '\x0a' && start[2] == '\x0a';
  return is_graph || path.extension() == ".index" || name.find(".data-0") != std::string::npos;
}

std::string text_file(std::string_view start) {
  constexpr std::string_view kLfs = "version https://git-lfs.github.com/spec/";
  if (start.starts_with(kLfs))
    return "a git-LFS pointer, which stands for a file that was not fetched; run `git lfs pull` where it was "
           "cloned, or download the file itself";
  const std::string begin = lower_start(start);
  if (begin.starts_with("<!doctype html") || begin.starts_with("<html") || begin.starts_with("<head"))
    return "an HTML page: the server sent a page (a login, a warning, an error) in place of the file; "
           "download the file itself";
  if (begin.starts_with("<?xml") || begin.starts_with("<error"))
    return "an XML document: the server sent a message (often an error) in place of the file; download "
           "the file itself";
  if (start.find("\"weight_map\"") != std::string_view::npos)
    return "an index of weights that lie in several files; save them as one file, in Python: "
           "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')";
  const std::string_view line = start.substr(0, std::min(start.find('\n'), std::size_t{60}));
  return fmt::format("a text file that begins with '{}'; name the file with the weights", printable(line));
}

}  // namespace

/// It begins with the version of its format and the producer's name, an opset or the graph. A TensorFlow
/// SavedModel has version 1.
bool is_onnx(const InputFile& file) {
  constexpr std::string_view kSecond = "\x12\x1a\x22\x28\x32\x3a\x42";
  const std::string start = file.read_some(0, 4);
  return start.size() == 4 && start[0] == '\x08' && start[1] > 0 && start[1] < 32 &&
         kSecond.find(start[2]) != std::string_view::npos &&
         (start[1] > 2 || file.path().extension() == ".onnx");
}

bool is_text(const InputFile& file) {
  const std::string start = file.read_some(0, 512);
  return !start.empty() && std::all_of(start.begin(), start.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : std::isspace(byte) != 0;
  });
}

std::string foreign_file(const InputFile& file) {
  const std::string start = file.read_some(0, 1024);
  if (start.empty()) return "an empty file; download or copy it again";
  if (is_text(file)) return text_file(start);
  if (start.starts_with("\xff\xfe") || start.starts_with("\xfe\xff")) {
    // UTF-16, of which the letters of ASCII are looked at.
    std::string letters = start.substr(2);
    std::erase(letters, '\0');
    return text_file(letters);
  }
  for (const Magic& magic : kMagics)
    if (start.size() >= magic.at + magic.bytes.size() &&
        start.compare(magic.at, magic.bytes.size(), magic.bytes) == 0)
      return fmt::format("{}; {}", magic.what, magic.cure);
  if (is_tensorflow(start, file.path())) return fmt::format("a part of a TensorFlow model; {}", kExport);
  if (start[0] == '\x80' && start.size() > 1 && start[1] >= 2 && start[1] <= 5)
    return "a Python pickle that torch.save did not write; load it in Python and save the tensors as "
           "safetensors";
  if (start.find_first_not_of('\0') == std::string::npos)
    return "a file that begins with zeros: an incomplete download; download it again";
  std::string out = "a file that begins with";
  for (const char c : start.substr(0, 8)) out += fmt::format(" {:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string foreign_zip(const std::vector<std::string>& names) {
  const auto any = [&](auto is) { return std::any_of(names.begin(), names.end(), is); };
  const auto named = [&](std::string_view name) {
    return any([&](const std::string& n) { return n == name; });
  };
  if (named("model.weights.h5") || named("config.json"))
    return fmt::format("is a Keras model (.keras): {}", kExport);
  if (!names.empty() &&
      std::all_of(names.begin(), names.end(), [](const std::string& n) { return n.ends_with(".npy"); }))
    return "holds NumPy arrays (.npz): save the weights as safetensors";
  if (any([](const std::string& n) { return n.ends_with(".mlmodel"); }))
    return fmt::format("is a Core ML model: {}", kExport);
  for (const std::string& n : names)
    for (const std::string_view end : {".pth", ".pt", ".safetensors", ".bin", ".ckpt"})
      if (n.ends_with(end)) return fmt::format("holds '{}': unpack it and name that file", printable(n));
  return "";
}

std::string foreign_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const char* name : {"model.safetensors", "pytorch_model.bin", "weights.safetensors"})
    if (std::filesystem::exists(folder / name, ignored))
      return fmt::format("; it holds {}: name that file", name);
  if (std::filesystem::exists(folder / "saved_model.pb", ignored))
    return fmt::format(" (a TensorFlow SavedModel); {}", kExport);
  if (std::filesystem::exists(folder / "data.pkl", ignored))
    return " (a file of torch.save that was unpacked); name the file itself";
  return "";
}

}  // namespace graft::nn
