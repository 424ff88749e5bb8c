#include "run/packed_model.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <span>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value_path.h>
#include <graft/version.h>

#include "base/bytes.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/stored_zip.h"
#include "run/model_card.h"
#include "run/packed_parts.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kPackedFormat = 1;
constexpr const char* kFacts = "graft-model.json";
constexpr std::uint64_t kMaxFacts = std::uint64_t{16} << 20;
constexpr std::size_t kMaxHeader = 4096;
constexpr std::size_t kMaxParts = 10'000;

std::string comment_for(const std::string& facts) {
  Sha256 hash;
  hash.add(facts.data(), facts.size());
  return fmt::format("graft model; sha256 of {}: {}", kFacts, hash.hex());
}

std::span<const std::uint8_t> bytes_of_text(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Reads a part's content block by block.
void for_each_block(const ModelPart& part,
                    const std::function<void(std::span<const std::uint8_t> block)>& take) {
  if (part.file.empty()) return take(bytes_of_text(part.text));
  const FileHandle file(open_regular_file(part.file));
  if (!file) throw Error(file_error("open", part.file, errno));
  std::vector<std::uint8_t> block(kBlockBytes);
  std::size_t n = block.size();
  for (std::uint64_t at = 0; n == block.size(); at += n) {
    n = read_at(file.get(), block.data(), block.size(), at, part.file);
    take({block.data(), n});
  }
}

/// A file that is being read forwards, every byte of which must be as expected.
class PackedReader {
 public:
  explicit PackedReader(const fs::path& path) : path_(path), file_(open_regular_file(path)) {
    struct stat info {};
    if (!file_ || ::fstat(file_.get(), &info) != 0) throw Error(file_error("open", path, errno));
    size_ = static_cast<std::uint64_t>(info.st_size);
  }

  /// graft-model.json.
  Value read_facts() {
    std::string begin(std::min<std::uint64_t>(size_, kMaxHeader), '\0');
    read(begin.data(), begin.size());
    ZipMember facts;
    if (!read_zip_header(begin, facts) || facts.name != kFacts || facts.size > kMaxFacts)
      throw Error(
          fmt::format("{} is not a model: expected the folder of a run, a model in it, such as "
                      "runs/flowers/models/probe, or a file of graft model pack",
                      path_.string()));
    at_ = zip_header(facts).size();
    if (facts.size > size_ - at_) cut_short(facts.size + at_);
    std::string text(facts.size, '\0');
    read(text.data(), text.size());
    at_ += text.size();
    if (zip_crc(0, text.data(), text.size()) != facts.crc) damaged(kFacts, "its checksum is another one");
    comment_ = comment_for(text);
    members_.push_back(facts);
    try {
      return Value::from_json(text);
    } catch (const Error& e) {
      damaged(kFacts, e.what());
    }
  }

  /// Checks the next part, whose content goes to `take`.
  void read_part(ZipMember part, const std::string& sha256,
                 const std::function<void(std::span<const std::uint8_t> block)>& take) {
    std::string header(zip_header(part).size(), '\0');
    read(header.data(), header.size());
    at_ += header.size();
    Sha256 hash;
    std::vector<std::uint8_t> block(std::min<std::uint64_t>(kBlockBytes, part.size));
    for (std::uint64_t left = part.size; left > 0;) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, block.size()));
      read(block.data(), n);
      hash.add(block.data(), n);
      part.crc = zip_crc(part.crc, block.data(), n);
      take({block.data(), n});
      at_ += n;
      left -= n;
    }
    if (const std::string got = hash.hex(); got != sha256)
      damaged(part.name, fmt::format("its SHA-256 is {}, wanted {}", got, sha256));
    if (header != zip_header(part)) damaged(part.name, "the header in front of it is another one");
    members_.push_back(std::move(part));
  }

  void expect_end() {
    const std::string wanted = zip_end(members_, comment_);
    std::string got(wanted.size(), '\0');
    read(got.data(), got.size());
    if (got != wanted) damaged("the list of parts at its end", "it is another one");
    if (size_ != at_ + wanted.size())
      throw Error(fmt::format("{} is damaged: {} bytes follow its end; copy it again", path_.string(),
                              size_ - at_ - wanted.size()));
  }

  /// `bytes`: that there must be at least.
  void require_size(std::uint64_t bytes) {
    if (size_ < bytes) cut_short(bytes);
  }

 private:
  void read(void* to, std::size_t n) {
    if (read_at(file_.get(), to, n, at_, path_) != n) cut_short(at_ + n);
  }
  [[noreturn]] void cut_short(std::uint64_t wanted) const {
    throw Error(fmt::format("{} is cut short: it has {} bytes, wanted at least {}; copy it again",
                            path_.string(), size_, wanted));
  }
  [[noreturn]] void damaged(const std::string& part, const std::string& why) const {
    throw Error(fmt::format("{} is damaged: {}: {}; copy it again, or pack the run again", path_.string(),
                            part, why));
  }

  const fs::path path_;
  const FileHandle file_;
  std::uint64_t size_ = 0, at_ = 0;
  std::vector<ZipMember> members_;
  std::string comment_;
};

/// A fact for which `is` holds: a `wanted`.
const Value& fact(const fs::path& file, const Value& facts, const char* name, bool (Value::*is)() const,
                  const char* wanted) {
  const Value* v = facts.is_map() ? facts.find(name) : nullptr;
  if (v != nullptr && (v->*is)()) return *v;
  throw Error(fmt::format("{}: {}: expected {} as '{}', got {}; pack the model again", file.string(), kFacts,
                          wanted, name, v == nullptr ? "nothing" : v->kind()));
}
std::int64_t integer_fact(const fs::path& file, const Value& facts, const char* name) {
  return fact(file, facts, name, &Value::is_int, "an integer").as_int();
}
const std::string& text_fact(const fs::path& file, const Value& facts, const char* name) {
  return fact(file, facts, name, &Value::is_string, "a text").as_string();
}

struct ListedPart {
  std::string name, sha256;
  std::uint64_t size = 0;
};

/// Names of parts, each a file of its own.
class PartNames {
 public:
  /// Takes a name, unless a part has it already, or one of the two would have to be a folder.
  bool take(const std::string& name) {
    if (folders_.contains(name)) return false;
    for (fs::path at = fs::path(name).parent_path(); !at.empty(); at = at.parent_path()) {
      if (files_.contains(at.string())) return false;
      folders_.insert(at.string());
    }
    return files_.insert(name).second;
  }

 private:
  std::set<std::string> files_, folders_;
};

std::vector<ListedPart> listed_parts(const fs::path& file, const Value& facts) {
  std::vector<ListedPart> out;
  PartNames names;
  for (const Value& part : fact(file, facts, "parts", &Value::is_list, "a list").as_list()) {
    ListedPart listed{text_fact(file, part, "name"), text_fact(file, part, "sha256"), 0};
    const std::int64_t size = integer_fact(file, part, "bytes");
    if (!is_name_of_part(listed.name) || !names.take(listed.name) || size < 0 || out.size() == kMaxParts)
      throw Error(fmt::format("{}: {} names a part '{}' of {} bytes, which graft does not write",
                              file.string(), kFacts, listed.name, size));
    listed.size = static_cast<std::uint64_t>(size);
    out.push_back(std::move(listed));
  }
  return out;
}

/// Checks the whole file; every part goes to `begin`, which gives what takes its content.
Value read_packed(
    const fs::path& file,
    const std::function<std::function<void(std::span<const std::uint8_t>)>(const std::string& part)>& begin) {
  PackedReader reader(file);
  Value facts = reader.read_facts();
  const std::int64_t format = integer_fact(file, facts, "graft_model");
  if (format != kPackedFormat) {
    const std::string version = text_at(facts, {"graft"});
    throw Error(fmt::format(
        "{} is a model of format {}, made by graft {}: graft {} reads format {}; use a graft of that "
        "version, or pack the run again with this one",
        file.string(), format, version.empty() ? "?" : version, GRAFT_VERSION, kPackedFormat));
  }
  const std::vector<ListedPart> parts = listed_parts(file, facts);
  std::uint64_t bytes = 0;
  for (const ListedPart& part : parts)
    if (__builtin_add_overflow(bytes, part.size, &bytes)) bytes = ~std::uint64_t{0};
  reader.require_size(bytes);
  for (const ListedPart& part : parts)
    reader.read_part({part.name, part.size, 0}, part.sha256, begin(part.name));
  reader.expect_end();
  return facts;
}

/// Plugins of the model's stages that do not come with Graft.
Value other_plugins(const Value& facts, const Registry& registry) {
  std::set<std::string> names;
  for (const auto& [id, stage] : map_at(facts, {"stages"})) {
    const std::string& name = stage.find("plugin")->as_string();
    const Registry::Plugin* plugin = registry.find(name);
    if (plugin != nullptr && !Registry::comes_with_graft(*plugin)) names.insert(name);
  }
  return Value::List(names.begin(), names.end());
}

}  // namespace

Value pack_model(const TrainedModel& model, const Registry& registry, Code code, const fs::path& out,
                 const std::vector<std::string>& overrides) {
  if (model.unpacked) throw Error(fmt::format("{} is a packed model already: copy it", model.from.string()));
  std::vector<ModelPart> parts = parts_of_model(model, registry, overrides);
  std::vector<fs::path> with_code;
  for (const ModelPart& part : parts)
    if (!part.file.empty() && holds_code(part.file)) with_code.push_back(part.file);
  if (code == Code::Refused) refuse_code("a network of the model", with_code);

  Value facts = facts_of_model(model, registry, !with_code.empty());
  if (Value others = other_plugins(facts, registry); !others.as_list().empty())
    facts["other_plugins"] = std::move(others);
  parts.push_back({"card.md", model_card(facts, model), {}});
  std::vector<ZipMember> members;
  Value listed = Value::list();
  for (const ModelPart& part : parts) {
    ZipMember& member = members.emplace_back(ZipMember{part.name, 0, 0});
    Sha256 hash;
    for_each_block(part, [&](std::span<const std::uint8_t> block) {
      hash.add(block.data(), block.size());
      member.crc = zip_crc(member.crc, block.data(), block.size());
      member.size += block.size();
    });
    listed.push(Value::Map{{"name", part.name}, {"bytes", Value(member.size)}, {"sha256", hash.hex()}});
  }
  Value whole = Value::map();
  whole["graft_model"] = kPackedFormat;
  for (auto& [name, v] : facts.as_map()) whole[name] = std::move(v);
  whole["parts"] = std::move(listed);
  listed_parts(out, whole);  // throws for what could not be opened again
  const std::string text = whole.to_json_pretty();
  members.insert(members.begin(), {kFacts, text.size(), zip_crc(0, text.data(), text.size())});
  write_file_atomically(out, [&](int fd) {
    const auto write = [&](const std::string& bytes) { write_all(fd, bytes_of_text(bytes), out); };
    write(zip_header(members[0]));
    write(text);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const ZipMember& member = members[i + 1];
      write(zip_header(member));
      ZipMember written{member.name, 0, 0};
      for_each_block(parts[i], [&](std::span<const std::uint8_t> block) {
        written.crc = zip_crc(written.crc, block.data(), block.size());
        written.size += block.size();
        write_all(fd, block, out);
      });
      if (written.crc != member.crc || written.size != member.size)
        throw Error(fmt::format("{} changed while it was packed: pack again", parts[i].file.string()));
    }
    write(zip_end(members, comment_for(text)));
    model.require_in_place();  // facts and parts are of one run
  });
  read_packed_model(out);
  return whole;
}

PackedModel read_packed_model(const fs::path& file) {
  PackedModel model;
  model.facts = read_packed(file, [&](const std::string& part) {
    return [&model, is_card = part == "card.md"](std::span<const std::uint8_t> block) {
      if (is_card) model.card.append(block.begin(), block.end());
    };
  });
  return model;
}

Unpacked unpack_model(const fs::path& file, Code code) {
  const auto folder = std::make_shared<TemporaryFolder>("graft-model");
  std::vector<fs::path> written;
  FileHandle to;
  const auto begin = [&](const std::string& part) {
    written.push_back(folder->path() / part);
    const fs::path& path = written.back();
    std::error_code error;
    if (fs::create_directories(path.parent_path(), error); error)
      throw Error(file_error("create", path.parent_path(), error.value()));
    to = FileHandle(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!to) throw Error(file_error("write", path, errno));
    return [&to, &path](std::span<const std::uint8_t> block) { write_all(to.get(), block, path); };
  };
  Value facts;
  try {
    facts = read_packed(file, begin);
  } catch (const Error& e) {
    rethrow_with_cure_for_full_folder(*folder, e);
  }
  to = FileHandle();
  std::vector<fs::path> with_code;
  for (const fs::path& path : written)
    if (holds_code(path)) with_code.push_back(path.filename());
  if (code == Code::Refused) refuse_code(fmt::format("a network in {}", file.string()), with_code);
  const auto model_named = [&](const std::string& name) {
    if (!is_name_of_part(name) || !fs::exists(folder->path() / "models" / name / "bundle.json"))
      throw Error(fmt::format("{}: it holds no model '{}', which {} names; pack the model again",
                              file.string(), name, kFacts));
    return name;
  };
  Unpacked unpacked{folder, model_named(text_fact(file, facts, "learner")), {}};
  if (facts.find("neighbors") != nullptr)
    unpacked.neighbours = model_named(text_fact(file, facts, "neighbors"));
  return unpacked;
}

}  // namespace graft
