#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "config/plan.h"
#include "graph/meter.h"

namespace graft {

/// The trace of a run as a file for Perfetto and chrome://tracing (Chrome's trace event format): a span per
/// item and stage, and, ten times per second, what is queued and the memory of the process.
class GRAFT_API TraceFile {
 public:
  /// Throws Error where the file cannot be written, or where another file of the name is no trace; until
  /// write() it holds a trace without events.
  TraceFile(std::filesystem::path file, const Plan& plan);
  TraceFile(const TraceFile&) = delete;
  TraceFile& operator=(const TraceFile&) = delete;

  Trace& trace() { return trace_; }
  /// Begins to look at what is queued, until write() or the end of this.
  void watch(const Meter& meter);
  /// The key of an item of a stage by its sequence number; empty: it is not known.
  using KeyOf = std::function<std::string_view(std::size_t stage, std::uint64_t item)>;
  const std::filesystem::path& file() const { return file_; }
  /// Once nothing is traced any more. Returns a line for people, which names the file `shown`: where it is in
  /// the end. Throws Error.
  std::string write(const KeyOf& key_of, const std::filesystem::path& shown);

 private:
  struct Sample {
    std::int64_t at_ns = 0;
    std::uint64_t memory = 0;                                             ///< Bytes; 0: not known.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> of_stages = {};  ///< Queued and running items.
  };
  void look(const std::stop_token& stop);
  void write_events(const std::function<void(const std::string&)>& put, const KeyOf& key_of) const;

  const std::filesystem::path file_;
  const Plan& plan_;
  Trace trace_;
  const Meter* meter_ = nullptr;
  std::vector<Sample> samples_;
  std::jthread thread_;
};

/// Null where `file` is empty, and where it is the trace in the folder of the run, `place`: that folder is
/// replaced as a whole, so that the trace is written with it. Throws Error for another file in that folder,
/// which would be lost, or keep the folder from being replaced again.
std::unique_ptr<TraceFile> trace_outside(const std::filesystem::path& file,
                                         const std::filesystem::path& place, const Plan& plan);

/// Bytes of the process that are in memory; 0: the system does not say.
GRAFT_API std::uint64_t resident_bytes();

}  // namespace graft
