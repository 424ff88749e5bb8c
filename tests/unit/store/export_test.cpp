// What a table's labels are, in the file that is exported and read back by TableFile.

#include "store/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>
#include <graft/table_file.h>

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
};

/// Exports a table with a row for every input; "cat|dog", "none" or "unlabelled" for each row read back.
std::vector<std::string> read_back(const std::vector<std::string>& classes,
                                   const std::vector<Given>& inputs) {
  const test::TempFolder folder;
  Fingerprint print;
  print.description["fingerprint_version"] = 2;
  print.description["stages"] = Value::list();
  print.digest = digest(print.description.to_json());
  TableStore store(folder / "store", print);
  store.prepare_to_write();
  const auto id = [](std::size_t i) { return row_id(digest("content " + std::to_string(i)), 0, ""); };
  {
    RowWriter writer({&store});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      RowWriter::Job job;
      job.id = id(i);
      job.sequence = i;
      job.format = {DType::F32, {1}};
      job.payload.assign(4, 0);
      writer.push(std::move(job));
    }
    writer.finish();
  }
  TableUse use;
  use.list = write_input_list(
      store.folder() / "inputs", classes, {inputs.size(), inputs.size(), 0, 0}, [&](InputListWriter& list) {
        for (std::size_t i = 0; i < inputs.size(); ++i)
          list.input("input " + std::to_string(i), Split::Train, inputs[i].labels, inputs[i].negative);
        for (std::size_t i = 0; i < inputs.size(); ++i) list.outcome(id(i), static_cast<std::uint32_t>(i), 0);
      });
  EXPECT_EQ(export_table(store.folder(), use, folder / "rows.h5"), inputs.size());
  const TableFile file((folder / "rows.h5").string());
  EXPECT_EQ(file.classes(), classes);
  std::vector<std::string> out;
  for (const TableFile::Row& row : file.describe(0, file.rows())) {
    std::string text;
    for (const std::string& label : row.labels) text += (text.empty() ? "" : "|") + label;
    out.push_back(row.negative ? "none" : text.empty() ? "unlabelled" : text);
  }
  return out;
}

TEST(Export, KeepsNegativesAndUnlabelledInputsApart) {
  EXPECT_THAT(read_back({"cat", "dog"}, {{{1, 0}}, {{}, true}, {}, {{1}}}),
              ElementsAre("cat|dog", "none", "unlabelled", "dog"));
  // Without an input of several labels, and of one class.
  EXPECT_THAT(read_back({"cat", "dog"}, {{{1}}, {}, {{}, true}, {{0}}}),
              ElementsAre("dog", "unlabelled", "none", "cat"));
  EXPECT_THAT(read_back({"cat"}, {{{0}}, {{}, true}, {}}), ElementsAre("cat", "none", "unlabelled"));
}

TEST(Export, OfSingleLabelsHasNumbersOfClasses) {
  EXPECT_THAT(read_back({"cat", "dog"}, {{{1}}, {}, {{0}}}), ElementsAre("dog", "unlabelled", "cat"));
  EXPECT_THAT(read_back({"cat"}, {{{0}}, {}}), ElementsAre("cat", "unlabelled"));
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
  EXPECT_EQ(read_back(classes, inputs), wanted);
}

}  // namespace
}  // namespace graft
