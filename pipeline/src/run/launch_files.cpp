#include "run/launch_files.h"

#include <algorithm>

#include <fmt/format.h>

#include <graft/value.h>

namespace graft {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
/// Workers save their rows within 5 s of SIGTERM; Slurm sends it within a minute of the time that was asked
/// for.
constexpr int kSecondsBeforeEnd = 60;

/// Options of sbatch and srun for the resources of a task.
std::vector<std::string> slurm_resources(const LaunchSpec& spec, int cpus, int gpus) {
  std::vector<std::string> out{"--nodes=1", "--ntasks=1", fmt::format("--cpus-per-task={}", cpus)};
  if (gpus > 0) out.push_back(fmt::format("--gpus-per-node={}", gpus));
  if (spec.memory > 0) out.push_back(fmt::format("--mem={}M", (spec.memory + kMiB - 1) / kMiB));
  if (!spec.time.empty()) out.push_back("--time=" + spec.time);
  out.insert(out.end(), spec.submit_options.begin(), spec.submit_options.end());
  return out;
}

std::string slurm_head(const LaunchSpec& spec, int cpus, int gpus) {
  std::string out;
  for (const std::string& option : slurm_resources(spec, cpus, gpus)) out += "#SBATCH " + option + "\n";
  return out + fmt::format("#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --signal=B:TERM@{}\n",
                           kSecondsBeforeEnd);
}

std::string start_in(const LaunchSpec& spec) {
  return "\nset -e\ncd " + shell_quoted(spec.directory.string()) + "\n";
}

/// A text in YAML: as JSON writes it.
std::string yaml(const std::string& text) {
  return Value(text).to_json();
}

std::string yaml_list(const std::vector<std::string>& words) {
  Value list = Value::List(words.begin(), words.end());
  return list.to_json();
}

std::vector<std::string> with_words(std::vector<std::string> words, std::initializer_list<const char*> more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// A value of a label: at most 63 characters, a letter or a digit first and last.
std::string label(const std::string& name) {
  constexpr const char* kInside = "_-";
  const std::size_t begin = std::min(name.find_first_not_of(kInside), name.size());
  std::string out = name.substr(begin, 63);
  out.resize(out.find_last_not_of(kInside) + 1);
  return yaml(out);
}

/// What a pod is for: one of the tasks, what is computed after them, or a measurement before.
enum class PodUse { Task, Merge, Bench };

/// Exit code 2, an error in the config, is not tried again.
std::string pod(const LaunchSpec& spec, const std::vector<std::string>& command, PodUse use) {
  std::string resources = fmt::format("cpu: \"{}\"", spec.cpus);
  if (spec.memory > 0) resources += fmt::format(", memory: {}Mi", (spec.memory + kMiB - 1) / kMiB);
  if (use != PodUse::Merge && spec.gpus > 0) resources += fmt::format(", nvidia.com/gpu: \"{}\"", spec.gpus);
  std::string out = fmt::format(
      "  template:\n"
      "    metadata:\n"
      "      labels: {{app: graft, graft-job: {0}}}\n"
      "    spec:\n"
      "      restartPolicy: Never\n"
      "      terminationGracePeriodSeconds: {1}\n"
      "      containers:\n"
      "        - name: graft\n"
      "          image: {2}\n"
      "          workingDir: {3}\n"
      "          command: {4}\n",
      label(spec.name), kSecondsBeforeEnd, yaml(spec.image), yaml(spec.directory.string()),
      yaml_list(command));
  if (use != PodUse::Merge || !spec.environment.empty()) out += "          env:\n";
  if (use == PodUse::Bench)
    out += "            - {name: GRAFT_NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}\n";
  if (use == PodUse::Task)
    out += fmt::format("            - {{name: GRAFT_TASKS, value: \"{}\"}}\n", spec.tasks);
  for (const auto& [name, value] : spec.environment)
    out += fmt::format("            - {{name: {}, value: {}}}\n", yaml(name), yaml(value));
  return out + fmt::format(
                   "          resources:\n"
                   "            requests: {{{0}}}\n"
                   "            limits: {{{0}}}\n"
                   "          volumeMounts:\n"
                   "            - {{name: work, mountPath: {1}}}\n"
                   "      volumes:\n"
                   "        - name: work\n"
                   "          persistentVolumeClaim: {{claimName: {2}}}\n",
                   resources, yaml(spec.directory.string()), yaml(spec.claim));
}

std::string kubernetes_name(const std::string& name) {
  std::string out = "graft-" + name;
  std::replace(out.begin(), out.end(), '_', '-');
  // A name ends with a letter or a digit, and that of a pod has 63 characters with its index.
  out.resize(std::min<std::size_t>(out.size(), 45));
  while (out.back() == '-') out.pop_back();
  return out;
}

constexpr const char* kDockerfile =
    R"(# The image of the tasks. Put the packages that ./dev package has made beside this file:
#   docker build -t IMAGE . && docker push IMAGE
FROM debian:bookworm-slim
COPY graft*.deb /tmp/packages/
RUN apt-get update \
 && apt-get install -y --no-install-recommends /tmp/packages/graft*.deb \
 && rm -rf /var/lib/apt/lists/* /tmp/packages
ENTRYPOINT []
)";

}  // namespace

std::string shell_quoted(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string shell_command(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_quoted(word);
  return out;
}

std::string index_ranges(const std::vector<std::uint32_t>& indices) {
  std::string out;
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t last = i;
    while (last + 1 < indices.size() && indices[last + 1] == indices[last] + 1) ++last;
    out += fmt::format("{}{}{}", out.empty() ? "" : ",", indices[i],
                       last == i ? "" : fmt::format("-{}", indices[last]));
    i = last + 1;
  }
  return out;
}

std::vector<LaunchFile> slurm_files(const LaunchSpec& spec, const std::vector<std::uint32_t>& indices) {
  // %A and %a are the job and the index; a % of the path itself is doubled.
  std::string logs = (spec.folder / "logs").string();
  for (std::size_t at = 0; (at = logs.find('%', at)) != std::string::npos; at += 2) logs.insert(at, "%");
  // exec: the signal of --signal=B goes to the process of the script, which is graft then.
  const std::string array = fmt::format(
      "#!/bin/sh\n#SBATCH --job-name=graft-{}\n#SBATCH --array={}\n{}#SBATCH --output={}\n{}export "
      "GRAFT_TASKS={}\n"
      "exec {}\n",
      spec.name, index_ranges(indices), slurm_head(spec, spec.cpus, spec.gpus),
      shell_quoted(logs + "/slurm-%A_%a.txt"), start_in(spec), spec.tasks,
      shell_command(with_words(spec.worker, {"--shard", "auto"})));
  const std::string merge =
      fmt::format("#!/bin/sh\n#SBATCH --job-name=graft-{}-merge\n{}#SBATCH --output={}\n{}exec {}\n",
                  spec.name, slurm_head(spec, spec.cpus, 0), shell_quoted(logs + "/slurm-%j-merge.txt"),
                  start_in(spec), shell_command(spec.merge));
  // An array without a task is none.
  if (indices.empty()) return {{"merge.sh", merge}};
  return {{"array.sh", array}, {"merge.sh", merge}};
}

std::vector<LaunchFile> kubernetes_files(const LaunchSpec& spec) {
  const std::string name = kubernetes_name(spec.name);
  const std::string job = fmt::format(
      "apiVersion: batch/v1\n"
      "kind: Job\n"
      "metadata:\n"
      "  name: {0}\n"
      "  labels: {{app: graft, graft-job: {1}}}\n"
      "spec:\n"
      "  completionMode: Indexed\n"
      "  completions: {2}\n"
      "  parallelism: {2}\n"
      "  backoffLimitPerIndex: 3\n"
      "  podFailurePolicy:\n"
      "    rules:\n"
      "      - action: FailIndex\n"
      "        onExitCodes: {{containerName: graft, operator: In, values: [2]}}\n"
      "      - action: Ignore\n"
      "        onPodConditions: [{{type: DisruptionTarget, status: \"True\"}}]\n"
      "{3}"
      "---\n"
      "# Begins when it is resumed, see below.\n"
      "apiVersion: batch/v1\n"
      "kind: Job\n"
      "metadata:\n"
      "  name: {0}-merge\n"
      "  labels: {{app: graft, graft-job: {1}}}\n"
      "spec:\n"
      "  suspend: true\n"
      "  backoffLimit: 0\n"
      "{4}"
      "# kubectl apply -f job.yaml\n"
      "# kubectl wait --for=condition=complete --timeout=-1s job/{0}\n"
      "# kubectl patch job/{0}-merge --type=strategic --patch '{{\"spec\":{{\"suspend\":false}}}}'\n",
      name, label(spec.name), spec.tasks,
      pod(spec, with_words(spec.worker, {"--shard", "auto"}), PodUse::Task),
      pod(spec, spec.merge, PodUse::Merge));
  return {{"job.yaml", job}, {"Dockerfile", kDockerfile}};
}

LaunchFile kubernetes_bench_file(const LaunchSpec& spec) {
  const std::string name = kubernetes_name(spec.name) + "-bench";
  return {"bench-node.yaml", fmt::format("apiVersion: batch/v1\n"
                                         "kind: Job\n"
                                         "metadata:\n"
                                         "  name: {0}\n"
                                         "  labels: {{app: graft, graft-job: {1}}}\n"
                                         "spec:\n"
                                         "  backoffLimit: 0\n"
                                         "{2}"
                                         "# Saved as bench-node.yaml:\n"
                                         "# kubectl apply -f bench-node.yaml\n"
                                         "# kubectl logs --follow --pod-running-timeout=24h job/{0}\n"
                                         "# kubectl delete job/{0}\n",
                                         name, label(spec.name), pod(spec, spec.worker, PodUse::Bench))};
}

std::vector<std::string> slurm_bench_command(const LaunchSpec& spec, const std::string& job_name) {
  // srun, unlike sbatch, brings the output back by itself: the node may share no home with this machine.
  std::vector<std::string> out{"srun", "--job-name=" + job_name};
  const std::vector<std::string> resources = slurm_resources(spec, spec.cpus, spec.gpus);
  out.insert(out.end(), resources.begin(), resources.end());
  out.insert(out.end(), {"--chdir=" + spec.directory.string(), "--input=none"});
  out.insert(out.end(), spec.worker.begin(), spec.worker.end());
  return out;
}

std::vector<std::string> mpi_bench_command(const LaunchSpec& spec) {
  std::vector<std::string> out{"mpirun", "-n", "1"};
  out.insert(out.end(), {"--map-by", fmt::format("slot:PE={}", spec.cpus), "--bind-to", "core"});
  for (const auto& [name, value] : spec.environment) out.insert(out.end(), {"-x", name});
  out.insert(out.end(), spec.worker.begin(), spec.worker.end());
  return out;
}

std::vector<LaunchFile> mpi_files(const LaunchSpec& spec) {
  const std::string worker = shell_command(with_words(spec.worker, {"--shard", "auto"}));
  std::string passed;
  for (const auto& [name, value] : spec.environment) passed += " -x " + name;
  // Without a mapping, OpenMPI binds every rank to one core, whatever it was meant to have.
  return {{"mpi.sh",
           fmt::format(
               "#!/bin/sh\n"
               "# In an allocation of Slurm, in the place of mpirun:\n"
               "#   srun -n {0} -c {1} {2}\n"
               "# mpirun ends all ranks when one is killed; what they have finished is stored, and this\n"
               "# script, started again, goes on from there.\n"
               "{3}mpirun -n {0} --map-by slot:PE={1} --bind-to core{4} {2}\n"
               "exec {5}\n",
               spec.tasks, spec.cpus, worker, start_in(spec).substr(1), passed, shell_command(spec.merge))}};
}

}  // namespace graft
