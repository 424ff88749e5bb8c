#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace graft::cli {

/// Options that every command takes.
struct Global {
  std::string program;  ///< The whole command line, for hints and the manifest.
  std::vector<std::string> overrides, plugin_dirs;
  std::filesystem::path out, store = ".graft";
  bool store_given = false;  ///< --store is in the command line.
  bool quiet = false, json = false;
  bool dry_run = false;  ///< Option of launch, bench-node and store gc.
  std::string log_level = "info";
  int keep = 1;  ///< Option of run: earlier runs to keep.
  struct Run {
    std::string shard;
    bool merge = false, profile = false;
    std::vector<std::string> isolate;
    std::filesystem::path trace;    ///< Empty: none.
    std::optional<std::string> ui;  ///< --ui, and its address.
  } run;                            ///< Further options of run.
  struct Launch {
    std::string engine = "local", time, memory, image = "graft", claim = "graft";
    std::string partition, account, constraint;
    std::vector<std::string> submit_options;
    int tasks = 0, cpus = 0, gpus = 0;
    bool restart = false;
    bool here = false;  ///< Option of bench-node alone.
  } launch;             ///< Options of launch and bench-node.
  struct Status {
    bool watch = false;
  } status;  ///< Options of status.
  struct Plan {
    bool no_sample = false;
    std::string cluster;  ///< --for
    std::optional<double> price;
  } plan;  ///< Options of plan.
  struct Sweep {
    std::vector<std::string> grids;
    std::filesystem::path list;
    std::string metric;
  } sweep;  ///< Options of sweep alone.
  struct Model {
    std::string learner;
    bool allow_code = false;
  } model;  ///< Options of commands that take a trained model.
  struct Pack {
    bool neighbors = false;
  } pack;  ///< Options of model pack alone.
  struct Predict {
    std::filesystem::path features;  ///< Empty: none.
    std::size_t neighbors = 0;
    std::size_t top = 0;  ///< 0: every class.
    std::optional<double> threshold;
  } predict;  ///< Options of predict alone.
  struct Serve {
    std::string host = "127.0.0.1", max_bytes = "32MiB";
    std::size_t port = 8080, timeout = 30, gather = 2, queue = 512, connections = 64;
  } serve;                            ///< Options of serve alone.
  std::string network;                ///< Option --model of init, train and embed: its weights.
  std::filesystem::path init_config;  ///< Option --config of init and train.
  struct Embed {
    std::string tap, pool;
    bool print_config = false;
  } embed;  ///< Options of embed alone.
  struct NewPlugin {
    std::string kind;
  } new_plugin;  ///< Options of new-plugin alone.
  struct Describe {
    bool markdown = false;
  } describe;  ///< Options of describe alone.
  struct Plugins {
    std::vector<std::string> check;
    bool verbose = false;
  } plugins;  ///< Options of plugins alone.
  struct Graph {
    std::string format = "dot";
  } graph;  ///< Options of graph alone.
  struct Report {
    std::filesystem::path svg, html;
  } report;  ///< Options of report alone.
  struct Store {
    bool repair = false, unreferenced = false;
    std::string older_than, max_size, run, shard_size = "256MiB";
  } store_options;  ///< Options of store alone.
};

/// Exit codes; a run may also end with 3 (too many rejects), 130 or 143.
constexpr int kOk = 0, kFailed = 1, kUsage = 2;
/// Of `graft status`.
constexpr int kRunning = 4, kIncomplete = 5;

/// Raised for a wrong command line: printed with the command's usage, exit 2.
struct UsageError {
  std::string text;
};

using Command = int (*)(const Global& global, const std::vector<std::string>& arguments);

/// Values of --log-level, in the order of LogLevel.
inline constexpr const char* kLogLevels[] = {"error", "warning", "info", "debug"};
/// Values of --engine.
inline constexpr const char* kEngines[] = {"local", "slurm", "kubernetes", "mpi"};

int run(const Global& global, const std::vector<std::string>& arguments);
int launch(const Global& global, const std::vector<std::string>& arguments);
int bench_node(const Global& global, const std::vector<std::string>& arguments);
int status(const Global& global, const std::vector<std::string>& arguments);
int sweep(const Global& global, const std::vector<std::string>& arguments);
int predict(const Global& global, const std::vector<std::string>& arguments);
int embed(const Global& global, const std::vector<std::string>& arguments);
int init(const Global& global, const std::vector<std::string>& arguments);
int train(const Global& global, const std::vector<std::string>& arguments);
int serve(const Global& global, const std::vector<std::string>& arguments);
int check(const Global& global, const std::vector<std::string>& arguments);
int plan(const Global& global, const std::vector<std::string>& arguments);
int graph(const Global& global, const std::vector<std::string>& arguments);
int report(const Global& global, const std::vector<std::string>& arguments);
int runs(const Global& global, const std::vector<std::string>& arguments);
int runs_diff(const Global& global, const std::vector<std::string>& arguments);
int plugins(const Global& global, const std::vector<std::string>& arguments);
int new_plugin(const Global& global, const std::vector<std::string>& arguments);
int describe(const Global& global, const std::vector<std::string>& arguments);
int schema(const Global& global, const std::vector<std::string>& arguments);
int store_ls(const Global& global, const std::vector<std::string>& arguments);
int store_compact(const Global& global, const std::vector<std::string>& arguments);
int store_verify(const Global& global, const std::vector<std::string>& arguments);
int store_gc(const Global& global, const std::vector<std::string>& arguments);
int store_export(const Global& global, const std::vector<std::string>& arguments);
int share(const Global& global, const std::vector<std::string>& arguments);
int version(const Global& global, const std::vector<std::string>& arguments);
int model_pack(const Global& global, const std::vector<std::string>& arguments);
int model_show(const Global& global, const std::vector<std::string>& arguments);

/// `graft model ...`: becomes the program graft-model, which lies beside graft in a build folder and in
/// libexec of an installation; the core knows no networks. `argv` begins with the word "model". Returns only
/// when it fails.
int start_model(char** argv);
/// The help of graft-model, and what graft adds to it.
int help_of_model();

/// Throws UsageError if there are arguments.
void no_arguments(const std::vector<std::string>& arguments);

/// Throws UsageError that says what an INPUT is.
[[noreturn]] void input_is_missing();

/// The one positional argument that most commands take.
const std::string& only_argument(const std::vector<std::string>& arguments, const char* what);

}  // namespace graft::cli
