#include "helper_program.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "plugin/child.h"
#include "plugin/registry.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::seconds kAnswerLimit{8};

}  // namespace

std::vector<fs::path> places_of(const std::string& program) {
  const fs::path here = program_folder();
  return {here / program, here / GRAFT_LIBEXEC_FROM_BIN / program};
}

std::string output_of(const std::string& program, const std::vector<std::string>& arguments) {
  const std::vector<fs::path> places = places_of(program);
  std::error_code error;
  const auto file = std::find_if(places.begin(), places.end(),
                                 [&](const fs::path& place) { return fs::is_regular_file(place, error); });
  if (file == places.end()) return {};
  Child child([&](int to) {
    ::dup2(to, STDOUT_FILENO);
    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execv(file->c_str(), argv.data());
    ::_exit(127);
  });
  Child::End end = child.wait(kAnswerLimit);
  return end.how.empty() ? std::move(end.said) : std::string();
}

}  // namespace graft::cli
