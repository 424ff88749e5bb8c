// What a table's rows are, in the file that is exported and read back by TableFile.

#include "store/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include <graft/table_file.h>

#include "store/feature_file.h"
#include "store/input_list.h"
#include "store/row_writer.h"
#include "store/table_store.h"
#include "temp_folder.h"

namespace graft {
namespace {

using ::testing::ElementsAre;

struct Given {
  std::vector<std::int32_t> labels;
  bool negative = false;
  std::uint32_t views = 1;
  Split split = Split::Train;
  std::string key = {};  ///< Empty: "input N".
};

/// Exports a table with a row for every view, whose feature is its position, and reads the file.
std::vector<TableFile::Row> read_back(const std::vector<std::string>& classes,
                                      const std::vector<Given>& inputs) {
  const test::TempFolder folder;
  Fingerprint print;
  print.digest = digest("a test");
  TableStore store(folder / "store", print);
  store.prepare_to_write();
  struct View {
    std::uint32_t input, number;
  };
  std::vector<View> rows;
  for (std::uint32_t i = 0; i < inputs.size(); ++i)
    for (std::uint32_t v = 0; v < inputs[i].views; ++v) rows.push_back({i, v});
  const auto id = [&](const View& row) {
    return row_id(digest("content " + std::to_string(row.input)), row.number, "");
  };
  {
    RowWriter writer({&store});
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto value = static_cast<float>(r);
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
      RowWriter::Job job;
      job.id = id(rows[r]);
      job.sequence = r;
      job.format = {DType::F32, {1}};
      job.payload.assign(bytes, bytes + sizeof value);
      writer.push(std::move(job));
    }
    writer.finish();
  }
  TableUse use;
  use.list = write_input_list(store.folder() / "inputs", classes, {inputs.size(), rows.size(), 0, 0},
                              [&](InputListWriter& list) {
                                for (std::size_t i = 0; i < inputs.size(); ++i) {
                                  const Given& given = inputs[i];
                                  list.input(given.key.empty() ? "input " + std::to_string(i) : given.key,
                                             given.split, given.labels, given.negative);
                                }
                                for (const View& row : rows) list.outcome(id(row), row.input, row.number);
                              });
  EXPECT_EQ(export_table(store.folder(), use, folder / "rows.h5").rows, rows.size());
  const TableFile file((folder / "rows.h5").string());
  EXPECT_EQ(file.rows(), rows.size());
  EXPECT_EQ(file.classes(), classes);
  EXPECT_TRUE(file.has_views());
  std::vector<float> values(file.rows());
  file.read(0, file.rows(), values.data());
  for (std::size_t r = 0; r < values.size(); ++r) EXPECT_EQ(values[r], static_cast<float>(r));
  return file.describe(0, file.rows());
}

/// "cat|dog", "none" or "unlabelled" for each row.
std::vector<std::string> labels_of(const std::vector<TableFile::Row>& rows) {
  std::vector<std::string> out;
  for (const TableFile::Row& row : rows) {
    std::string text;
    for (const std::string& label : row.labels) text += (text.empty() ? "" : "|") + label;
    out.push_back(row.negative ? "none" : text.empty() ? "unlabelled" : text);
  }
  return out;
}

TEST(Export, RowsHaveTheKeyOfTheirInputAndTheNumberOfTheirView) {
  const auto rows = read_back({"ant", "bee"}, {{{1}, false, 3, Split::Train, "a.jpg"},
                                               {{}, false, 1, Split::Val, "a.jpg#2"},
                                               {{}, false, 1, Split::Test, "b.jpg"}});
  std::vector<std::string> seen;
  for (const TableFile::Row& row : rows)
    seen.push_back(row.key + " " + std::to_string(row.view) + " " + to_string(row.split.value()));
  EXPECT_THAT(
      seen, ElementsAre("a.jpg 0 train", "a.jpg 1 train", "a.jpg 2 train", "a.jpg#2 0 val", "b.jpg 0 test"));
  EXPECT_THAT(labels_of(rows), ElementsAre("bee", "bee", "bee", "unlabelled", "unlabelled"));
}

TEST(Export, KeepsNegativesAndUnlabelledInputsApart) {
  EXPECT_THAT(labels_of(read_back({"cat", "dog"}, {{{1, 0}}, {{}, true}, {}, {{1}}})),
              ElementsAre("cat|dog", "none", "unlabelled", "dog"));
  // Without an input of several labels, and of one class.
  EXPECT_THAT(labels_of(read_back({"cat", "dog"}, {{{1}}, {}, {{}, true}, {{0}}})),
              ElementsAre("dog", "unlabelled", "none", "cat"));
  EXPECT_THAT(labels_of(read_back({"cat"}, {{{0}}, {{}, true}, {}})),
              ElementsAre("cat", "none", "unlabelled"));
}

TEST(Export, OfSingleLabelsHasNumbersOfClasses) {
  EXPECT_THAT(labels_of(read_back({"cat", "dog"}, {{{1}}, {}, {{0}}})),
              ElementsAre("dog", "unlabelled", "cat"));
  EXPECT_THAT(labels_of(read_back({"cat"}, {{{0}}, {}})), ElementsAre("cat", "unlabelled"));
}

TEST(Export, ManyRowsAreWrittenInBlocks) {
  std::vector<std::string> classes;
  for (int c = 0; c < 3000; ++c) classes.push_back("class " + std::to_string(c));
  std::vector<Given> inputs;
  std::vector<std::string> wanted;
  for (int i = 0; i < 3000; ++i) {  // 9 MB of labels
    if (i % 3 == 0) inputs.push_back({{i}});
    if (i % 3 == 1) inputs.push_back({{}, true});
    if (i % 3 == 2) inputs.push_back({});
    wanted.push_back(i % 3 == 0 ? classes[static_cast<std::size_t>(i)] : i % 3 == 1 ? "none" : "unlabelled");
  }
  EXPECT_EQ(labels_of(read_back(classes, inputs)), wanted);
}

TEST(FeatureFile, HasNoNameUntilItIsComplete) {
  for (const char* name : {"rows.npy", "rows.csv", "rows.h5"}) {
    const test::TempFolder folder;
    const std::vector<float> values{1, 2};
    FeatureFile file(folder / name, {});
    file.add({.key = "a"}, {2}, values);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "a process that is killed leaves nothing";
    EXPECT_EQ(file.finish().rows, 1u);
    EXPECT_TRUE(std::filesystem::exists(folder / name));
  }
}

}  // namespace
}  // namespace graft
