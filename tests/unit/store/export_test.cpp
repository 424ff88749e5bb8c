#include "store/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/table_file.h>

#include "store/input_list.h"
#include "store/row_writer.h"
#include "store/table_store.h"
#include "temp_folder.h"

namespace graft {
namespace {

using test::TempFolder;
using ::testing::ElementsAre;

/// One view of an input, in the order of the list; its features are its position.
struct View {
  std::uint32_t input, number;
};

TEST(Export, RowsHaveTheKeyOfTheirInputAndTheNumberOfTheirView) {
  const TempFolder folder;
  const std::vector<std::string> keys = {"a.jpg", "a.jpg#2", "b.jpg"};
  const std::vector<View> rows = {{0, 0}, {0, 1}, {0, 2}, {1, 0}, {2, 1}};
  const auto id = [&](std::size_t r) { return row_id(digest(keys[rows[r].input]), rows[r].number, ""); };
  Fingerprint print;
  print.digest = digest("a test");
  TableUse use;
  std::filesystem::path table;
  {
    TableStore store(folder.path(), print);
    store.prepare_to_write();
    table = store.folder();
    RowWriter writer({&store});
    for (std::size_t r = 0; r < rows.size(); ++r) {
      const auto value = static_cast<float>(r);
      RowWriter::Job job;
      job.id = id(r);
      job.sequence = r;
      job.format = {DType::F32, {1}};
      job.payload.assign(reinterpret_cast<const std::uint8_t*>(&value),
                         reinterpret_cast<const std::uint8_t*>(&value) + sizeof value);
      writer.push(std::move(job));
    }
    writer.finish();
    use.list = write_input_list(table / "inputs", {"ant", "bee"}, {3, rows.size(), 0, 0},
                                [&](InputListWriter& list) {
                                  const std::int32_t bee = 1;
                                  list.input(keys[0], Split::Train, {&bee, 1});
                                  list.input(keys[1], Split::Val, {});
                                  list.input(keys[2], Split::Test, {});
                                  for (std::size_t r = 0; r < rows.size(); ++r)
                                    list.outcome(id(r), rows[r].input, rows[r].number);
                                });
  }
  EXPECT_EQ(export_table(table, use, folder / "rows.h5"), rows.size());

  const TableFile file(folder / "rows.h5");
  ASSERT_EQ(file.rows(), rows.size());
  EXPECT_TRUE(file.has_views());
  EXPECT_THAT(file.classes(), ElementsAre("ant", "bee"));
  const auto found = file.describe(0, rows.size());
  std::vector<float> values(rows.size());
  file.read(0, rows.size(), values.data());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    EXPECT_EQ(found[r].key, keys[rows[r].input]);
    EXPECT_EQ(found[r].view, rows[r].number);
    EXPECT_EQ(found[r].split, static_cast<Split>(rows[r].input));
    EXPECT_EQ(values[r], static_cast<float>(r));
  }
  EXPECT_THAT(found[1].labels, ElementsAre("bee"));
  EXPECT_THAT(found[3].labels, ElementsAre());
}

}  // namespace
}  // namespace graft
