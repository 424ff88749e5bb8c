#pragma once

#include <filesystem>
#include <string>

namespace graft::nn {

/// Throws Error where `device` is none of auto, cpu, cuda and cuda:NUMBER.
void check_device_name(const std::string& device);

/// Whether a driver has left its files below `root`: of an NVIDIA GPU, also in WSL and on Jetson, or of an
/// AMD one, which LibTorch calls cuda, too. LibTorch, which is not loaded here, may still see none.
bool has_gpu_files(const std::filesystem::path& root = "/");

/// Throws Error where this machine has none of them, so that `device`, which names a GPU, cannot be there.
void require_gpu_files(const std::string& device);

}  // namespace graft::nn
