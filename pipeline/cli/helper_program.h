#pragma once

#include <filesystem>
#include <string>
#include <vector>

/// \file
/// Programs that belong to graft and know what the core does not: graft-model, graft-libraries. They lie
/// beside graft in a build folder and in libexec of an installation.
namespace graft::cli {

/// Where a helper program may be, the first place first.
std::vector<std::filesystem::path> places_of(const std::string& program);

/// What a helper program prints to stdout, at most 8 s long; empty when it is not there, fails or crashes.
/// For use before threads are started.
std::string output_of(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace graft::cli
