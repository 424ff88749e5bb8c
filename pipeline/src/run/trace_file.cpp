#include "run/trace_file.h"

#include <unistd.h>

#include <cstdio>
#include <iterator>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/text.h>
#include <graft/value.h>

#include "base/files.h"
#include "base/stopped_within.h"
#include "run/run_folder.h"

namespace graft {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{100};
/// When there are more, every second one goes, and looks become half as frequent.
constexpr std::size_t kMostSamples = 4096;
constexpr std::size_t kBlock = std::size_t{64} << 10;

/// Chrome's times are microseconds.
std::string microseconds(std::int64_t ns) {
  return fmt::format("{}.{:03}", ns / 1000, ns % 1000);
}

std::string json_text(std::string_view text) {
  return Value(text).to_json();
}

}  // namespace

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long long all = 0, resident = 0;
  const int got = std::fscanf(file, "%llu %llu", &all, &resident);
  std::fclose(file);
  return got == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

TraceFile::TraceFile(std::filesystem::path file, const Plan& plan) : file_(std::move(file)), plan_(plan) {
  // A config that is named by mistake must not become a trace. Other programs write other beginnings.
  require_kind(file_, {R"({"displayTimeUnit")", R"({"traceEvents")", "["}, "a trace");
  write_file_atomically(file_, std::string_view("{\"traceEvents\":[]}\n"));
}

void TraceFile::watch(const Meter& meter) {
  meter_ = &meter;
  thread_ = std::jthread([this](const std::stop_token& stop) { look(stop); });
}

void TraceFile::look(const std::stop_token& stop) {
  auto between = kBetweenLooks;
  do {
    Sample sample{trace_.since_start(Trace::Clock::now()), resident_bytes()};
    for (std::size_t i = 0; i < meter_->stages(); ++i) {
      const Meter::Counts counts = meter_->counts(i);
      sample.of_stages.emplace_back(counts.queued(), counts.running());
    }
    samples_.push_back(std::move(sample));
    if (samples_.size() < kMostSamples) continue;
    for (std::size_t i = 0; 2 * i < samples_.size(); ++i) samples_[i] = std::move(samples_[2 * i]);
    samples_.resize(samples_.size() / 2);
    between *= 2;
  } while (!stopped_within(between, stop));
}

void TraceFile::write_events(const std::function<void(const std::string&)>& put, const KeyOf& key_of) const {
  put(fmt::format(R"({{"ph":"M","pid":1,"tid":0,"name":"process_name","args":{{"name":{}}}}})",
                  json_text("graft run " + plan_.name)));
  for (std::size_t t = 0; t < trace_.threads(); ++t)
    put(fmt::format(R"({{"ph":"M","pid":1,"tid":{},"name":"thread_name","args":{{"name":"{}"}}}})", t,
                    t == 0 ? "main" : fmt::format("worker {}", t)));
  for (const Sample& sample : samples_) {
    const std::string at = microseconds(sample.at_ns);
    if (sample.memory > 0)
      put(fmt::format(R"({{"ph":"C","pid":1,"ts":{},"name":"memory","args":{{"bytes":{}}}}})", at,
                      sample.memory));
    for (std::size_t i = 0; i < sample.of_stages.size(); ++i)
      if (plan_.stages[i].is_streamed())
        put(fmt::format(R"({{"ph":"C","pid":1,"ts":{},"name":{},"args":{{"queued":{},"running":{}}}}})", at,
                        json_text("items at " + plan_.stages[i].id), sample.of_stages[i].first,
                        sample.of_stages[i].second));
  }
  const auto item_text = [&](std::size_t stage, std::uint64_t item) {
    const std::string_view key = key_of(stage, item);
    return key.empty() ? std::to_string(item) : json_text(key);
  };
  for (std::size_t t = 0; t < trace_.threads(); ++t)
    trace_.for_each(t, [&](const Trace::Span& span, std::span<const std::uint64_t> items) {
      const StagePlan& stage = plan_.stages[span.stage];
      std::string event =
          fmt::format(R"({{"ph":"X","pid":1,"tid":{},"ts":{},"dur":{},"name":{},"cat":"{}")", t,
                      microseconds(span.begin_ns), microseconds(span.end_ns - span.begin_ns),
                      json_text(stage.id), to_string(stage.schema.kind));
      if (span.batch) {
        event += R"(,"args":{"items":[)";
        for (std::size_t i = 0; i < items.size(); ++i)
          event += (i > 0 ? "," : "") + item_text(span.stage, items[i]);
        event += "]}";
      } else if (span.items > 0) {
        event += R"(,"args":{"item":)" + item_text(span.stage, span.item);
        if (span.view > 0) fmt::format_to(std::back_inserter(event), R"(,"view":{})", span.view);
        if (span.rejected) event += R"(,"rejected":true)";
        event += "}";
      }
      put(event + "}");
    });
}

std::string TraceFile::write(const KeyOf& key_of, const std::filesystem::path& shown) {
  thread_ = {};
  std::uint64_t spans = 0;
  write_file_atomically(file_, [&](int fd) {
    std::string block = fmt::format(
        R"({{"displayTimeUnit":"ms","otherData":{{"spans_left_out":{}}},"traceEvents":[)", trace_.left_out());
    const auto flush = [&] {
      write_all(fd, {reinterpret_cast<const std::uint8_t*>(block.data()), block.size()}, file_);
      block.clear();
    };
    const char* before = "\n";
    write_events(
        [&](const std::string& event) {
          block += before + event;
          before = ",\n";
          spans += event.starts_with(R"({"ph":"X")") ? 1 : 0;
          if (block.size() >= kBlock) flush();
        },
        key_of);
    block += "\n]}\n";
    flush();
  });
  std::string text = fmt::format("trace    {} ({}; for ui.perfetto.dev or chrome://tracing)\n",
                                 shown.string(), plural(spans, "span"));
  if (const std::uint64_t lost = trace_.left_out(); lost > 0)
    text +=
        fmt::format("         it has the first {}: {} later ones are left out, memory for spans ends at {}\n",
                    spans, lost, human_bytes(Trace::kMemory));
  return text;
}

std::unique_ptr<TraceFile> trace_outside(const std::filesystem::path& file,
                                         const std::filesystem::path& place, const Plan& plan) {
  if (file.empty()) return nullptr;
  if (!lies_in(file, place)) return std::make_unique<TraceFile>(file, plan);
  const std::filesystem::path own = place / kTraceOfRun;
  if (lies_in(own, file) && lies_in(file, own)) return nullptr;
  throw Error(
      fmt::format("--trace: {} is inside {}, which a complete run replaces as a whole: choose {}, which is a "
                  "part of the run, or a file outside of that folder",
                  file.string(), place.string(), own.string()));
}

}  // namespace graft
