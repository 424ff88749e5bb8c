#pragma once

#include <atomic>
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
};

/// The service: routes of a server, which answer with a model's predictions. Its functions are called by the
/// threads of the server.
class ServeApp {
 public:
  /// `host`: what it listens on. Where only this machine reaches that, requests for another host are refused.
  ServeApp(const Model& model, ServeLimits limits, const std::string& host);
  ~ServeApp();

  /// Paths that are to be answered however busy the service is.
  static std::vector<std::string> prompt_paths() { return {"/healthz", "/metrics"}; }

  /// From then on, images that are still to be predicted are refused (503); those that are ready are
  /// answered.
  void end(std::chrono::steady_clock::time_point until) { answers_until_ = until; }

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

  bool waits_for(const std::future<Predictions>& result) const;
  void fail_late(Response& response) const;
  std::optional<Posted> read_images(const Request& request, Response& response,
                                    const httplib::ContentReader& content) const;
  std::optional<Predictions> compute(const Posted& posted, PredictionExtras extras, Response& response);
  void predict(const Request& request, Response& response, const httplib::ContentReader& content);
  void embed(const Request& request, Response& response, const httplib::ContentReader& content);
  /// The images that are waiting or being computed, without those that have been.
  std::size_t waiting();
  std::size_t waiting_locked();
  class Places;
  /// Places in the queue for images, free again when it goes; null where too few are, and then that is
  /// answered.
  std::unique_ptr<Places> take_places(std::size_t images, Response& response);

  struct Abandoned {
    std::future<Predictions> result;
    std::unique_ptr<Places> places;
  };

  const Model& model_;
  const ServeLimits limits_;
  const std::string host_;
  ServeMetrics metrics_;
  std::atomic<std::chrono::steady_clock::time_point> answers_until_{
      std::chrono::steady_clock::time_point::max()};
  std::atomic<std::size_t> in_flight_{0};  // images; grows under the mutex alone
  std::mutex mutex_;
  std::vector<Abandoned> abandoned_;  // whose clients were told so
};

}  // namespace graft::cli
