#include "inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include <graft/error.h>
#include <network/device_name.h>
#include <network/torch_service.h>

namespace graft {
namespace {

/// A LibTorch that sees the GPU `there`, regardless of this machine's driver files.
class LibTorch final : public Service, public nn::TorchService {
 public:
  explicit LibTorch(std::string there) : there_(std::move(there)) {}
  bool sees_gpu() const override { return true; }
  void require_device(const std::string& name) const override {
    if (name != there_) throw Error("there is no " + name);
  }
  std::unique_ptr<nn::Engine> make(const nn::Model&, nn::EngineOptions) const override { return nullptr; }
  std::optional<nn::Described> described(const nn::Model&, const nn::EngineOptions&) const override {
    return {};
  }
  std::unique_ptr<nn::Engine> make_optimised(const nn::Model&, nn::EngineOptions) const override {
    return nullptr;
  }

 private:
  std::string there_;
};

/// The only error of a stage with this device; empty: none.
std::string fault(const std::string& device, Service* libtorch) {
  Value values = Value::map();
  for (const char* name : {"model", "rules", "heads", "sha256", "concatenate", "last_blocks", "pool"})
    values[name] = nullptr;
  values["architecture"] = "resnet8";
  values["untrained"] = true;
  values["taps"] = Value::list();
  values["device"] = device;
  const Params params(values);
  StageContext context{"features", params, 0, 1, [](const std::string&) {}};
  if (libtorch != nullptr)
    context.service = [libtorch](const std::string& plugin) -> Service& {
      EXPECT_EQ(plugin, "engine_torch");
      return *libtorch;
    };
  const Inspection found = inspect_backbone(context);
  if (found.faults.empty()) return "";
  EXPECT_EQ(found.faults.size(), 1u);
  EXPECT_EQ(found.faults[0].param, "device");
  return found.faults[0].text;
}

TEST(InspectBackbone, InARunLibTorchDecidesWhichDevicesThereAre) {
  LibTorch libtorch("cuda:1");
  EXPECT_EQ(fault("cuda:1", &libtorch), "");
  EXPECT_EQ(fault("cuda", &libtorch), "there is no cuda");
  EXPECT_EQ(fault("cpu", &libtorch), "");
  EXPECT_EQ(fault("auto", &libtorch), "");
  EXPECT_EQ(fault("gpu", &libtorch), "expected auto, cpu, cuda or cuda:NUMBER, got 'gpu'");
}

TEST(InspectBackbone, BeforeARunTheFilesOfDriversTellThatThereIsNoGpu) {
  EXPECT_EQ(fault("cuda:1", nullptr),
            nn::has_gpu_files()
                ? ""
                : "CUDA is not available: this machine has no driver for an NVIDIA or AMD GPU, "
                  "got 'cuda:1'; use cpu or auto");
  EXPECT_EQ(fault("cpu", nullptr), "");
}

}  // namespace
}  // namespace graft
