#pragma once

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "loopback.h"
#include "program.h"

namespace graft::test {

/// An nginx of its own for a test: a free port of the loopback device, its files in a temporary folder, one
/// worker, as the user who runs the test.
class Nginx {
 public:
  /// A request as nginx has logged it.
  struct Request {
    int status = 0;
    std::uint64_t body_bytes = 0;
    std::uint64_t connection = 0;
    std::string path, range, if_none_match;  ///< "-": none.
  };

  /// Empty where it is not installed.
  static std::string program() {
    for (const char* path :
         {"/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx"})
      if (::access(path, X_OK) == 0) return path;
    return {};
  }

  /// Serves the folder; `locations`: more of its `server`.
  explicit Nginx(const std::filesystem::path& served, const std::string& locations = "") {
    for (int tries = 1;; ++tries) {  // somebody else may have taken the port meanwhile
      port_ = free_port();
      write_config(served, locations);
      pid_ = start(program().c_str(), output_, {"-c", (folder_ / "nginx.conf").string()});
      // Its own file says that it is this one that listens.
      if (listens(port_, pid_) && std::filesystem::exists(folder_ / "nginx.pid")) return;
      stop();
      if (tries == 5) throw std::runtime_error("nginx does not start: " + slurp(output_ / "stderr"));
    }
  }
  ~Nginx() { stop(); }
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  /// Stops it, so that all it has to log is there.
  std::vector<Request> stopped_log() {
    stop();
    std::vector<Request> out;
    std::istringstream lines(slurp(folder_ / "access.log"));
    for (std::string line; std::getline(lines, line);) {
      std::istringstream fields(line);
      Request r;
      fields >> r.status >> r.body_bytes >> r.connection >> r.path >> r.range >> r.if_none_match;
      out.push_back(std::move(r));
    }
    return out;
  }

 private:
  void write_config(const std::filesystem::path& served, const std::string& locations) const {
    const std::string folder = folder_.path().string();
    std::string temporary;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
      temporary += "  " + std::string(kind) + "_temp_path " + folder + "/" + kind + ";\n";
    folder_.write("nginx.conf",
                  "daemon off;\n"
                  "worker_processes 1;\n" +
                      std::string(::geteuid() == 0 ? "user root;\n" : "") + "pid " + folder +
                      "/nginx.pid;\nerror_log " + folder + "/error.log;\nevents {}\nhttp {\n" + temporary +
                      "  log_format counted '$status $body_bytes_sent $connection $uri "
                      "$http_range $http_if_none_match';\n"
                      "  access_log " +
                      folder +
                      "/access.log counted;\n  server {\n    listen 127.0.0.1:" + std::to_string(port_) +
                      ";\n    root " + served.string() + ";\n" + locations + "  }\n}\n");
  }

  /// Once requests have ended.
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGQUIT);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

  const TempFolder folder_, output_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace graft::test
