#include <network/normalizer.h>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <graft/random.h>

namespace graft {
namespace {

Normalizer normalizer(const std::string& json) {
  std::vector<ParamFault> faults;
  const Params params(resolve({Normalizer::parameter()}, Value::from_json(json), faults));
  EXPECT_TRUE(faults.empty());
  return Normalizer(params.object("normalize"));
}

TEST(Normalizer, FollowsTheOrderOfOperationsOfTorchvisionAndKeras) {
  Image image = Image::allocate(5, 3);
  Random random(1);
  for (std::size_t i = 0; i < image.bytes(); ++i)
    image.data[i] = static_cast<std::uint8_t>(random.below(256));
  // What becomes of value v of channel c (0: red), and which plane it goes to.
  using Expected = std::function<std::pair<int, float>(int c, float v)>;
  const std::pair<const char*, Expected> cases[] = {
      {R"({})",
       [](int c, float v) {
         const float mean[] = {0.485f, 0.456f, 0.406f}, deviation[] = {0.229f, 0.224f, 0.225f};
         return std::pair(c, (v / 255.0f - mean[c]) / deviation[c]);
       }},
      {R"({"normalize": "unit"})", [](int c, float v) { return std::pair(c, v / 255.0f); }},
      {R"({"normalize": "tf"})", [](int c, float v) { return std::pair(c, v / 127.5f - 1.0f); }},
      {R"({"normalize": {"preset": "caffe"}})",
       [](int c, float v) {
         const float mean[] = {123.68f, 116.779f, 103.939f};
         return std::pair(2 - c, v - mean[c]);
       }},
      {R"({"normalize": {"mean": 0.5, "std": [0.1, 0.2, 0.3]}})",
       [](int c, float v) {
         const float deviation[] = {0.1f, 0.2f, 0.3f};
         return std::pair(c, (v / 255.0f - 0.5f) / deviation[c]);
       }},
  };
  for (const auto& [json, expected] : cases) {
    std::vector<float> out(45);
    normalizer(json).pack(image, out.data());
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 3; ++y)
        for (int x = 0; x < 5; ++x) {
          const auto [plane, value] = expected(c, image.row(y)[3 * x + c]);
          EXPECT_EQ(out[static_cast<std::size_t>(plane * 15 + y * 5 + x)], value) << json;
        }
  }
}

TEST(Normalizer, SaysWhatIsWrong) {
  const auto fault = [](const std::string& json) -> std::string {
    try {
      normalizer(json);
      return "ok";
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(fault(R"({"normalize": {"mean": 0.5}})"),
            "normalize: expected mean and std together, got only mean; give both, or the name of a preset");
  EXPECT_EQ(fault(R"({"normalize": {"mean": [0.5, 0.5], "std": 1}})"),
            "normalize.mean: expected one value or three (red, green, blue), got 2");
}

TEST(Normalizer, ResolvedItIsTheSameWithoutTheNetwork) {
  preprocessing::Preprocessing clip;
  clip.preset = "own";
  clip.mean = {0.48145466, 0.4578275, 0.40821073};
  clip.deviation = {0.26862954, 0.26130258, 0.27577711};
  const auto params = [](const std::string& json) {
    std::vector<ParamFault> faults;
    const Params all(resolve({Normalizer::parameter()}, Value::from_json(json), faults));
    EXPECT_TRUE(faults.empty());
    return all.object("normalize");
  };
  const Image image = Image::allocate(16, 16);
  for (std::size_t i = 0; i < image.bytes(); ++i) image.data[i] = static_cast<std::uint8_t>(i);
  const auto packed = [&](const Normalizer& normalizer) {
    std::vector<float> out(image.bytes());
    normalizer.pack(image, out.data());
    return out;
  };
  for (const char* given : {"{}", R"({"normalize": "tf"})", R"({"normalize": {"mean": 0.5, "std": 0.25}})"}) {
    const Value written = Normalizer::resolved(params(given), clip);
    const Params read(Value::from_json(written.to_json()));
    EXPECT_EQ(packed(Normalizer(read)), packed(Normalizer(params(given), clip))) << written.to_json();
  }
  EXPECT_EQ(Normalizer::resolved(params("{}"), preprocessing::Preprocessing()).to_json(),
            R"({"preset":"imagenet","mean":null,"std":null})");
}

}  // namespace
}  // namespace graft
