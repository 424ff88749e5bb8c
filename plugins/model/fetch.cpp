#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/params.h>

#include "checkpoints.h"
#include "command.h"
#include "download.h"
#include "fetch.h"
#include "table.h"

namespace graft::model {
namespace {

namespace fs = std::filesystem;

/// The largest known checkpoint, vgg19_bn, has 548 MiB.
constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 30;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return {};
  return value;
}

fs::path default_folder() {
  if (const auto folder = environment("GRAFT_MODELS")) return *folder;
  const auto home = environment("HOME");
  if (!home) throw UsageError{"neither GRAFT_MODELS nor HOME is set; say where with --to FOLDER"};
  return fs::path(*home) / ".cache/graft/models";
}

std::string base_url(const Arguments& arguments) {
  std::string base = arguments.text("url").value_or(
      environment("GRAFT_MODEL_URL").value_or("https://download.pytorch.org/models"));
  while (!base.empty() && base.back() == '/') base.pop_back();
  return base;
}

bool has_digest(const fs::path& file, const Checkpoint& checkpoint) {
  return sha256_of_file(file).substr(0, checkpoint.digest().size()) == checkpoint.digest();
}

void show_progress(std::uint64_t done, std::uint64_t total) {
  if (::isatty(STDERR_FILENO) == 0 || done == 0) return;
  const std::string of = total > 0 ? " of " + bytes_text(static_cast<std::int64_t>(total)) : "";
  fmt::print(stderr, "\r  {}{}   ", bytes_text(static_cast<std::int64_t>(done)), of);
  if (done == total) fmt::print(stderr, "\r{:40}\r", "");
}

}  // namespace

fs::path fetch_checkpoint(const Checkpoint& checkpoint, const fs::path& folder, const std::string& base) {
  fs::path file = folder / checkpoint.file;
  const std::string url = base + "/" + checkpoint.file;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(fmt::format("cannot make the folder {}: {}", folder.string(), error.message()));
  if (fs::exists(file, error)) {
    if (has_digest(file, checkpoint)) return file;
    fmt::print(stderr, "{} is damaged: fetching it anew\n", file.string());
  }

  const fs::path part = folder / fmt::format(".{}.{}.part", checkpoint.file, ::getpid());
  fs::remove(part, error);  // of a process that had this number before
  fmt::print(stderr, "fetching {}\n", url);
  try {
    download(url, part, kMaxBytes, show_progress);
  } catch (const Error& fault) {
    throw Error(fmt::format(
        "cannot fetch {}: {}\n  fetch it by other means and place it at {} (its SHA-256 begins with "
        "{}), or name a mirror with --url or GRAFT_MODEL_URL",
        url, fault.what(), file.string(), checkpoint.digest()));
  }
  if (!has_digest(part, checkpoint)) {
    const std::string got = sha256_of_file(part).substr(0, checkpoint.digest().size());
    fs::remove(part, error);
    throw Error(fmt::format(
        "{}: expected a file whose SHA-256 begins with {}, got {}: the server sent something else; "
        "nothing was kept",
        url, checkpoint.digest(), got));
  }
  fs::rename(part, file, error);
  if (error) throw Error(fmt::format("cannot place {}: {}", file.string(), error.message()));
  return file;
}

int fetch(const std::vector<std::string>& words) {
  const Arguments arguments(words, {}, {"to", "url"});
  const std::string& name = arguments.only("NAME");
  const Checkpoint* checkpoint = checkpoint_of(name);
  if (checkpoint == nullptr) {
    std::vector<std::string> names;
    for (const Checkpoint& c : checkpoints()) names.emplace_back(c.architecture);
    const auto near = nearest(name, names);
    throw UsageError{fmt::format("there are no published weights of '{}'{} (there are of {})", name,
                                 near ? fmt::format("; did you mean '{}'?", *near) : "",
                                 fmt::join(names, ", "))};
  }
  const fs::path folder = arguments.has("to") ? fs::path(*arguments.text("to")) : default_folder();
  fmt::print("{}\n", fetch_checkpoint(*checkpoint, folder, base_url(arguments)).string());
  return kOk;
}

}  // namespace graft::model
