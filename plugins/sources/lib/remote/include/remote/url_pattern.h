#pragma once

#include <string>
#include <vector>

namespace graft::remote {

/// Why a text is no URL, or none with one range of whole numbers such as {000000..000099}; empty: it is one.
std::string fault_of_url_pattern(const std::string& pattern);

/// The URLs that a pattern without a fault stands for, in the order of the numbers, which have as many digits
/// as the first one of the range is written with; one without a range stands for itself.
std::vector<std::string> urls_of(const std::string& pattern);

}  // namespace graft::remote
