#include "slurm_cluster.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace graft::test {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  std::string host = name;
  return host.substr(0, host.find('.'));
}

bool is_free(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return free;
}

/// The first of so many free ports in a row.
int free_ports(int count) {
  std::random_device random;
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int first = 20000 + static_cast<int>(random() % 10000);
    int free = 0;
    while (free < count && is_free(first + free)) ++free;
    if (free == count) return first;
  }
  throw std::runtime_error("no free ports");
}

std::string output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("cannot run " + command);
  std::string out;
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, n);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + ": " + out);
  return out;
}

}  // namespace

std::string SlurmCluster::why_not() {
  if (::geteuid() != 0) return "slurmd of several nodes on one machine needs root";
  for (const char* program :
       {"/usr/sbin/munged", "/usr/sbin/slurmctld", "/usr/sbin/slurmd", "/usr/bin/sbatch"})
    if (!fs::exists(program)) return std::string(program) + " is missing: apt-get install slurm-wlm munge";
  return {};
}

SlurmCluster::SlurmCluster() {
  fs::permissions(folder_.path(), fs::perms(0755));
  std::string key(1024, '\0');
  std::random_device random;
  for (char& c : key) c = static_cast<char>(random());
  folder_.write("munge/key", key);
  fs::permissions(folder_ / "munge/key", fs::perms(0400));
  for (int i = 0; i < kNodes; ++i) fs::create_directories(folder_ / ("spool.n" + std::to_string(i)));
  fs::create_directories(folder_ / "state");
  const int port = free_ports(kNodes + 1);
  const std::string d = folder_.path().string();
  std::ostringstream text;
  text << "ClusterName=graft\nSlurmctldHost=" << host_name() << "(127.0.0.1)\nSlurmctldPort=" << port
       << "\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nCredType=cred/munge\nAuthInfo=socket=" << d
       << "/munge/socket\nStateSaveLocation=" << d << "/state\nSlurmdSpoolDir=" << d
       << "/spool.%n\nSlurmctldPidFile=" << d << "/slurmctld.pid\nSlurmdPidFile=" << d
       << "/slurmd.%n.pid\nSlurmctldLogFile=" << d << "/slurmctld.log\nSlurmdLogFile=" << d
       << "/slurmd.%n.log\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
          "JobAcctGatherType=jobacct_gather/none\nMpiDefault=none\nSelectType=select/cons_tres\n"
          "SelectTypeParameters=CR_CPU\nSlurmdTimeout=10\nReturnToService=2\nJobRequeue=1\n"
          "SlurmdParameters=config_overrides\nSchedulerParameters=sched_interval=2\nKillWait=10\n"
       << "NodeName=n[0-" << kNodes - 1 << "] NodeHostname=" << host_name() << " NodeAddr=127.0.0.1 Port=["
       << port + 1 << "-" << port + kNodes << "] CPUs=1 RealMemory=2000 State=UNKNOWN\n"
       << "PartitionName=main Nodes=n[0-" << kNodes - 1 << "] Default=YES MaxTime=INFINITE State=UP\n";
  folder_.write("slurm.conf", text.str());
  try {
    const std::string m = d + "/munge/";
    output_of("/usr/sbin/munged --force --socket=" + m + "socket --key-file=" + m + "key --pid-file=" + m +
              "pid --log-file=" + m + "log --seed-file=" + m + "seed");
    run("/usr/sbin/slurmctld");
    for (int i = 0; i < kNodes; ++i) start_node(i);
    for (int i = 0; i < 300; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (run("sinfo -h -o '%T %D'").find("idle 4") != std::string::npos) return;
    }
    throw std::runtime_error("the nodes do not come up:\n" + slurp(folder_ / "slurmctld.log"));
  } catch (...) {
    stop();
    throw;
  }
}

SlurmCluster::~SlurmCluster() {
  try {
    run("scancel --signal=KILL --full -u root");
    for (int i = 0; i < 50 && !jobs().empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  } catch (const std::exception&) {  // what is left is killed
  }
  stop();
}

void SlurmCluster::stop() const {
  std::vector<pid_t> pids;
  for (int i = 0; i < kNodes; ++i) pids.push_back(pid_in("slurmd.n" + std::to_string(i) + ".pid"));
  pids.push_back(pid_in("slurmctld.pid"));
  pids.push_back(pid_in("munge/pid"));
  for (const pid_t pid : pids)
    if (pid > 1) ::kill(pid, SIGTERM);
  // They write into the folder until they are gone.
  for (int i = 0; i < 100; ++i) {
    bool left = false;
    for (const pid_t pid : pids) left = left || (pid > 1 && ::kill(pid, 0) == 0);
    if (!left) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  for (const pid_t pid : pids)
    if (pid > 1) ::kill(pid, SIGKILL);
}

pid_t SlurmCluster::pid_in(const std::string& file) const {
  std::ifstream in(folder_ / file);
  pid_t pid = 0;
  in >> pid;
  return pid;
}

std::string SlurmCluster::run(const std::string& command) const {
  return output_of("SLURM_CONF=" + conf() + " " + command);
}

std::map<std::string, std::string> SlurmCluster::jobs() const {
  std::map<std::string, std::string> out;
  std::istringstream lines(run("squeue -h -r -o '%i %T'"));
  for (std::string id, state; lines >> id >> state;) out[id] = state;
  return out;
}

void SlurmCluster::kill_node(int node) const {
  ::kill(pid_in("slurmd.n" + std::to_string(node) + ".pid"), SIGKILL);
}

void SlurmCluster::start_node(int node) const {
  run("/usr/sbin/slurmd -N n" + std::to_string(node));
}

}  // namespace graft::test
