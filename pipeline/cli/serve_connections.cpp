#include "serve_connections.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <optional>
#include <string_view>

#include <fmt/format.h>

namespace graft::cli {
namespace {

constexpr std::chrono::milliseconds kGlance{20};     ///< Between looks at what waits.
constexpr std::chrono::seconds kKeepAlive{2};        ///< A connection may be idle for, while others wait.
constexpr std::chrono::seconds kLongKeepAlive{60};   ///< While none waits.
constexpr std::chrono::seconds kDrainTime{1};        ///< For what a refused request still sends.
constexpr std::size_t kRequestsOfConnection = 1000;  ///< At most.

struct RequestTimes {
  ServeClock::time_point began{};
  bool timed_out = false, is_last = false;
};
thread_local RequestTimes t_request;

/// Whether a socket is ready before a time.
bool wait_for_socket(socket_t socket, short events, ServeClock::time_point until) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - ServeClock::now()).count();
    pollfd ready{socket, events, 0};
    const int n = ::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, left)));
    if (n >= 0 || errno != EINTR) return n > 0;
  }
}

/// A connection that reads until one time and writes until another, whatever pauses the client makes.
class DeadlineStream final : public httplib::Stream {
 public:
  DeadlineStream(socket_t socket, std::chrono::seconds time) : socket_(socket), time_(time) {}

  void begin_request() {
    t_request = {ServeClock::now(), false, false};
    is_answering_ = false;
  }
  /// Bytes of the next request came with the one before.
  bool has_read_ahead() const { return at_ < end_; }

  bool is_readable() const override { return wait_readable(); }
  bool is_writable() const { return wait_writable(); }
  bool wait_readable() const {
    return has_read_ahead() || wait_for_socket(socket_, POLLIN, t_request.began + time_);
  }
  bool wait_writable() const { return wait_for_socket(socket_, POLLOUT, ServeClock::now() + time_); }

  ssize_t read(char* to, std::size_t size) override {
    if (!has_read_ahead()) {
      if (!flush()) return -1;  // "100 Continue", which the client waits for
      const std::optional<ssize_t> n = receive(t_request.began + time_);
      t_request.timed_out = t_request.timed_out || !n;
      if (!n || *n <= 0) return n.value_or(-1);
      at_ = 0;
      end_ = static_cast<std::size_t>(*n);
    }
    const std::size_t taken = std::min(size, end_ - at_);
    std::copy_n(block_.data() + at_, taken, to);
    at_ += taken;
    return static_cast<ssize_t>(taken);
  }

  /// The library writes an answer in pieces; short ones are sent together, by flush().
  ssize_t write(const char* from, std::size_t size) override {
    if (held_.size() + size <= kHeld) {
      held_.append(from, size);
      return static_cast<ssize_t>(size);
    }
    return flush() && send({from, size}) ? static_cast<ssize_t>(size) : -1;
  }
  /// False: the client has not taken it in time, or is gone.
  bool flush() {
    const bool sent = send(held_);
    held_.clear();
    return sent;
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    fill_address(remote_, ::getpeername, ip, port);
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    fill_address(local_, ::getsockname, ip, port);
  }
  socket_t socket() const override { return socket_; }
  time_t duration() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(ServeClock::now() - t_request.began).count();
  }

 private:
  struct Address {
    std::string ip;
    int port = 0;
  };
  /// The library asks at every request; an end of a connection keeps its address.
  template <typename Query>
  void fill_address(std::optional<Address>& known, const Query& query, std::string& ip, int& port) const {
    if (!known) known = address_by(query);
    if (known->ip.empty()) return;
    ip = known->ip;
    port = known->port;
  }
  template <typename Query>
  Address address_by(const Query& query) const {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    char host[NI_MAXHOST], service[NI_MAXSERV];
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (query(socket_, generic, &length) != 0 ||
        ::getnameinfo(generic, length, host, sizeof host, service, sizeof service,
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0)
      return {};
    return {host, std::stoi(service)};
  }

  /// What recv(2) gives, at most until a time; nothing: it is later.
  std::optional<ssize_t> receive(ServeClock::time_point until) {
    if (ServeClock::now() >= until) return {};
    for (;;) {
      const ssize_t n = ::recv(socket_, block_.data(), block_.size(), MSG_DONTWAIT);
      if (n >= 0 || (errno != EAGAIN && errno != EINTR)) return n;
      if (!wait_for_socket(socket_, POLLIN, until)) return {};
    }
  }

  bool send(std::string_view text) {
    if (text.empty()) return true;
    if (!std::exchange(is_answering_, true)) answer_until_ = ServeClock::now() + time_;
    while (!text.empty()) {
      if (ServeClock::now() >= answer_until_) return false;
      const ssize_t n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
      if (n >= 0 || errno == EINTR) continue;
      if (errno != EAGAIN || !wait_for_socket(socket_, POLLOUT, answer_until_)) return false;
    }
    return true;
  }

  static constexpr std::size_t kHeld = 16 << 10;
  const socket_t socket_;
  const std::chrono::seconds time_;
  std::array<char, 16 << 10> block_;
  std::size_t at_ = 0, end_ = 0;
  std::string held_;
  mutable std::optional<Address> remote_, local_;
  bool is_answering_ = false;
  ServeClock::time_point answer_until_{};
};

/// Takes what the client still sends, for a moment: a socket closed before would take the answer from it.
void drain(socket_t socket) {
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4 << 10> block;
  const auto until = ServeClock::now() + kDrainTime;
  while (ServeClock::now() < until && wait_for_socket(socket, POLLIN, until) &&
         ::recv(socket, block.data(), block.size(), MSG_DONTWAIT) > 0) {
  }
}

void close_connection(socket_t socket) {
  ::shutdown(socket, SHUT_RDWR);
  ::close(socket);
}

}  // namespace

ServeClock::time_point request_began() {
  return t_request.began;
}

bool request_timed_out() {
  return t_request.timed_out;
}

void make_last_request() {
  t_request.is_last = true;
}

/// What the library takes for its pool: connections are queued in the thread that accepts them, and served by
/// threads of the server, which knows their sockets.
class ServeServer::Threads final : public httplib::TaskQueue {
  using Accepted = decltype(std::declval<httplib::TaskQueue&>().enqueue({}));  // void, bool in later versions

 public:
  explicit Threads(ServeServer& server) : server_(server) {
    try {
      for (std::size_t t = 0; t < server.thread_count_; ++t)
        threads_.emplace_back([&server] { server.serve_waiting(); });
      threads_.emplace_back([&server] { server.serve_prompt(); });
    } catch (...) {  // the system has no more threads
      shutdown();
      throw;
    }
  }
  Accepted enqueue(std::function<void()> queue_connection) override {
    queue_connection();
    return static_cast<Accepted>(true);
  }
  void shutdown() override {
    {
      const std::lock_guard lock(server_.mutex_);
      server_.closing_ = true;
    }
    server_.changed_.notify_all();
    server_.crowded_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  ServeServer& server_;
  std::vector<std::thread> threads_;
};

ServeServer::ServeServer(std::size_t threads, std::chrono::seconds time, std::vector<std::string> prompt)
    : thread_count_(threads), time_(time), prompt_(std::move(prompt)) {
  new_task_queue = [this] { return new Threads(*this); };
}

void ServeServer::end(ServeClock::time_point until) {
  {
    const std::lock_guard lock(mutex_);
    serves_until_ = until;
  }
  stop();
}

bool ServeServer::process_and_close_socket(socket_t socket) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back({socket, ServeClock::now()});
  (is_crowded() ? crowded_ : changed_).notify_one();
  return true;
}

void ServeServer::serve_waiting() {
  for (;;) {
    std::unique_lock lock(mutex_);
    ++idle_;
    changed_.wait(lock, [&] { return closing_ || !waiting_.empty(); });
    --idle_;
    if (waiting_.empty()) return;  // what came before the end is served
    const socket_t socket = waiting_.front().socket;
    waiting_.pop_front();
    lock.unlock();
    serve(socket, kRequestsOfConnection);
  }
}

/// Asks for one of the prompt pages, and the request is there as a whole: nothing of it has to be waited for.
bool ServeServer::is_prompt(socket_t socket) const {
  std::array<char, 8 << 10> block;
  const ssize_t n = ::recv(socket, block.data(), block.size(), MSG_PEEK | MSG_DONTWAIT);
  const std::string_view text(block.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return text.find("\r\n\r\n") != std::string_view::npos &&
         std::any_of(prompt_.begin(), prompt_.end(),
                     [&](const std::string& path) { return text.starts_with("GET " + path + " "); });
}

void ServeServer::serve_prompt() {
  for (;;) {
    std::list<Waiting> prompt, late;
    {
      std::unique_lock lock(mutex_);
      if (refused_.empty()) crowded_.wait(lock, [&] { return closing_ || is_crowded(); });
      if (closing_ && waiting_.empty() && refused_.empty()) return;
      const auto now = ServeClock::now();
      for (auto at = waiting_.begin(); at != waiting_.end();) {
        const auto next = std::next(at);
        if (is_prompt(at->socket))
          prompt.splice(prompt.end(), waiting_, at);
        else if (at->since < now - time_ || now >= serves_until_)
          late.splice(late.end(), waiting_, at);
        at = next;
      }
    }
    for (const Waiting& connection : prompt) serve(connection.socket, 1);
    refuse(std::move(late));
    close_refused();
    std::this_thread::sleep_for(kGlance);
  }
}

void ServeServer::refuse(std::list<Waiting>&& connections) {
  if (connections.empty()) return;
  const std::string body =
      has_ended() ? "{\"error\":\"the service is stopping: try again later\"}\n"
                  : fmt::format("{{\"error\":\"all connections are in use, at most {}: try again later\"}}\n",
                                thread_count_);
  const std::string answer = fmt::format(
      "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
      "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  for (Waiting& connection : connections) {
    ::send(connection.socket, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(connection.socket, SHUT_WR);
    connection.since = ServeClock::now();
  }
  refused_.splice(refused_.end(), connections);
}

/// Takes what refused clients still send, for a moment: a socket that is closed with bytes in it takes the
/// answer from them.
void ServeServer::close_refused() {
  std::array<char, 4 << 10> block;
  refused_.remove_if([&](const Waiting& connection) {
    ssize_t n = 1;
    for (int blocks = 0; blocks < 64 && n > 0; ++blocks)
      n = ::recv(connection.socket, block.data(), block.size(), MSG_DONTWAIT);
    const bool waits = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
    if (waits && ServeClock::now() < connection.since + kDrainTime) return false;
    close_connection(connection.socket);
    return true;
  });
}

/// A client that sends its next request while its connection is closed has no answer to it: where nobody
/// needs the thread, it has more time.
bool ServeServer::may_be_idle(ServeClock::duration time) {
  if (time < kKeepAlive) return true;
  if (time >= kLongKeepAlive) return false;
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

void ServeServer::serve(socket_t socket, std::size_t requests) {
  DeadlineStream stream(socket, time_);
  for (std::size_t left = requests; left > 0; --left) {
    const auto idle_since = ServeClock::now();
    bool is_there = stream.has_read_ahead();
    do is_there = is_there || wait_for_socket(socket, POLLIN, ServeClock::now() + kGlance);
    while (!is_there && !has_ended() && may_be_idle(ServeClock::now() - idle_since));
    if (!is_there) break;
    stream.begin_request();
    bool closed = false;
    const auto answer = [&stream, &closed, last = left == 1 || has_ended()](auto& server) {
      if constexpr (requires { server.process_request(stream, last, closed, nullptr); }) {
        return server.process_request(stream, last, closed, nullptr);
      } else {  // since version 0.16
        std::string remote, local;
        int remote_port = 0, local_port = 0;
        stream.get_remote_ip_and_port(remote, remote_port);
        stream.get_local_ip_and_port(local, local_port);
        return server.process_request(stream, remote, remote_port, local, local_port, last, closed, nullptr);
      }
    };
    const bool is_made = answer(*this), answered = stream.flush() && is_made;
    if (t_request.is_last && !request_timed_out() && requests > 1) drain(socket);
    if (!answered || closed || t_request.is_last || request_timed_out()) break;
  }
  close_connection(socket);
}

}  // namespace graft::cli
