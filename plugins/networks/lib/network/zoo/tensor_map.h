#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <network/published.h>
#include <network/weight_file.h>

namespace graft::nn::zoo {

/// Where the tensors of an architecture come from in a file that names them otherwise.
///
/// A family reads the file through it: looks for names under a prefix, and says of each parameter what it is
/// made of. Whatever is missing or of another shape is collected, and reported at once.
class TensorMap {
 public:
  /// What a parameter is made of: `from` are the tensors, in order, `to` its elements.
  using Make = std::function<void(const std::vector<const float*>& from, float* to)>;

  /// `prefix`: in front of the network's names; `wrapper`: the part of it that is no name of a publisher's.
  TensorMap(std::unique_ptr<WeightFile> file, std::string prefix, std::string wrapper)
      : file_(std::move(file)), prefix_(std::move(prefix)), wrapper_(std::move(wrapper)) {}

  const WeightFile& file() const { return *file_; }
  const std::string& prefix() const { return prefix_; }

  /// Null where the file does not have it under the prefix; one that begins with "/": under the wrapper.
  const TensorInfo* find(const std::string& name) const { return file_->find(full(name)); }
  bool has(const std::string& name) const { return find(name) != nullptr; }
  /// The first of these names that the file has with this ending; empty: none.
  std::string first(const std::vector<std::string>& names, const std::string& ending = "") const;
  /// Its shape. Throws Error where it is missing or has another number of axes.
  Shape shape(const std::string& name, std::size_t axes) const;
  /// A small tensor's values.
  std::vector<float> values(const std::string& name) const;

  /// A parameter that is a tensor of the file as it is; axes of length 1 may be left out or added.
  void take(const std::string& path, const Shape& shape, const std::string& name);
  /// A parameter that is made of tensors, of which each must have its number of elements.
  void make(const std::string& path, const Shape& shape,
            const std::vector<std::pair<std::string, Shape>>& from, Make how);
  /// Known to be of no use here: not listed as unused.
  void ignore(const std::string& name) { used_.insert(full(name)); }

  /// Throws Error with everything that is missing or of another shape, and `what` the file was taken for;
  /// else for a tensor whose elements cannot be read.
  void require_all(const std::string& what) const;
  /// Tensors under the prefix that nothing was made of.
  std::vector<std::string> unused() const;

  /// Throws Error for a tensor that nothing was made of, counters aside: the network is not a `what`.
  void require_all_used(const std::string& what) const;

  /// The file by the names of the architecture.
  static std::unique_ptr<WeightFile> renamed(TensorMap map);

  struct Source {
    Shape shape;
    std::vector<std::string> tensors;
    Make make;
  };

 private:
  std::string full(const std::string& name) const {
    return name.starts_with("/") ? wrapper_ + name.substr(1) : prefix_ + name;
  }
  bool expect(const std::string& name, const Shape& shape);

  std::unique_ptr<WeightFile> file_;
  std::string prefix_, wrapper_;
  std::map<std::string, Source> sources_;
  std::set<std::string> used_;
  std::vector<std::string> missing_, misshaped_;
};

/// How a file of a family is read; nothing for a network of another family that has such tensors, too.
using ReadPublished = std::optional<Published>(const ModelFiles& files, TensorMap tensors,
                                               std::optional<int> heads);

/// A family: the tensors by which its files are known, and how one is read.
struct PublishedFamily {
  const char* name;
  /// Endings of names, any of which gives such a file away: what stands before, and up to a "|", is the
  /// prefix.
  std::vector<std::string> marks;
  ReadPublished* read;
  /// Names that its tensors may have, whoever published them, with # in place of numbers: for the error about
  /// a file of no family. May be left out.
  std::vector<std::string> (*names)() = nullptr;
  /// Networks that are of it and are called otherwise, for people: "DeiT, DINOv2". May be left out.
  const char* members = "";
};

/// In the order in which a file is offered to them.
const std::vector<PublishedFamily>& published_families();

ReadPublished read_vision_transformer, read_convnext, read_resnet;

/// A member of a description, through nested maps: "vision_config.hidden_size"; null where it is not there.
const Value* member(const Value& description, const std::string& path);
std::optional<int> whole_number(const Value& description, const std::string& path);
std::string word(const Value& description, const std::string& path);
std::optional<double> number(const Value& description, const std::string& path);

/// The file beside the weights that says how images are prepared; null where none does.
const char* preprocessing_file(const ModelFiles& files);
/// Preprocessing as the files beside the weights have it: of timm, Hugging Face or OpenCLIP. `usual`: for
/// what they leave out, with the side of the images. Throws Error for numbers that cannot be.
Preprocessing preprocessing_of(const ModelFiles& files, Preprocessing usual);

}  // namespace graft::nn::zoo
