#pragma once

#include <chrono>
#include <cstddef>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <graft/model.h>

#include "serve_metrics.h"

namespace httplib {
class ContentReader;
class Server;
struct Request;
struct Response;
}  // namespace httplib

namespace graft::cli {

/// What one client may ask for, and all of them together.
struct ServeLimits {
  std::size_t bytes = std::size_t{32} << 20;  ///< Of the body of a request.
  std::size_t images = 256;                   ///< In a request.
  std::size_t queue = 512;                    ///< Images that are waiting or being computed.
  std::chrono::seconds time{30};              ///< To send a request, and to wait for its answer.
  std::size_t connections = 64;               ///< At once; others wait for theirs.
};

/// The service: routes of a server, which answer with a model's predictions. Its functions are called by the
/// threads of the server.
class ServeApp {
 public:
  /// `local`: only this machine is to reach it, so that requests for another host are refused.
  ServeApp(const Model& model, ServeLimits limits, bool local)
      : model_(model), limits_(limits), local_(local) {}

  /// Adds routes, handlers and limits to a server that is not running yet. The app must outlive it.
  void install(httplib::Server& server);

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;
  using Predictions = std::vector<ImagePrediction>;
  struct Posted {
    std::vector<ImageInput> images;
    std::vector<std::string> names;
  };

  bool is_for_this_host(const Request& request) const;
  std::optional<Posted> read_images(const Request& request, Response& response,
                                    const httplib::ContentReader& content) const;
  std::optional<Predictions> compute(const Posted& posted, PredictionExtras extras, Response& response);
  void predict(const Request& request, Response& response, const httplib::ContentReader& content);
  void embed(const Request& request, Response& response, const httplib::ContentReader& content);
  std::size_t waiting();

  const Model& model_;
  const ServeLimits limits_;
  const bool local_;
  ServeMetrics metrics_;
  std::mutex mutex_;
  std::size_t in_flight_ = 0;                                                // images whose clients wait
  std::vector<std::pair<std::future<Predictions>, std::size_t>> abandoned_;  // whose clients were told so
};

}  // namespace graft::cli
