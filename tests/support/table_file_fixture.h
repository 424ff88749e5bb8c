#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/table_file.h>

#include "hdf5_files.h"
#include "temp_folder.h"

namespace graft::test {

/// A datatype or property list that closes itself.
struct Id {
  hid_t id;
  ~Id() { H5Idec_ref(id); }
};

inline std::vector<float> counted(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) * 0.25f - 1;
  return values;
}

class TableFileTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_ / "t.h5"; }

  /// What opening the file and reading all of it throws, with FILE for its path; "ok" when nothing.
  std::string fault(const TableFile::Names& names = {}) const {
    try {
      const TableFile file(path(), names);
      file.describe(0, file.rows());
      std::vector<float> values(file.rows() * file.dim());
      file.read(0, file.rows(), values.data());
      return "ok";
    } catch (const Error& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(path())) != std::string::npos;)
        text.replace(at, path().size(), "FILE");
      return text;
    }
  }
  /// The fault of a file with four rows of three features and what `more` writes.
  template <typename More>
  std::string fault_with(const More& more) const {
    {
      const Hdf5File file(path());
      file.write<float>("features", {4, 3}, counted(12));
      more(file);
    }
    return fault();
  }
  TempFolder folder_;
};

/// The features of all rows.
inline std::vector<float> all_features(const TableFile& file) {
  std::vector<float> out(file.rows() * file.dim());
  file.read(0, file.rows(), out.data());
  return out;
}

}  // namespace graft::test
