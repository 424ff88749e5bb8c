#include "run/noted_uses.h"

#include <ctime>
#include <system_error>

#include <fmt/format.h>

#include <graft/error.h>

#include "base/assert.h"
#include "plugin/plugin_call.h"
#include "store/input_list.h"
#include "store/manifest.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kInputsPerPause = 65536;

/// Writes the list of inputs. Throws Error.
TableUse use_of(const Plan& plan, const RunTable& table, const Listing& listing, const fs::path& place) {
  TableUse use;
  use.run = plan.name;
  use.stage = plan.stages[table.stage].id;
  use.folder = fs::absolute(place).lexically_normal();
  use.time = std::time(nullptr);
  InputListWriter::Counts counts;
  std::vector<InputList::Outcome> rejects;
  PagedVector<std::uint32_t> position;  // by input: its place among those of this table
  auto row = table.rows.begin();
  for (const ListedInput& input : listing.inputs) {
    const auto i = static_cast<std::uint32_t>(position.size());
    position.push_back(static_cast<std::uint32_t>(counts.inputs));
    const std::uint32_t views = table.views_of(input);
    if (views == 0) continue;
    ++counts.inputs;
    const auto first = row;
    const std::size_t rejects_before = rejects.size();
    for (std::uint32_t view = 0; view < views; ++view) {
      if (row != table.rows.end() && row->input == i && row->view == view) {
        ++row;
        continue;
      }
      if (!input.content) continue;
      const Digest id = table.id(input, view);
      if (table.store->find_reject(id) != nullptr) rejects.push_back({id, position[i], view});
    }
    ++(row != first ? use.ok : use.rejected);
    if (row == first && rejects.size() == rejects_before) ++counts.refused;
  }
  GRAFT_ASSERT(row == table.rows.end());  // they are in the order of the list
  use.inputs = counts.inputs;
  counts.rows = table.rows.size();
  counts.rejects = rejects.size();
  use.list =
      write_input_list(table.store->folder() / "inputs", listing.classes, counts, [&](InputListWriter& out) {
        std::size_t n = 0;
        for (const ListedInput& input : listing.inputs) {
          if (table.views_of(input) > 0) out.input(input.key, input.split, input.labels, input.negative);
          if (++n % kInputsPerPause != 0) continue;
          listing.release_keys();
          note_progress();
        }
        for (const TableRow& r : table.rows) {
          out.outcome(table.id(listing.inputs[r.input], r.view), position[r.input], r.view);
          listing.inputs.release_behind(r.input);
          position.release_behind(r.input);
        }
        for (const InputList::Outcome& reject : rejects) out.outcome(reject.id, reject.input, reject.view);
      });
  return use;
}

}  // namespace

NotedUses::~NotedUses() {
  std::error_code ignored;
  for (const Noted& noted : noted_) fs::remove(noted.file, ignored);
}

void NotedUses::warn_of(const std::exception& e) const {
  warn_(
      fmt::format("graft store gc may remove a table of this run, whose use cannot be noted: {}", e.what()));
}

void NotedUses::note(const Plan& plan, const StreamRun& stream, const fs::path& place,
                     const std::string& attempt) {
  for (const RunTable& table : stream.tables()) try {
      const fs::path& folder = table.store->folder();
      TableUse use = use_of(plan, table, stream.listing(), place);
      fs::path file = write_use(folder, use, attempt);
      noted_.push_back({folder, std::move(file), std::move(use)});
    } catch (const Error& e) {
      if (table.store->can_write()) warn_of(e);  // else nothing can be removed from it either
    }
}

void NotedUses::confirm() {
  for (const Noted& noted : std::exchange(noted_, {})) try {
      const std::string file = noted.file.filename().string(), name = file.substr(0, file.find('.'));
      const fs::path kept = noted.file.parent_path() / (name + ".json");
      std::error_code error;
      fs::rename(noted.file, kept, error);
      if (error) write_use(noted.table, noted.use);  // another run of the place has removed it, as follows
      // Runs of the place that were killed before they were complete have left theirs.
      for (const fs::path& other : files_in(kept.parent_path(), ".json"))
        if (other != kept && other.filename().string().starts_with(name + ".")) fs::remove(other, error);
    } catch (const Error& e) {
      warn_of(e);
    }
}

}  // namespace graft
