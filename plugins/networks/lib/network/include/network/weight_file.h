#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/payload.h>

#include <network/input_file.h>

namespace graft::nn {

/// A tensor of a weight file, as it lies there.
struct TensorInfo {
  std::string name, type;  ///< Type as safetensors names it: "F32", "BF16", ...
  Shape shape;
};

/// Trained weights on disk: a safetensors file, or what torch.save wrote (the zip format of PyTorch 1.6 and
/// later, or the older one): a state_dict, or a checkpoint with one. What a file says of itself is checked
/// when it is opened and nothing in it is executed; its tensors are read when they are asked for. Reading
/// takes no more memory than the tensors have as float32, at most four times the file's size, and a few
/// megabytes.
/// One thread at a time.
class WeightFile {
 public:
  virtual ~WeightFile() = default;

  const std::filesystem::path& path() const { return path_; }
  std::uint64_t bytes() const { return size_; }
  const std::string& format() const { return format_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Where in a checkpoint the tensors were, and what was ignored; empty: the file has nothing else.
  const std::string& taken() const { return taken_; }
  /// What the writer noted, in the file's order; safetensors only.
  const std::vector<std::pair<std::string, std::string>>& metadata() const { return metadata_; }
  /// Null for a name that the file does not have.
  const TensorInfo* find(const std::string& name) const;
  /// Of a tensor that the file has, in tensors().
  std::size_t index_of(const std::string& name) const { return index_.at(name); }

  /// Throws Error with the path for a tensor whose elements read does not convert.
  void require_numbers(const std::string& name) const;
  /// For messages: tensors that are in the file, but not in tensors(), because they are quantised or sparse,
  /// and the cure; empty: there are none.
  std::string no_plain_tensors() const;

  /// The named tensors as float32 without gaps, in one pass over the file; F16, BF16, F64 and I64 are
  /// converted. Throws Error with the path for a name that is not there, another type, and a file that is
  /// damaged.
  std::map<std::string, Tensor> read(const std::vector<std::string>& names) const;

 protected:
  WeightFile(std::unique_ptr<InputFile> file, std::string format)
      : file_(std::move(file)), path_(file_->path()), size_(file_->size()), format_(std::move(format)) {}
  /// Weights that are made of other files', with a path for messages; `size_` is then to be set.
  WeightFile(std::filesystem::path path, std::string format)
      : path_(std::move(path)), format_(std::move(format)) {}
  /// Index of the tensors to read, and where their float32 elements go.
  using Wanted = std::vector<std::pair<std::size_t, float*>>;
  virtual void read_into(const Wanted& wanted) const = 0;
  static void read_of(const WeightFile& other, const Wanted& wanted) { other.read_into(wanted); }
  /// Throws Error with the path.
  [[noreturn]] void fail(const std::string& text) const;
  /// To be called when tensors_ is complete. Throws Error for names that nobody could type.
  void index_names();

  std::unique_ptr<InputFile> file_;
  std::filesystem::path path_;
  std::uint64_t size_ = 0;  ///< Bytes on disk.
  std::vector<TensorInfo> tensors_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::string taken_;
  std::vector<std::pair<std::string, std::string>> unusable_;  ///< Names, and what they are: "sparse".

 private:
  std::string format_;
  std::map<std::string, std::size_t> index_;
};

/// Opens a file by its content; its extension is not looked at. Throws Error with the path for anything that
/// is not a weight file, with its format if known. A TorchScript archive is not a weight file, but code:
/// other stages take it as a model; OpenAI's of CLIP, a network that is known, gives its weights.
std::unique_ptr<WeightFile> open_weights(const std::filesystem::path& path);

/// What can be said of a TorchScript archive without running it.
struct TorchScriptContents {
  std::vector<std::pair<std::string, std::uint64_t>> code;  ///< Source files and their sizes in bytes.
  std::size_t tensors = 0;
  std::uint64_t tensor_bytes = 0;
};

/// Nothing when the file is something else, or one whose weights open_weights takes. Throws Error when it
/// cannot be read or is damaged.
std::optional<TorchScriptContents> inspect_torchscript(const std::filesystem::path& path);

/// Reads every entry of a TorchScript archive and compares its checksum, as LibTorch does not. Throws Error
/// for a damaged one, and for a file that does not begin as a zip archive, though LibTorch might take it.
void require_whole_torchscript(const std::filesystem::path& path);

}  // namespace graft::nn
