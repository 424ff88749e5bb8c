#include <cstring>

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include <graft/plugin.h>

namespace {

using namespace graft;

constexpr int kBlock = 16, kStride = 8, kCell = 8, kBins = 9;

/// Histograms of oriented gradients of the whole image.
class Hog final : public Transform {
 public:
  explicit Hog(const StageContext& context) : side_(std::stoi(context.params.get<std::string>("side"))) {}
  void enter_worker() override { cv::setNumThreads(1); }  // graft has one thread per item
  Payload apply(const Item& item) const override {
    const Image& in = item.image();
    if (in.width < 1 || in.height < 1) throw Reject("empty", "expected an image with pixels");
    const cv::Mat rgb(in.height, in.width, CV_8UC3, in.data, static_cast<std::size_t>(in.stride));  // no copy
    cv::Mat gray, small;
    cv::cvtColor(rgb, gray, cv::COLOR_RGB2GRAY);
    cv::resize(gray, small, {side_, side_}, 0, 0, cv::INTER_AREA);
    const cv::HOGDescriptor hog({side_, side_}, {kBlock, kBlock}, {kStride, kStride}, {kCell, kCell}, kBins);
    std::vector<float> values;
    hog.compute(small, values);
    Tensor out = Tensor::allocate(DType::F32, {static_cast<std::int64_t>(values.size())});
    std::memcpy(out.data, values.data(), out.bytes());
    return out;
  }

 private:
  int side_;
};

}  // namespace

GRAFT_PLUGIN(
    hog, "1.0.0", Hog,
    graft::PluginSchema::transform("Histograms of oriented gradients, as features without a network.")
        .input(graft::PortType::Image, "Any image; it is resized.")
        .output("out", graft::PortType::Tensor, "f32[?]", "Blocks of 4 cells with 9 directions each.")
        .param(graft::choice("side", {"32", "64", "128"}, "64")
                   .doc("Width and height, in pixels, that gradients are taken at."))
        .uses_libraries("opencv " CV_VERSION))
