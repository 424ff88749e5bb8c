#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>

#include <sys/stat.h>
#include <unistd.h>

#include <graft/files.h>
#include <graft/plugin.h>

namespace {

namespace fs = std::filesystem;
using namespace graft;

/// The longest header that is read: the format's version 1 has at most 65,535 bytes.
constexpr std::size_t kPrefix = 10;

/// One vector of float32 in C order, as numpy.save writes it. Throws Reject for all else.
/// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
Tensor read_vector(const fs::path& path) {
  const int fd = open_regular_file(path);  // never a device, which could block
  if (fd < 0) throw Reject("unreadable", "cannot be opened");
  std::ifstream file("/proc/self/fd/" + std::to_string(fd), std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  ::close(fd);
  if (content.size() < kPrefix || content.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0)
    throw Reject("not-npy", "expected a .npy file of version 1.0; save it with numpy.save");
  const std::size_t header =
      static_cast<unsigned char>(content[8]) + 256 * static_cast<unsigned char>(content[9]);
  const std::string text = content.substr(kPrefix, header);
  std::smatch shape;
  if (text.find("'descr': '<f4'") == std::string::npos ||
      text.find("'fortran_order': False") == std::string::npos ||
      !std::regex_search(text, shape, std::regex(R"('shape': \((\d{1,9}),\))")))
    throw Reject("wrong-array", "expected one axis of float32, got " + text);
  Tensor out = Tensor::allocate(DType::F32, {std::stoll(shape[1])});
  if (content.size() != kPrefix + header + out.bytes())
    throw Reject("truncated",
                 "expected " + std::to_string(out.bytes()) + " bytes of data, got " +
                     std::to_string(content.size() - std::min(content.size(), kPrefix + header)));
  std::memcpy(out.data, content.data() + kPrefix + header, out.bytes());
  return out;
}

/// Lists in the constructor; `next` copies from the list.
class NpyFolder final : public Source {
 public:
  explicit NpyFolder(const StageContext& context)
      : root_(context.params.get<std::string>("root")), catalog_(context) {
    std::vector<std::string> keys;
    for (const auto& entry : fs::recursive_directory_iterator(root_))
      if (entry.path().extension() == ".npy") keys.push_back(fs::relative(entry.path(), root_).string());
    if (keys.empty()) throw Error("no .npy file below " + root_.string());
    std::sort(keys.begin(), keys.end());  // the order must not depend on the file system
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const fs::path key(keys[i]);
      std::vector<std::string> labels;
      if (key.has_parent_path()) labels.push_back(key.begin()->string());
      catalog_.add(keys[i], labels, {}, i);
    }
    catalog_.close();
  }
  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }
  bool next(Entry& entry) override {
    if (next_ == catalog_.size()) return false;
    entry = catalog_.entry(next_++);
    const std::string path = (root_ / entry.key).string();
    struct stat status {};
    ::stat(path.c_str(), &status);  // a file that has gone is rejected when it is read
    const auto nanoseconds = [](const timespec& t) {
      return t.tv_sec * std::int64_t{1000000000} + t.tv_nsec;
    };
    entry.payload = FileRef{path, static_cast<std::uint64_t>(status.st_size), nanoseconds(status.st_mtim),
                            "vector", nanoseconds(status.st_ctim)};
    return true;
  }
  Payload load(const Entry& entry) const override { return read_vector(root_ / entry.key); }

 private:
  fs::path root_;
  Catalog catalog_;
  std::size_t next_ = 0;
};

}  // namespace

GRAFT_PLUGIN(npy_folder, "1.0.0", NpyFolder,
             graft::PluginSchema::source("Reads feature vectors from .npy files, a folder per class.")
                 .output("out", graft::PortType::Tensor, "f32[?]",
                         "One vector per file; the key is its path.")
                 .param(graft::folder("root").required().doc("Folder with one sub-folder per class."))
                 .params_from(graft::Catalog::parameters()))
