#include <gtest/gtest.h>

#include <cmath>

#include <graft/testing/contract.h>

using graft::Image;
using graft::testing::StageHarness;

namespace {

std::string bytes(std::uint32_t value, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

/// One channel of 16 bits, 16,000 samples per second.
std::string wav(double hertz, int samples = 4000) {
  std::string data;
  for (int i = 0; i < samples; ++i)
    data += bytes(static_cast<std::uint16_t>(std::lround(20000 * std::sin(2 * M_PI * hertz * i / 16000))), 2);
  return "RIFF" + bytes(static_cast<std::uint32_t>(36 + data.size()), 4) + "WAVEfmt " + bytes(16, 4) +
         bytes(1, 2) + bytes(1, 2) + bytes(16000, 4) + bytes(32000, 4) + bytes(2, 2) + bytes(16, 2) + "data" +
         bytes(static_cast<std::uint32_t>(data.size()), 4) + data;
}

/// Row of the lightest pixel in the middle column.
int loudest_row(double hertz) {
  const Image image =
      std::get<Image>(StageHarness("spectrogram", "{size: 64}").apply(StageHarness::bytes(wav(hertz))));
  int best = 0;
  for (int y = 0; y < image.height; ++y)
    if (image.row(y)[3 * 32] > image.row(best)[3 * 32]) best = y;
  return best;
}

TEST(Spectrogram, ObeysTheContract) {
  graft::testing::ContractTrial trial{.params = "{size: 16}"};
  for (const double hertz : {200, 400, 800}) trial.items.emplace_back(StageHarness::bytes(wav(hertz)));
  EXPECT_EQ(graft::testing::check_contract("spectrogram", trial), "");
}

TEST(Spectrogram, ShowsHighTonesAbove) {
  // 64 rows for 0 to 8,000 Hz.
  EXPECT_NEAR(loudest_row(1000), 63 - 8, 1);
  EXPECT_NEAR(loudest_row(6000), 63 - 48, 1);
}

TEST(Spectrogram, RejectsWhatIsNoSound) {
  StageHarness stage("spectrogram", "{size: 16}");
  for (const std::string& wrong :
       {std::string("RIFF"), wav(400).substr(0, 200), wav(400).replace(34, 1, "\x08")})
    EXPECT_THROW(stage.apply(StageHarness::bytes(wrong)), graft::Reject) << wrong.size();
}

}  // namespace
