#include "serve_app.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <functional>

#include <fmt/format.h>
#include <httplib.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/version.h>

#include "http_server.h"
#include "output.h"
#include "prediction_text.h"
#include "serve_connections.h"
#include "serve_page.h"

namespace graft::cli {
namespace {

constexpr const char* kRoutes[] = {"/",          "/app.js",       "/embed",   "/healthz",  "/metrics",
                                   "/neighbors", "/openapi.json", "/predict", "/style.css"};

StoredReject stored(const ImagePrediction::Rejection& rejected) {
  return {rejected.stage, rejected.code, rejected.text};
}

/// A number of the query; nothing where it is not given. Throws Error.
template <typename Number>
std::optional<Number> query_number(const httplib::Request& request, const char* name, Number low,
                                   Number high) {
  if (!request.has_param(name)) return {};
  const std::string text = request.get_param_value(name);
  Number value{};
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || end != text.data() + text.size() || !(value >= low && value <= high))
    throw Error(
        fmt::format("{}: expected a number from {} to {}, got '{}'", name, low, high, shortened(text)));
  return value;
}

}  // namespace

/// Places in the queue that are taken by images.
class ServeApp::Places {
 public:
  Places(std::atomic<std::size_t>& taken, std::size_t count) : taken_(taken), count_(count) {
    taken_ += count_;
  }
  ~Places() { taken_ -= count_; }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

 private:
  std::atomic<std::size_t>& taken_;
  const std::size_t count_;
};

ServeApp::ServeApp(const Model& model, ServeLimits limits, const std::string& host)
    : model_(model), limits_(limits), host_(host) {}
ServeApp::~ServeApp() = default;

void ServeApp::install(httplib::Server& server) {
  set_up(server, host_, "--host 0.0.0.0 serves others");
  server.set_payload_max_length(limits_.bytes);
  server.set_logger([this](const Request& request, const Response& response) {
    if (response.status >= 400) make_last_request();
    const auto route = std::find(std::begin(kRoutes), std::end(kRoutes), request.path);
    metrics_.count_request(route == std::end(kRoutes) ? "other" : *route, response.status,
                           std::chrono::duration<double>(ServeClock::now() - request_began()).count());
  });
  server.set_error_handler([this](const Request& request, Response& response) {
    if (!response.body.empty()) return;
    if (request_timed_out()) return fail_late(response);
    if (response.status == 404)
      fail(response, 404,
           fmt::format("{} {}: no such path; /openapi.json describes the API", request.method,
                       shortened(request.path)));
    else
      fail(response, response.status,
           fmt::format("the request cannot be answered (HTTP {})", response.status));
  });
  const auto page = [&](const char* path, const char* text, const char* type) {
    serve_text(server, path, text, type, kServePolicy);
  };
  page("/", kServePage, "text/html; charset=utf-8");
  page("/app.js", kServeScript, "text/javascript; charset=utf-8");
  page("/style.css", kServeStyle, "text/css; charset=utf-8");
  server.Get("/openapi.json",
             [](const Request&, Response& response) { response.set_content(serve_description(), kJson); });
  server.Get("/healthz", [this](const Request&, Response& response) {
    Value document = Value::map();
    document["status"] = "ok";
    document["graft"] = GRAFT_VERSION;
    document["learner"] = model_.learner();
    document["multi_label"] = model_.multi_label();
    document["neighbors"] = model_.knows_neighbours();
    document["classes"] = Value::list();
    for (const std::string& name : model_.classes()) document["classes"].push(name);
    response.set_content(document.to_json() + "\n", kJson);
  });
  server.Get("/metrics", [this](const Request&, Response& response) {
    response.set_content(metrics_.text(waiting()), "text/plain; version=0.0.4");
  });
  server.Post("/predict",
              [this](const Request& request, Response& response, const httplib::ContentReader& content) {
                predict(request, response, content);
              });
  server.Post("/neighbors",
              [this](const Request& request, Response& response, const httplib::ContentReader& content) {
                predict(request, response, content);
              });
  server.Post("/embed", [this](const Request& request, Response& response,
                               const httplib::ContentReader& content) { embed(request, response, content); });
}

void ServeApp::fail_late(Response& response) const {
  fail(response, 408, fmt::format("the request did not come within {} s", limits_.time.count()));
}

std::optional<ServeApp::Posted> ServeApp::read_images(const Request& request, Response& response,
                                                      const httplib::ContentReader& content) const {
  struct Part {
    std::string name, data;
  };
  std::vector<Part> parts;
  std::size_t bytes = 0;
  int status = 0;
  const auto take = [&](const char* data, std::size_t size) {
    bytes += size;
    if (bytes > limits_.bytes) status = 413;
    if (status == 0) parts.back().data.append(data, size);
    return status == 0;
  };
  bool complete = false;
  if (request.is_multipart_form_data()) {
    complete = content(
        [&](const auto& part) {
          if (parts.size() == limits_.images) {
            status = 413;
            return false;
          }
          parts.push_back({part.filename.empty() ? part.name : part.filename, {}});
          return true;
        },
        take);
  } else {
    parts.push_back({"image", {}});
    complete = content(take);
  }
  if (status == 0 && response.status == 413) status = 413;
  if (status == 413) {
    fail(response, 413,
         fmt::format("too large: a request has at most {} and {} images", human_bytes(limits_.bytes),
                     limits_.images));
    return {};
  }
  if (!complete && request_timed_out()) {
    fail_late(response);
    return {};
  }
  if (!complete && (bytes > 0 || request.is_multipart_form_data())) {
    fail(response, 400, "the request is incomplete, or not what its Content-Type says");
    return {};
  }
  if (parts.empty() || bytes == 0) {
    fail(response, 400,
         "no image: expected one as the body, such as curl --data-binary @photo.jpg, or several as "
         "multipart/form-data, such as curl -F image=@a.jpg -F image=@b.jpg");
    return {};
  }
  Posted posted;
  for (const Part& part : parts) {
    posted.names.push_back(part.name);
    posted.images.push_back(ImageInput::bytes(
        part.name, {reinterpret_cast<const std::uint8_t*>(part.data.data()), part.data.size()}));
  }
  return posted;
}

std::size_t ServeApp::waiting() {
  const std::lock_guard lock(mutex_);
  return waiting_locked();
}

std::size_t ServeApp::waiting_locked() {
  std::erase_if(abandoned_, [](const Abandoned& job) {
    return job.result.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  });
  return in_flight_;
}

std::unique_ptr<ServeApp::Places> ServeApp::take_places(std::size_t images, Response& response) {
  if (images > limits_.queue) {
    fail(response, 413,
         fmt::format("too large: {} images are more than may ever wait at once, {}: send fewer per request, "
                     "or start the service with a larger --queue",
                     images, limits_.queue));
    return nullptr;
  }
  const std::lock_guard lock(mutex_);
  const std::size_t now = waiting_locked();
  if (now + images <= limits_.queue) return std::make_unique<Places>(in_flight_, images);
  response.set_header("Retry-After", "1");
  fail(response, 429,
       fmt::format("{} {} waiting already, at most {} may: try again later", plural(now, "image"),
                   now == 1 ? "is" : "are", limits_.queue));
  return nullptr;
}

/// Whether the predictions are there before the time of the request, or of the service, is over.
bool ServeApp::waits_for(const std::future<Predictions>& result) const {
  constexpr std::chrono::milliseconds kLookAtEnd{50};
  for (;;) {
    const auto until = std::min(request_began() + limits_.time, answers_until_.load());
    const auto now = ServeClock::now();
    if (result.wait_until(std::min(now + kLookAtEnd, until)) == std::future_status::ready) return true;
    if (now >= until) return false;
  }
}

std::optional<ServeApp::Predictions> ServeApp::compute(const Posted& posted, PredictionExtras extras,
                                                       Response& response) {
  const std::size_t count = posted.images.size();
  std::unique_ptr<Places> places = take_places(count, response);
  if (!places) return {};
  std::future<Predictions> result = model_.submit(posted.images, extras);
  if (!waits_for(result)) {
    const std::lock_guard lock(mutex_);
    abandoned_.push_back({std::move(result), std::move(places)});
    if (ServeClock::now() < answers_until_.load()) {
      fail(response, 504, fmt::format("no answer within {} s", limits_.time.count()));
    } else {
      response.set_header("Retry-After", "1");
      fail(response, 503, "the service is stopping: try again later");
    }
    return {};
  }
  try {
    Predictions made = result.get();
    const auto rejected = static_cast<std::size_t>(std::count_if(
        made.begin(), made.end(), [](const ImagePrediction& p) { return p.rejected.has_value(); }));
    metrics_.count_images(count - rejected, rejected);
    if (rejected == count) response.status = 422;
    return made;
  } catch (const std::exception& e) {
    print_error("error: {}\n", printable_lines(e.what(), "  "));
    fail(response, 500, e.what());
    return {};
  }
}

/// /predict, and /neighbors, which names the training images that are most like each image.
void ServeApp::predict(const Request& request, Response& response, const httplib::ContentReader& content) {
  const auto posted = read_images(request, response, content);
  if (!posted) return;
  PredictionView view{model_.classes(), model_.multi_label()};
  PredictionExtras extras;
  try {
    if (request.path == "/neighbors") {
      extras.neighbours = query_number<std::size_t>(request, "k", 1, 1000).value_or(5);
      if (!model_.knows_neighbours())
        return fail(
            response, 404,
            fmt::format(
                "'{}' keeps no training images to compare with, nor does another learner of its run on "
                "the same table: add one, such as knn, or pack with --with-neighbors",
                model_.learner()));
    }
    view.top = query_number<std::size_t>(request, "top", 1, 1'000'000).value_or(0);
    view.threshold = query_number<double>(request, "threshold", 0, 1);
  } catch (const Error& e) {
    return fail(response, 400, e.what());
  }
  const auto made = compute(*posted, extras, response);
  if (!made) return;
  Value document = Value::map();
  document["learner"] = model_.learner();
  document["predictions"] = Value::list();
  for (std::size_t i = 0; i < made->size(); ++i) {
    const ImagePrediction& p = (*made)[i];
    const std::optional<StoredReject> reject = p.rejected ? std::optional(stored(*p.rejected)) : std::nullopt;
    Value entry = prediction_value(posted->names[i], p.scores, reject ? &*reject : nullptr, view);
    for (const ImagePrediction::Neighbour& near : p.neighbours) {
      Value neighbor = Value::map();
      neighbor["key"] = near.key;
      neighbor["similarity"] = static_cast<double>(near.similarity);
      entry["neighbors"].push(std::move(neighbor));
    }
    document["predictions"].push(std::move(entry));
  }
  response.set_content(document.to_json() + "\n", kJson);
}

void ServeApp::embed(const Request& request, Response& response, const httplib::ContentReader& content) {
  const auto posted = read_images(request, response, content);
  if (!posted) return;
  const auto made = compute(*posted, {true, 0}, response);
  if (!made) return;
  Value document = Value::map();
  document["embeddings"] = Value::list();
  for (std::size_t i = 0; i < made->size(); ++i) {
    const ImagePrediction& p = (*made)[i];
    Value entry = Value::map();
    entry["key"] = posted->names[i];
    if (p.rejected) {
      entry["rejected"]["stage"] = p.rejected->stage;
      entry["rejected"]["code"] = p.rejected->code;
      entry["rejected"]["reason"] = p.rejected->text;
    } else {
      entry["features"] = Value::list();
      for (const float f : p.features) entry["features"].push(static_cast<double>(f));
    }
    document["embeddings"].push(std::move(entry));
  }
  response.set_content(document.to_json() + "\n", kJson);
}

}  // namespace graft::cli
