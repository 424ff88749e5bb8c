#include <graft/table_file.h>

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

#include "hdf5_files.h"
#include "sanitizers.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::Hdf5File;
using test::TempFolder;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

/// A datatype or property list that closes itself.
struct Id {
  hid_t id;
  ~Id() { H5Idec_ref(id); }
};

std::vector<float> counted(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i) * 0.25f - 1;
  return values;
}

Id half_type() {
  const Id type{H5Tcopy(H5T_IEEE_F32LE)};
  H5Tset_fields(type.id, 15, 10, 5, 0, 10);
  H5Tset_size(type.id, 2);
  H5Tset_ebias(type.id, 15);
  H5Iinc_ref(type.id);
  return type;
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

std::vector<float> all(const TableFile& file) {
  std::vector<float> out(file.rows() * file.dim());
  file.read(0, file.rows(), out.data());
  return out;
}

TEST_F(TableFileTest, FeaturesOfEveryTypeAndLayout) {
  const Id half = half_type(), big_half = half_type(), packed{H5Pcreate(H5P_DATASET_CREATE)};
  H5Tset_order(big_half.id, H5T_ORDER_BE);
  const hsize_t chunk[2] = {3, 2};
  H5Pset_chunk(packed.id, 2, chunk);
  H5Pset_shuffle(packed.id);
  H5Pset_deflate(packed.id, 6);
  H5Pset_fletcher32(packed.id);
  {
    const Hdf5File file(path());
    int n = 0;
    for (const hid_t stored :
         {H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE, half.id, big_half.id})
      for (const hid_t properties : {hid_t{H5P_DEFAULT}, packed.id})
        file.write<float>(std::to_string(n++), {10, 5}, counted(50), stored, properties);
    const Id group{H5Gcreate2(file.id(), "deep", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    file.write<float>("deep/er", {5, 2, 5}, counted(50));
  }
  for (int n = 0; n < 12; ++n) {
    const TableFile file(path(), {std::to_string(n)});
    EXPECT_EQ(file.rows(), 10u);
    EXPECT_EQ(file.shape(), (Shape{5}));
    EXPECT_EQ(all(file), counted(50)) << n;
    float row[5];
    for (std::size_t r = 10; r-- > 0;) {
      file.read(r, 1, row);
      for (std::size_t i = 0; i < 5; ++i) ASSERT_EQ(row[i], counted(50)[r * 5 + i]) << n;
    }
  }
  const TableFile deep(path(), {"deep/er"});
  EXPECT_EQ(deep.shape(), (Shape{2, 5}));
  EXPECT_EQ(deep.dim(), 10u);
  EXPECT_EQ(all(deep), counted(50));
  EXPECT_FALSE(deep.has_keys());
  EXPECT_FALSE(deep.has_splits());
  EXPECT_THAT(deep.classes(), IsEmpty());
  EXPECT_THAT(deep.describe(0, 5)[4].labels, IsEmpty());
}

TEST_F(TableFileTest, SpecialValuesAreKept) {
  const float inf = std::numeric_limits<float>::infinity();
  const Id half = half_type();
  {
    const Hdf5File file(path());
    file.write<double>("wide", {1, 4}, {1e300, -1e300, std::nan(""), 0.1});
    file.write<float>("half", {1, 6}, {inf, -inf, std::nanf(""), 65504, 0x1p-24f, -0.0f}, half.id);
  }
  const auto wide = all(TableFile(path(), {"wide"}));
  EXPECT_EQ(wide[0], inf);
  EXPECT_EQ(wide[1], -inf);
  EXPECT_TRUE(std::isnan(wide[2]));
  EXPECT_EQ(wide[3], 0.1f);
  const auto halves = all(TableFile(path(), {"half"}));
  EXPECT_EQ(halves[0], inf);
  EXPECT_EQ(halves[1], -inf);
  EXPECT_TRUE(std::isnan(halves[2]));
  EXPECT_EQ(halves[3], 65504);
  EXPECT_EQ(halves[4], 0x1p-24f);
  EXPECT_TRUE(halves[5] == 0 && std::signbit(halves[5]));
}

TEST_F(TableFileTest, LabelsOfEveryType) {
  const Id boolean{H5Tenum_create(H5T_NATIVE_INT8)};  // as h5py writes it
  const std::int8_t no = 0, yes = 1;
  H5Tenum_insert(boolean.id, "FALSE", &no);
  H5Tenum_insert(boolean.id, "TRUE", &yes);
  {
    const Hdf5File file(path());
    file.write<float>("features", {3, 1}, counted(3));
    file.write<std::int64_t>("labels", {3}, {2, -1, 0});
    file.write<std::uint8_t>("bytes", {3, 1}, {2, 1, 0});
    file.write<float>("floats", {3}, {2, -1, 0}, H5T_IEEE_F64BE);
    file.write<std::uint8_t>("each", {3, 3}, {1, 0, 1, 0, 0, 0, 0, 1, 0});
    file.write<float>("each_float", {3, 3}, {1, 0, 1, 0, 0, 0, 0, 1, 0});
    file.write<std::int8_t>("each_or_unlabelled", {3, 3}, {1, 0, 1, -1, -1, -1, 0, 0, 0});
    file.write_texts("names", {"wasp", "", "ant"});
    const hsize_t three = 3;
    const Id space{H5Screate_simple(1, &three, nullptr)};
    const Id set{
        H5Dcreate2(file.id(), "boolean", boolean.id, space.id, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    const std::int8_t values[3] = {1, 0, 1};
    H5Dwrite(set.id, boolean.id, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  }
  const auto labels = [&](const char* dataset) {
    TableFile::Names names;
    names.labels = dataset;
    std::string out;
    for (const TableFile::Row& row : TableFile(path(), names).describe(0, 3)) {
      for (const std::string& label : row.labels) out += label + "|";
      out += row.negative ? "none;" : ";";
    }
    return out;
  };
  EXPECT_EQ(labels("labels"), "2|;;0|;");
  EXPECT_EQ(labels("bytes"), "2|;1|;0|;");
  EXPECT_EQ(labels("floats"), "2|;;0|;");
  EXPECT_EQ(labels("each"), "0|2|;none;1|;");
  EXPECT_EQ(labels("each_float"), "0|2|;none;1|;");
  EXPECT_EQ(labels("each_or_unlabelled"), "0|2|;;none;");
  EXPECT_EQ(labels("names"), "wasp|;;ant|;");
  EXPECT_EQ(labels("boolean"), "1|;0|;1|;");
  TableFile::Names names;
  names.labels = "each";
  EXPECT_THAT(TableFile(path(), names).classes(), ElementsAre("0", "1", "2"));
  EXPECT_THAT(TableFile(path()).classes(), IsEmpty());
}

TEST_F(TableFileTest, OneColumnOfOneNamedClassIsAMatrix) {
  {
    const Hdf5File file(path());
    file.write<float>("features", {3, 1}, counted(3));
    file.write<std::int8_t>("labels", {3, 1}, {0, 1, -1});
    file.write_texts("classes", {"ant"});
  }
  const auto rows = TableFile(path()).describe(0, 3);
  EXPECT_TRUE(rows[0].negative);
  EXPECT_THAT(rows[0].labels, IsEmpty());
  EXPECT_FALSE(rows[1].negative);
  EXPECT_THAT(rows[1].labels, ElementsAre("ant"));
  EXPECT_FALSE(rows[2].negative);
  EXPECT_THAT(rows[2].labels, IsEmpty());
}

TEST_F(TableFileTest, ClassNamesFromEveryPlace) {
  const auto with_names = [&](const std::string& place) {
    const Hdf5File file(path());
    file.write<float>("features", {2, 1}, counted(2));
    file.write<std::uint8_t>("labels", {2}, {1, 0});
    if (place == "dataset") file.write_texts("classes", {"ant", "bee"});
    if (place == "labels") file.write_attribute("labels", "classes", {"ant", "bee"}, 5);
    if (place != "dataset") file.write_attribute("/", "classes", {place == "file" ? "ant" : "fly", "bee"}, 4);
  };
  for (const char* place : {"dataset", "labels", "file"}) {
    with_names(place);
    const TableFile file(path());
    EXPECT_THAT(file.classes(), ElementsAre("ant", "bee")) << place;
    EXPECT_THAT(file.describe(0, 2)[0].labels, ElementsAre("bee")) << place;
  }
}

TEST_F(TableFileTest, KeysAndSplitsOfEveryType) {
  {
    const Hdf5File file(path());
    file.write<float>("features", {4, 1}, counted(4));
    file.write_texts("keys", {"a", "b/ü", "c,\"d", "e"});
    file.write_texts("fixed", {"a", "bb", "c ", "d"}, 2, H5T_STR_NULLPAD);
    file.write_texts("spaces", {"a", "bb", "c ", "d"}, 3, H5T_STR_SPACEPAD);
    file.write_texts("splits", {"train", "val", "test", ""});
    file.write<std::int32_t>("numbers", {4}, {0, 1, 2, -1});
  }
  using ::testing::Field;
  const auto rows = [&](const char* keys, const char* splits) {
    TableFile::Names names;
    names.keys = keys;
    names.splits = splits;
    return TableFile(path(), names).describe(0, 4);
  };
  const auto keys = [](auto... k) { return ElementsAre(Field(&TableFile::Row::key, k)...); };
  EXPECT_THAT(rows("keys", "splits"), keys("a", "b/ü", "c,\"d", "e"));
  EXPECT_THAT(rows("fixed", "splits"), keys("a", "bb", "c ", "d"));
  EXPECT_THAT(rows("spaces", "splits"), keys("a", "bb", "c", "d"));
  for (const char* dataset : {"splits", "numbers"}) {
    const auto found = rows("keys", dataset);
    EXPECT_EQ(found[0].split, Split::Train);
    EXPECT_EQ(found[1].split, Split::Val);
    EXPECT_EQ(found[2].split, Split::Test);
    EXPECT_EQ(found[3].split, std::nullopt);
  }
  EXPECT_EQ(TableFile(path()).describe(2, 1)[0].key, "c,\"d");
  EXPECT_EQ(TableFile(path()).describe(2, 1)[0].split, Split::Test);
}

TEST_F(TableFileTest, ViewsAreReadBesideKeys) {
  {
    const Hdf5File file(path());
    file.write<float>("features", {3, 1}, counted(3));
    file.write_texts("keys", {"a", "a", "b"});
    file.write<std::uint64_t>("views", {3}, {0, 4294967295, 7});
    file.write<float>("crops", {3}, {2, 1, 0});
  }
  const auto views = [&](const TableFile::Names& names) {
    const TableFile file(path(), names);
    EXPECT_TRUE(file.has_views());
    std::vector<std::uint32_t> out;
    for (const TableFile::Row& row : file.describe(0, 3)) out.push_back(row.view);
    return out;
  };
  TableFile::Names names;
  EXPECT_THAT(views(names), ElementsAre(0u, 4294967295u, 7u));
  names.views = "crops";
  EXPECT_THAT(views(names), ElementsAre(2u, 1u, 0u));
  // A dataset of that name in a file without keys is of another kind.
  EXPECT_EQ(fault_with([](const Hdf5File& f) { f.write<float>("views", {4, 2}, counted(8)); }), "ok");
  EXPECT_FALSE(TableFile(path()).has_views());
  EXPECT_EQ(TableFile(path()).describe(0, 1)[0].view, 0u);
  names.views = "views";
  EXPECT_EQ(fault(names),
            "FILE, dataset 'views': the file has no keys, which say whose views they are; add a dataset of "
            "keys");
  const auto wrong = [&](const std::vector<hsize_t>& extents, const std::vector<float>& values) {
    return fault_with([&](const Hdf5File& f) {
      f.write_texts("keys", {"a", "b", "c", "d"});
      f.write<float>("views", extents, values);
    });
  };
  const std::string start = "FILE, dataset 'views': ";
  EXPECT_EQ(wrong({4}, {0, 1, 0, 1}), "ok");
  EXPECT_EQ(wrong({3}, {0, 1, 2}), start + "expected 4 rows, as the features have, got 3");
  EXPECT_EQ(wrong({4, 2}, counted(8)),
            start + "expected a whole number per row, that of its view; rename a dataset of another kind");
  EXPECT_EQ(wrong({4}, {0, 1, -1, 1}),
            start + "row 2 has view -1; expected a whole number from 0 to 4294967295");
  EXPECT_EQ(wrong({4}, {0, 0.5f, 0, 1}),
            start + "row 1 has view 0.5; expected a whole number from 0 to 4294967295");
}

TEST_F(TableFileTest, WhatIsNoTableIsRefused) {
  EXPECT_EQ(fault(), "cannot open FILE: no such regular file");
  fs::create_directory(path());
  EXPECT_EQ(fault(), "cannot open FILE: no such regular file");
  fs::remove(path());
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(fault(), "cannot open FILE: no such regular file");
  fs::remove(path());
  folder_.write("t.h5", "");
  EXPECT_EQ(fault(), "FILE: is no HDF5 file");
  folder_.write("t.h5", "\x93NUMPY and more text than an HDF5 signature");
  EXPECT_EQ(fault(), "FILE: is no HDF5 file");
  { const Hdf5File empty(path()); }
  EXPECT_EQ(fault(), "FILE, dataset 'features': is missing");
  EXPECT_EQ(fault({"a/b/c"}), "FILE, dataset 'a/b/c': is missing");
  EXPECT_EQ(fault({""}), "FILE, dataset '': is missing");
  EXPECT_EQ(fault_with([](const Hdf5File&) {}), "ok");
}

TEST_F(TableFileTest, FeaturesOfAnotherShapeOrTypeAreRefused) {
  const Id string{H5Tcopy(H5T_C_S1)}, brain{H5Tcopy(H5T_IEEE_F32LE)};
  H5Tset_fields(brain.id, 15, 7, 8, 0, 7);  // bfloat16
  H5Tset_size(brain.id, 2);
  const Id nothing{H5Screate(H5S_NULL)}, one{H5Screate(H5S_SCALAR)};
  {
    const Hdf5File file(path());
    file.write<std::int32_t>("integers", {2, 2}, {1, 2, 3, 4});
    file.write<float>("brain", {2, 2}, counted(4), brain.id);
    file.write_texts("texts", {"a"});
    file.write<float>("flat", {4}, counted(4));
    file.write<float>("deep", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, counted(1));
    file.write<float>("no_rows", {0, 4}, {});
    file.write<float>("no_columns", {4, 0}, {});
    for (const auto& [name, space] : {std::pair{"nothing", nothing.id}, {"one", one.id}})
      const Id set{
          H5Dcreate2(file.id(), name, H5T_NATIVE_FLOAT, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    const Id group{H5Gcreate2(file.id(), "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)};
    const Id committed{H5Tcopy(brain.id)};
    H5Tcommit2(file.id(), "type", committed.id, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    // More than there is: a header promises much and costs nothing.
    const Id chunked{H5Pcreate(H5P_DATASET_CREATE)};
    const hsize_t chunk[2] = {1, 1};
    H5Pset_chunk(chunked.id, 2, chunk);
    file.write<float>("wide", {2, hsize_t{1} << 40}, {}, -1, chunked.id);
    file.write<float>("huge", {hsize_t{1} << 40, hsize_t{1} << 40}, {}, -1, chunked.id);
    file.write<float>("long", {hsize_t{1} << 32, 1}, {}, -1, chunked.id);
  }
  const auto of = [&](const char* name) { return fault({name}); };
  EXPECT_EQ(of("integers"),
            "FILE, dataset 'integers': expected float16, float32 or float64, got another type");
  EXPECT_EQ(of("brain"), "FILE, dataset 'brain': expected float16, float32 or float64, got another type");
  EXPECT_EQ(of("texts"), "FILE, dataset 'texts': expected float16, float32 or float64, got another type");
  EXPECT_EQ(of("flat"), "FILE, dataset 'flat': expected shape [rows,features], got [4]");
  EXPECT_EQ(of("deep"), "FILE, dataset 'deep': expected shape [rows,features], got [1,1,1,1,1,1,1,1,1,1]");
  EXPECT_EQ(of("no_rows"),
            "FILE, dataset 'no_rows': expected 1 to 2147483648 rows of 1 to 16777216 features, got [0,4]");
  EXPECT_EQ(of("no_columns"),
            "FILE, dataset 'no_columns': expected 1 to 2147483648 rows of 1 to 16777216 features, got [4,0]");
  EXPECT_EQ(of("nothing"), "FILE, dataset 'nothing': has no rows");
  EXPECT_EQ(of("one"), "FILE, dataset 'one': has no rows");
  EXPECT_EQ(of("group"), "FILE, dataset 'group': is not a dataset");
  EXPECT_EQ(of("type"), "FILE, dataset 'type': is not a dataset");
  for (const char* name : {"wide", "long"})
    EXPECT_EQ(of(name), std::string("FILE, dataset '") + name +
                            "': was never wholly written; what is missing would read as zeros");
  EXPECT_THAT(of("huge"), HasSubstr("expected 1 to 2147483648 rows of 1 to 16777216 features"));
}

TEST_F(TableFileTest, DataThatLieElsewhereAreRefused) {
  folder_.write("raw", std::string(48, '\0'));
  {
    const Hdf5File other(folder_ / "other.h5");
    other.write<float>("features", {4, 3}, counted(12));
  }
  {
    const Hdf5File file(path());
    const Id external{H5Pcreate(H5P_DATASET_CREATE)}, virtual_one{H5Pcreate(H5P_DATASET_CREATE)};
    H5Pset_external(external.id, (folder_ / "raw").c_str(), 0, 48);
    const hsize_t extents[2] = {4, 3};
    const Id space{H5Screate_simple(2, extents, nullptr)};
    H5Pset_virtual(virtual_one.id, space.id, (folder_ / "other.h5").c_str(), "features", space.id);
    file.write<float>("external", {4, 3}, {}, -1, external.id);
    file.write<float>("virtual", {4, 3}, {}, -1, virtual_one.id);
    H5Lcreate_external((folder_ / "other.h5").c_str(), "features", file.id(), "link", H5P_DEFAULT,
                       H5P_DEFAULT);
    H5Lcreate_external((folder_ / "other.h5").c_str(), "/", file.id(), "folder", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("external", file.id(), "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("nowhere", file.id(), "dangling", H5P_DEFAULT, H5P_DEFAULT);
  }
  for (const char* name : {"external", "virtual"})
    EXPECT_EQ(fault({name}), std::string("FILE, dataset '") + name +
                                 "': its data lie in another file; copy them into this one");
  for (const char* name : {"link", "folder/features", "soft", "dangling"})
    EXPECT_EQ(fault({name}), std::string("FILE, dataset '") + name +
                                 "': is a link to elsewhere; copy the data into the file itself");
}

TEST_F(TableFileTest, UnknownFiltersHugeChunksAndHolesAreRefused) {
  const Id chunked{H5Pcreate(H5P_DATASET_CREATE)}, huge{H5Pcreate(H5P_DATASET_CREATE)},
      foreign{H5Pcreate(H5P_DATASET_CREATE)};
  const hsize_t chunk[2] = {2, 3}, huge_chunk[2] = {hsize_t{1} << 25, 8};
  for (const Id* list : {&chunked, &foreign}) H5Pset_chunk(list->id, 2, chunk);
  H5Pset_chunk(huge.id, 2, huge_chunk);
  const unsigned options[1] = {0};
  H5Pset_filter(foreign.id, 32015, H5Z_FLAG_OPTIONAL, 1, options);
  {
    const Hdf5File file(path());
    file.write<float>("unwritten", {4, 3}, {});
    file.write<float>("unwritten_chunks", {4, 3}, {}, -1, chunked.id);
    file.write<float>("hole", {4, 3}, {}, -1, chunked.id);
    file.write<float>("huge", {hsize_t{1} << 25, 8}, {}, -1, huge.id);
    file.write<float>("foreign", {4, 3}, {}, -1, foreign.id);
    const Id set{H5Dopen2(file.id(), "hole", H5P_DEFAULT)}, space{H5Dget_space(set.id)};
    const hsize_t start[2] = {0, 0};
    H5Sselect_hyperslab(space.id, H5S_SELECT_SET, start, nullptr, chunk, nullptr);
    const Id memory{H5Screate_simple(2, chunk, nullptr)};
    H5Dwrite(set.id, H5T_NATIVE_FLOAT, memory.id, space.id, H5P_DEFAULT, counted(6).data());
  }
  for (const char* name : {"unwritten", "unwritten_chunks", "hole"})
    EXPECT_EQ(fault({name}), std::string("FILE, dataset '") + name +
                                 "': was never wholly written; what is missing would read as zeros");
  EXPECT_EQ(fault({"huge"}),
            "FILE, dataset 'huge': chunks of more than 512 MiB; rewrite it with smaller ones: h5repack -l "
            "CHUNK=... IN OUT");
  EXPECT_EQ(fault({"foreign"}),
            "FILE, dataset 'foreign': packed by the filter 32015 (no name); expected deflate (gzip), shuffle "
            "or fletcher32; unpack it: h5repack -f NONE IN OUT");
}

TEST_F(TableFileTest, ColumnsThatDoNotFitAreRefused) {
  const auto labels = [&](const std::vector<hsize_t>& extents, const std::vector<float>& values) {
    return fault_with([&](const Hdf5File& f) { f.write<float>("labels", extents, values); });
  };
  const std::string start = "FILE, dataset 'labels': ";
  EXPECT_EQ(labels({3}, {0, 1, 2}), start + "expected 4 rows, as the features have, got 3");
  EXPECT_EQ(labels({4, 1, 1}, {0, 1, 2, 3}), start + "expected shape [rows] or [rows,classes], got [4,1,1]");
  const std::string wanted =
      "; expected a whole number from 0 to 2147483647, or -1 for a row without a label";
  EXPECT_EQ(labels({4}, {0, 1, 2, -2}), start + "row 3 has label -2" + wanted);
  EXPECT_EQ(labels({4}, {0, 0.5f, 2, 3}), start + "row 1 has label 0.5" + wanted);
  EXPECT_EQ(labels({4}, {0, 1, 3e9f, 3}), start + "row 2 has label 3000000000" + wanted);
  EXPECT_EQ(labels({4}, {0, 1, std::nanf(""), 3}), start + "row 2 has label nan" + wanted);
  const std::string each = "; expected 0 or 1 in every column, or -1 in every column of a row without labels";
  EXPECT_EQ(labels({4, 2}, {0, 1, 2, 0, 0, 0, 0, 0}), start + "row 1 has 2 in column 0" + each);
  EXPECT_EQ(labels({4, 2}, {0, 1, -1, -1, 0, -1, 0, 0}), start + "row 2 has -1 in column 1" + each);
  EXPECT_EQ(labels({4, 2}, {0, 1, 0, 0, 0, 0, -1, 1}),
            start + "row 3 has 1 in column 1 and -1 in column 0" + each);
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write<std::uint64_t>("labels", {4}, {0, 1, 2, ~std::uint64_t{0}});
            }),
            start + "row 3 has label 1.8446744073709552e+19" + wanted);
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              const Id pair{H5Tcreate(H5T_COMPOUND, 8)};
              H5Tinsert(pair.id, "a", 0, H5T_NATIVE_FLOAT);
              f.write<float>("labels", {4}, {}, pair.id);
              const Id set{H5Dopen2(f.id(), "labels", H5P_DEFAULT)};
              const double zeros[4] = {};
              H5Dwrite(set.id, pair.id, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros);
            }),
            start + "expected integers, 0 and 1 for every class, or texts, got another type");

  const auto with_classes = [&](const std::vector<std::string>& names, float last) {
    return fault_with([&](const Hdf5File& f) {
      f.write<float>("labels", {4}, {0, 1, -1, last});
      f.write_attribute("/", "classes", names, 1);
    });
  };
  EXPECT_EQ(with_classes({"a", "b"}, 1), "ok");
  EXPECT_EQ(with_classes({"a", "b"}, 2), start +
                                             "row 3 has label 2; expected a whole number from 0 to 1, or "
                                             "-1 for a row without a label");
  EXPECT_EQ(with_classes({"a", "b", "a"}, 2), "FILE: its list of classes has 'a' twice");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write<float>("labels", {4, 2}, std::vector<float>(8));
              f.write_texts("classes", {"a", "b", "c"});
            }),
            start + "has 2 columns, but the file names 3 classes");
  EXPECT_EQ(fault_with([](const Hdf5File& f) { f.write<float>("classes", {4}, counted(4)); }),
            "FILE, dataset 'classes': expected a list of texts, the names of the classes");

  EXPECT_EQ(fault_with([](const Hdf5File& f) { f.write<float>("keys", {4}, counted(4)); }),
            "FILE, dataset 'keys': expected a text a row");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write_texts("keys", {"a", "b", "", "d"});
            }),
            "FILE, dataset 'keys': row 2 has no key");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write_texts("keys", {"a", "b", std::string(70000, 'x'), "d"});
            }),
            "FILE, dataset 'keys': row 2: a text of 70000 bytes; expected at most 65536");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write_texts("keys", {"a", "b", "c", "d"}, 70000);
            }),
            "FILE, dataset 'keys': texts of 70000 bytes; expected at most 65536");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write_texts("splits", {"train", "valid", "vall", ""});
            }),
            "FILE, dataset 'splits': row 2 has 'vall'; expected train, val, test or 0, 1, 2");
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write<float>("splits", {4}, {0, 1, 2, 3});
            }),
            "FILE, dataset 'splits': row 3 has '3'; expected train, val, test or 0, 1, 2");
  TableFile::Names names;
  names.keys = "ids";
  EXPECT_EQ(fault_with([](const Hdf5File&) {}), "ok");
  EXPECT_EQ(fault(names), "FILE, dataset 'ids': is missing");
}

TEST_F(TableFileTest, FilesCutShortAreRefusedAtEveryLength) {
  EXPECT_EQ(fault_with([](const Hdf5File& f) {
              f.write<std::uint8_t>("labels", {4}, {0, 1, 0, 1});
              f.write_texts("keys", {"a", "b", "c", "d"});
            }),
            "ok");
  const std::string whole = test::slurp(path());
  for (std::size_t n = 0; n < whole.size(); n += n < 128 ? 5 : 149) {
    folder_.write("t.h5", whole.substr(0, n));
    EXPECT_NE(fault(), "ok") << "cut at " << n;
  }
}

// HDF5 1.10 alone dies or never ends on many of these.
TEST_F(TableFileTest, DamagedFilesAreReadOrRefused) {
  const auto write_it = [](const Hdf5File& f) {
    f.write<std::uint8_t>("labels", {4}, {0, 1, 0, 1});
    f.write_texts("keys", {"a", "b", "c", "d"});
    f.write_attribute("/", "classes", {"ant", "bee"}, 3);
  };
  EXPECT_EQ(fault_with(write_it), "ok");
  const std::string whole = test::slurp(path());
  const std::size_t heap = whole.find("GCOL");
  ASSERT_NE(heap, std::string::npos);
  std::size_t refused = 0;
  for (std::size_t n = 0; n < whole.size(); n += n >= heap - 64 && n < heap + 112 ? 7 : 131)
    for (const unsigned bits : {0x01u, 0x80u, 0xffu}) {
      std::string damaged = whole;
      damaged[n] = static_cast<char>(static_cast<std::uint8_t>(damaged[n]) ^ bits);
      folder_.write("t.h5", damaged);
      refused += fault() == "ok" ? 0 : 1;
    }
  EXPECT_GT(refused, 20u);
}

/// Processes that this one has started.
std::vector<pid_t> children() {
  std::vector<pid_t> out;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string stat = test::slurp(entry.path() / "stat");
    const std::size_t name = stat.rfind(')');
    int parent = 0;
    if (name == std::string::npos || std::sscanf(stat.c_str() + name + 1, " %*c %d", &parent) != 1) continue;
    if (parent == ::getpid()) out.push_back(std::atoi(entry.path().filename().c_str()));
  }
  return out;
}

TEST_F(TableFileTest, AFileOnWhichHdf5CrashesIsAnError) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers answer the signal of the crash themselves";
  EXPECT_EQ(fault_with([](const Hdf5File&) {}), "ok");
  const TableFile file(path());
  ASSERT_EQ(children().size(), 1u);
  ::kill(children()[0], SIGSEGV);
  float row[3];
  try {
    file.read(0, 1, row);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.what(),
              path() +
                  ": the HDF5 library crashed (Segmentation fault) while it read this file, in a process "
                  "of its own; the file is likely damaged: write it again with the software that made it");
  }
  EXPECT_EQ(children().size(), 0u);
}

TEST_F(TableFileTest, ManyFilesAreOpenWithFewProcesses) {
  constexpr std::size_t kFiles = 20;
  std::vector<TableFile> files;
  for (std::size_t i = 0; i < kFiles; ++i) {
    const std::string name = folder_ / (std::to_string(i) + ".h5");
    { Hdf5File(name).write<float>("features", {1, 1}, {static_cast<float>(i)}); }
    files.emplace_back(name);
    EXPECT_LE(children().size(), 8u);
  }
  for (std::size_t i = 0; i < kFiles; ++i) EXPECT_EQ(all(files[i])[0], static_cast<float>(i));
  { Hdf5File(folder_ / "0.h5").write<float>("features", {2, 1}, {0, 0}); }
  try {
    all(files[0]);
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), HasSubstr("has changed while it was being read; run again"));
  }
  files.clear();
  EXPECT_EQ(children().size(), 0u);
}

// A text of zeros packs to a thousandth: what it unpacks to must not be more than a machine has.
TEST_F(TableFileTest, ASmallFileDoesNotNeedMuchMemory) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers need more address space than the reader may have";
  const Id packed{H5Pcreate(H5P_DATASET_CREATE)};
  const hsize_t chunk[2] = {1, hsize_t{1} << 23};
  H5Pset_chunk(packed.id, 2, chunk);
  H5Pset_deflate(packed.id, 9);
  {
    const Hdf5File file(path());
    file.write<double>("features", {1, chunk[1]}, std::vector<double>(chunk[1]), -1, packed.id);
  }
  ASSERT_LT(fs::file_size(path()), 1u << 20);
  // HDF5 1.14 does not tell why a filter failed.
  EXPECT_THAT(fault(), AnyOf(HasSubstr("memory"), HasSubstr("filter returned failure during read")));
  const hsize_t rows[2] = {1 << 15, 1};
  H5Pset_chunk(packed.id, 2, rows);
  {
    const Hdf5File file(path());
    file.write<float>("features", {1 << 20, 1}, std::vector<float>(1 << 20), -1, packed.id);
  }
  EXPECT_THAT(fault(), HasSubstr("dataset 'features': 1048576 packed rows in a file of "));
}

TEST_F(TableFileTest, DamagedTextsOfVariableLengthAreNamed) {
  const auto write_it = [](const Hdf5File& f) { f.write_texts("keys", {"a", "bb", "ccc", "dddd"}); };
  EXPECT_EQ(fault_with(write_it), "ok");
  const std::string whole = test::slurp(path());
  const std::size_t heap = whole.find("GCOL");
  std::string reference("\x02\0\0\0", 4);  // "bb": its length, the address of the heap, its number
  for (int i = 0; i < 8; ++i) reference += static_cast<char>(heap >> (8 * i));
  const std::size_t at = whole.find(reference);
  ASSERT_NE(at, std::string::npos);
  const auto damaged = [&](std::size_t offset, char value) {
    std::string text = whole;
    text[offset] = value;
    folder_.write("t.h5", text);
    std::string got = fault();
    for (const auto& [from, to] : {std::pair{std::to_string(heap), "HEAP"},
                                   {"object " + std::to_string(whole[at + 12]) + " ", "object N "}})
      for (std::size_t p; (p = got.find(from)) != std::string::npos;) got.replace(p, from.size(), to);
    return got;
  };
  const std::string start = "FILE, dataset 'keys': row 1: ";
  EXPECT_EQ(damaged(at, 9), start + "the heap at HEAP has no object N of 9 bytes");
  EXPECT_EQ(damaged(at + 2, 9), start + "a text of 589826 bytes; expected at most 65536");
  EXPECT_EQ(damaged(at + 12, 77), start + "the heap at HEAP has no object 77 of 2 bytes");
  EXPECT_EQ(damaged(at + 10, 1), start + "16 bytes at " + std::to_string((std::size_t{1} << 48) + heap) +
                                     " are not in the file, which has " + std::to_string(whole.size()));
  EXPECT_THAT(damaged(at + 4, static_cast<char>(whole[at + 4] + 8)),
              HasSubstr("row 1: there is no heap at "));
  EXPECT_EQ(damaged(heap, 'H'), "FILE, dataset 'keys': row 0: there is no heap at HEAP");
  EXPECT_THAT(damaged(heap + 16 + 14, 1),  // the size of its first object
              ::testing::MatchesRegex("FILE, dataset 'keys': row 0: object . leaves the heap at HEAP"));
}

TEST_F(TableFileTest, ManyTextsOfVariableLength) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 5000; ++i) keys.push_back(std::string(i % 200, 'x') + std::to_string(i));
  keys[17] = std::string(60000, 'y');
  const Id chunked{H5Pcreate(H5P_DATASET_CREATE)}, packed{H5Pcreate(H5P_DATASET_CREATE)};
  const hsize_t chunk = 700, n = keys.size();
  for (const Id* list : {&chunked, &packed}) H5Pset_chunk(list->id, 1, &chunk);
  H5Pset_deflate(packed.id, 1);
  {
    const Hdf5File file(path());
    file.write<float>("features", {5000, 1}, counted(5000));
    file.write_texts("keys", keys);
    const Id type{H5Tcopy(H5T_C_S1)}, space{H5Screate_simple(1, &n, nullptr)};
    H5Tset_size(type.id, H5T_VARIABLE);
    std::vector<const char*> pointers;
    for (const std::string& key : keys) pointers.push_back(key.c_str());
    for (const auto& [name, list] : {std::pair{"chunked", chunked.id}, {"packed", packed.id}}) {
      const Id set{H5Dcreate2(file.id(), name, type.id, space.id, H5P_DEFAULT, list, H5P_DEFAULT)};
      H5Dwrite(set.id, type.id, H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data());
    }
  }
  TableFile::Names names;
  for (const char* dataset : {"keys", "chunked"}) {
    names.keys = dataset;
    const TableFile file(path(), names);
    for (const auto& [first, count] :
         {std::pair<std::size_t, std::size_t>{0, 5000}, {699, 2}, {1399, 1500}}) {
      const auto rows = file.describe(first, count);
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(rows[i].key, keys[first + i]) << dataset << " " << i;
    }
  }
  names.keys = "packed";
  EXPECT_EQ(fault(names),
            "FILE, dataset 'packed': texts of variable length that are packed, compact, or after a user "
            "block; write texts of a fixed length, or without compression");
  EXPECT_EQ(
      fault_with([](const Hdf5File& f) {
        f.write_attribute("/", "classes", {"ant", "bee"});
      }),
      "FILE, attribute 'classes': texts of variable length; make 'classes' a dataset, or give its texts a "
      "fixed length (h5py: np.array(names, dtype='S'))");
}

}  // namespace
}  // namespace graft
