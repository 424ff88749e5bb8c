#include "command_table.h"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include <fmt/format.h>

#include "run/cluster_estimate.h"
#include "run/progress.h"

namespace po = boost::program_options;

namespace graft::cli {
namespace {

/// A whole number of this range: the library would take -1 for a large one.
template <typename Number>
po::typed_value<std::string>* count(const char* option, Number& to, std::type_identity_t<Number> low,
                                    std::type_identity_t<Number> high) {
  return po::value<std::string>()->notifier([option, &to, low, high](const std::string& text) {
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), to);
    if (bad != std::errc() || end != text.data() + text.size() || to < low || to > high)
      throw UsageError{
          fmt::format("--{}: expected a whole number from {} to {}, got '{}'", option, low, high, text)};
  });
}

po::typed_value<std::string>* path(const char* option, std::filesystem::path& to) {
  return po::value<std::string>()->notifier([option, &to](const std::string& s) {
    if (s.empty()) throw UsageError{fmt::format("--{}: expected a path, got an empty text", option)};
    to = s;
  });
}

/// The place of what a command writes.
void add_out(po::options_description& options, Global& global, const char* value, const char* help) {
  options.add_options()("out,o", path("out", global.out)->value_name(value), help);
}

/// Option of plan and bench-node.
po::typed_value<double>* price(Global& global) {
  return po::value<double>()->notifier([&global](double p) { global.plan.price = p; });
}

/// Of one machine.
constexpr int kMostGpus = 1024;

constexpr const char* kRunFolder = "the folder of the run (default: runs/<name>)";

po::options_description run_options(Global& global) {
  po::options_description options("Options of run");
  add_out(options, global, "DIR", kRunFolder);
  options.add_options()("keep", po::value(&global.keep)->default_value(1)->value_name("N"),
                        "earlier complete runs to keep, as <out>.1, <out>.2, ... (default: 1)")(
      "shard", po::value<std::string>()->value_name("I/N")->notifier([&](const std::string& s) {
        if (s.empty()) throw UsageError{"--shard: expected I/N or auto, got an empty text"};
        global.run.shard = s;
      }),
      "compute the rows of shard I of N alone; auto: as Slurm, Kubernetes or MPI have numbered this process")(
      "merge", po::bool_switch(&global.run.merge),
      "train and evaluate on rows that shards have computed; compute none, and fail if one is missing")(
      "profile", po::bool_switch(&global.run.profile), "print what limited the run, and by how much")(
      "trace", po::value<std::string>()->value_name("FILE")->notifier([&](const std::string& s) {
        if (s.empty()) throw UsageError{"--trace: expected the path of a file, got an empty text"};
        global.run.trace = s;
      }),
      "write what every thread did and when, for ui.perfetto.dev and chrome://tracing")(
      "ui",
      po::value<std::string>()
          ->implicit_value("", "any free port")
          ->value_name("[HOST:]PORT")
          ->notifier([&](const std::string& s) { global.run.ui = s; }),
      "show the run in a browser, and to Prometheus at /metrics (default: this machine alone, any free "
      "port)")(
      "isolate", po::value(&global.run.isolate)->composing()->value_name("STAGE"),
      "make the calls of this stage in other processes, where a crash rejects an item; may be repeated");
  return options;
}

/// Options of launch and bench-node.
void add_launch_options(po::options_description& options, Global& global) {
  Global::Launch& launch = global.launch;
  options.add_options()("engine", po::value(&launch.engine)->value_name("ENGINE"),
                        "local (default): processes on this machine; slurm, kubernetes or mpi")(
      "tasks", count("tasks", launch.tasks, 1, ClusterShape::kMostTasks)->value_name("N"),
      "processes to divide the inputs among (default of local: one per NUMA node)")(
      "cpus", count("cpus", launch.cpus, 1, ClusterShape::kMostCpus)->value_name("C"),
      "processors of each task (default of local: all, divided; otherwise 1)")(
      "gpus", count("gpus", launch.gpus, 1, kMostGpus)->value_name("G"), "GPUs of each task (default: none)")(
      "memory", po::value(&launch.memory)->value_name("SIZE"), "memory of each task, such as 8GiB")(
      "time", po::value(&launch.time)->value_name("TIME"),
      "slurm: time limit of each task, as sbatch takes it; 60 s before it, tasks save their rows and end")(
      "partition", po::value(&launch.partition)->value_name("NAME"), "slurm: the partition")(
      "account", po::value(&launch.account)->value_name("NAME"), "slurm: the account")(
      "constraint", po::value(&launch.constraint)->value_name("FEATURES"), "slurm: features of the nodes")(
      "submit-option", po::value(&launch.submit_options)->composing()->value_name("OPTION"),
      "slurm: a further option of sbatch, such as --submit-option=--qos=low; may be repeated")(
      "image", po::value(&launch.image)->value_name("IMAGE"),
      "kubernetes: the container image (default: graft)")(
      "claim", po::value(&launch.claim)->value_name("NAME"),
      "kubernetes: the volume claim with the current folder in it (default: graft)")(
      "dry-run", po::bool_switch(&global.dry_run), "print what would be submitted or started; do nothing");
}

po::options_description launch_options(Global& global) {
  po::options_description options("Options of launch");
  add_out(options, global, "DIR", kRunFolder);
  add_launch_options(options, global);
  options.add_options()("restart", po::bool_switch(&global.launch.restart),
                        "begin a job again that was begun with other settings; rows that are stored stay");
  return options;
}

po::options_description bench_node_options(Global& global) {
  po::options_description options("Options of bench-node");
  add_launch_options(options, global);
  options.add_options()("price", price(global)->value_name("PRICE"), "what an hour of one task costs")(
      "here", po::bool_switch(&global.launch.here),
      "measure in this process, as the job does: inside an allocation that you have");
  return options;
}

po::options_description status_options(Global& global) {
  po::options_description options("Options of status");
  options.add_options()("watch", po::bool_switch(&global.status.watch),
                        "print it again every 2 s, until the job is done or no worker is running");
  return options;
}

/// Of init and train.
po::options_description dataset_options(Global& global, const char* title) {
  po::options_description options(title);
  options.add_options()(
      "model", po::value(&global.network)->value_name("MODEL"),
      "weights of the network (default: what graft model fetch has fetched, or a small one)")(
      "config", po::value<std::string>()->value_name("FILE")->notifier([&](const std::string& s) {
        global.init_config = s;
      }),
      "the config to write (default: the name of the folder, .yaml)");
  return options;
}

po::options_description init_options(Global& global) {
  po::options_description options = dataset_options(global, "Options of init");
  add_out(options, global, "FILE", "the same as --config");
  return options;
}

po::options_description train_options(Global& global) {
  po::options_description options = dataset_options(global, "Options of train");
  options.add(run_options(global));
  return options;
}

po::options_description sweep_options(Global& global) {
  po::options_description options("Options of sweep");
  add_out(options, global, "DIR", "the folder for the runs and their table (default: runs/<name>-sweep)");
  options.add_options()("grid", po::value(&global.sweep.grids)->composing()->value_name("KEY=VALUES"),
                        "try each value, with each of the other grids: \"knn.k=[1, 5, 10]\"")(
      "list",
      po::value<std::string>()->value_name("FILE")->notifier([&](const auto& s) { global.sweep.list = s; }),
      "try each entry of a YAML list of maps: - {features.model: a.pt, probe.c: 1}")(
      "metric", po::value(&global.sweep.metric)->value_name("METRIC"),
      "the score on val by which the best is chosen, such as log_loss (default: that of the report)");
  return options;
}

po::options_description plan_options(Global& global) {
  po::options_description options("Options of plan");
  add_out(options, global, "DIR", kRunFolder);
  options.add_options()("no-sample", po::bool_switch(&global.plan.no_sample),
                        "do not measure the time on some inputs")(
      "for", po::value(&global.plan.cluster)->value_name("ENGINE:NxC"),
      "estimate time, machine-hours and memory for N tasks of C processors, such as slurm:40x8")(
      "price", price(global)->value_name("PRICE"), "with --for: what an hour of one task costs");
  return options;
}

/// Options of every command that takes a MODEL.
void add_model_options(po::options_description& options, Global& global) {
  options.add_options()("learner", po::value(&global.model.learner)->value_name("ID"),
                        "the model of the run to use (default: the best on val)")(
      "allow-code", po::bool_switch(&global.model.allow_code),
      "use a packed model that holds TorchScript, which is code: only from where you trust");
}

po::options_description pack_options(Global& global) {
  po::options_description options("Options of model pack");
  add_out(options, global, "FILE", "the file to write, such as flowers.graft");
  add_model_options(options, global);
  options.add_options()("with-neighbors", po::bool_switch(&global.pack.neighbors),
                        "also pack a learner of the run that keeps training images, such as knn, for predict "
                        "--neighbors: their names and vectors go with the model");
  return options;
}

po::options_description predict_options(Global& global) {
  po::options_description options("Options of predict");
  Global::Predict& predict = global.predict;
  add_out(options, global, "FILE", "write the predictions to this file (default: the standard output)");
  add_model_options(options, global);
  options.add_options()("top", count("top", predict.top, 1, 1'000'000)->value_name("N"),
                        "only the N best classes and their scores")(
      "threshold",
      po::value<double>()->value_name("SCORE")->notifier([&](double t) { predict.threshold = t; }),
      "predict only classes with at least this score (default: 0.5 with several labels, else 0)")(
      "features",
      po::value<std::string>()->value_name("FILE")->notifier([&](const auto& s) { predict.features = s; }),
      "write the feature vectors, too: FILE.h5, FILE.npy or FILE.csv")(
      "neighbors", count("neighbors", predict.neighbors, 1, 1000)->value_name("N"),
      "name the N most similar training images, by the learner or by another one of its run that keeps them "
      "(knn, hybrid)");
  return options;
}

po::options_description serve_options(Global& global) {
  po::options_description options("Options of serve");
  Global::Serve& serve = global.serve;
  add_model_options(options, global);
  options.add_options()("host", po::value(&serve.host)->value_name("ADDRESS"),
                        "where to listen (default: 127.0.0.1, this machine alone; 0.0.0.0: everywhere)")(
      "port", count("port", serve.port, 0, 65535)->value_name("PORT"), "default: 8080; 0: any that is free")(
      "max-bytes", po::value(&serve.max_bytes)->value_name("32MiB"), "the largest request (413)")(
      "timeout", count("timeout", serve.timeout, 1, 86400)->value_name("S"),
      "seconds for a request (408, 504; default: 30)")(
      "queue", count("queue", serve.queue, 1, 1'000'000)->value_name("N"),
      "images that may wait (413, 429; default: 512)")(
      "connections", count("connections", serve.connections, 1, 1024)->value_name("N"),
      "at once (503; default: 64)")(
      "gather", count("gather", serve.gather, 0, 1000)->value_name("MS"),
      "milliseconds that an image waits for others to be computed with (default: 2)");
  return options;
}

po::options_description embed_options(Global& global) {
  po::options_description options("Options of embed");
  Global::Embed& embed = global.embed;
  add_out(options, global, "FILE", "the file to write: FILE.h5 or FILE.npy");
  options.add_options()(
      "model", po::value(&global.network)->value_name("MODEL"),
      "weights, the folder of a published model, or a TorchScript file, as `backbone: {model: ...}` takes "
      "them")("tap", po::value(&embed.tap)->value_name("LAYER"),
              "a layer or block (default: before the classifier)")(
      "pool", po::value(&embed.pool)->value_name("POOL"), "how maps of features become vectors (backbone)")(
      "print-config", po::bool_switch(&embed.print_config),
      "print the config that this amounts to, and do nothing else");
  return options;
}

po::options_description runs_options(Global& global) {
  po::options_description options("Options of runs");
  add_out(options, global, "DIR", "the folder with the runs (default: runs)");
  return options;
}

po::options_description plugins_options(Global& global) {
  po::options_description options("Options of plugins");
  options.add_options()(
      "check", po::value(&global.plugins.check)->composing()->value_name("FILE"),
      "examine a plugin as a run would, and report every error of its schema, class and example")(
      "verbose", po::bool_switch(&global.plugins.verbose),
      "also print the folders that are searched, in order");
  return options;
}

po::options_description describe_options(Global& global) {
  po::options_description options("Options of describe");
  options.add_options()("markdown", po::bool_switch(&global.describe.markdown), "print a page of Markdown");
  return options;
}

po::options_description new_plugin_options(Global& global) {
  po::options_description options("Options of new-plugin");
  add_out(options, global, "DIR", "the folder to write (default: NAME)");
  options.add_options()("kind", po::value(&global.new_plugin.kind)->value_name("KIND"),
                        "source, transform, batch, engine, collector, learner, calibrator or report");
  return options;
}

po::options_description graph_options(Global& global) {
  po::options_description options("Options of graph");
  options.add_options()("format", po::value(&global.graph.format)->value_name("dot|mermaid|svg"),
                        "dot (for Graphviz, the default), mermaid, or svg, a drawing that browsers show");
  return options;
}

po::options_description report_options(Global& global) {
  po::options_description options("Options of report");
  options.add_options()("svg", po::value<std::string>()->value_name("DIR")->notifier([&](const auto& s) {
    global.report.svg = s;
  }),
                        "copy the drawings there, as SVG for papers, with their numbers as CSV")(
      "html",
      po::value<std::string>()->value_name("FILE")->notifier([&](const auto& s) { global.report.html = s; }),
      "of several runs: write their comparison as a web page");
  return options;
}

po::options_description verify_options(Global& global) {
  po::options_description options("Options of store verify");
  options.add_options()("repair", po::bool_switch(&global.store_options.repair),
                        "drop exactly what is damaged; the next run computes it again");
  return options;
}

po::options_description gc_options(Global& global) {
  po::options_description options("Options of store gc");
  Global::Store& store = global.store_options;
  options.add_options()("older-than", po::value(&store.older_than)->value_name("30d"),
                        "tables not used for this long (h, d, w)")(
      "max-size", po::value(&store.max_size)->value_name("10GiB"),
      "the least recently used tables, until the store is below this size")(
      "unreferenced", po::bool_switch(&store.unreferenced),
      "tables that no run's folder names any more, and no job that is not merged fills")(
      "dry-run", po::bool_switch(&global.dry_run), "print what would be removed");
  return options;
}

po::options_description compact_options(Global& global) {
  po::options_description options("Options of store compact");
  options.add_options()("shard-size", po::value(&global.store_options.shard_size)->value_name("256MiB"),
                        "what shards are joined to; one is in memory at a time (default: 256MiB)");
  return options;
}

po::options_description export_options(Global& global) {
  po::options_description options("Options of store export");
  options.add_options()("run", po::value(&global.store_options.run)->value_name("NAME"),
                        "the run whose list of inputs counts (default: the last)");
  return options;
}

constexpr Subcommand kStoreCommands[] = {
    {"ls", "ls", "list the tables: what made them, rows, size, last use", store_ls},
    {"verify", "verify [TABLE...]", "prove every checksum, and that rows and rejects add up to inputs",
     store_verify, verify_options},
    {"compact", "compact [TABLE...]",
     "join many small shards into few large ones, in the order of the last run", store_compact,
     compact_options},
    {"gc", "gc", "remove what no run needs: remains of writers that were killed, and tables by the options",
     store_gc, gc_options},
    {"export", "export TABLE FILE", "write a table to FILE.h5, FILE.npy or FILE.csv", store_export,
     export_options},
};

constexpr Subcommand kModelCommands[] = {
    {"pack", "pack RUN", "write a model with all that it needs to one file: --out flowers.graft", model_pack,
     pack_options},
    {"show", "show FILE", "check a packed model whole, and print its card", model_show},
};

constexpr Subcommand kRunsCommands[] = {
    {"diff", "diff RUN RUN", "print what is different between two runs: config, data, plugins, scores",
     runs_diff},
};

constexpr CommandRow kCommands[] = {
    {"init", "init DIR", "look at a folder of images and write a config for it",
     "Recognizes a folder per class, train/CLASS and test/CLASS, a list with columns such as path and label, "
     "archives and WebDataset, a folder of videos per class, CIFAR and MNIST. The config names what was "
     "found, and passes graft check.",
     init, init_options},
    {"train", "train DIR", "train on a folder of images: init and run in one",
     "Writes the config that init writes, and runs it: features by a pretrained network, a linear probe and "
     "nearest neighbors, scores on test. The config is there to be changed and run again.",
     train, train_options},
    {"run", "run CONFIG", "run a config: features into the store, learners, evaluation",
     "Computes the rows that the feature store lacks, fits the learners on train and val, and scores test "
     "once. The results are in the folder runs/NAME: results.json, models, predictions, inputs.csv and "
     "manifest.json. To resume an interrupted run, run the same command again: its rows are saved.",
     run, run_options},
    {"launch", "launch CONFIG", "run a config with many processes: local, slurm, kubernetes or mpi",
     "Divides the inputs among tasks that share nothing but the store. When they have ended, learners are "
     "fitted and evaluated on the rows where they are, as in a single run. Started again, it computes only "
     "what is missing. local starts processes, pinned to processors, and starts them again when they die; "
     "slurm submits a job array, and a job that depends on it; kubernetes and mpi write files and print the "
     "commands.",
     launch, launch_options},
    {"bench-node", "bench-node CONFIG", "measure a config on a node of a cluster, and estimate the whole job",
     "Some hundred inputs are computed on a node such as the tasks of graft launch would get, with the same "
     "options; time, machine-hours, disk space, memory and money for all inputs follow. That is graft plan "
     "--for as a job: slurm waits for a job of srun, and Ctrl-C cancels it; mpi waits for one rank of "
     "mpirun; kubernetes prints a Job; local measures here, pinned to processors. The node must see the "
     "config and its inputs, and be able to write to the store. The exit code is that of the job.",
     bench_node, bench_node_options},
    {"status", "status [JOB]", "show how far the processes of a job are: graft launch, graft run --shard",
     "JOB is the name of a config, its file, or the folder of its run; without it, the jobs of the store are "
     "listed. Read from the store alone, while the processes go on. The exit code is 0 when the job is done, "
     "4 while it is running and 5 when it is incomplete and no worker is running: then graft launch computes "
     "what is missing.",
     status, status_options},
    {"sweep", "sweep CONFIG", "run a config with many values of its parameters; the best by val",
     "Runs the config once for each combination of the values of --grid, or for each entry of --list, and "
     "picks the best by its scores on val. Test scores are reported only for that one. Every combination has "
     "a folder of its own.",
     sweep, sweep_options},
    {"predict", "predict MODEL INPUT...", "classify new images with a model that a run has left",
     "MODEL is the folder of a run, of which the best learner on val is taken, models/ID in it, or a file of "
     "graft model pack. INPUT is any mix of images, folders, patterns, tar and zip archives, lists (.txt, a "
     "path per line) and - (paths from the standard input). The images go through the stages of the run's "
     "config, so that scores have the same bits as in the run. The model was fitted on train and val in the "
     "end: it looks better on their images than it is, and predictions/ID.csv of the run has, for val, the "
     "scores by the model before. One line per input, in their order: CSV, or JSON lines with --json; --out "
     "FILE writes them to a file. The exit code is 3 if inputs were rejected. Features are kept for later "
     "with --store.",
     predict, predict_options},
    {"serve", "serve MODEL", "answer HTTP requests with a model's predictions",
     "MODEL is as for predict. POST /predict takes an image as its body, or several as multipart/form-data, "
     "and gives classes and scores as JSON; /embed gives feature vectors. GET / is a page to drop images on, "
     "/healthz, /metrics (Prometheus) and /openapi.json are for programs. Images of several clients are "
     "computed together. Only this machine is served unless --host says otherwise; there is no encryption "
     "and no password: put a web server in front for others. SIGTERM ends it once what was asked for is "
     "answered.",
     serve, serve_options},
    {"embed", "embed INPUT...", "write the features of images, by a pretrained network, to a file",
     "INPUT is any mix of images, folders, patterns, tar and zip archives, lists (.txt, a path per line) and "
     "- (paths from the standard input). Images are resized and cropped as the network was trained. --out "
     "FILE is .h5 (features, keys, views), .csv (the same) or .npy (features alone, NaN for a reject). "
     "Everything else can be set as in the config that --print-config prints: --set features.batch=16. The "
     "exit code is 3 if inputs were rejected. Features are kept for later with --store.",
     embed, embed_options},
    {"check", "check CONFIG", "report every error in a config without running it",
     "Every error is reported with its file, line and column and with a fix. The model files that the config "
     "names are opened, too.",
     check},
    {"plan", "plan CONFIG", "show stages, shapes, rows, what is stored and what would be computed",
     "Also shows which change of the config made stored rows useless, and estimates time and disk space from "
     "a few inputs. Nothing is written.",
     plan, plan_options},
    {"graph", "graph CONFIG", "print the stages of a config as a graph: Graphviz, Mermaid or SVG",
     "For example: graft graph config.yaml --format svg > stages.svg. With --json, prints the stages and "
     "what each takes from.",
     graph, graph_options},
    {"report", "report RUN...", "print where the web page of a run is, copy its drawings; compare runs",
     "The page is that of a stage with the plugin page. RUN is the folder of a run, such as runs/flowers. "
     "Several runs are compared with the first: config, data, scores, and their best learners on the test "
     "inputs that both have scored.",
     report, report_options},
    {"runs", "runs", "list the runs in a folder: when, what was best on val, its score on test",
     "The score is that by which the reports of a run choose. What is damaged is left out, with a warning.",
     runs, runs_options, kRunsCommands},
    {"plugins", "plugins", "list the plugins, and the files that were refused and why",
     "Plugins are looked for in the folders of --plugin-dir, then of GRAFT_PLUGIN_PATH, then in graft's own "
     "folder. The first file of a name is used.",
     plugins, plugins_options},
    {"new-plugin", "new-plugin NAME", "write a plugin that works: source, build file, test, README, config",
     "Writes into the folder NAME (or --out DIR) a plugin of the kind that --kind names. It builds, passes "
     "its test and runs in a pipeline as it is; graft's development files must be installed.",
     new_plugin, new_plugin_options},
    {"describe", "describe PLUGIN", "show a plugin's ports and parameters, and a config that uses it",
     "With --json, prints the schema of the plugin.", describe, describe_options},
    {"schema", "schema", "print the JSON Schema of configs, for editors",
     "It describes every stage of the plugins that are installed, so that an editor with a YAML language "
     "server completes names, shows documentation and marks errors. Write it to a file, and begin a config "
     "with # yaml-language-server: $schema=graft.schema.json",
     schema},
    {"model", "model COMMAND", "list, look at and fetch networks; pack trained models into files",
     "This command has its own options, which come after it: graft model list --json.", nullptr, nullptr,
     kModelCommands},
    {"store", "store COMMAND", "look after the feature store: ls, verify, compact, gc, export",
     "A table is named by the first digits of its fingerprint (4 at least), or as graft store ls prints it: "
     "RUN/STAGE or STAGE. Tables that are in use are left alone.",
     nullptr, nullptr, kStoreCommands},
    {"share", "share", "print the folder of the configs that come with graft",
     "The configs are in its folder configs: graft run $(graft share)/configs/quickstart.yaml. In a config, "
     "${GRAFT_SHARE} is the same folder.",
     share},
    {"version", "version", "show the versions of graft and of the libraries that it uses",
     "Libraries have the versions that are loaded now; of libraries that do not report one, it is the "
     "version in the name of the file. Where the output of a plugin depends on libraries, those that it was "
     "built with are listed, too.",
     version},
};

constexpr Meaning kExitCodes[] = {
    {"0", "success"},
    {"1", "the run failed"},
    {"2", "usage or config"},
    {"3", "more rejects than run.max_rejects"},
    {"4, 5", "graft status: the job is running; it is incomplete and no worker is running"},
    {"130 or 143", "interrupted: run the same command again to resume"},
};

constexpr Meaning kEnvironment[] = {
    {"GRAFT_PLUGIN_PATH", "folders with plugins, separated by ':'"},
    {"GRAFT_SHARE", "the folder that graft share prints, in place of graft's own"},
    {"GRAFT_TASKS", "number of shards for --shard auto, where the launcher gives an index alone"},
    {"GRAFT_NODE", "what this machine is called, in a container that has a name of its own"},
    {"GRAFT_MODELS", "where graft model fetch puts weights (default: ~/.cache/graft/models)"},
    {"GRAFT_MODEL_URL", "where graft model fetch gets weights"},
    {"NO_COLOR", "if it is set, progress and messages have no colors"},
};

}  // namespace

std::span<const CommandRow> command_rows() {
  return kCommands;
}

const CommandRow* find_command(std::string_view name) {
  const auto row = std::find_if(std::begin(kCommands), std::end(kCommands),
                                [&](const CommandRow& r) { return name == r.name; });
  return row == std::end(kCommands) ? nullptr : &*row;
}

po::options_description global_options(Global& global) {
  po::options_description options("Options");
  options.add_options()("help,h", "show this help, or a command's")("version,V", "show the version")(
      "set", po::value(&global.overrides)->composing()->value_name("KEY=VALUE"),
      "override: stage.key=value, run.threads=4, name=x, seed=1")(
      "store", path("store", global.store)->value_name("DIR"), "the feature store (default: .graft)")(
      "plugin-dir", po::value(&global.plugin_dirs)->composing()->value_name("DIR"),
      "look for plugins here, too (also: GRAFT_PLUGIN_PATH)")("quiet,q", po::bool_switch(&global.quiet),
                                                              "print errors only")(
      "log-level", po::value(&global.log_level)->value_name("LEVEL"),
      "error, warning, info (default) or debug")(
      "color", po::value<std::string>()->value_name("WHEN")->notifier([](const std::string& when) {
        if (when != "auto" && when != "always" && when != "never")
          throw UsageError{
              fmt::format("--color: '{}' is not allowed here (allowed: auto, always, never)", when)};
        if (when != "auto") choose_colors(when == "always");
      }),
      "auto (default: on a terminal, unless NO_COLOR is set), always or never")(
      "json", po::bool_switch(&global.json), "print results and faults as JSON");
  return options;
}

std::span<const Meaning> exit_codes() {
  return kExitCodes;
}

std::span<const Meaning> environment_variables() {
  return kEnvironment;
}

}  // namespace graft::cli
