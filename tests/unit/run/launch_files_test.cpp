#include "run/launch_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <regex>
#include <set>

#include <yaml-cpp/yaml.h>

namespace graft {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LaunchSpec spec_of_three_tasks() {
  LaunchSpec spec;
  spec.name = "birds_2";
  spec.directory = "/data/o'brien";
  spec.folder = "/data/.graft/jobs/birds_2";
  spec.worker = {"/usr/bin/graft", "run", "/data/my birds.yaml", "--store", "/data/.graft"};
  spec.merge = spec.worker;
  spec.merge.emplace_back("--merge");
  spec.environment = {{"GRAFT_DATA", "/data"}};
  spec.tasks = 3;
  spec.cpus = 8;
  spec.image = "registry/graft:1";
  spec.claim = "photos";
  return spec;
}

TEST(LaunchFiles, WordsComeBackFromTheShell) {
  EXPECT_EQ(shell_quoted("a-b_c/d.yaml"), "a-b_c/d.yaml");
  EXPECT_EQ(shell_quoted(""), "''");
  for (const char* const word :
       {"it's", "a b", "$HOME", "`id`", "a\nb", "*", "\\", "--set=x=[1, 2]", "~", "ä"}) {
    FILE* shell = ::popen(("printf %s " + shell_quoted(word)).c_str(), "r");
    ASSERT_NE(shell, nullptr);
    std::string out;
    for (int c = 0; (c = std::fgetc(shell)) != EOF;) out += static_cast<char>(c);
    ::pclose(shell);
    EXPECT_EQ(out, std::string(word));
  }
}

TEST(LaunchFiles, IndicesAreRanges) {
  EXPECT_EQ(index_ranges({}), "");
  EXPECT_EQ(index_ranges({0}), "0");
  EXPECT_EQ(index_ranges({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
}

TEST(LaunchFiles, OfSlurm) {
  LaunchSpec spec = spec_of_three_tasks();
  spec.gpus = 2;
  spec.memory = (std::uint64_t{3} << 30) + 1;
  spec.time = "2:00:00";
  spec.submit_options = {"--partition=gpu", "--account=lab"};
  const auto files = slurm_files(spec, {0, 2});
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].name, "array.sh");
  EXPECT_EQ(files[0].content,
            "#!/bin/sh\n"
            "#SBATCH --job-name=graft-birds_2\n"
            "#SBATCH --array=0,2\n"
            "#SBATCH --nodes=1\n"
            "#SBATCH --ntasks=1\n"
            "#SBATCH --cpus-per-task=8\n"
            "#SBATCH --gpus-per-node=2\n"
            "#SBATCH --mem=3073M\n"
            "#SBATCH --time=2:00:00\n"
            "#SBATCH --partition=gpu\n"
            "#SBATCH --account=lab\n"
            "#SBATCH --requeue\n"
            "#SBATCH --open-mode=append\n"
            "#SBATCH --signal=B:TERM@60\n"
            "#SBATCH --output=/data/.graft/jobs/birds_2/logs/slurm-%A_%a.txt\n"
            "\n"
            "set -e\n"
            "cd '/data/o'\\''brien'\n"
            "export GRAFT_TASKS=3\n"
            "exec /usr/bin/graft run '/data/my birds.yaml' --store /data/.graft --shard auto\n");
  EXPECT_EQ(files[1].name, "merge.sh");
  EXPECT_THAT(files[1].content, Not(HasSubstr("--array")));
  EXPECT_THAT(files[1].content, Not(HasSubstr("gpus"))) << "learners of the features need none";
  EXPECT_THAT(files[1].content,
              HasSubstr("exec /usr/bin/graft run '/data/my birds.yaml' --store /data/.graft --merge\n"));
}

/// The part of the schema of the API's batch/v1 Job that a job of ours uses: the fields of every object, and
/// the kind of each: a text, a whole number, true or false, a list, or another object.
const std::map<std::string, std::map<std::string, std::string>> kJobSchema = {
    {"Job", {{"apiVersion", "text"}, {"kind", "text"}, {"metadata", "Meta"}, {"spec", "JobSpec"}}},
    {"Meta", {{"name", "text"}, {"labels", "texts"}, {"annotations", "texts"}, {"namespace", "text"}}},
    {"JobSpec",
     {{"activeDeadlineSeconds", "int"},
      {"backoffLimit", "int"},
      {"backoffLimitPerIndex", "int"},
      {"completionMode", "text"},
      {"completions", "int"},
      {"maxFailedIndexes", "int"},
      {"parallelism", "int"},
      {"podFailurePolicy", "FailurePolicy"},
      {"suspend", "bool"},
      {"template", "PodTemplate"},
      {"ttlSecondsAfterFinished", "int"}}},
    {"FailurePolicy", {{"rules", "[Rule]"}}},
    {"Rule", {{"action", "text"}, {"onExitCodes", "ExitCodes"}, {"onPodConditions", "[Condition]"}}},
    {"ExitCodes", {{"containerName", "text"}, {"operator", "text"}, {"values", "[int]"}}},
    {"Condition", {{"type", "text"}, {"status", "text"}}},
    {"PodTemplate", {{"metadata", "Meta"}, {"spec", "PodSpec"}}},
    {"PodSpec",
     {{"containers", "[Container]"},
      {"restartPolicy", "text"},
      {"terminationGracePeriodSeconds", "int"},
      {"nodeSelector", "texts"},
      {"volumes", "[Volume]"}}},
    {"Container",
     {{"name", "text"},
      {"image", "text"},
      {"workingDir", "text"},
      {"command", "[text]"},
      {"args", "[text]"},
      {"env", "[Variable]"},
      {"resources", "Resources"},
      {"volumeMounts", "[Mount]"}}},
    {"Variable", {{"name", "text"}, {"value", "text"}, {"valueFrom", "VariableSource"}}},
    {"VariableSource", {{"fieldRef", "FieldRef"}}},
    {"FieldRef", {{"apiVersion", "text"}, {"fieldPath", "text"}}},
    {"Resources", {{"requests", "quantities"}, {"limits", "quantities"}}},
    {"Mount", {{"name", "text"}, {"mountPath", "text"}, {"readOnly", "bool"}}},
    {"Volume", {{"name", "text"}, {"persistentVolumeClaim", "Claim"}}},
    {"Claim", {{"claimName", "text"}, {"readOnly", "bool"}}},
};

bool is_number(const YAML::Node& node) {
  return node.Tag() != "!" && std::regex_match(node.Scalar(), std::regex("-?[0-9]+"));
}

/// A plain scalar that some reader of YAML 1.1 takes for a number, a truth value or null.
bool may_be_no_text(const YAML::Node& node) {
  return node.Tag() != "!" &&
         std::regex_match(node.Scalar(),
                          std::regex("|~|null|true|false|yes|no|on|off|y|n|[-+]?[0-9_.:]+(e[-+]?[0-9]+)?|"
                                     "0[xo][0-9a-f_]+|[-+]?\\.(inf|nan)",
                                     std::regex::icase));
}

/// Fields that the API does not know, and values of another kind, by their places.
void expect_kind(const YAML::Node& node, const std::string& kind, const std::string& place) {
  SCOPED_TRACE(place);
  if (kind == "text") {
    ASSERT_TRUE(node.IsScalar());
    EXPECT_FALSE(may_be_no_text(node)) << node.Scalar() << ": the API takes a text alone here";
  } else if (kind == "int") {
    ASSERT_TRUE(node.IsScalar());
    EXPECT_TRUE(is_number(node)) << node.Scalar();
  } else if (kind == "bool") {
    EXPECT_THAT(node.Scalar(), ::testing::AnyOf("true", "false"));
  } else if (kind == "texts" || kind == "quantities") {
    ASSERT_TRUE(node.IsMap());
    for (const auto& each : node) {
      if (kind == "texts")
        expect_kind(each.second, "text", place + "." + each.first.Scalar());
      else
        EXPECT_TRUE(std::regex_match(each.second.Scalar(), std::regex("[0-9]+(m|[KMGT]i?)?")))
            << each.second.Scalar();
    }
  } else if (kind[0] == '[') {
    ASSERT_TRUE(node.IsSequence());
    for (std::size_t i = 0; i < node.size(); ++i)
      expect_kind(node[i], kind.substr(1, kind.size() - 2), place + "[" + std::to_string(i) + "]");
  } else {
    ASSERT_TRUE(node.IsMap());
    const auto& fields = kJobSchema.at(kind);
    for (const auto& each : node) {
      const std::string field = each.first.Scalar();
      ASSERT_TRUE(fields.contains(field)) << kind << " has no field " << field;
      expect_kind(each.second, fields.at(field), place + "." + field);
    }
  }
}

TEST(LaunchFiles, OfKubernetesAreJobsOfTheApi) {
  LaunchSpec spec = spec_of_three_tasks();
  spec.worker[0] = spec.merge[0] = "graft";
  for (const int gpus : {0, 1}) {
    spec.gpus = gpus;
    spec.memory = gpus == 0 ? 0 : std::uint64_t{3} << 30;
    const auto files = kubernetes_files(spec);
    ASSERT_EQ(files.size(), 2u);
    const std::vector<YAML::Node> jobs = YAML::LoadAll(files[0].content);
    ASSERT_EQ(jobs.size(), 2u);
    for (const YAML::Node& job : jobs) {
      expect_kind(job, "Job", "job");
      EXPECT_EQ(job["apiVersion"].Scalar(), "batch/v1");
      // What the API checks beyond its schema.
      EXPECT_TRUE(std::regex_match(job["metadata"]["name"].Scalar(),
                                   std::regex("[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")));
      const YAML::Node pod = job["spec"]["template"]["spec"];
      EXPECT_EQ(pod["restartPolicy"].Scalar(), "Never") << "retries per index and failure policies demand it";
      EXPECT_EQ(pod["containers"][0]["volumeMounts"][0]["name"].Scalar(), pod["volumes"][0]["name"].Scalar());
    }
    const YAML::Node tasks = jobs[0]["spec"], container = tasks["template"]["spec"]["containers"][0];
    EXPECT_EQ(tasks["completionMode"].Scalar(), "Indexed");
    EXPECT_EQ(tasks["completions"].as<int>(), 3);
    EXPECT_EQ(tasks["podFailurePolicy"]["rules"][0]["onExitCodes"]["containerName"].Scalar(),
              container["name"].Scalar());
    EXPECT_EQ(container["command"].as<std::vector<std::string>>(),
              (std::vector<std::string>{"graft", "run", "/data/my birds.yaml", "--store", "/data/.graft",
                                        "--shard", "auto"}));
    EXPECT_EQ(container["env"][0]["name"].Scalar(), "GRAFT_TASKS");
    EXPECT_EQ(container["env"][0]["value"].Scalar(), "3");
    EXPECT_EQ(container["env"][1]["value"].Scalar(), "/data");
    EXPECT_EQ(container["resources"]["limits"]["cpu"].Scalar(), "8");
    EXPECT_EQ(container["resources"]["limits"]["nvidia.com/gpu"].IsDefined(), gpus == 1);
    EXPECT_EQ(jobs[1]["spec"]["suspend"].Scalar(), "true") << "it waits for the tasks";
  }
}

TEST(LaunchFiles, OfKubernetesForEveryName) {
  LaunchSpec spec = spec_of_three_tasks();
  for (const auto& [name, label] :
       std::map<std::string, std::string>{{"123", "123"},
                                          {"true", "true"},
                                          {"null", "null"},
                                          {"1e5", "1e5"},
                                          {"0x1f", "0x1f"},
                                          {"a_", "a"},
                                          {"_-a_b-_", "a_b"},
                                          {"_", ""},
                                          {std::string(62, 'a') + "_b", std::string(62, 'a')}}) {
    SCOPED_TRACE(name);
    spec.name = name;
    const std::vector<YAML::Node> jobs = YAML::LoadAll(kubernetes_files(spec)[0].content);
    ASSERT_EQ(jobs.size(), 2u);
    for (const YAML::Node& job : jobs) {
      expect_kind(job, "Job", "job");
      EXPECT_TRUE(std::regex_match(job["metadata"]["name"].Scalar(),
                                   std::regex("[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")))
          << job["metadata"]["name"].Scalar();
      EXPECT_EQ(job["metadata"]["labels"]["graft-job"].Scalar(), label);
      EXPECT_EQ(job["spec"]["template"]["metadata"]["labels"]["graft-job"].Scalar(), label);
    }
  }
}

TEST(LaunchFiles, TheMeasurementOfKubernetesIsAJobOfTheApi) {
  LaunchSpec spec = spec_of_three_tasks();
  spec.worker = {"graft", "bench-node", "/data/my birds.yaml", "--here"};
  for (const std::string& name : {std::string("birds_2"), std::string(62, 'a') + "_b", std::string("true")}) {
    spec.name = name;
    spec.gpus = 1;
    const LaunchFile file = kubernetes_bench_file(spec);
    EXPECT_EQ(file.name, "bench-node.yaml");
    const std::vector<YAML::Node> jobs = YAML::LoadAll(file.content);
    ASSERT_EQ(jobs.size(), 1u);
    expect_kind(jobs[0], "Job", "job");
    EXPECT_TRUE(std::regex_match(jobs[0]["metadata"]["name"].Scalar(),
                                 std::regex("[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")));
    EXPECT_EQ(jobs[0]["spec"]["backoffLimit"].as<int>(), 0) << "a second try would hide the first error";
    const YAML::Node pod = jobs[0]["spec"]["template"]["spec"], container = pod["containers"][0];
    EXPECT_EQ(pod["restartPolicy"].Scalar(), "Never");
    EXPECT_EQ(container["command"].as<std::vector<std::string>>(), spec.worker);
    EXPECT_EQ(container["resources"]["limits"]["nvidia.com/gpu"].Scalar(), "1") << "as the tasks have";
    EXPECT_EQ(container["env"][0]["name"].Scalar(), "GRAFT_NODE");
    EXPECT_EQ(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"].Scalar(), "spec.nodeName");
    EXPECT_EQ(container["env"][1]["name"].Scalar(), "GRAFT_DATA");
  }
}

TEST(LaunchFiles, OfMpi) {
  const auto files = mpi_files(spec_of_three_tasks());
  ASSERT_EQ(files.size(), 1u);
  EXPECT_THAT(files[0].content,
              HasSubstr("\nset -e\ncd '/data/o'\\''brien'\n"
                        "mpirun -n 3 --map-by slot:PE=8 --bind-to core -x GRAFT_DATA "
                        "/usr/bin/graft run '/data/my birds.yaml' --store /data/.graft --shard auto\n"));
  EXPECT_THAT(files[0].content, HasSubstr("#   srun -n 3 -c 8 /usr/bin/graft run "));
  EXPECT_THAT(files[0].content,
              HasSubstr("\nexec /usr/bin/graft run '/data/my birds.yaml' --store /data/.graft --merge\n"));
}

}  // namespace
}  // namespace graft
