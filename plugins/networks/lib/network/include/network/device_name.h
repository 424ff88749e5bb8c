#pragma once

#include <filesystem>
#include <string>

namespace graft::nn {

/// Throws Error if `device` is not auto, cpu, cuda or cuda:NUMBER.
void check_device_name(const std::string& device);

/// Whether a driver has left its files below `root`: of an NVIDIA GPU, also in WSL and on Jetson, or of an
/// AMD one, which LibTorch calls cuda, too. LibTorch, which is not loaded here, may still see none.
bool has_gpu_files(const std::filesystem::path& root = "/");

/// Throws Error if this machine has none of them, so that the GPU named by `device` cannot be available.
void require_gpu_files(const std::string& device);

}  // namespace graft::nn
