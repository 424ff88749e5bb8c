#include "mp4_track.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "boxes.h"

namespace {

/// Numbers of a box, after its version and flags.
class Numbers {
 public:
  explicit Numbers(std::string data) : data_(std::move(data)) {}
  bool is_version_1() const { return !data_.empty() && data_[0] == 1; }
  bool has(std::size_t place, int bytes) const {
    return place + static_cast<std::size_t>(bytes) <= data_.size();
  }
  /// 0 where the box ends before.
  std::uint64_t at(std::size_t place, int bytes = 4) const {
    return has(place, bytes) ? big_endian(data_.data() + place, bytes) : 0;
  }

 private:
  std::string data_;
};

/// A table of runs, value by value: how often, and what.
class Runs {
 public:
  explicit Runs(const Numbers& table) : table_(table) {}
  std::optional<std::uint32_t> next() {
    while (left_ == 0) {
      if (entry_ == table_.at(4) || !table_.has(8 + 8 * entry_, 8)) return {};
      left_ = table_.at(8 + 8 * entry_++);
    }
    --left_;
    return static_cast<std::uint32_t>(table_.at(4 + 8 * entry_));
  }

 private:
  const Numbers& table_;
  std::uint64_t entry_ = 0, left_ = 0;
};

/// The times of a track and of its samples (ISO/IEC 14496-12, 8.6), the frames.
class Track {
 public:
  Track(Boxes& boxes, const Boxes::Box& movie, const Boxes::Box& track) : boxes_(boxes), track_(track) {
    movie_scale_ = time_header(numbers(movie, {"mvhd"})).scale;
    const auto [scale, duration] = time_header(numbers(track, {"mdia", "mdhd"}));
    scale_ = scale;
    duration_ = duration;
  }

  Mp4Track read() {
    const Numbers times = table("stts"), sizes = table("stsz");
    const double samples = static_cast<double>(sizes.at(8));
    // The sum of what each sample takes is exact; a table of very many entries is not read as a whole.
    double sum = 0;
    const std::uint64_t entries = times.at(4);
    for (std::uint64_t i = 0; i < entries && times.has(8 + 8 * i, 8); ++i)
      sum += static_cast<double>(times.at(8 + 8 * i) * times.at(12 + 8 * i));
    const double all = seconds(entries > 0 && times.has(8 * entries, 8) ? sum : duration_, scale_);
    const double shown = shown_seconds().value_or(all);
    constexpr double kLess = 1.5;  // frames: times are rounded
    return {(samples > 0 && shown < all - kLess * all / samples) || has_leading_samples(times),
            std::min(shown, all)};
  }

 private:
  struct TimeHeader {
    double scale = 0, duration = 0;
  };
  static TimeHeader time_header(const Numbers& n) {
    const bool wide = n.is_version_1();
    return {static_cast<double>(n.at(wide ? 20 : 12)),
            static_cast<double>(n.at(wide ? 24 : 16, wide ? 8 : 4))};
  }
  static double seconds(double ticks, double scale) { return scale > 0 ? ticks / scale : 0; }

  Numbers numbers(Boxes::Box in, std::initializer_list<std::string_view> path) {
    for (const std::string_view type : path) {
      const auto next = boxes_.find(in, type);
      if (!next) return Numbers("");
      in = *next;
    }
    return Numbers(boxes_.data(in));
  }
  Numbers table(std::string_view type) { return numbers(track_, {"mdia", "minf", "stbl", type}); }

  /// By the edit list, in which entries without a duration last to the end; nothing where there is no such
  /// list.
  std::optional<double> shown_seconds() {
    const Numbers list = numbers(track_, {"edts", "elst"});
    const int width = list.is_version_1() ? 8 : 4;
    const std::uint64_t size = 2 * static_cast<std::uint64_t>(width) + 4;
    double sum = 0;
    for (std::uint64_t i = 0; i < list.at(4); ++i) {
      const std::uint64_t at = 8 + size * i;
      if (!list.has(at, static_cast<int>(size))) return {};
      const bool is_empty =
          list.at(at + static_cast<std::uint64_t>(width)) >> 31 != 0;  // its time is negative
      if (is_empty) continue;
      if (list.at(at, width) == 0) return {};
      sum += static_cast<double>(list.at(at, width));
    }
    return sum > 0 && movie_scale_ > 0 ? std::optional(sum / movie_scale_) : std::nullopt;
  }

  /// Whether samples are shown before the first one: if there are any, they are near it.
  bool has_leading_samples(const Numbers& durations) {
    const Numbers offsets = table("ctts");
    Runs duration(durations), offset(offsets);
    constexpr int kLookAt = 256;
    std::int64_t time = 0;
    std::optional<std::int64_t> first;
    for (int i = 0; i < kLookAt; ++i) {
      const auto delay = offset.next(), length = duration.next();
      if (!delay || !length) return false;
      const std::int64_t shown = time + static_cast<std::int32_t>(*delay);
      if (!first) first = shown;
      if (shown < *first) return true;
      time += *length;
    }
    return false;
  }

  Boxes& boxes_;
  Boxes::Box track_;
  double movie_scale_ = 0, scale_ = 0, duration_ = 0;
};

}  // namespace

std::optional<Mp4Track> mp4_track(const std::string& path) {
  Boxes boxes(path);
  const auto movie = boxes.movie();
  if (!movie || boxes.find({"", 0, boxes.bytes()}, "moof")) return {};
  const auto track = boxes.video_track(*movie);
  return track ? Track(boxes, *movie, *track).read() : Mp4Track();
}
