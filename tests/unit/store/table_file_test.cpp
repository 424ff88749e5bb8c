// What a file of rows of other software is read as.

#include <graft/table_file.h>

#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include "table_file_fixture.h"

namespace graft {
namespace {

using test::all_features;
using test::counted;
using test::Hdf5File;
using test::Id;
using test::TableFileTest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

Id half_type() {
  const Id type{H5Tcopy(H5T_IEEE_F32LE)};
  H5Tset_fields(type.id, 15, 10, 5, 0, 10);
  H5Tset_size(type.id, 2);
  H5Tset_ebias(type.id, 15);
  H5Iinc_ref(type.id);
  return type;
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
    EXPECT_EQ(all_features(file), counted(50)) << n;
    float row[5];
    for (std::size_t r = 10; r-- > 0;) {
      file.read(r, 1, row);
      for (std::size_t i = 0; i < 5; ++i) ASSERT_EQ(row[i], counted(50)[r * 5 + i]) << n;
    }
  }
  const TableFile deep(path(), {"deep/er"});
  EXPECT_EQ(deep.shape(), (Shape{2, 5}));
  EXPECT_EQ(deep.dim(), 10u);
  EXPECT_EQ(all_features(deep), counted(50));
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
  const auto wide = all_features(TableFile(path(), {"wide"}));
  EXPECT_EQ(wide[0], inf);
  EXPECT_EQ(wide[1], -inf);
  EXPECT_TRUE(std::isnan(wide[2]));
  EXPECT_EQ(wide[3], 0.1f);
  const auto halves = all_features(TableFile(path(), {"half"}));
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

}  // namespace
}  // namespace graft
