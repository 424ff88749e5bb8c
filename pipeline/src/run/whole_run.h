#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "base/files.h"

namespace graft {

/// A run's folder while its files are read one after the other. Another run may be put in its place meanwhile
/// (RunFolder::complete): then what was read before and after is of two runs.
class GRAFT_API HeldRun {
 public:
  /// Opens the folder; that there is none is no error.
  explicit HeldRun(std::filesystem::path folder);
  const std::filesystem::path& folder() const { return folder_; }
  /// Whether the folder of that name is still the one that it was.
  bool is_in_place() const;

 private:
  std::filesystem::path folder_;
  FileHandle file_;  ///< Keeps the folder's number from being given to another one.
};

/// What `read` gives, which reads files of these folders: of each folder files of one run. Reads again where
/// another run was put in the place of one meanwhile. Throws what `read` throws, and Error when that happens
/// time and again.
template <typename Read>
auto read_whole_runs(const std::vector<std::filesystem::path>& folders, const Read& read) {
  constexpr int kTrials = 3;
  for (int trial = 1;; ++trial) {
    const std::vector<HeldRun> held(folders.begin(), folders.end());
    const HeldRun* replaced = nullptr;
    const auto find_replaced = [&] {
      for (const HeldRun& run : held)
        if (!run.is_in_place()) replaced = &run;
      return replaced != nullptr;
    };
    try {
      auto result = read();
      if (!find_replaced()) return result;
    } catch (const Error&) {
      if (!find_replaced()) throw;
    }
    if (trial == kTrials)
      throw Error(
          fmt::format("{}: another run was put in its place each time that it was read ({}); try again",
                      replaced->folder().string(), plural(kTrials, "time")));
  }
}

}  // namespace graft
