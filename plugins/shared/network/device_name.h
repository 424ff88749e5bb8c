#pragma once

#include <string>

namespace graft::nn {

/// Throws Error where `device` is none of auto, cpu, cuda and cuda:NUMBER, or names a GPU where this machine
/// has no driver of one. LibTorch, which is not loaded here, may still see none: that shows when it is
/// loaded.
void check_device_name(const std::string& device);

}  // namespace graft::nn
