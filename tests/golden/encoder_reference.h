#pragma once

#include <hdf5.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <graft/payload.h>

namespace graft::golden {

/// The models of other owners with what their code computes; empty where GRAFT_DATA is not set.
inline std::filesystem::path encoders_folder() {
  const char* data = std::getenv("GRAFT_DATA");
  return data == nullptr ? std::filesystem::path() : std::filesystem::path(data) / "../golden/encoders";
}

struct Dataset {
  Shape shape;
  std::vector<float> values;
};

/// reference.h5 of a folder.
class Reference {
 public:
  explicit Reference(const std::filesystem::path& path)
      : file_(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
    H5Literate(
        file_, H5_INDEX_NAME, H5_ITER_INC, nullptr,
        [](hid_t, const char* name, const H5L_info_t*, void* to) -> herr_t {
          static_cast<Reference*>(to)->names_.emplace_back(name);
          return 0;
        },
        this);
  }
  ~Reference() { H5Fclose(file_); }
  Reference(const Reference&) = delete;
  Reference& operator=(const Reference&) = delete;

  /// Of the file's own members, not of those in its groups.
  const std::vector<std::string>& names() const { return names_; }
  /// A dataset, or one in a group: "resnet18/logits".
  std::optional<Dataset> find(const std::string& name) const {
    if (H5Lexists(file_, name.c_str(), H5P_DEFAULT) <= 0) return {};
    const hid_t set = H5Dopen2(file_, name.c_str(), H5P_DEFAULT), space = H5Dget_space(set);
    std::vector<hsize_t> sides(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
    H5Sget_simple_extent_dims(space, sides.data(), nullptr);
    Dataset out{Shape(sides.begin(), sides.end()), {}};
    out.values.resize(static_cast<std::size_t>(elements(out.shape)));
    H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.values.data());
    H5Sclose(space);
    H5Dclose(set);
    return out;
  }
  /// The attribute `call` of a dataset: what made it.
  std::string call_of(const std::string& name) const {
    const hid_t attribute = H5Aopen_by_name(file_, name.c_str(), "call", H5P_DEFAULT, H5P_DEFAULT),
                type = H5Aget_type(attribute);
    char* text = nullptr;
    H5Aread(attribute, type, &text);
    std::string out = text;
    H5free_memory(text);
    H5Tclose(type);
    H5Aclose(attribute);
    return out;
  }

 private:
  hid_t file_;
  std::vector<std::string> names_;
};

/// Images [n,h,w,3] of 0 to 255 as a network takes them: [n,3,h,w].
template <typename Numbers>
Dataset normalised(const Dataset& pixels, const Numbers& mean, const Numbers& deviation) {
  const std::int64_t n = pixels.shape[0], area = pixels.shape[1] * pixels.shape[2];
  Dataset out{{n, 3, pixels.shape[1], pixels.shape[2]}, {}};
  for (std::int64_t image = 0; image < n; ++image)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::int64_t i = 0; i < area; ++i)
        out.values.push_back((pixels.values[static_cast<std::size_t>(image * area + i) * 3 + c] / 255.0f -
                              static_cast<float>(mean[c])) /
                             static_cast<float>(deviation[c]));
  return out;
}

}  // namespace graft::golden
