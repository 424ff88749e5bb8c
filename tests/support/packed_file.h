#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "base/stored_zip.h"

namespace graft::test {

inline std::string sha256(const std::string& content) {
  Sha256 hash;
  hash.add(content.data(), content.size());
  return hash.hex();
}

/// A zip archive.
inline std::string zipped(const std::vector<std::pair<std::string, std::string>>& contents,
                          const std::string& comment = "") {
  std::string out;
  std::vector<ZipMember> members;
  for (const auto& [name, content] : contents) {
    members.push_back({name, content.size(), zip_crc(0, content.data(), content.size())});
    out += zip_header(members.back()) + content;
  }
  return out + zip_end(members, comment);
}

/// A file as graft model pack lays it out, with parts of one's own.
inline std::string packed(const nlohmann::json& facts_but_parts,
                          const std::vector<std::pair<std::string, std::string>>& parts) {
  nlohmann::json facts = facts_but_parts;
  facts["parts"] = nlohmann::json::array();
  for (const auto& [name, content] : parts)
    facts["parts"].push_back({{"name", name}, {"bytes", content.size()}, {"sha256", sha256(content)}});
  std::vector<std::pair<std::string, std::string>> all{{"graft-model.json", facts.dump()}};
  all.insert(all.end(), parts.begin(), parts.end());
  return zipped(all, "graft model; sha256 of graft-model.json: " + sha256(all[0].second));
}

}  // namespace graft::test
