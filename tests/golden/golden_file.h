#pragma once

#include <hdf5.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace graft::golden {

/// The folder of the data, and beside it the reference outputs; empty where they are not there.
inline std::string data_folder() {
  const char* data = std::getenv("GRAFT_DATA");
  if (data == nullptr || !std::filesystem::exists(std::string(data) + "/../golden/resize_pillow.h5"))
    return {};
  return data;
}

#define SKIP_WITHOUT_DATA()                                                                       \
  if (graft::golden::data_folder().empty())                                                       \
  GTEST_SKIP() << "set GRAFT_DATA to the folder with hymenoptera/ and weights/; reference files " \
                  "are looked for in ../golden beside it"

/// A reference file: photographs by their names, and a dataset with a row for each.
class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(H5Fopen((data_folder() + "/../golden/" + name).c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)) {
    const hid_t set = H5Dopen2(file_, "keys", H5P_DEFAULT);
    const hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    std::vector<char*> raw(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data());
    for (char* key : raw) keys_.emplace_back(key);
    H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw.data());
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
  }
  ~Golden() { H5Fclose(file_); }
  Golden(const Golden&) = delete;
  Golden& operator=(const Golden&) = delete;

  const std::vector<std::string>& keys() const { return keys_; }
  template <typename T>
  std::vector<T> read(const std::string& dataset, hid_t type) const {
    const hid_t set = H5Dopen2(file_, dataset.c_str(), H5P_DEFAULT);
    const hid_t space = H5Dget_space(set);
    std::vector<T> out(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data());
    H5Sclose(space);
    H5Dclose(set);
    return out;
  }

 private:
  hid_t file_;
  std::vector<std::string> keys_;
};

}  // namespace graft::golden
