// siege [--minutes N] [--rounds N] [--runs N] [--seed N] [--folder DIR]: ./dev siege.

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <random>

#include "campaign.h"

int main(int argc, char** argv) {
  using graft::siege::Campaign;
  graft::siege::Options options;
  options.seed = std::random_device{}();
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[++i] : nullptr;
    char* end = nullptr;
    const double number = value == nullptr ? -1 : std::strtod(value, &end);
    const bool is_number = value != nullptr && *value != '\0' && *end == '\0' && number >= 0;
    if (name == "--folder" && value != nullptr) {
      options.folder = value;
    } else if (name == "--minutes" && is_number) {
      options.minutes = number;
    } else if (name == "--rounds" && is_number) {
      options.rounds = static_cast<std::size_t>(number);
    } else if (name == "--runs" && is_number) {
      options.runs = static_cast<std::size_t>(number);
    } else if (name == "--seed" && is_number) {
      options.seed = static_cast<std::uint64_t>(number);
    } else {
      std::cerr << "usage: siege [--minutes N] [--rounds N] [--runs N] [--seed N] [--folder DIR]\n";
      return 2;
    }
  }
  if (options.folder.empty()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "graft-siege-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) {
      std::cerr << "cannot make a folder in " << std::filesystem::temp_directory_path() << "\n";
      return 2;
    }
    options.folder = pattern;
  } else if (std::filesystem::exists(options.folder)) {
    std::cerr << options.folder << " exists: name a new folder\n";
    return 2;
  }
  const std::filesystem::path folder = options.folder;
  std::cout << "seed " << options.seed << ", in " << folder.string() << std::endl;
  bool well = false;
  try {
    Campaign campaign(std::move(options));
    try {
      well = campaign.run();
    } catch (const std::exception& e) {
      std::cout << "FAILED: " << e.what() << std::endl;
    }
    campaign.print_figures();
  } catch (const std::exception& e) {
    std::cout << "FAILED: " << e.what() << std::endl;
  }
  if (!well) {
    std::cout << "failed; everything is in " << folder.string() << "\n";
    return 1;
  }
  std::filesystem::remove_all(folder);
  return 0;
}
