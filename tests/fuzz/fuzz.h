#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace graft::fuzz {

/// A parser of bytes or text from outside, as libFuzzer and the tests drive it.
struct Target {
  const char* name;
  /// Gives `input` to the parser. A graft::Error is an answer; every other exception, a crash, a leak, a hang
  /// and memory beyond memory_limit() is a fault. One thread.
  void (*run)(std::string_view input);
  /// Inputs that the parser takes, each with a feature of its own: where mutation begins.
  std::vector<std::string> (*seeds)();
  /// A sound or hostile input of about so many bytes, of a kind that costs the parser much: memory and time
  /// must be in proportion to it. Null: none of that size is possible.
  std::string (*grown)(std::size_t bytes) = nullptr;
  std::size_t longest = std::size_t{1} << 16;  ///< Bytes of an input that mutation makes.
};

/// Every target, in the order of the README.
const std::vector<Target>& targets();

/// What an input may take beside itself: 64 MiB and eight times its size.
constexpr std::size_t memory_limit(std::size_t input_bytes) {
  return (std::size_t{64} << 20) + 8 * input_bytes;
}

/// Runs a target on an input and takes a graft::Error for an answer.
void run(const Target& target, std::string_view input);

/// Writes a file of that name into a folder of this process, which is gone when it ends.
std::filesystem::path write_scratch(std::string_view content, const std::string& name = "input");
std::filesystem::path scratch_folder();

/// A file of the project, by its path below the root.
std::string project_file(const std::string& path);

/// Takes an input apart from its front; after its end there are zeros and empty texts.
class Pieces {
 public:
  explicit Pieces(std::string_view input) : rest_(input) {}
  bool more() const { return !rest_.empty(); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value |= std::uint64_t{static_cast<unsigned char>(i < rest_.size() ? rest_[i] : '\0')} << (8 * i);
    rest_.remove_prefix(std::min(bytes, rest_.size()));
    return value;
  }
  std::string_view text(std::size_t bytes) {
    const std::string_view out = rest_.substr(0, bytes);
    rest_.remove_prefix(out.size());
    return out;
  }
  /// Up to a separator, which is taken, too, or the end.
  std::string_view until(char separator) {
    const std::string_view out = rest_.substr(0, rest_.find(separator));
    rest_.remove_prefix(std::min(out.size() + 1, rest_.size()));
    return out;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

/// A number as the formats here have it, little-endian.
std::string little_endian(std::uint64_t value, std::size_t bytes);
/// `unit` again and again, to so many bytes.
std::string repeated(std::string_view unit, std::size_t bytes);

// What each file of targets adds.
std::vector<Target> image_targets();
std::vector<Target> network_targets();
std::vector<Target> config_targets();
std::vector<Target> source_targets();
std::vector<Target> store_targets();
std::vector<Target> model_targets();

}  // namespace graft::fuzz
