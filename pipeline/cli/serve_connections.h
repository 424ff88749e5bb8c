#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <httplib.h>

namespace graft::cli {

using ServeClock = std::chrono::steady_clock;

/// Of the request that the calling thread of a ServeServer answers: when its first byte was there, and
/// whether it took longer to arrive than the server's time.
ServeClock::time_point request_began();
bool request_timed_out();
/// Closes the connection after the answer to it: of a refused request, the body may not have been read, and
/// is no request of its own.
void make_last_request();

/// A server whose clients cannot hold it: a request has to arrive, and its answer to be taken, within a time
/// whatever pauses the client makes. The library limits every pause, so that a byte per second would do.
/// While all threads are busy, connections wait for one as long; a thread of its own looks at them,
/// answers those that ask for one of a few short pages, and refuses those that have waited too long.
class ServeServer final : public httplib::Server {
 public:
  /// `prompt`: paths that are answered while all threads are busy, such as "/healthz".
  ServeServer(std::size_t threads, std::chrono::seconds time, std::vector<std::string> prompt);

  /// Takes no more connections. Those that wait for a thread are served until then, and refused afterwards.
  void end(ServeClock::time_point until);

 private:
  struct Waiting {
    socket_t socket;
    ServeClock::time_point since;
  };
  class Threads;

  bool process_and_close_socket(socket_t socket) override;
  void serve_waiting();
  void serve_prompt();
  void serve(socket_t socket, std::size_t requests);
  bool is_prompt(socket_t socket) const;
  bool may_be_idle(ServeClock::duration time);
  void refuse(std::list<Waiting>&& connections);
  void close_refused();
  bool has_ended() const { return svr_sock_ == INVALID_SOCKET; }
  /// More connections wait than threads do. Under the mutex.
  bool is_crowded() const { return waiting_.size() > idle_; }

  const std::size_t thread_count_;
  const std::chrono::seconds time_;
  const std::vector<std::string> prompt_;
  std::mutex mutex_;
  std::condition_variable changed_, crowded_;  // for the threads, and for the one that looks at what waits
  std::size_t idle_ = 0;                       // threads that wait for a connection
  std::list<Waiting> waiting_;
  bool closing_ = false;
  ServeClock::time_point serves_until_ = ServeClock::time_point::max();
  std::list<Waiting> refused_;  // that have their answer, until they have read it; of serve_prompt() alone
};

}  // namespace graft::cli
