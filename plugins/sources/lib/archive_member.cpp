#include <source/archive_member.h>

#include <string_view>

#include <graft/error.h>
#include <graft/file_names.h>

namespace graft::source {
namespace {

/// Calls `see` with every part of a path.
template <typename See>
bool any_part(std::string_view path, See see) {
  for (;;) {
    const std::size_t slash = path.find('/');
    if (see(path.substr(0, slash))) return true;
    if (slash == std::string_view::npos) return false;
    path.remove_prefix(slash + 1);
  }
}

bool is_unsafe(const std::string& name) {
  return name.empty() || name[0] == '/' || any_part(name, [](std::string_view part) { return part == ".."; });
}

bool is_hidden(const std::string& name) {
  return any_part(name, [](std::string_view part) { return part.starts_with('.'); });
}

}  // namespace

std::string cleaned(std::string name) {
  while (name.starts_with("./")) name.erase(0, name.find_first_not_of('/', 1));
  return name;
}

std::optional<ArchiveMember> archive_member(const ArchiveReader& reader, const OnSkip& skip) {
  using Kind = ArchiveReader::Kind;
  if (reader.kind() == Kind::Folder) return {};
  ArchiveMember member{cleaned(reader.name())};
  if (is_unsafe(member.name)) {
    member.fault = ArchiveMember::Fault::UnsafePath;
  } else if (is_hidden(member.name)) {
    const std::string base = member.name.substr(member.name.rfind('/') + 1);
    if (is_image_extension(file_extension(base)) && !base.starts_with("._"))
      skip("hidden image", reader.path() + "/" + member.name,
           "its name, or that of its folder, begins with a dot; rename it to use it");
    return {};
  } else if (reader.kind() != Kind::File) {
    member.fault = ArchiveMember::Fault::NoFile;
  }
  // Every image must end as a line of the results, also one that is refused; the rest is only counted.
  if (member.fault != ArchiveMember::Fault::None && !is_image_extension(file_extension(member.name))) {
    skip("odd member", reader.path() + "/" + member.name,
         "a link, a device, or a path that is absolute or has '..' in it");
    return {};
  }
  return member;
}

void require_usable(ArchiveMember::Fault fault) {
  if (fault == ArchiveMember::Fault::UnsafePath)
    throw Reject("unsafe-member",
                 "the member's path is absolute or has '..' in it; pack it with a path without");
  if (fault == ArchiveMember::Fault::NoFile)
    throw Reject("unsafe-member",
                 "the member is a link or a device, which is not followed; pack the file itself");
}

}  // namespace graft::source
