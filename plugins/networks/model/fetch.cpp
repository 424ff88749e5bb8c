#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/files.h>
#include <graft/params.h>
#include <graft/text.h>

#include "checkpoints.h"
#include "command.h"
#include "download.h"
#include "fetch.h"
#include "quantities.h"

namespace graft::model {
namespace {

namespace fs = std::filesystem;

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
  if (!is_safe_address(base))
    throw UsageError{
        fmt::format("--url, GRAFT_MODEL_URL: expected an https address, got '{}': with another one, anybody "
                    "on the way can change the file (http is for this machine alone: http://127.0.0.1)",
                    base)};
  return base;
}

/// What the SHA-256 must be, or begin with.
std::string wanted_digest(const Checkpoint& checkpoint) {
  return checkpoint.sha256.empty() ? checkpoint.name_digest() : checkpoint.sha256;
}

std::string in_words(const Checkpoint& checkpoint) {
  return (checkpoint.sha256.empty() ? "begins with " : "is ") + wanted_digest(checkpoint);
}

bool is_the_file(const std::string& sha256, const Checkpoint& checkpoint) {
  return sha256.starts_with(wanted_digest(checkpoint));
}

void warn_of_forgery(const std::string& sha256, const Checkpoint& checkpoint) {
  if (checkpoint.sha256.empty())
    print_error(
        "warning: 32 of the 256 bits of its SHA-256 were compared, which can be forged in minutes; what is "
        "there has {}: compare it with one that you trust\n",
        sha256);
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
    if (const std::string sha256 = sha256_of_file(file); is_the_file(sha256, checkpoint)) {
      warn_of_forgery(sha256, checkpoint);
      return file;
    }
    print_error("{} is damaged: fetching it again\n", file.string());
  }

  const fs::path part = folder / fmt::format(".{}.{}.part", checkpoint.file, ::getpid());
  fs::remove(part, error);  // of a process that had this number before
  print_error("fetching {}\n", url);
  try {
    download(url, part, {checkpoint.most_bytes, checkpoint.bytes}, show_progress);
  } catch (const Error& fault) {
    throw Error(
        fmt::format("cannot fetch {}: {}\n  fetch it by other means and place it at {} (its SHA-256 {}), or "
                    "name a mirror with --url or GRAFT_MODEL_URL",
                    url, fault.what(), file.string(), in_words(checkpoint)));
  }
  const std::string sha256 = sha256_of_file(part);
  if (!is_the_file(sha256, checkpoint)) {
    fs::remove(part, error);
    throw Error(fmt::format(
        "{}: expected a file whose SHA-256 {}, got {}: the server sent something else; nothing was kept", url,
        in_words(checkpoint), sha256));
  }
  warn_of_forgery(sha256, checkpoint);
  fs::rename(part, file, error);
  if (error) throw Error(fmt::format("cannot place {}: {}", file.string(), error.message()));
  return file;
}

namespace {

/// The checkpoint with the digest that the command line gives, where graft knows none.
Checkpoint with_digest(Checkpoint checkpoint, const Arguments& arguments) {
  if (const auto given = arguments.text("sha256")) {
    const std::string sha256 = lower_case(*given);
    if (sha256.size() != 64 || sha256.find_first_not_of("0123456789abcdef") != std::string::npos)
      throw UsageError{fmt::format("--sha256: expected 64 hexadecimal digits, got '{}'", *given)};
    if (!is_the_file(sha256, checkpoint))
      throw UsageError{
          fmt::format("--sha256: that of {} {}, got {}", checkpoint.file, in_words(checkpoint), sha256)};
    checkpoint.sha256 = sha256;
  }
  if (checkpoint.sha256.empty() && !arguments.has("trust-name"))
    throw UsageError{fmt::format(
        "graft knows 32 of the 256 bits of the SHA-256 of {}, those in its name: another file that has them "
        "is made "
        "in minutes. Give the whole one with --sha256 DIGEST, or, where you trust the server, --trust-name",
        checkpoint.file)};
  return checkpoint;
}

}  // namespace

int fetch(const Arguments& arguments) {
  const std::string& name = arguments.only("NAME");
  const Checkpoint* checkpoint = checkpoint_of(name);
  if (checkpoint == nullptr) {
    std::vector<std::string> names;
    for (const Checkpoint& c : checkpoints()) names.emplace_back(c.architecture);
    throw UsageError{fmt::format("there are no published weights of '{}'{} (there are of {})", name,
                                 suggestion(name, names), fmt::join(names, ", "))};
  }
  const fs::path folder = arguments.has("to") ? fs::path(*arguments.text("to")) : default_folder();
  say("{}\n", fetch_checkpoint(with_digest(*checkpoint, arguments), folder, base_url(arguments)).string());
  return kOk;
}

}  // namespace graft::model
