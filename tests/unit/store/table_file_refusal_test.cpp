// Files of rows that are refused, and why.

#include <graft/table_file.h>

#include <sys/stat.h>

#include <filesystem>

#include <gmock/gmock.h>

#include "table_file_fixture.h"

namespace graft {
namespace {

namespace fs = std::filesystem;
using test::all_features;
using test::counted;
using test::Hdf5File;
using test::Id;
using test::TableFileTest;
using ::testing::HasSubstr;

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
  EXPECT_EQ(fault(),
            "FILE: is no HDF5 file, but NumPy's: write its arrays with h5py, h5py.File(\"table.h5\", "
            "\"w\")[\"features\"] = features");
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
  EXPECT_EQ(
      of("integers"),
      "FILE, dataset 'integers': expected float16, float32 or float64, got int32; convert the features to "
      "float32");
  EXPECT_EQ(of("brain"),
            "FILE, dataset 'brain': expected float16, float32 or float64, got another float of 16 bits; "
            "convert the features to float32");
  EXPECT_EQ(of("texts"),
            "FILE, dataset 'texts': expected float16, float32 or float64, got texts; convert the "
            "features to float32");
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
            start + "expected integers, 0 and 1 for every class, or texts, got records of several fields");

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
