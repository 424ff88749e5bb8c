#include <network/input_size.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

TEST(ImageSize, IsReadFromShapesThatTellIt) {
  const auto size = input_size_in("u8[224,160,3]");
  ASSERT_TRUE(size);
  EXPECT_EQ(size->height, 224);
  EXPECT_EQ(size->width, 160);
  for (const char* unknown : {"", "u8", "u8[", "u8[?,?,3]", "u8[224,?,3]", "u8[?,160,3]", "f32[512]",
                              "f32[5,4]", "u8[0,16,3]", "u8[16,-1,3]", "u8[99999999999,16,3]"})
    EXPECT_FALSE(input_size_in(unknown)) << unknown;
}

TEST(ImageSize, ThatANetworkDoesNotTakeIsAnErrorInWordsOfTheConfig) {
  const Architecture net = make_architecture("lenet");
  const int usual = net.preprocessing.crop;
  EXPECT_NO_THROW(cost_for_input(net, {usual, usual}));
  EXPECT_THAT(
      [&] {
        cost_for_input(net, {16, 20});
      },
      ::testing::ThrowsMessage<Error>(::testing::AllOf(
          ::testing::StartsWith("the network does not take images of 20 x 16 px, which come from "
                                "upstream: lenet: layer fc1 (Linear) takes "),
          ::testing::EndsWith("; it was trained on " + std::to_string(usual) + " x " + std::to_string(usual) +
                              " px"))));
}

}  // namespace
}  // namespace graft::nn
