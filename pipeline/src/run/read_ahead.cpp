#include "run/read_ahead.h"

#include <chrono>
#include <exception>
#include <system_error>

#include "run/retry.h"

namespace graft {
namespace {

constexpr std::size_t kReadThreads = 16;
constexpr std::size_t kTimedReads = 32;
constexpr double kSlowRead = 2e-3;  // seconds: from memory or a local disk it takes a tenth of that

}  // namespace

ReadAhead::ReadAhead(const RunSettings& settings, const std::atomic<bool>& interrupted)
    : settings_(settings), interrupted_(interrupted) {}

void ReadAhead::begin_if_asked() {
  if (settings_.read_ahead.value_or(0) > 0) begin();
}

std::size_t ReadAhead::depth() const {
  return begun_ ? 2 * settings_.read_ahead.value_or(kReadThreads) : 0;
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ReadAhead::begin() {
  const std::lock_guard lock(mutex_);
  if (begun_) return;
  try {
    for (std::size_t i = 0; i < settings_.read_ahead.value_or(kReadThreads); ++i)
      threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {  // a limit on threads: those that there are will do
  }
  begun_ = !threads_.empty();
}

std::future<Bytes> ReadAhead::start(const FileRef& file) {
  if (!begun_ || interrupted_) return {};
  if (bytes_ + file.size > settings_.memory / 2) return {};
  bytes_ += file.size;
  Job job{file, {}};
  std::future<Bytes> out = job.done.get_future();
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  return out;
}

Bytes ReadAhead::take(const FileRef& file, std::future<Bytes>& ahead) {
  if (ahead.valid()) {
    bytes_ -= file.size;
    return ahead.get();
  }
  if (begun_ || settings_.read_ahead) return read_with_retries(file, settings_, interrupted_);
  const auto start = std::chrono::steady_clock::now();
  Bytes out = read_with_retries(file, settings_, interrupted_);
  note_time(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return out;
}

void ReadAhead::note_time(double seconds) {
  {
    const std::lock_guard lock(mutex_);
    seconds_ += seconds;
    if (++reads_ < kTimedReads) return;
    const bool slow = seconds_ > kSlowRead * static_cast<double>(reads_);
    reads_ = 0;
    seconds_ = 0;
    if (!slow) return;
  }
  begin();
}

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    try {
      job.done.set_value(read_with_retries(job.file, settings_, interrupted_));
    } catch (...) {
      job.done.set_exception(std::current_exception());
    }
    lock.lock();
  }
}

}  // namespace graft
