// graft report: the page of a run and its drawings, as files for papers; several runs side by side.

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>

#include "base/files.h"
#include "commands.h"
#include "output.h"
#include "run/run_comparison.h"
#include "run/whole_run.h"

namespace graft::cli {
namespace {

namespace fs = std::filesystem;

/// Drawings and their numbers that the reports of a run have left, by name.
std::vector<fs::path> drawings_of(const fs::path& run) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator stage(run / "reports", error), end; !error && stage != end;
       stage.increment(error)) {
    std::error_code inner;
    for (fs::directory_iterator file(stage->path(), inner), last; !inner && file != last;
         file.increment(inner)) {
      fs::path svg = file->path(), csv = file->path();
      if (fs::exists(svg.replace_extension(".svg")) && fs::exists(csv.replace_extension(".csv")))
        found.push_back(file->path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

int compare(const Global& global, const std::vector<std::string>& arguments) {
  if (!global.report.svg.empty())
    throw UsageError{"--svg: expected one RUN; of several, --html FILE writes a comparison"};
  if (!global.report.html.empty()) require_kind(global.report.html, {"<!DOCTYPE html>"}, "a page");
  const Registry registry(Registry::search_path(global.plugin_dirs));
  const RunComparison comparison = compare_runs({arguments.begin(), arguments.end()}, registry);
  if (!global.report.html.empty()) write_file_atomically(global.report.html, to_html(comparison));
  if (global.json)
    print_document(to_value(comparison));
  else if (global.report.html.empty())
    say("{}", to_text(comparison, terminal_columns()));
  else
    say("comparison {}\n", printable(global.report.html.string()));
  return kOk;
}

}  // namespace

int report(const Global& global, const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) return compare(global, arguments);
  if (!global.report.html.empty())
    throw UsageError{
        "--html: expected two RUNs or more, which it compares; the page of one is its report.html"};
  const fs::path run = only_argument(arguments, "RUN");
  std::error_code error;
  const fs::path page = run / "report.html";
  // A run that has failed may have a page, which says why, and no results.
  if (!fs::exists(run / "results.json", error) && !fs::exists(page, error))
    throw Error(fmt::format("{} is not the folder of a complete run: it has no results.json", run.string()));
  if (!fs::exists(page, error))
    throw Error(
        fmt::format("{} has no report.html: add a stage such as `page: {{plugin: page, from: [probe]}}` to "
                    "its config and run it again; its rows are stored",
                    run.string()));
  std::vector<std::string> contents;
  const std::vector<fs::path> drawings = read_whole_runs({run}, [&] {
    std::vector<fs::path> found = drawings_of(run);
    contents.clear();
    if (!global.report.svg.empty())
      for (const fs::path& file : found) contents.push_back(read_file(file));
    return found;
  });
  if (!global.report.svg.empty()) {
    make_folders(global.report.svg, "choose another folder with --svg");
    for (std::size_t i = 0; i < drawings.size(); ++i)
      write_file_atomically(global.report.svg / drawings[i].filename(), contents[i]);
  }
  const fs::path where = global.report.svg.empty() ? run / "reports" : global.report.svg;
  if (global.json) {
    Value out = Value::map();
    out["page"] = page.string();
    out["drawings"] = Value::list();
    for (const fs::path& file : drawings)
      if (file.extension() == ".svg")
        out["drawings"].push((global.report.svg.empty() ? file : where / file.filename()).string());
    print_document(out);
    return kOk;
  }
  say("report   {}\ndrawings {} in {}, with their numbers as .csv\n", printable(page.string()),
      drawings.size() / 2, printable(where.string()));
  return kOk;
}

}  // namespace graft::cli
