#include "run/run_table.h"

#include "plugin/plugin_call.h"

namespace graft {
namespace {

constexpr std::size_t kInputsPerPause = 65536;

/// For loops over millions of inputs: gives back the pages of their keys, and says that it is not stuck.
void give_back_keys(const Listing& listing) {
  listing.release_keys();
  note_progress();
}

}  // namespace

std::string RunTable::qualifier(const ListedInput& input) const {
  const Fingerprint& f = store->fingerprint();
  std::string out;
  if (f.depends_on_split) out += std::string(to_string(input.split)) + "/";
  if (f.depends_on_key) out += input.key;
  return out;
}

Unaccounted settle(const Plan& plan, std::vector<RunTable>& tables,
                   const std::unordered_set<Digest>& replaced, Listing& listing) {
  const StoredReject other_file{plan.stages[listing.source].id, "replaced",
                                "another file of the same content, which was to be computed for both, was "
                                "replaced meanwhile; run again"};
  Unaccounted unaccounted;
  // What is known of inputs whose content is known is in the tables.
  for (ListedInput& input : listing.inputs)
    if (input.content) input.reject = nullptr;
  for (RunTable& table : tables) {
    std::uint32_t next = 0;
    for (ListedInput& input : listing.inputs) {
      const std::uint32_t i = next++;
      if (i % kInputsPerPause == 0) give_back_keys(listing);
      const std::uint32_t views = table.views_of(input);
      if (views == 0) continue;
      const auto lost_to = [&](const Digest& id) -> const StoredReject* {
        if (const StoredReject* reject = table.store->find_reject(id)) return reject;
        if (const auto it = table.momentary.find(id); it != table.momentary.end()) return &it->second;
        return replaced.contains(*input.content) ? &other_file : nullptr;
      };
      const std::optional<RowIds> ids = input.content ? std::optional(table.ids(input)) : std::nullopt;
      std::uint32_t rows = 0;
      bool known = input.content || input.reject;
      const StoredReject* reject = nullptr;
      for (std::uint32_t view = 0; ids && view < views; ++view) {
        const Digest id = ids->of(view);
        if (const auto place = table.store->find_row(id)) {
          table.rows.push_back({i, view, *place});
          ++(table.store->sealed_here(*place) ? table.computed : table.reused);
          ++rows;
        } else if (const StoredReject* lost = lost_to(id)) {
          if (reject == nullptr) reject = lost;
        } else {
          known = false;
        }
      }
      input.rows += rows;
      if (reject != nullptr) {
        // An input is rejected when it has no row; with fewer rows than views it is well, and says why.
        const StoredReject*& reason = rows == 0 ? input.reject : input.fewer_views;
        if (reason == nullptr) reason = listing.keep(*reject);
      }
      if (known) continue;
      if (++unaccounted.inputs == 1) unaccounted.example = input.key;
    }
  }
  return unaccounted;
}

}  // namespace graft
