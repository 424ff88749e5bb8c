#include "device_name.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::nn {
namespace {

/// What the driver of a GPU leaves where it is loaded: on Linux, in WSL.
bool has_driver() {
  std::error_code ignored;
  for (const char* place : {"/dev/nvidiactl", "/dev/nvidia0", "/proc/driver/nvidia/version", "/dev/dxg"})
    if (std::filesystem::exists(place, ignored)) return true;
  return false;
}

}  // namespace

void check_device_name(const std::string& device) {
  if (device == "auto" || device == "cpu") return;
  const bool numbered =
      device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
      std::all_of(device.begin() + 5, device.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (device != "cuda" && !numbered)
    throw Error(fmt::format("expected auto, cpu, cuda or cuda:NUMBER, got '{}'", device));
  if (!has_driver())
    throw Error(
        fmt::format("CUDA is not available: this machine has no driver of an NVIDIA GPU, got '{}'; use "
                    "cpu or auto",
                    device));
}

}  // namespace graft::nn
