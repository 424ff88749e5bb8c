#include "http_server.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <exception>
#include <memory>
#include <string_view>

#include <fmt/format.h>
#include <httplib.h>

#include <graft/error.h>
#include <graft/system_error.h>
#include <graft/text.h>
#include <graft/value.h>

#include "base/files.h"

namespace graft::cli {
namespace {

bool names_this_machine(std::string host) {
  if (const std::size_t port = host.rfind(':'); port != std::string::npos && !host.ends_with(']'))
    host.resize(port);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host.empty() || is_loopback(host);
}

/// What makes it doubtful where a request ends, and so where the next one of its connection begins; empty: it
/// is clear. The library reads a body where it expects one, by the first of several lengths.
std::string fault_of_framing(const httplib::Request& request) {
  constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
  for (const auto& [name, value] : request.headers)
    if (name.empty() || !std::all_of(name.begin(), name.end(), [&](unsigned char c) {
          return std::isalnum(c) != 0 || kTokenMarks.find(static_cast<char>(c)) != std::string_view::npos;
        }))
      return fmt::format("'{}' is not a name of a header", shortened(name));
  const std::size_t lengths = request.get_header_value_count("Content-Length"),
                    codings = request.get_header_value_count("Transfer-Encoding");
  if (lengths + codings > 1)
    return fmt::format("the length of the body is given {} times (Content-Length, Transfer-Encoding)",
                       lengths + codings);
  const std::string length = request.get_header_value("Content-Length");
  if (lengths == 1 && (length.empty() || length.find_first_not_of("0123456789") != std::string::npos))
    return fmt::format("Content-Length: expected a number of bytes, got '{}'", shortened(length));
  const std::string coding = request.get_header_value("Transfer-Encoding");
  if (codings == 1 && ::strcasecmp(coding.c_str(), "chunked") != 0)
    return fmt::format("Transfer-Encoding: expected chunked, got '{}'", shortened(coding));
  const bool has_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH" ||
                        request.method == "DELETE";
  if (!has_body && (codings > 0 || length.find_first_not_of('0') != std::string::npos))
    return fmt::format("a {} request has no body here", request.method);
  return {};
}

}  // namespace

bool is_loopback(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
  if (::inet_pton(AF_INET6, host.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  return ::strcasecmp(host.c_str(), "localhost") == 0;
}

void fail(httplib::Response& response, int status, const std::string& text) {
  Value document = Value::map();
  document["error"] = text;
  response.status = status;
  response.set_content(document.to_json() + "\n", kJson);
}

void set_up(httplib::Server& server, const std::string& host, const std::string& cure) {
  server.set_tcp_nodelay(true);
  // The library would share the port with whoever else does so.
  server.set_socket_options([](const auto socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  server.set_default_headers({{"X-Content-Type-Options", "nosniff"}});
  server.set_pre_routing_handler(
      [local = is_loopback(host), cure](const httplib::Request& request, httplib::Response& response) {
        if (const std::string fault = fault_of_framing(request); !fault.empty())
          fail(response, 400, fault);
        else if (local && !names_this_machine(request.get_header_value("Host")))
          fail(response, 403, "this service is for this machine alone; " + cure);
        else
          return httplib::Server::HandlerResponse::Unhandled;
        return httplib::Server::HandlerResponse::Handled;
      });
  server.set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, const auto&... failure) {
        try {
          (std::rethrow_exception(failure), ...);
        } catch (const std::exception& e) {
          fail(response, 500, e.what());
        } catch (...) {
          fail(response, 500, "unknown error");
        }
      });
}

void serve_text(httplib::Server& server, const char* path, const char* text, const char* type,
                const char* policy) {
  server.Get(path, [=](const httplib::Request&, httplib::Response& response) {
    response.set_header("Content-Security-Policy", policy);
    response.set_header("Referrer-Policy", "no-referrer");
    response.set_content(text, type);
  });
}

namespace {

/// Why no program can listen on a host, in words; empty: some may.
std::string fault_of_host(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
    return error == EAI_SYSTEM ? system_error_text(errno) : ::gai_strerror(error);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  int error = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const FileHandle probe(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // On any free port: whether it is an address of this machine is all that is asked.
    if (probe && ::bind(probe.get(), at->ai_addr, at->ai_addrlen) == 0) return {};
    error = errno;
  }
  return system_error_text(error);
}

}  // namespace

int listen_on(httplib::Server& server, const std::string& host, int port, const char* option) {
  if (const std::string fault = fault_of_host(host); !fault.empty())
    throw Error(
        fmt::format("cannot listen on {}: {}; expected an address of this machine, such as 127.0.0.1, "
                    "or 0.0.0.0 for all of them",
                    printable(host), fault));
  const int bound = port == 0 ? server.bind_to_any_port(host) : server.bind_to_port(host, port) ? port : -1;
  if (bound < 0)
    throw Error(
        fmt::format("cannot listen on port {} of {}: is another program doing so? Choose another with {}",
                    port, host, option));
  return bound;
}

std::string url_of(const std::string& host, int port) {
  return fmt::format("http://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]", port);
}

}  // namespace graft::cli
