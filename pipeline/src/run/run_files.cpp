#include "run/run_files.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <ctime>
#include <iterator>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <graft/cpu_isa.h>
#include <graft/csv.h>
#include <graft/version.h>

#include "base/files.h"
#include "graph/views.h"
#include "plugin/plugin_call.h"

namespace graft {
namespace {

/// Rows that an input should have, in all tables together.
ViewCounts views_of_all(const std::vector<RunTable>& tables) {
  ViewCounts sum{};
  for (const RunTable& table : tables)
    for (std::size_t split = 0; split < sum.size(); ++split) sum[split] += table.views[split];
  return sum;
}

}  // namespace

void write_inputs_csv(const std::filesystem::path& path, const Plan& plan,
                      const std::vector<std::unique_ptr<StreamRun>>& streams) {
  constexpr std::size_t kBlockBytes = std::size_t{1} << 20;
  write_file_atomically(path, [&](int fd) {
    std::string out = "source,key,split,label,status,stage,code,reason,duplicate_of,views,labelled\n";
    const auto write_out = [&] {
      write_all(fd, {reinterpret_cast<const std::uint8_t*>(out.data()), out.size()}, path);
      out.clear();
    };
    for (const auto& stream : streams) {
      const Listing* listing = &stream->listing();
      const PagedVector<std::uint32_t> first = first_of_content(*listing);
      const std::string& source = plan.stages[listing->source].id;
      const ViewCounts views = views_of_all(stream->tables());
      std::uint32_t i = 0;
      auto first_of = first.begin();
      for (const ListedInput& input : listing->inputs) {
        const std::uint32_t twin = *first_of++;
        std::string labels;
        for (const std::int32_t label : input.labels)
          labels += (labels.empty() ? "" : ";") + listing->classes.at(static_cast<std::size_t>(label));
        out += source;
        for (const std::string_view text : {input.key, std::string_view(to_string(input.split)), {labels}})
          (out += ',') += csv_field(text);
        out += input.reject ? ",rejected" : stream->reached(input) ? ",ok" : ",not reached";
        if (const StoredReject* why = input.reject ? input.reject : input.fewer_views)
          fmt::format_to(std::back_inserter(out), ",{},{},{},", why->stage, why->code, csv_field(why->text));
        else
          out += ",,,,";
        if (twin != i++) out += csv_field(listing->inputs[twin].key);
        fmt::format_to(std::back_inserter(out), ",{} of {},{}\n", input.rows,
                       views[static_cast<std::size_t>(input.split)], input.labelled() ? "yes" : "no");
        if (out.size() < kBlockBytes) continue;
        write_out();
        listing->release_keys();
        note_progress();
      }
    }
    write_out();
  });
}

Value make_results(const Plan& plan, const std::vector<std::unique_ptr<StreamRun>>& streams) {
  std::size_t total = 0, rejected = 0, fewer_views = 0;
  Value results = Value::map(), tables = Value::map();
  for (const auto& stream : streams) {
    for (const ListedInput& input : stream->listing().inputs) {
      ++total;
      rejected += input.reject ? 1 : 0;
      fewer_views += !input.reject && input.fewer_views ? 1 : 0;
    }
    for (const RunTable& table : stream->tables()) {
      Value& t = tables[plan.stages[table.stage].id];
      t["rows"] = Value(std::uint64_t{table.rows.size()});
      t["computed"] = Value(table.computed);
      t["reused"] = Value(table.reused);
    }
  }
  results["name"] = plan.name;
  results["seed"] = Value(plan.seed);
  results["inputs"]["total"] = Value(std::uint64_t{total});
  results["inputs"]["ok"] = Value(std::uint64_t{total - rejected});
  results["inputs"]["rejected"] = Value(std::uint64_t{rejected});
  results["inputs_with_fewer_views"] = Value(std::uint64_t{fewer_views});
  results["tables"] = std::move(tables);
  results["learners"] = Value::map();
  return results;
}

Value make_manifest(const Plan& plan, const Registry& registry, const std::string& command,
                    const StageFactory& factory, const std::vector<std::unique_ptr<StreamRun>>& streams,
                    const Value& timings, const std::vector<std::string>& warnings) {
  Value m = Value::map();
  m["graft"] = GRAFT_VERSION;
  m["command"] = command;
  m["name"] = plan.name;
  m["seed"] = Value(plan.seed);
  const std::time_t now = std::time(nullptr);
  m["finished"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
  utsname host{};
  ::uname(&host);
  m["host"]["name"] = host.nodename;
  m["host"]["system"] = fmt::format("{} {} {}", host.sysname, host.release, host.machine);
  m["host"]["cores"] = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  m["host"]["cpu_isa"] = to_string(cpu_isa());
  m["budget"]["threads"] = plan.run.threads;
  m["budget"]["memory_bytes"] = Value(plan.run.memory);
  m["plugins"] = Value::map();
  const auto describe = [&](const std::string& name, const std::string& version,
                            const std::string& libraries) {
    Value& p = m["plugins"][name];
    p["version"] = version;
    if (!libraries.empty()) p["libraries"] = libraries;
    if (const Registry::Plugin* found = registry.find(name)) {
      p["file"] = found->path.string();
      p["loaded"] = found->descriptor != nullptr;
    }
  };
  for (const StagePlan& s : plan.stages) {
    describe(s.schema.name, s.schema.version, s.schema.libraries);
    for (const StagePlan::Service& service : s.services)
      describe(service.plugin, service.version, service.libraries);
  }
  m["stages"] = Value::map();
  for (std::size_t i = 0; i < plan.stages.size(); ++i)
    if (const Stage* stage = factory.made(i))
      if (Value facts = call_plugin_alone(factory.label(i), "facts", [&] { return stage->facts(); });
          !facts.is_null())
        m["stages"][plan.stages[i].id] = std::move(facts);
  m["tables"] = Value::map();
  m["streams"] = Value::map();
  for (const auto& stream : streams) {
    for (const RunTable& table : stream->tables()) {
      Value& t = m["tables"][plan.stages[table.stage].id];
      t["fingerprint"] = table.store->fingerprint().hex();
      t["folder"] = table.store->folder().string();
      t["depends_on"] = table.store->fingerprint().description;
    }
    Value& s = m["streams"][plan.stages[stream->listing().source].id];
    s["in_flight_limit"] = Value(std::uint64_t{plan.credits(stream->listing().source)});
    s["admitted"] = Value(stream->flow().admitted);
    s["collected"] = Value(stream->flow().collected);
    s["peak_bytes_in_flight"] = Value(std::uint64_t{stream->flow().peak_bytes});
  }
  m["timings"] = timings;
  m["warnings"] = Value::list();
  for (const std::string& w : warnings) m["warnings"].push(w);
  return m;
}

}  // namespace graft
