#include "run/bundle_file.h"

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/safetensors.h>

#include "store/files.h"

namespace graft {

void save_bundle(const std::filesystem::path& folder, const Bundle& bundle) {
  make_folders(folder);
  write_file_atomically(folder / "weights.safetensors", to_safetensors(bundle.tensors));
  write_file_atomically(folder / "bundle.json", bundle.facts.to_json_pretty());
}

Bundle load_bundle(const std::filesystem::path& folder) {
  Bundle bundle;
  std::filesystem::path file = folder / "bundle.json";
  try {
    bundle.facts = Value::from_json(read_file(file));
    file = folder / "weights.safetensors";
    bundle.tensors = from_safetensors(read_file(file));
  } catch (const Error& e) {
    throw Error(fmt::format("{}: {}", file.string(), e.what()));
  }
  return bundle;
}

}  // namespace graft
