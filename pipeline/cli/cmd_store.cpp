#include <algorithm>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <graft/text.h>

#include <graft/error.h>
#include <graft/params.h>
#include <graft/value.h>

#include "base/attempt.h"
#include "base/files.h"
#include "commands.h"
#include "config/quantity.h"
#include "output.h"
#include "plugin/known_faults.h"
#include "store/compact.h"
#include "store/export.h"
#include "store/folder_lock.h"
#include "store/store_gc.h"
#include "store/table_check.h"

namespace graft::cli {
namespace fs = std::filesystem;
namespace {

/// A joined shard is in memory while it is written.
constexpr std::uint64_t kLeastShard = std::uint64_t{64} << 10, kMostShard = std::uint64_t{4} << 30;
constexpr std::size_t kShortName = 12;  // digits of a fingerprint that people see

std::string short_name(const std::string& fingerprint) {
  return fingerprint.substr(0, kShortName);
}

std::string names_of(const TableSummary& table) {
  std::vector<std::string> names;
  for (const TableUse& use : table.uses) {
    const std::string name = use.run + "/" + use.stage;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", "));
}

std::string format_of(const TableSummary& table) {
  if (table.formats.empty()) return "-";
  std::vector<std::string> formats;
  for (const RowFormat& format : table.formats) formats.push_back(to_string(format));
  return fmt::format("{}", fmt::join(formats, ", "));
}

bool is_named(const TableUse& use, const std::string& word) {
  return word == use.stage || word == use.run + "/" + use.stage;
}

/// The folders of tables that the words name: by the first digits of a fingerprint (4 at least), or as
/// `graft store ls` names them, RUN/STAGE or STAGE.
std::vector<fs::path> find_tables(const fs::path& store, const std::string& word) {
  std::vector<fs::path> found;
  for (const fs::path& folder : tables_in(store)) {
    if (word.size() >= 4 && folder.filename().string().starts_with(word)) {
      found.push_back(folder);
      continue;
    }
    const std::vector<TableUse> uses = read_uses(folder);
    if (std::any_of(uses.begin(), uses.end(), [&](const TableUse& use) { return is_named(use, word); }))
      found.push_back(folder);
  }
  if (found.empty())
    throw UsageError{fmt::format("no table '{}' in {}; graft store ls lists them", word, store.string())};
  return found;
}

/// Why the table may be wrong; none where what it was made by cannot be read.
std::vector<std::string> faults_of(const fs::path& table, const Registry& registry) {
  try {
    return known_faults(read_description(table), registry);
  } catch (const Error&) {
    return {};
  }
}

Value to_value(const TableCheck& check) {
  const TableSummary& t = check.summary;
  Value out = Value::map();
  out["fingerprint"] = t.fingerprint;
  out["used_by"] = names_of(t);
  out["rows"] = Value(t.rows);
  out["rejects"] = Value(t.rejects);
  out["shards"] = Value(t.shards);
  out["logs"] = Value(t.logs);
  out["inputs"] = Value(check.inputs);
  out["ok"] = Value(check.ok);
  out["rejected"] = Value(check.rejected);
  out["faults"] = Value::list();
  for (const TableFault& fault : check.faults) {
    Value f = Value::map();
    f["path"] = fault.path.string();
    f["why"] = fault.why;
    out["faults"].push(std::move(f));
  }
  out["leftovers"] = Value::list();
  for (const fs::path& file : check.leftovers) out["leftovers"].push(file.string());
  out["repairs"] = Value::list();
  out["left"] = Value::list();
  return out;
}

void print_check(const TableCheck& check) {
  const TableSummary& t = check.summary;
  say("{} {}: {}, {} in {} and {}{}: {}\n", short_name(t.fingerprint), names_of(t), plural(t.rows, "row"),
      plural(t.rejects, "reject"), plural(t.shards, "shard"), plural(t.logs, "log"),
      t.uses.empty()
          ? ""
          : fmt::format(
                "; {} ok{} + {} rejected of {}", check.ok,
                check.fewer_views == 0 ? "" : fmt::format(" ({} with fewer views)", check.fewer_views),
                check.rejected, plural(check.inputs, "input")),
      check.faults.empty() ? "sound" : plural(check.faults.size(), "fault"));
  for (const TableFault& fault : check.faults) {
    // Why it could not be read names it.
    const bool named = fault.kind == TableFault::Kind::Unreadable;
    say("  {}{}\n", named ? "" : printable(fault.path.string()) + ": ", printable_lines(fault.why, "    "));
  }
  if (!check.leftovers.empty())
    say("  {} of ended processes: the next run removes them\n", plural(check.leftovers.size(), "file"));
}

/// What an option says, read by `parse`.
template <typename T>
T option(const char* name, const std::string& text, T (*parse)(std::string_view)) {
  try {
    return parse(text);
  } catch (const Error& e) {
    throw UsageError{fmt::format("--{}: {}", name, e.what())};
  }
}

}  // namespace

int store_ls(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const Registry registry(Registry::search_path(global.plugin_dirs));
  std::vector<TableSummary> tables;
  for (const fs::path& folder : tables_in(global.store)) tables.push_back(summarise_table(folder));
  std::sort(tables.begin(), tables.end(),
            [](const auto& a, const auto& b) { return a.last_used > b.last_used; });
  if (global.json) {
    Value out = Value::list();
    for (const TableSummary& t : tables) {
      Value v = Value::map();
      v["fingerprint"] = t.fingerprint;
      v["made_by"] = t.words;
      v["row"] = format_of(t);
      v["rows"] = Value(t.rows);
      v["rejects"] = Value(t.rejects);
      v["shards"] = Value(t.shards);
      v["logs"] = Value(t.logs);
      v["bytes"] = Value(t.bytes);
      v["last_used"] = Value(t.last_used);
      v["in_use"] = t.in_use;
      if (!t.unreadable.empty()) v["unreadable"] = t.unreadable;
      v["uses"] = Value::list();
      for (const TableUse& use : t.uses) v["uses"].push(to_value(use));
      v["may_be_wrong"] = Value::list();
      for (const std::string& fault : faults_of(t.folder, registry)) v["may_be_wrong"].push(fault);
      out.push(std::move(v));
    }
    print_document(out);
    return kOk;
  }
  if (tables.empty()) {
    say("{} has no table yet\n", printable(global.store.string()));
    return kOk;
  }
  std::vector<std::vector<std::string>> rows{
      {"table", "used by", "rows", "rejects", "row", "shards", "logs", "size", "last used"}};
  std::uint64_t bytes = 0;
  for (const TableSummary& t : tables) {
    bytes += t.bytes;
    rows.push_back({short_name(t.fingerprint), names_of(t), std::to_string(t.rows), std::to_string(t.rejects),
                    format_of(t), std::to_string(t.shards), std::to_string(t.logs), human_bytes(t.bytes),
                    t.in_use ? "now" : fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(t.last_used))});
  }
  say("{}", text_table(rows, Align::Left, 2));
  for (const TableSummary& t : tables) {
    say("\n{}: {}\n", short_name(t.fingerprint), printable(t.words));
    if (!t.unreadable.empty()) say("  {}\n", printable_lines(t.unreadable, "  "));
    for (const std::string& fault : faults_of(t.folder, registry))
      say("  may be wrong ({}); not used; once its runs have been repeated, graft store gc --unreferenced "
          "removes it\n",
          fault);
  }
  say("\n{}, {} in {}\n", plural(tables.size(), "table"), human_bytes(bytes),
      printable(global.store.string()));
  return kOk;
}

int store_verify(const Global& global, const std::vector<std::string>& words) {
  std::vector<fs::path> folders;
  if (words.empty()) folders = tables_in(global.store);
  for (const std::string& word : words)
    for (fs::path& folder : find_tables(global.store, word)) folders.push_back(std::move(folder));
  std::size_t faults = 0, left = 0;
  Value document = Value::map();
  document["tables"] = Value::list();
  // With --json the texts go to stderr, where somebody may look for how far it is.
  for (const fs::path& folder : folders) {
    const TableCheck check = check_table(folder);
    print_check(check);
    Value table = to_value(check);
    faults += check.faults.size();
    if (global.store_options.repair) {
      const TableRepair repair = repair_table(check);
      for (const std::string& line : repair.done) {
        say("  {}\n", printable(line));
        table["repairs"].push(line);
      }
      for (const std::string& line : repair.left) {
        say("  {}\n", printable(line));
        table["left"].push(line);
      }
      left += repair.left.size();
    }
    document["tables"].push(std::move(table));
  }
  document["faults"] = Value(static_cast<std::uint64_t>(faults));
  document["repaired"] = global.store_options.repair && faults > 0 && left == 0;
  print_document(document);
  if (folders.empty()) say("{} has no table yet\n", printable(global.store.string()));
  if (faults == 0) return kOk;
  if (left > 0) {
    say("not all was repaired: see above\n");
    return kFailed;
  }
  if (global.store_options.repair) {
    say("repaired; what was dropped is computed again by the next run\n");
    return kOk;
  }
  say("{}; to drop exactly what is damaged: graft store verify --repair --store {}\n",
      plural(faults, "fault"), printable(global.store.string()));
  return kFailed;
}

int store_gc(const Global& global, const std::vector<std::string>& arguments) {
  no_arguments(arguments);
  const Global::Store& given = global.store_options;
  GcOptions options;
  options.unreferenced = given.unreferenced;
  options.dry_run = global.dry_run;
  if (!given.older_than.empty()) options.older_than = option("older-than", given.older_than, parse_seconds);
  if (!given.max_size.empty()) options.max_bytes = option("max-size", given.max_size, parse_bytes);
  std::uint64_t bytes = 0;
  Value document = Value::map();
  document["removed"] = Value::list();
  const GcResult result = collect_garbage(global.store, options);
  for (const GcRemoval& r : result.removed) {
    say("{} {} ({}): {}\n", options.dry_run ? "would remove" : "removed", printable(r.path.string()),
        human_bytes(r.bytes), r.why);
    bytes += r.bytes;
    Value removal = Value::map();
    removal["path"] = r.path.string();
    removal["bytes"] = Value(r.bytes);
    removal["why"] = r.why;
    document["removed"].push(std::move(removal));
  }
  document["in_use"] = Value::list();
  for (const fs::path& table : result.in_use) {
    say("left {}: it is in use\n", printable(table.string()));
    document["in_use"].push(table.string());
  }
  document["kept"] = Value::list();
  for (const GcKept& kept : result.kept) {
    say("left {}: {}\n", printable(kept.path.string()), printable_lines(kept.why, "  "));
    document["kept"].push(Value::Map{{"path", kept.path.string()}, {"why", kept.why}});
  }
  document["bytes"] = Value(bytes);
  document["dry_run"] = options.dry_run;
  print_document(document);
  say("{} {}{}\n", human_bytes(bytes), options.dry_run ? "would be freed" : "freed",
      result.removed.empty() && !options.older_than && !options.max_bytes && !options.unreferenced
          ? "; tables go by --older-than, --max-size or --unreferenced"
          : "");
  return kOk;
}

int store_compact(const Global& global, const std::vector<std::string>& words) {
  const Global::Store& given = global.store_options;
  const std::uint64_t bytes = option("shard-size", given.shard_size, parse_bytes);
  if (bytes < kLeastShard || bytes > kMostShard)
    throw UsageError{fmt::format("--shard-size: expected {} to {}, got {}", human_bytes(kLeastShard),
                                 human_bytes(kMostShard), given.shard_size)};
  std::vector<fs::path> folders;
  if (words.empty()) folders = tables_in(global.store);
  for (const std::string& word : words)
    for (fs::path& folder : find_tables(global.store, word)) folders.push_back(std::move(folder));
  Value document = Value::list();
  bool in_use = false;
  for (const fs::path& folder : folders) {
    const std::string name = short_name(folder.filename().string());
    const auto done = compact_table(folder, bytes);
    Value table = Value::map();
    table["fingerprint"] = folder.filename().string();
    table["in_use"] = !done.has_value();
    if (done) {
      table["shards_before"] = Value(done->shards_before);
      table["shards_after"] = Value(done->shards_after);
      table["rows"] = Value(done->rows);
      table["rejects"] = Value(done->rejects);
    }
    document.push(std::move(table));
    in_use = in_use || !done;
    if (!done)
      say("left {}: it is in use, or this user may not open its lock\n", name);
    else if (done->rows + done->rejects == 0)
      say("{}: {}, nothing to join\n", name, plural(done->shards_before, "shard"));
    else
      say("{}: {} became {} ({}, {})\n", name, plural(done->shards_before, "shard"), done->shards_after,
          plural(done->rows, "row"), plural(done->rejects, "reject"));
  }
  print_document(document);
  if (folders.empty()) say("{} has no table yet\n", printable(global.store.string()));
  return in_use ? kFailed : kOk;
}

int store_export(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() != 2)
    throw UsageError{fmt::format("export takes TABLE and FILE.h5, FILE.npy or FILE.csv, got {}",
                                 plural(arguments.size(), "argument"))};
  const std::vector<fs::path> folders = find_tables(global.store, arguments[0]);
  if (folders.size() > 1) {
    std::string names;
    for (const fs::path& f : folders)
      names += fmt::format("\n  {} {}", short_name(f.filename().string()), names_of(summarise_table(f)));
    throw UsageError{fmt::format("'{}' names {} tables:{}", arguments[0], folders.size(), names)};
  }
  // From here on no gc takes it, nor a list that the use names.
  const FolderLock held = FolderLock::share(folders[0], new_attempt());
  const std::vector<TableUse> uses = read_uses(folders[0]);
  const std::string& run = global.store_options.run;
  // A table may serve many runs: where it was named by one of them, that one's list counts.
  const auto best = [&](bool by_name) {
    return std::find_if(uses.begin(), uses.end(), [&](const TableUse& u) {
      return (run.empty() || u.run == run) && (!by_name || is_named(u, arguments[0]));
    });
  };
  auto use = best(true);
  if (use == uses.end()) use = best(false);
  if (use == uses.end())
    throw UsageError{fmt::format(
        "no complete run{} has used this table: its keys and labels are not known; run the config first",
        run.empty() ? "" : " '" + run + "'")};
  const Registry registry(Registry::search_path(global.plugin_dirs));
  for (const std::string& fault : faults_of(folders[0], registry))
    print_error("warning: {} may be wrong ({}); run the config again\n",
                short_name(folders[0].filename().string()), fault);
  const std::uint64_t rows = export_table(folders[0], *use, arguments[1]).rows;
  Value document = Value::map();
  document["file"] = arguments[1];
  document["rows"] = Value(rows);
  document["run"] = use->run;
  document["stage"] = use->stage;
  print_document(document);
  say("{}: {} rows of {}/{}\n", printable(arguments[1]), rows, use->run, use->stage);
  return kOk;
}

}  // namespace graft::cli
