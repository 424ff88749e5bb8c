#include "fuzz.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <graft/error.h>

#include "temp_folder.h"

namespace graft::fuzz {
namespace {

const test::TempFolder& folder() {
  static const test::TempFolder kShared;
  return kShared;
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> kAll = [] {
    std::vector<Target> out;
    for (const auto& part : {image_targets(), network_targets(), config_targets(), source_targets(),
                             store_targets(), model_targets()})
      out.insert(out.end(), part.begin(), part.end());
    return out;
  }();
  return kAll;
}

void run(const Target& target, std::string_view input) {
  try {
    target.run(input);
  } catch (const Error&) {  // what the parser had to say
  }
}

std::filesystem::path write_scratch(std::string_view content, const std::string& name) {
  std::filesystem::path path = folder() / name;
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!out.flush()) throw std::runtime_error("cannot write " + path.string());
  return path;
}

std::filesystem::path scratch_folder() {
  return folder().path();
}

std::string project_file(const std::string& path) {
  std::ifstream in(std::string(GRAFT_FUZZ_SOURCE_DIR) + "/" + path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string repeated(std::string_view unit, std::size_t bytes) {
  std::string out;
  out.reserve(bytes + unit.size());
  while (out.size() < bytes) out += unit;
  return out;
}

}  // namespace graft::fuzz
