#include <graft/model.h>

#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/printable.h>

#include "base/files.h"
#include "run/model_session.h"

namespace graft {
namespace {

/// Images that go through one graph: enough that its beginning and end cost little, few enough that results
/// come soon.
constexpr std::size_t kRoundImages = 256;
constexpr int kMaxSide = 65535;

Bytes copied_bytes(const std::string& head, std::size_t size) {
  auto owner = std::make_shared<std::vector<std::uint8_t>>(head.size() + size);
  std::copy(head.begin(), head.end(), owner->begin());
  return {owner, owner->data(), owner->size()};
}

/// Warns once of each thing.
std::function<void(const std::string&)> once_each(std::function<void(const std::string&)> warn) {
  struct Warned {
    std::mutex mutex;
    std::set<std::string> texts;
  };
  if (!warn)
    warn = [](const std::string& text) {
      try {
        print_text(stderr, "warning: " + printable_lines(text, "  ") + "\n");
      } catch (const std::exception&) {  // there is nobody to be told
      }
    };
  return [warned = std::make_shared<Warned>(), warn = std::move(warn)](const std::string& text) {
    {
      const std::lock_guard lock(warned->mutex);
      if (!warned->texts.insert(text).second) return;
    }
    warn(text);
  };
}

}  // namespace

ImageInput ImageInput::file(const std::string& path) {
  struct stat info {};
  (void)::stat(path.c_str(), &info);  // why a file cannot be read is found when it is
  FileRef ref;
  ref.path = path;
  ref.size = static_cast<std::uint64_t>(info.st_size);
  return {path, ref};
}

ImageInput ImageInput::bytes(std::string name, std::span<const std::uint8_t> encoded) {
  Bytes bytes = copied_bytes({}, encoded.size());
  std::copy(encoded.begin(), encoded.end(), const_cast<std::uint8_t*>(bytes.data));
  return {std::move(name), std::move(bytes)};
}

ImageInput ImageInput::pixels(std::string name, const std::uint8_t* rgb, int width, int height,
                              std::size_t row_bytes) {
  const auto side = [](int n) { return n >= 1 && n <= kMaxSide; };
  if (!side(width) || !side(height))
    throw Error(fmt::format("pixels of '{}': expected sides from 1 to {}, got {} x {}", name, kMaxSide, width,
                            height));
  const std::size_t row = 3 * static_cast<std::size_t>(width);
  if (row_bytes < row)
    throw Error(fmt::format("pixels of '{}': a row of {} RGB pixels has {} bytes, got {}", name, width, row,
                            row_bytes));
  // A portable pixmap: decoders read it without loss, and it goes the way of every other file.
  const std::string head = fmt::format("P6\n{} {}\n255\n", width, height);
  Bytes bytes = copied_bytes(head, row * static_cast<std::size_t>(height));
  auto* to = const_cast<std::uint8_t*>(bytes.data) + head.size();
  for (int y = 0; y < height; ++y, to += row)
    std::memcpy(to, rgb + static_cast<std::size_t>(y) * row_bytes, row);
  return {std::move(name), std::move(bytes)};
}

std::size_t ImagePrediction::best() const {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

/// The one thread that a model is made, used and destroyed on: libraries keep state per thread.
class Model::Worker {
 public:
  Worker(std::string path, ModelOptions options) : options_(std::move(options)) {
    options_.warn = once_each(std::move(options_.warn));
    std::promise<void> opened;
    std::future<void> waits = opened.get_future();
    thread_ = std::thread([this, path = std::move(path), &opened] { work(path, opened); });
    try {
      waits.get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }

  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  std::future<std::vector<ImagePrediction>> submit(std::vector<ImageInput> images, PredictionExtras extras) {
    for (const ImageInput& image : images)
      if (!std::holds_alternative<FileRef>(image.content) && !std::holds_alternative<Bytes>(image.content))
        throw Error(
            fmt::format("image '{}': expected a file or bytes, got {}", image.name, kind_of(image.content)));
    if (extras.neighbours > 0 && !knows_neighbours)
      throw Error(
          fmt::format("'{}' keeps no training images to compare with, nor does another learner of its run on "
                      "the same table: add one, such as knn, or pack with --with-neighbors",
                      learner));
    auto job = std::make_shared<Job>();
    job->images = std::move(images);
    job->extras = extras;
    job->results.resize(job->images.size());
    std::future<std::vector<ImagePrediction>> result = job->promise.get_future();
    if (job->images.empty()) {
      job->promise.set_value({});
      return result;
    }
    {
      const std::lock_guard lock(mutex_);
      waiting_ += job->images.size();
      jobs_.push_back(std::move(job));
    }
    wake_.notify_one();
    return result;
  }

  std::string learner;
  std::vector<std::string> classes;
  bool multi_label = false;
  int threads = 1;
  bool knows_neighbours = false;

 private:
  struct Job {
    std::vector<ImageInput> images;
    PredictionExtras extras;
    std::size_t taken = 0;  ///< Images that are in this round or an earlier one.
    std::vector<ImagePrediction> results;
    std::promise<std::vector<ImagePrediction>> promise;
  };
  struct Taken {
    std::shared_ptr<Job> job;
    std::size_t first, count;
  };

  void work(const std::string& path, std::promise<void>& opened) {
    std::unique_ptr<ModelSession> session;
    try {
      session = std::make_unique<ModelSession>(path, options_);
      learner = session->model().stage;
      classes = session->model().classes();
      multi_label = session->model().multi_label();
      threads = session->threads();
      knows_neighbours = session->knows_neighbours();
      opened.set_value();
    } catch (...) {
      opened.set_exception(std::current_exception());
      return;
    }
    for (std::vector<Taken> round = take_round(); !round.empty(); round = take_round()) run(*session, round);
  }

  /// Waits for images, and takes them in the order in which they came. None: the model is to be closed.
  std::vector<Taken> take_round() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (options_.gather.count() > 0 && !stop_)
      wake_.wait_for(lock, options_.gather, [this] { return stop_ || waiting_ >= kRoundImages; });
    std::vector<Taken> out;
    for (std::size_t room = kRoundImages; room > 0 && !jobs_.empty();) {
      const std::shared_ptr<Job>& job = jobs_.front();
      const std::size_t count = std::min(room, job->images.size() - job->taken);
      out.push_back({job, job->taken, count});
      job->taken += count;
      room -= count;
      waiting_ -= count;
      if (job->taken == job->images.size()) jobs_.pop_front();
    }
    return out;
  }

  void run(ModelSession& session, const std::vector<Taken>& round) {
    std::vector<ModelSession::Request> requests;
    for (const Taken& part : round)
      for (std::size_t i = part.first; i < part.first + part.count; ++i)
        requests.push_back({&part.job->images[i], part.job->extras});
    std::vector<ImagePrediction> results;
    std::exception_ptr failure;
    try {
      results = session.predict(requests);
    } catch (...) {
      failure = std::current_exception();
    }
    auto result = results.begin();
    for (const Taken& part : round) {
      if (failure) {
        fail(part.job, failure);
        continue;
      }
      std::move(result, result + static_cast<std::ptrdiff_t>(part.count),
                part.job->results.begin() + static_cast<std::ptrdiff_t>(part.first));
      result += static_cast<std::ptrdiff_t>(part.count);
      if (part.first + part.count == part.job->images.size())
        part.job->promise.set_value(std::move(part.job->results));
    }
  }

  void fail(const std::shared_ptr<Job>& job, const std::exception_ptr& failure) {
    {
      const std::lock_guard lock(mutex_);
      waiting_ -= job->images.size() - job->taken;
      std::erase(jobs_, job);
    }
    job->promise.set_exception(failure);
  }

  ModelOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::deque<std::shared_ptr<Job>> jobs_;
  std::size_t waiting_ = 0;  // images of jobs_ that no round has taken
  std::thread thread_;
};

Model::Model(const std::string& path, ModelOptions options)
    : worker_(std::make_unique<Worker>(path, std::move(options))) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

const std::string& Model::learner() const {
  return worker_->learner;
}
const std::vector<std::string>& Model::classes() const {
  return worker_->classes;
}
bool Model::multi_label() const {
  return worker_->multi_label;
}
int Model::threads() const {
  return worker_->threads;
}
bool Model::knows_neighbours() const {
  return worker_->knows_neighbours;
}

std::future<std::vector<ImagePrediction>> Model::submit(std::vector<ImageInput> images,
                                                        PredictionExtras extras) const {
  return worker_->submit(std::move(images), extras);
}

std::vector<ImagePrediction> Model::predict(std::span<const ImageInput> images,
                                            PredictionExtras extras) const {
  return submit({images.begin(), images.end()}, extras).get();
}

ImagePrediction Model::predict(const ImageInput& image, PredictionExtras extras) const {
  return std::move(submit({image}, extras).get().at(0));
}

}  // namespace graft
