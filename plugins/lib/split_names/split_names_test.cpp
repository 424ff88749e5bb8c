#include <split_names/split_names.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft::source {
namespace {

TEST(SplitNames, ColumnsThatDivideADataSet) {
  for (const char* name :
       {"Split", "split ", "fold", "kfold", "subset", "Set", "partition", "is_valid", "is_test", "isTrain",
        "data_split", "train_test", "Usage", "phase", "dataset_split"})
    EXPECT_TRUE(names_split_column(name)) << name;
  for (const char* name : {"", "path", "label", "id", "width", "offset", "is_round", "class"})
    EXPECT_FALSE(names_split_column(name)) << name;
}

TEST(SplitNames, NamesThatMayMeanASplit) {
  for (const char* name : {"Train", "eval", "holdout", "dev"}) EXPECT_TRUE(names_a_split(name)) << name;
  for (const char* name : {"", "ants", "tests", "trains"}) EXPECT_FALSE(names_a_split(name)) << name;
}

}  // namespace
}  // namespace graft::source
