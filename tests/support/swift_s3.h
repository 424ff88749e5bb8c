#pragma once

#include <curl/curl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "loopback.h"
#include "program.h"
#include "s3_requests.h"

namespace graft::test {

/// A store that speaks the protocol of S3: OpenStack Swift with its middleware s3api, which checks
/// signatures. One process for each of its servers, on free ports of the loopback device, with files in a
/// temporary folder.
class SwiftS3 {
 public:
  static constexpr const char* kRegion = "eu-central-1";
  static constexpr const char* kId = "test:tester";  ///< Swift's keys have a colon in them.
  static constexpr const char* kSecret = "a/secret+key";

  /// Why there can be none here; empty: there can.
  static std::string missing() {
    for (const char* name : kServers)
      if (::access(program(name).c_str(), X_OK) != 0)
        return "OpenStack Swift is not installed (Debian: swift-proxy swift-account swift-container "
               "swift-object)";
    const TempFolder folder;
    if (::setxattr(folder.path().c_str(), "user.graft", "1", 1, 0) != 0)
      return "the folder for temporary files keeps no extended attributes, which OpenStack Swift needs";
    return {};
  }

  SwiftS3() {
    folder_.write(
        "swift.conf",
        "[swift-hash]\nswift_hash_path_suffix = graft\n[storage-policy:0]\nname = zero\ndefault = yes\n");
    std::filesystem::create_directories(folder_ / "devices/one");
    for (const char* name : kServers) {
      ports_[name] = free_port();
      folder_.write(std::string(name) + ".conf", config(name));
      if (std::string(name) != "proxy") make_ring(name);
    }
    for (const char* name : kServers) {
      outputs_[name] = std::make_unique<TempFolder>();
      pids_[name] =
          start(program(name).c_str(), *outputs_[name], {(folder_ / (std::string(name) + ".conf")).string()});
    }
    for (const char* name : kServers) {
      if (listens(ports_[name], pids_[name])) continue;
      const std::string text = slurp(*outputs_[name] / "stderr") + slurp(*outputs_[name] / "stdout");
      stop();
      throw std::runtime_error(std::string("swift's ") + name + " server does not start: " + text);
    }
  }
  ~SwiftS3() { stop(); }
  SwiftS3(const SwiftS3&) = delete;
  SwiftS3& operator=(const SwiftS3&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(ports_.at("proxy")); }

  /// Makes a bucket ("photos"), or an object in one ("photos/a.jpg"; percent-encoded).
  void put(const std::string& path, const std::string& body = {}) const {
    const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
    CURL* const c = handle.get();
    curl_easy_setopt(c, CURLOPT_URL, (url() + "/" + path).c_str());
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, ("aws:amz:" + std::string(kRegion) + ":s3").c_str());
    curl_easy_setopt(c, CURLOPT_USERNAME, kId);
    curl_easy_setopt(c, CURLOPT_PASSWORD, kSecret);
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
        curl_slist_append(nullptr, ("x-amz-content-sha256: " + sha256_hex(body)).c_str()),
        curl_slist_free_all);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.data());
    std::string answer;
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(
        c, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t, std::size_t size, void* to) -> std::size_t {
          static_cast<std::string*>(to)->append(data, size);
          return size;
        });
    const CURLcode outcome = curl_easy_perform(c);
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (outcome != CURLE_OK || status != 200)
      throw std::runtime_error("cannot put " + path + ": " + curl_easy_strerror(outcome) + ", status " +
                               std::to_string(status) + " " + answer);
  }

 private:
  static constexpr const char* kServers[] = {"account", "container", "object", "proxy"};

  static std::string program(const std::string& name) { return "/usr/bin/swift-" + name + "-server"; }

  std::string config(const std::string& name) const {
    const passwd* const user = ::getpwuid(::geteuid());
    const std::string folder = folder_.path().string();
    std::string out =
        "[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = " + std::to_string(ports_.at(name)) +
        "\nswift_dir = " + folder + "\ndevices = " + folder +
        "/devices\nmount_check = false\nworkers = 0\nuser = " + (user == nullptr ? "root" : user->pw_name) +
        "\n[pipeline:main]\npipeline = ";
    if (name != "proxy")
      return out + name + "-server\n[app:" + name + "-server]\nuse = egg:swift#" + name + "\n";
    return out +
           "cache s3api tempauth proxy-server\n[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate "
           "= true\n"
           "[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:1\n"
           "[filter:s3api]\nuse = egg:swift#s3api\nlocation = " +
           kRegion + "\n[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = " + kSecret +
           " .admin\n";
  }

  /// Where the server keeps what: all on one device.
  void make_ring(const std::string& name) const {
    const std::string ring = (folder_ / (name + ".builder")).string();
    const std::string device = "r1z1-127.0.0.1:" + std::to_string(ports_.at(name)) + "/one";
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{ring, "create", "2", "1", "1"},
                                                      {ring, "add", device, "1"},
                                                      {ring, "rebalance"}}) {
      const TempFolder output;
      const ProgramResult r = wait_for(output, start("/usr/bin/swift-ring-builder", output, arguments));
      if (r.exit_code != 0) throw std::runtime_error("swift-ring-builder: " + r.out + r.err);
    }
  }

  void stop() {
    for (const auto& [name, pid] : pids_) ::kill(pid, SIGTERM);
    for (const auto& [name, pid] : pids_) ::waitpid(pid, nullptr, 0);
    pids_.clear();
  }

  const TempFolder folder_;
  std::map<std::string, std::unique_ptr<TempFolder>> outputs_;
  std::map<std::string, int> ports_;
  std::map<std::string, pid_t> pids_;
};

}  // namespace graft::test
