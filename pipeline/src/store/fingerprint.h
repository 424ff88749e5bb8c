#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <graft/hash.h>

#include "config/plan.h"
#include "store/digest_memo.h"

namespace graft {

/// What a table's rows depend on besides the inputs' content.
struct Fingerprint {
  Digest digest;
  Value description;  ///< The stages and parameters that were hashed, for people and `graft store ls`.
  std::vector<std::string>
      stage_ids;                ///< Names in the config of the stages in the description: for messages.
  bool depends_on_key = false;  ///< Rows are named by content, view and key, not by content and view alone.
  bool depends_on_split =
      false;  ///< Some stage handles only some splits: the split enters the row's name, too.
  std::string hex() const { return digest.hex(); }
};

/// Fingerprint of the table that `collector` makes: plugin names, versions and libraries, every
/// output-changing parameter, the digests of files named by parameters, the seed where it matters, of the
/// collector and all stages upstream of it. The source counts only when it makes the content itself (draws or
/// computes it); where it gives tensors, so do the files that it takes them from: they decide the shape of a
/// row.
GRAFT_API Fingerprint fingerprint(const Plan& plan, std::size_t collector, DigestMemo& memo);

/// What the path of a parameter holds: of a file, its digest as text; of a folder, a map of the digests of
/// those of its files that count (or_folder), by their names. Throws Error for what cannot be read.
GRAFT_API Value content_of(const ParamSpec& spec, const std::filesystem::path& path, DigestMemo& memo);

/// Parameters of a stage that change its output, with the digests of files in the place of their paths.
GRAFT_API Value parameters_by_content(const StagePlan& stage, DigestMemo& memo);

}  // namespace graft
