#include "command_table.h"

#include <algorithm>

#include <fmt/format.h>

namespace po = boost::program_options;

namespace graft::cli {
namespace {

po::options_description run_options(Global& global) {
  po::options_description options("Options of run");
  options.add_options()("keep", po::value(&global.keep)->default_value(1)->value_name("N"),
                        "earlier complete runs to keep, as <out>.1, <out>.2, ... (default: 1)");
  return options;
}

po::options_description sweep_options(Global& global) {
  po::options_description options("Options of sweep");
  options.add_options()("grid", po::value(&global.sweep.grids)->composing()->value_name("KEY=VALUES"),
                        "try each value, with each of the other grids: \"knn.k=[1, 5, 10]\"")(
      "list",
      po::value<std::string>()->value_name("FILE")->notifier([&](const auto& s) { global.sweep.list = s; }),
      "try each entry of a YAML list of maps: - {features.model: a.pt, probe.c: 1}")(
      "metric", po::value(&global.sweep.metric)->value_name("METRIC"),
      "what is best on val: accuracy (default), balanced_accuracy or log_loss");
  return options;
}

po::options_description plan_options(Global& global) {
  po::options_description options("Options of plan");
  options.add_options()("no-sample", po::bool_switch(&global.plan.no_sample),
                        "do not measure the time on some inputs");
  return options;
}

po::options_description predict_options(Global& global) {
  po::options_description options("Options of predict");
  Global::Predict& predict = global.predict;
  options.add_options()("learner", po::value(&predict.learner)->value_name("ID"),
                        "the model of the run to use (default: the best on val)")(
      "top", po::value(&predict.top)->value_name("N"), "only the N best classes and their scores")(
      "threshold",
      po::value<double>()->value_name("SCORE")->notifier([&](double t) { predict.threshold = t; }),
      "predict only classes with at least this score (default: 0.5 with several labels, else 0)");
  return options;
}

po::options_description embed_options(Global& global) {
  po::options_description options("Options of embed");
  Global::Embed& embed = global.embed;
  options.add_options()(
      "model", po::value(&embed.model)->value_name("MODEL"),
      "weights, the folder of a published model, or a TorchScript file, as `backbone: {model: ...}` takes "
      "them")("tap", po::value(&embed.tap)->value_name("LAYER"),
              "a layer or block (default: before the classifier)")(
      "pool", po::value(&embed.pool)->value_name("POOL"), "how maps of features become vectors (backbone)")(
      "print-config", po::bool_switch(&embed.print_config),
      "print the config that this amounts to, and do nothing else");
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
      "unreferenced", po::bool_switch(&store.unreferenced), "tables that no run's folder names any more")(
      "dry-run", po::bool_switch(&store.dry_run), "print what would be removed");
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
    {"gc", "gc", "remove what no run needs: remains of writers that were killed, and tables by the options",
     store_gc, gc_options},
    {"export", "export TABLE FILE", "write a table to FILE.h5 or FILE.npy", store_export, export_options},
};

constexpr CommandRow kCommands[] = {
    {"run", "run CONFIG", "run a config: features into the store, learners, evaluation",
     "Computes the rows that the feature store lacks, fits the learners on train and val, and scores test "
     "once. The results are in the folder runs/NAME: results.json, models, predictions, inputs.csv and "
     "manifest.json. To resume an interrupted run, run the same command again: its rows are saved.",
     run, run_options},
    {"sweep", "sweep CONFIG", "run a config with many values of its parameters; the best by val",
     "Runs the config once for each combination of the values of --grid, or for each entry of --list, and "
     "picks the best by its scores on val. Test scores are reported only for that one. Every combination has "
     "a folder of its own.",
     sweep, sweep_options},
    {"predict", "predict MODEL INPUT...", "classify new images with a model that a run has left",
     "MODEL is the folder of a run, of which the best learner on val is taken, or models/ID in it. INPUT is "
     "any "
     "mix of images, folders, patterns, lists (.txt, a path per line) and - (paths from the standard input). "
     "The images go through the stages of the run's config, so that scores have the same bits as in the run. "
     "One line per input, in their order: CSV, or JSON lines with --json; --out FILE writes them to a file. "
     "The "
     "exit code is 3 if inputs were rejected. Features are kept for later with --store.",
     predict, predict_options},
    {"embed", "embed INPUT...", "write the features of images, by a pretrained network, to a file",
     "INPUT is any mix of images, folders, patterns, lists (.txt, a path per line) and - (paths from the "
     "standard input). Images are resized and cropped as the network was trained. --out FILE is .h5 "
     "(features, "
     "keys, views) or .npy (features alone). Everything else can be set as in the config that --print-config "
     "prints: --set features.batch=16. The exit code is 3 if inputs were rejected. Features are kept for "
     "later "
     "with --store.",
     embed, embed_options},
    {"check", "check CONFIG", "report every error in a config without running it",
     "Every error is reported with its file, line and column and with a fix. The model files that the config "
     "names are opened, too.",
     check},
    {"plan", "plan CONFIG", "show stages, shapes, rows, what is stored and what would be computed",
     "Also shows which change of the config made stored rows useless, and estimates time and disk space from "
     "a few inputs. Nothing is written.",
     plan, plan_options},
    {"plugins", "plugins", "list the plugins, and the files that were refused and why",
     "Plugins are looked for in the folders of --plugin-dir, then of GRAFT_PLUGIN_PATH, then in graft's own "
     "folder. The first file of a name is used.",
     plugins},
    {"describe", "describe PLUGIN", "show a plugin's ports and parameters, and a config that uses it",
     "With --json, prints the schema of the plugin.", describe},
    {"model", "model COMMAND", "list, look at and fetch networks and their weights",
     "This command has its own options, which come after it: graft model list --json.", model},
    {"store", "store COMMAND", "look after the feature store: ls, verify, gc, export",
     "A table is named by the first digits of its fingerprint (4 at least), or as graft store ls prints it: "
     "RUN/STAGE or STAGE. Tables that are in use are left alone.",
     nullptr, nullptr, kStoreCommands},
    {"share", "share", "print the folder of the configs that come with graft",
     "The configs are in its folder configs: graft run $(graft share)/configs/quickstart.yaml. In a config, "
     "${GRAFT_SHARE} is the same folder.",
     share},
    {"version", "version", "show the versions of graft and of the libraries that it uses",
     "Libraries have the versions that are loaded now; of libraries that do not report one, it is the "
     "version in "
     "the name of the file. Where the output of a plugin depends on libraries, those that it was built with "
     "are "
     "listed, too.",
     version},
};

constexpr Meaning kExitCodes[] = {
    {"0", "success"},
    {"1", "the run failed"},
    {"2", "usage or config"},
    {"3", "more rejects than run.max_rejects"},
    {"130 or 143", "interrupted: run the same command again to resume"},
};

constexpr Meaning kEnvironment[] = {
    {"GRAFT_PLUGIN_PATH", "folders with plugins, separated by ':'"},
    {"GRAFT_SHARE", "the folder that graft share prints, in place of graft's own"},
    {"GRAFT_MODELS", "where graft model fetch puts weights (default: ~/.cache/graft/models)"},
    {"GRAFT_MODEL_URL", "where graft model fetch gets weights"},
    {"NO_COLOR", "if it is set, progress has no colors"},
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
  const auto path = [](const char* option, std::filesystem::path& to) {
    return po::value<std::string>()->notifier([option, &to](const std::string& s) {
      if (s.empty())
        throw UsageError{fmt::format("--{}: expected the path of a folder, got an empty text", option)};
      to = s;
    });
  };
  options.add_options()("help,h", "show this help, or a command's")("version,V", "show the version")(
      "set", po::value(&global.overrides)->composing()->value_name("KEY=VALUE"),
      "override: stage.key=value, run.threads=4, name=x, seed=1")(
      "out", path("out", global.out)->value_name("DIR"), "where results go (default: runs/<name>)")(
      "store", path("store", global.store)->value_name("DIR"), "the feature store (default: .graft)")(
      "plugin-dir", po::value(&global.plugin_dirs)->composing()->value_name("DIR"),
      "look for plugins here, too (also: GRAFT_PLUGIN_PATH)")("quiet,q", po::bool_switch(&global.quiet),
                                                              "print errors only")(
      "log-level", po::value(&global.log_level)->value_name("LEVEL"),
      "error, warning, info (default) or debug")("json", po::bool_switch(&global.json),
                                                 "print results and faults as JSON");
  return options;
}

std::span<const Meaning> exit_codes() {
  return kExitCodes;
}

std::span<const Meaning> environment_variables() {
  return kEnvironment;
}

}  // namespace graft::cli
