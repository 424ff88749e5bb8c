#include "archive_list.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/text.h>
#include <remote/remote_archive.h>
#include <remote/s3.h>
#include <remote/transfer_settings.h>
#include <remote/url_pattern.h>
#include <source/glob.h>

using graft::Error;
using graft::FileRef;
using graft::remote::FileVersion;
using graft::remote::RemoteArchive;

namespace {

std::string fault_of_archive_url(const std::string& pattern) {
  std::string fault = graft::remote::fault_of_url_pattern(pattern);
  if (fault.empty() && !graft::remote::is_s3(pattern) && pattern.find('#') != std::string::npos)
    fault = "expected a URL without a fragment (#)";
  return fault.empty() ? "" : fault + ", in '" + graft::shortened(pattern) + "'";
}

/// Of what a server calls a version: where it is kept, too, for the tags of two servers may be alike.
std::int64_t stamp_of(const std::string& url, const FileVersion& version) {
  const std::string place = graft::remote::is_s3(url) ? graft::remote::s3_request(url).url : "";
  return static_cast<std::int64_t>(graft::digest(place + "\n" + version.tag).low >> 1U | 1U);
}

}  // namespace

graft::Inspection ArchiveList::inspect(const graft::StageContext& context) {
  graft::Inspection out;
  if (!context.params.has("urls")) {
    if (!context.params.has("root"))
      out.faults.push_back(
          {"", "expected root, a folder with archives, or urls, a list of them; got neither"});
    return out;
  }
  if (context.params.has("root"))
    out.faults.push_back({"urls", "expected root or urls, got both; use two stages for two places"});
  for (const std::string& pattern : context.params.get<std::vector<std::string>>("urls"))
    if (std::string fault = fault_of_archive_url(pattern); !fault.empty())
      out.faults.push_back({"urls", std::move(fault)});
  return out;
}

ArchiveList::ArchiveList(const graft::StageContext& context, const graft::source::OnSkip& skip) {
  if (const auto faults = inspect(context).faults; !faults.empty())
    throw Error((faults[0].param.empty() ? "" : faults[0].param + ": ") + faults[0].text);
  if (!context.params.has("urls")) {
    find_files(context.params, skip);
    return;
  }
  limits_ = graft::remote::transfer_limits(context.params, context.keep_waiting);
  cache_ = graft::remote::fetch_cache(context.params);
  find_urls(context.params);
}

void ArchiveList::find_files(const graft::Params& params, const graft::source::OnSkip& skip) {
  place_ = graft::source::without_slash(params.get<std::string>("root"));
  graft::source::PathFilter filter(params, "files");
  for (auto& file : graft::source::list_files(place_, params.get<bool>("follow_symlinks"), skip)) {
    if (!filter.takes(file.path, place_, skip)) continue;
    Found found;
    found.file = FileRef{place_ + "/" + file.path, file.size, file.mtime_ns, {}, file.ctime_ns};
    found.name = std::move(file.path);
    archives_.push_back(std::move(found));
  }
  if (filter.left_out() > 0) left_out_ = "files leaves out " + graft::plural(filter.left_out(), "file");
}

void ArchiveList::find_urls(const graft::Params& params) {
  place_ = "urls";
  std::unordered_set<std::string> names;
  bool any_s3 = false;
  for (const std::string& pattern : params.get<std::vector<std::string>>("urls"))
    for (std::string& url : graft::remote::urls_of(pattern)) {
      Found found;
      found.name = graft::remote::name_of_url(url);
      if (!names.insert(found.name).second)
        throw Error("urls: " + found.name +
                    " is named twice; keys begin with the URL without its query, so name each archive once");
      if (graft::remote::is_s3(url) && !std::exchange(any_s3, true))
        graft::remote::s3_request(url);  // what is wrong with the environment
      found.file.path = found.name;
      found.url = std::move(url);
      archives_.push_back(std::move(found));
    }
}

std::unique_ptr<graft::source::ArchiveReader> ArchiveList::open(std::size_t archive) {
  using graft::source::ArchiveReader;
  Found& found = archives_[archive];
  if (found.url.empty()) return std::make_unique<ArchiveReader>(graft::source::archive_file(found.file.path));
  auto remote = std::make_shared<RemoteArchive>(found.url, found.name, limits_, cache_.get(), found.version);
  if (!found.version) {
    found.version = remote->version();
    if (!found.version->tag.empty()) {
      found.file.size = found.version->size;
      found.file.ctime_ns = stamp_of(found.url, *found.version);
    }
  }
  return std::make_unique<ArchiveReader>(std::move(remote));
}

FileRef ArchiveList::file(std::size_t archive) const {
  return archives_[archive].file;
}
