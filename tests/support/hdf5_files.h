#pragma once

#include <hdf5.h>

#include <string>
#include <type_traits>
#include <vector>

namespace graft::test {

template <typename T>
hid_t native_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, std::int8_t>) return H5T_NATIVE_INT8;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

/// Writes an HDF5 file as other software would; complete when it goes. Failures show as missing data.
class Hdf5File {
 public:
  explicit Hdf5File(const std::string& path)
      : id_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf5File() { H5Fclose(id_); }
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;
  hid_t id() const { return id_; }

  /// `stored`: another type in the file than in memory. `properties`: a dataset creation list.
  template <typename T>
  void write(const std::string& name, const std::vector<hsize_t>& extents, const std::vector<T>& values,
             hid_t stored = -1, hid_t properties = H5P_DEFAULT) const {
    const hid_t space = H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr);
    const hid_t set = H5Dcreate2(id_, name.c_str(), stored < 0 ? native_type<T>() : stored, space,
                                 H5P_DEFAULT, properties, H5P_DEFAULT);
    if (!values.empty()) H5Dwrite(set, native_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
    H5Dclose(set);
    H5Sclose(space);
  }

  /// Texts of variable length, or of `bytes` each, padded in the way given.
  void write_texts(const std::string& name, const std::vector<std::string>& texts, std::size_t bytes = 0,
                   H5T_str_t padding = H5T_STR_NULLTERM) const {
    const auto put = [&](hid_t type, hid_t space, const void* data) {
      const hid_t set = H5Dcreate2(id_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
      H5Dclose(set);
    };
    with_texts(texts, bytes, padding, put);
  }
  /// An attribute of the file, or of one of its datasets.
  void write_attribute(const std::string& object, const std::string& name,
                       const std::vector<std::string>& texts, std::size_t bytes = 0) const {
    const auto put = [&](hid_t type, hid_t space, const void* data) {
      const hid_t at = H5Oopen(id_, object.c_str(), H5P_DEFAULT);
      const hid_t attribute = H5Acreate2(at, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
      H5Awrite(attribute, type, data);
      H5Aclose(attribute);
      H5Oclose(at);
    };
    with_texts(texts, bytes, H5T_STR_NULLTERM, put);
  }

 private:
  template <typename Put>
  static void with_texts(const std::vector<std::string>& texts, std::size_t bytes, H5T_str_t padding,
                         const Put& put) {
    const hsize_t n = texts.size();
    const hid_t space = H5Screate_simple(1, &n, nullptr), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes == 0 ? H5T_VARIABLE : bytes);
    if (bytes == 0) {
      std::vector<const char*> pointers;
      for (const std::string& text : texts) pointers.push_back(text.c_str());
      put(type, space, pointers.data());
    } else {
      H5Tset_strpad(type, padding);
      std::string packed;
      for (std::string text : texts) {
        text.resize(bytes, padding == H5T_STR_SPACEPAD ? ' ' : '\0');
        packed += text;
      }
      put(type, space, packed.data());
    }
    H5Tclose(type);
    H5Sclose(space);
  }

  hid_t id_;
};

}  // namespace graft::test
