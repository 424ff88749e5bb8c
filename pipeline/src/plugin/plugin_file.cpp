#include "plugin/plugin_file.h"

#include <dlfcn.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include <fmt/format.h>

#include "base/files.h"
#include "plugin/address_space.h"
#include "plugin/elf_file.h"
#include "plugin/process_state.h"
#include "plugin/schema_check.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Longer than any name or version; anything longer is not a text.
constexpr std::size_t kMaxText = 256;
/// The step of a child, written before the step begins; see Examination.
constexpr char kOpening = 'o', kAsking = 'a', kDescribing = 'd';

bool refuse(Refusal& why, std::string wanted, std::string got, std::string cure) {
  why.wanted = std::move(wanted);
  why.got = std::move(got);
  why.cure = std::move(cure);
  return false;
}

/// A name from a database of the system, "" where it has none.
template <typename Entry, typename Id>
std::string name_of(Id id, int (*find)(Id, Entry*, char*, std::size_t, Entry**), char* Entry::*name) {
  Entry entry{}, *found = nullptr;
  std::vector<char> buffer(1 << 16);
  return find(id, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr ? found->*name : "";
}

bool is_private_group(const struct stat& info) {
  const std::string user = name_of<passwd>(info.st_uid, ::getpwuid_r, &passwd::pw_name);
  const std::string group = name_of<struct group>(info.st_gid, ::getgrgid_r, &group::gr_name);
  return user.empty() && group.empty() ? info.st_uid == info.st_gid : user == group;
}

/// "its name is null", "its version is not a text"; empty: a text.
std::string text_fault(const char* what, const char* text) {
  if (text == nullptr) return fmt::format("one whose {} is null", what);
  return ::strnlen(text, kMaxText) == kMaxText
             ? fmt::format("one whose {} is longer than {} characters", what, kMaxText)
             : "";
}

bool is_good(const graft_plugin_descriptor* d, const fs::path& file, Refusal& why) {
  const auto wrong_size = [&](std::string got) {
    return refuse(why, fmt::format("a descriptor of {} bytes", sizeof(graft_plugin_descriptor)),
                  std::move(got), "rebuild the plugin with the headers of this graft");
  };
  if (d == nullptr) return wrong_size("none");
  if (d->struct_size < offsetof(graft_plugin_descriptor, name))
    return wrong_size(fmt::format("{} bytes", d->struct_size));
  const char* const tag = d->abi_tag == nullptr ? "" : d->abi_tag;
  if (!passes_gate(d->api_version, {tag, ::strnlen(tag, kMaxText)}, why)) return false;
  if (d->struct_size != sizeof(graft_plugin_descriptor))
    return wrong_size(fmt::format("{} bytes", d->struct_size));
  std::string got = text_fault("name", d->name);
  if (got.empty()) got = text_fault("version", d->version);
  if (got.empty() && d->schema == nullptr) got = "one whose schema function is null";
  if (got.empty() && d->create == nullptr) got = "one whose create function is null";
  if (!got.empty())
    return refuse(why, "a descriptor with name, version, schema and create", got,
                  "declare the plugin with GRAFT_PLUGIN(...)");
  if (file.stem() != d->name)
    return refuse(why, fmt::format("a file named {}.so", d->name), file.filename().string(),
                  "a plugin's file has the plugin's name: rename it");
  return true;
}

/// Opens the library and asks it for its descriptor. Calls `at` with the next step.
template <typename At>
const graft_plugin_descriptor* open_library(const fs::path& file, Refusal& why, At&& at) {
  if (!address_space_suffices(file, why.wanted, why.got, why.cure)) return nullptr;
  const auto threw = [&](const char* what, const std::string& text) {
    refuse(why, "a shared object that loads", fmt::format("an exception from {}: {}", what, text),
           "rebuild the plugin so that this does not throw, or remove it from the plugin folder");
    return nullptr;
  };
  const char* doing = "its static initialisers";
  const ProcessState before;
  /// A library that is refused for something else is not to leave its changes behind, either.
  const struct Restored {
    const ProcessState& before;
    ~Restored() { before.restore(); }
  } restored{before};
  void* handle = nullptr;
  try {
    at(kOpening);
    // The C library declares that dlopen throws nothing, so that a compiler would leave out what catches.
    void* (*volatile open)(const char*, int) = ::dlopen;
    handle = open(fs::absolute(file).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      refuse(why, "a shared object that loads", ::dlerror(),
             is_address_space_limited() ? "raise ulimit -v, install the missing library or rebuild the plugin"
                                        : "install the missing library or rebuild the plugin");
      return nullptr;
    }
    auto* entry = reinterpret_cast<graft_plugin_function*>(::dlsym(handle, "graft_plugin"));
    if (entry == nullptr) {
      refuse(why, "the symbol graft_plugin", "a shared object without it",
             "declare the plugin with GRAFT_PLUGIN(...), or remove the file from the plugin folder");
    } else {
      at(kAsking);
      doing = "graft_plugin()";
      // An accepted library is never closed: items, exceptions and vtables may live until the end of the
      // process.
      const graft_plugin_descriptor* d = entry();
      if (const std::string change = before.restore(); !change.empty())
        refuse(why, "a library that leaves the process as it is", "one that " + change,
               "remove what does that, and build the plugin again");
      else if (is_good(d, file, why))
        return d;
    }
  } catch (const std::exception& e) {
    return threw(doing, e.what());
  } catch (...) {
    return threw(doing, "one that is not a std::exception");
  }
  ::dlclose(handle);
  return nullptr;
}

/// The schema as the plugin gives it. Runs in the child.
std::optional<PluginSchema> ask_for_schema(const graft_plugin_descriptor& d, Refusal& why) {
  std::string text = "one that is not a std::exception";
  try {
    PluginSchema schema = d.schema();
    if (schema.name == d.name && schema.version == d.version) return schema;
    refuse(
        why, fmt::format("the schema of {} {}", d.name, d.version),
        fmt::format("one of '{}' '{}'", schema.name.substr(0, kMaxText), schema.version.substr(0, kMaxText)),
        "declare the plugin with GRAFT_PLUGIN(...)");
    return {};
  } catch (const std::exception& e) {
    text = e.what();
  } catch (...) {
  }
  refuse(why, "a schema", "an exception from the schema's expression: " + text,
         "rebuild the plugin so that its declaration does not throw");
  return {};
}

void write_all_to(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// In the child: its steps, one letter each; a line end; then JSON: a schema file, or a refusal.
void examine_here(const fs::path& file, int to) {
  const auto at = [&](char what) { write_all_to(to, {&what, 1}); };
  Refusal why{file, "", "", ""};
  std::string answer;
  if (const graft_plugin_descriptor* d = open_library(file, why, at)) {
    at(kDescribing);
    if (auto schema = ask_for_schema(*d, why))
      answer = to_json({d->api_version, d->abi_tag, std::move(*schema), ""});
  }
  if (answer.empty()) {
    Value refusal = Value::map();
    refusal["wanted"] = why.wanted;
    refusal["got"] = why.got;
    refusal["cure"] = why.cure;
    answer = refusal.to_json();
  }
  write_all_to(to, "\n" + answer);
}

}  // namespace

std::string Refusal::message() const {
  return fmt::format("plugin file {}: wanted {}, got {}; {}", path.string(), wanted, got, cure);
}

bool passes_gate(std::uint32_t api_version, std::string_view abi_tag, Refusal& why) {
  if (api_version != GRAFT_PLUGIN_API)
    return refuse(why, fmt::format("plugin API {}", GRAFT_PLUGIN_API),
                  fmt::format("plugin API {}", api_version),
                  api_version < GRAFT_PLUGIN_API ? "rebuild the plugin with the headers of this graft"
                                                 : "update graft, or rebuild the plugin with its headers");
  if (abi_tag != GRAFT_ABI_TAG)
    return refuse(why, fmt::format("ABI '{}'", GRAFT_ABI_TAG), fmt::format("ABI '{}'", abi_tag),
                  "rebuild the plugin with the compiler and flags that built graft");
  return true;
}

bool only_owner_may_change(const fs::path& path, Refusal& why) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return true;  // whoever opens it says what is wrong
  const bool all = (info.st_mode & S_IWOTH) != 0;
  if (!all && ((info.st_mode & S_IWGRP) == 0 || is_private_group(info))) return true;
  return refuse(why,
                fmt::format("a {} that only its owner can change (plugins are code)",
                            S_ISDIR(info.st_mode) ? "folder" : "file"),
                fmt::format("mode {:o}", info.st_mode & 07777),
                fmt::format("chmod {} {}", all ? "go-w" : "g-w", path.string()));
}

bool is_shared_object(const fs::path& file, Refusal& why) {
  try {
    const ElfFile elf = read_elf(file, false);
    return elf.fault.empty() ||
           refuse(why, "a shared object that loads", elf.fault, "build or install the plugin again");
  } catch (const Error& e) {
    return refuse(why, "a file that can be read", e.what(),
                  "make it readable, or remove it from the plugin folder");
  }
}

std::optional<std::string> code_of_plugin(const fs::path& file, Refusal& why) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    refuse(why, "a regular file", "none", "remove it from the plugin folder");
    return {};
  }
  if (!only_owner_may_change(file, why)) return {};
  try {
    ElfFile elf = read_elf(file, true);
    if (!elf.fault.empty())
      refuse(why, "a shared object that loads", elf.fault, "build or install the plugin again");
    else if (elf.has_entry == false)
      refuse(why, "the symbol graft_plugin", "a shared object without it",
             "declare the plugin with GRAFT_PLUGIN(...), or remove the file from the plugin folder");
    else
      return std::move(elf.code);
  } catch (const Error& e) {
    refuse(why, "a file that can be read", e.what(), "make it readable, or remove it from the plugin folder");
  }
  return {};
}

std::optional<SchemaFile> read_schema_file(const fs::path& plugin) {
  const fs::path file = schema_path(plugin);
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return {};
  if (const std::uintmax_t size = fs::file_size(file); size > kMaxSchemaBytes)
    throw Error(fmt::format("a file of {} bytes", size));
  return schema_file_from_json(read_file(file));
}

bool schema_file_agrees(const fs::path& file, const SchemaFile& said, const SchemaFile& declared,
                        Refusal& why) {
  const auto difference = first_difference(declared, said);
  if (!difference) return true;
  const std::string name = schema_path(file).filename().string();
  return refuse(why, fmt::format("{}, as {} declares", difference->wanted, file.filename().string()),
                fmt::format("{} in {}", difference->got, name),
                fmt::format("build the plugin again: {} is stale or was changed", name));
}

bool schema_file_agrees(const fs::path& file, const SchemaFile& declared, Refusal& why) {
  try {
    const auto said = read_schema_file(file);
    return !said || schema_file_agrees(file, *said, declared, why);
  } catch (const std::exception& e) {
    return refuse(why, "a schema file",
                  fmt::format("{} in {}", e.what(), schema_path(file).filename().string()),
                  "build the plugin again");
  }
}

bool schema_is_sound(const PluginSchema& schema, const fs::path& file, Refusal& why) {
  if (file.stem() != schema.name)
    return refuse(why, fmt::format("the schema of {}", file.stem().string()),
                  fmt::format("one of '{}'", schema.name.substr(0, kMaxText)),
                  "rebuild the plugin: the schema file beside it belongs to another plugin");
  const std::vector<SchemaMistake> mistakes = schema_mistakes(schema);
  if (mistakes.empty()) return true;
  const std::string more = mistakes.size() == 1 ? "" : fmt::format(" (and {} more)", mistakes.size() - 1);
  return refuse(why, "a schema without errors", mistakes[0].what + more,
                mistakes[0].cure + ", and rebuild the plugin");
}

Examination::Examination(fs::path file) : file_(std::move(file)) {
  Refusal why{file_, "", "", ""};
  if (auto code = code_of_plugin(file_, why)) {
    code_ = std::move(*code);
    child_.emplace([this](int to) { examine_here(file_, to); });
  } else {
    refused_ = std::move(why);
  }
}

std::optional<SchemaFile> Examination::finish(Refusal& why, std::chrono::milliseconds limit) {
  why.path = file_;
  if (refused_) {
    why = *refused_;
    return {};
  }
  const Child::End end = child_->wait(limit);
  const std::size_t line = end.said.find('\n');
  if (line == std::string::npos || !end.how.empty()) {
    const char at = end.said.empty() ? kOpening : end.said[std::min(line, end.said.size()) - 1];
    const char* const where = at == kAsking       ? "in graft_plugin()"
                              : at == kDescribing ? "in its schema"
                                                  : "when it is opened";
    refuse(why, "a shared object that loads",
           fmt::format("{} {}", end.how.empty() ? "an exit without an answer" : end.how, where),
           "rebuild or install the plugin again, or remove it from the plugin folder");
    return {};
  }
  try {
    const std::string_view answer = std::string_view(end.said).substr(line + 1);
    if (const Value v = Value::from_json(answer); v.find("wanted") != nullptr) {
      refuse(why, v.find("wanted")->as_string(), v.find("got")->as_string(), v.find("cure")->as_string());
      return {};
    }
    SchemaFile schema = schema_file_from_json(answer);
    schema.code = code_;
    return schema;
  } catch (const Error& e) {
    refuse(why, "a schema", e.what(), "declare the plugin with GRAFT_PLUGIN(...)");
  }
  return {};
}

const graft_plugin_descriptor* load_plugin(const fs::path& file, Refusal& why,
                                           const std::string& examined_code) {
  why.path = file;
  const auto code = code_of_plugin(file, why);
  if (!code) return nullptr;
  // If memory is limited, a library may crash: that, too, is tried in a child first.
  if (examined_code.empty() || *code != examined_code || is_address_space_limited()) {
    const auto schema = Examination(file).finish(why);
    if (!schema || !schema_is_sound(schema->schema, file, why)) return nullptr;
  }
  return open_library(file, why, [](char) {});
}

}  // namespace graft
