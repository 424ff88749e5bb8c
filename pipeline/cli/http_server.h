#pragma once

#include <string>

namespace httplib {
class Server;
struct Response;
}  // namespace httplib

/// \file
/// What the servers of the program have in common.
namespace graft::cli {

inline constexpr const char* kJson = "application/json";

/// Whether a host is this machine alone: "localhost", or an address of its loopback interface.
bool is_loopback(const std::string& host);

/// Answers with a status and {"error": text}.
void fail(httplib::Response& response, int status, const std::string& text);

/// Socket options, headers and the answer to what a handler throws. Requests whose end is doubtful are
/// refused (two lengths, a length and a coding). Where `host` is this machine alone, requests that name
/// another host are refused: a page of another site that has got itself the address of this machine names its
/// own. `cure`: how others are served.
void set_up(httplib::Server& server, const std::string& host, const std::string& cure);

/// A text that never changes, for browsers, with a Content-Security-Policy.
void serve_text(httplib::Server& server, const char* path, const char* text, const char* type,
                const char* policy);

/// Binds the server to a port, 0: any that is free, and returns it. Throws Error that names `option`.
int listen_on(httplib::Server& server, const std::string& host, int port, const char* option);

/// "http://127.0.0.1:8080".
std::string url_of(const std::string& host, int port);

}  // namespace graft::cli
