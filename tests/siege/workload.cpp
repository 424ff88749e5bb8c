#include "workload.h"

#include <nlohmann/json.hpp>

#include "temp_folder.h"

namespace graft::siege {
namespace fs = std::filesystem;
using nlohmann::json;
namespace {

/// A BMP of 24 x 24 pixels: noise over the colour of its class.
std::string bmp(std::uint32_t seed, std::uint32_t label) {
  constexpr std::uint32_t kSide = 24, kBytes = kSide * kSide * 3;
  std::string out(54, '\0');
  const auto put = [&](std::size_t at, std::uint32_t v) {
    for (int i = 0; i < 4; ++i) out[at + static_cast<std::size_t>(i)] = static_cast<char>(v >> (8 * i));
  };
  out[0] = 'B';
  out[1] = 'M';
  put(2, 54 + kBytes);
  put(10, 54);
  put(14, 40);
  put(18, kSide);
  put(22, kSide);
  out[26] = 1;
  out[28] = 24;
  for (std::uint32_t i = 0; i < kBytes; ++i) {
    seed = seed * 1664525u + 1013904223u;
    out += static_cast<char>((seed >> 24) / 2 + (i % 3 == label ? 100 : 0));
  }
  return out;
}

void make_images(const fs::path& root, std::uint32_t seed, bool damaged) {
  std::uint32_t label = 0;
  for (const char* name : {"ant", "bee", "wasp"}) {
    for (const auto& [split, images] : {std::pair{"train", 40}, std::pair{"test", 12}}) {
      const fs::path folder = root / split / name;
      fs::create_directories(folder);
      for (int i = 0; i < images; ++i) {
        std::string image = bmp(seed += 7919, label);
        if (damaged && i % 9 == 4) image.resize(image.size() / 2);
        std::ofstream(folder / (std::to_string(i) + ".bmp"), std::ios::binary) << image;
      }
    }
    ++label;
  }
}

json without_times(json results) {
  results.erase("timings");
  for (json& table : results["tables"])
    for (const char* count : {"computed", "reused"}) table.erase(count);
  return results;
}

/// What the manifest says of the run and nothing of when and how.
json lasting(const json& manifest) {
  json out;
  for (const char* key : {"name", "seed"}) out[key] = manifest.value(key, json());
  const json tables = manifest.value("tables", json::object());
  for (const auto& [id, table] : tables.items()) out["tables"][id] = table.value("fingerprint", "");
  return out;
}

}  // namespace

Outcome outcome_of(const fs::path& folder) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    const std::string manifest = test::slurp(folder / "manifest.json");
    if (manifest.empty()) {
      if (!fs::exists(folder)) return {};
      continue;
    }
    Outcome out;
    std::error_code error;
    for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      std::error_code gone;
      if (!it->is_regular_file(gone)) continue;
      const std::string name = fs::relative(it->path(), folder, gone).string();
      if (name != "manifest.json" && name != "log.txt") out[name] = test::slurp(it->path());
    }
    // Another run has replaced it while it was read.
    if (error || test::slurp(folder / "manifest.json") != manifest) continue;
    const json results = json::parse(out["results.json"], nullptr, false);
    out["results.json"] = results.is_object() ? without_times(results).dump() : "not JSON";
    const json facts = json::parse(manifest, nullptr, false);
    out["manifest.json"] = facts.is_object() ? lasting(facts).dump() : "not JSON";
    return out;
  }
  return {};
}

std::string difference(const Outcome& got, const Outcome& wanted) {
  std::string names;
  for (const auto& [name, content] : wanted)
    if (const auto it = got.find(name); it == got.end())
      names += " " + name + " (missing)";
    else if (it->second != content)
      names += " " + name;
  for (const auto& [name, content] : got)
    if (!wanted.contains(name)) names += " " + name + " (too many)";
  return names;
}

std::vector<Workload> make_workloads(const fs::path& folder) {
  make_images(folder / "photos", 1, false);
  make_images(folder / "mixed", 2, true);
  const std::string photos =
      "  images: {plugin: image_folder, with: {root: photos, splits: {train: train, test: test}}}\n"
      "  pixels: {plugin: decode, from: images, with: {resize: 20, crop: 16}}\n";
  const std::string drawn =
      "  images: {plugin: synthetic, with: {task: target, classes: 4, size: 16, train: 500, val: 80, test: "
      "120}}\n"
      "  rows: {plugin: pixel_table, from: images}\n";
  const std::vector<std::pair<std::string, std::string>> configs = {
      {"neighbours", photos + "  rows: {plugin: pixel_table, from: pixels}\n"
                              "  near: {plugin: knn, from: rows, with: {k: [1, 5]}}\n"
                              "  report: {plugin: evaluate, from: near}\n"},
      {"probe", photos + "  rows: {plugin: pixel_table, from: pixels}\n"
                         "  probe: {plugin: linear_probe, from: rows, with: {c: [0.0001, 0.01]}}\n"
                         "  sure: {plugin: temperature, from: probe}\n"
                         "  report: {plugin: evaluate, from: [probe, sure]}\n"},
      {"views", photos + "  more: {plugin: augment, from: pixels, with: {views: 3, operations: [flip: {}, "
                         "random_resized_crop: {size: 12}]}}\n"
                         "  rows: {plugin: pixel_table, from: more, with: {compression: gzip}}\n"
                         "  near: {plugin: knn, from: rows}\n"
                         "  report: {plugin: evaluate, from: near}\n"},
      {"drawn", drawn + "  near: {plugin: knn, from: rows}\n"
                        "  means: {plugin: prototypes, from: rows}\n"
                        "  report: {plugin: evaluate, from: [near, means]}\n"},
      {"folds", drawn + "  near: {plugin: knn, from: rows, with: {k: 5}}\n"
                        "  means: {plugin: prototypes, from: rows}\n"
                        "  report: {plugin: evaluate, from: [near, means]}\n"
                        "  folds: {plugin: compare, from: [near, means], with: {cv: 3, on_test: false}}\n"},
      {"rejects",
       "  images: {plugin: image_folder, with: {root: mixed, splits: {train: train, test: test}}}\n"
       "  pixels: {plugin: decode, from: images, with: {resize: 12, crop: 12}}\n"
       "  rows: {plugin: pixel_table, from: pixels}\n"
       "  net: {plugin: mlp, from: rows, with: {hidden: [8], epochs: 3}}\n"
       "  report: {plugin: evaluate, from: net}\n"}};
  std::vector<Workload> out;
  for (const auto& [name, stages] : configs) {
    Workload w;
    w.name = name;
    w.config = folder / (name + ".yaml");
    std::ofstream(w.config) << "name: " << name << "\nrun: {threads: 2, max_rejects: 50%}\nstages:\n"
                            << stages;
    out.push_back(std::move(w));
  }
  return out;
}

}  // namespace graft::siege
