#include "graft_program.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>

namespace graft::model {
namespace {

namespace fs = std::filesystem;

/// Beside this program in a build folder, else where the installation has it.
fs::path graft_program() {
  std::error_code error;
  const fs::path here = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& place : {here / "graft", here / "../../bin/graft"})
    if (fs::is_regular_file(place, error)) return place;
  throw Error(
      fmt::format("expected the program graft in {}, found none: it reads the config", here.string()));
}

std::string all_of(int from) {
  std::string out;
  std::array<char, 1 << 16> block;
  for (;;) {
    const ssize_t n = ::read(from, block.data(), block.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    out.append(block.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

Value ask_graft(const std::vector<std::string>& words) {
  const std::string program = graft_program().string();
  std::vector<std::string> copies = words;
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (std::string& word : copies) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  const std::string answer = child < 0 ? "" : all_of(ends[0]);
  ::close(ends[0]);
  if (child < 0) throw Error(fmt::format("cannot start {}: {}", program, std::strerror(errno)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    std::string why;
    try {
      const Value document = Value::from_json(answer);
      if (const Value* error = document.find("error")) why = error->as_string();
    } catch (const Error&) {
      why = "it printed no document";
    }
    throw Error(fmt::format("graft {} failed: {}", words.empty() ? "" : words[0], why));
  }
  return Value::from_json(answer);
}

}  // namespace graft::model
