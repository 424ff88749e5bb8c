#include <network/model_files.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/params.h>

#include <network/input_file.h>

namespace graft::nn {
namespace {

namespace fs = std::filesystem;

Value read_json(const fs::path& path) {
  const InputFile file(path);
  constexpr std::uint64_t kMost = std::uint64_t{16} << 20;
  if (file.size() > kMost)
    throw Error(fmt::format("{}: has {} bytes, at most {} are read", path.string(), file.size(), kMost));
  try {
    return Value::from_json(file.read_some(0, file.size()));
  } catch (const Error& fault) {
    throw Error(fmt::format("{}: is not valid JSON: {}; download it again", path.string(), fault.what()));
  }
}

bool is_index(const fs::path& path) {
  return path.string().ends_with(".index.json");
}

/// The weights in a folder: by their usual names, else the only file that can hold weights.
fs::path weights_in(const fs::path& folder) {
  std::error_code ignored;
  for (const char* name :
       {"model.safetensors", "open_clip_model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "open_clip_pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (fs::exists(folder / name, ignored)) return folder / name;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string end = entry.path().extension();
    if (entry.is_regular_file(ignored) &&
        (end == ".safetensors" || end == ".pth" || end == ".pt" || end == ".bin"))
      found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  if (found.size() == 1) return found[0];
  std::vector<std::string> names;
  for (const fs::path& path : found) names.push_back(path.filename());
  if (found.empty())
    throw Error(fmt::format(
        "{}: expected a folder with weights (model.safetensors, pytorch_model.bin), found none; download "
        "them, or name the file",
        folder.string()));
  throw Error(fmt::format("{}: has several files of weights ({}): name the one that is meant",
                          folder.string(), fmt::join(names, ", ")));
}

/// Several files as one.
class PartedWeights final : public WeightFile {
 public:
  PartedWeights(const fs::path& index, const Value& map) : WeightFile(index, "several files with an index") {
    constexpr std::size_t kMostParts = 10'000;
    std::map<std::string, std::set<std::string>> by_part;
    const Value* names = map.find("weight_map");
    if (names == nullptr || !names->is_map() || names->as_map().empty())
      fail("expected an index of weights with a `weight_map`, got another JSON file");
    for (const auto& [tensor, part] : names->as_map()) {
      if (!part.is_string() || part.as_string().empty() ||
          fs::path(part.as_string()).filename() != fs::path(part.as_string()))
        fail(fmt::format("tensor '{}' is in '{}': expected the name of a file beside the index", tensor,
                         part.is_string() ? part.as_string() : part.to_json()));
      by_part[part.as_string()].insert(tensor);
    }
    // What does not count in a folder is not in the fingerprint of what is made with it.
    const ParamSpec folder = graft::file("model").or_folder(preprocessing::model_folder_files());
    for (const auto& [name, tensors] : by_part)
      if (!folder.counts_in_folder(name))
        fail(
            fmt::format("names {}, which is not a weights file by its name (*.safetensors, *.bin, *.pth, "
                        "*.pt): name it so, here and in the index",
                        name));
    if (by_part.size() > kMostParts)
      fail(fmt::format("names {} files: expected at most {}", by_part.size(), kMostParts));
    for (const auto& [name, tensors] : by_part) {
      std::error_code ignored;
      const fs::path path = index.parent_path() / name;
      if (!fs::exists(path, ignored))
        fail(fmt::format("names {}, which is not there (one of its {} files): download it, too", name,
                         by_part.size()));
      parts_.push_back(open_weights(path));
      for (const std::string& tensor : tensors) {
        const TensorInfo* info = parts_.back()->find(tensor);
        if (info == nullptr)
          fail(fmt::format("tensor '{}' is not in {}, where the index has it; download both again", tensor,
                           name));
        tensors_.push_back(*info);
        part_of_.push_back(parts_.size() - 1);
      }
      size_ += parts_.back()->bytes();
    }
    index_names();
  }

 private:
  void read_into(const Wanted& wanted) const override {
    for (std::size_t part = 0; part < parts_.size(); ++part) {
      Wanted own;
      for (const auto& [index, out] : wanted)
        if (part_of_[index] == part) own.emplace_back(parts_[part]->index_of(tensors_[index].name), out);
      if (!own.empty()) read_of(*parts_[part], own);
    }
  }

  std::vector<std::unique_ptr<WeightFile>> parts_;
  std::vector<std::size_t> part_of_;  ///< Parallel to tensors_.
};

}  // namespace

ModelFiles find_model_files(const fs::path& model) {
  ModelFiles out;
  out.path = out.weights = model;
  std::error_code ignored;
  if (!fs::is_directory(model, ignored)) {
    if (is_index(model))
      throw Error(
          fmt::format("{}: is the index of several files of weights: give the folder that they are in, {}",
                      model.string(), model.has_parent_path() ? model.parent_path().string() : "."));
    return out;
  }
  out.weights = weights_in(model);
  const auto beside = [&](const char* name) {
    Value description = fs::exists(model / name, ignored) ? read_json(model / name) : Value();
    if (!description.is_null() && !description.is_map())
      throw Error(
          fmt::format("{}: expected an object ({{...}}) that describes the model, got {}; download it again",
                      (model / name).string(), description.is_list() ? "a list" : "a single value"));
    // One that says nothing is none.
    return description.is_map() && description.as_map().empty() ? Value() : description;
  };
  out.config = beside("config.json");
  out.preprocessor = beside("preprocessor_config.json");
  out.open_clip = beside("open_clip_config.json");
  return out;
}

std::unique_ptr<WeightFile> open_weights(const ModelFiles& files) {
  if (is_index(files.weights))
    return std::make_unique<PartedWeights>(files.weights, read_json(files.weights));
  return open_weights(files.weights);
}

}  // namespace graft::nn
