#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <graft/payload.h>
#include <graft/stage.h>

#include <remote/fetch_cache.h>
#include <remote/transfer.h>
#include <source/archive_reader.h>
#include <source/walk.h>

/// The archives that `root` and `files`, or `urls`, name. Used by one thread.
class ArchiveList {
 public:
  /// Throws graft::Error where neither or both are given, for an archive that is named twice, and for faults
  /// of `root` and `urls`.
  ArchiveList(const graft::StageContext& context, const graft::source::OnSkip& skip);

  /// What is wrong with `urls` by its text; nothing is fetched.
  static graft::Inspection inspect(const graft::StageContext& context);

  std::size_t size() const { return archives_.size(); }
  /// What they are below, for messages: the root, or "urls".
  const std::string& place() const { return place_; }
  /// Why there are none, for messages; may be empty.
  const std::string& left_out() const { return left_out_; }
  /// Relative to the root, or the URL without a query.
  const std::string& name(std::size_t archive) const { return archives_[archive].name; }
  /// Opens the archive at its beginning. What is remote must be what it was when it was opened first. Throws
  /// what ArchiveReader and RemoteArchive do.
  std::unique_ptr<graft::source::ArchiveReader> open(std::size_t archive);
  /// Names the archive and the version of it that is read; of a remote one, once it has been opened. The
  /// runtime remembers nothing of one whose server gives no strong ETag.
  graft::FileRef file(std::size_t archive) const;

 private:
  struct Found {
    std::string name, url;  ///< No URL: a file.
    graft::FileRef file;
    std::optional<graft::remote::FileVersion> version;
  };
  void find_files(const graft::Params& params, const graft::source::OnSkip& skip);
  void find_urls(const graft::Params& params);

  std::string place_, left_out_;
  graft::remote::TransferLimits limits_;
  std::unique_ptr<graft::remote::FetchCache> cache_;
  std::vector<Found> archives_;
};
