#include "run/reject_reasons.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace graft {
namespace {

TEST(RejectReasons, NamesTheThreeMostFrequentAndCountsTheRest) {
  const std::vector<RejectReason> reasons{{"images", "missing", 120, "a.jpg", "cannot open the file"},
                                          {"pixels", "truncated", 7, "b\x1b[2J.jpg", "the file ends early"},
                                          {"pixels", "too-large", 3, "c.jpg", "70 MP, at most 64"},
                                          {"pixels", "no-image", 2, "d.txt", "not an image"},
                                          {"pixels", "odd", 1, "e.jpg", "odd"}};
  EXPECT_EQ(frequent_reasons(reasons),
            "         120 missing, e.g. a.jpg: cannot open the file\n"
            "           7 truncated, e.g. b\\x1b[2J.jpg: the file ends early\n"
            "           3 too-large, e.g. c.jpg: 70 MP, at most 64\n"
            "           3 for other reasons\n");
  EXPECT_EQ(frequent_reasons({}), "");
}

}  // namespace
}  // namespace graft
