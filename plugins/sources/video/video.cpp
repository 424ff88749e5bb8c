#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <opencv2/core/version.hpp>

#include <graft/plugin.h>
#include <graft/text.h>
#include <source/folder_labels.h>
#include <source/glob.h>
#include <source/walk.h>

#include "video_file.h"

namespace {

using graft::Entry;
using graft::Error;
using graft::plural;
using graft::Reject;

/// Lists frames of videos. The headers of the videos are read when the stage is made; `read_current` decodes,
/// going forwards in one video after the other.
class Video final : public graft::ForwardSource {
 public:
  explicit Video(const graft::StageContext& context)
      : root_(graft::source::without_slash(context.params.get<std::string>("root"))),
        max_pixels_(context.params.get<std::int64_t>("max_pixels")),
        catalog_(context) {
    const graft::Params& p = context.params;
    if (p.has("every") && p.has("fps")) throw Error("every, fps: expected one of the two, got both");
    VideoFile::set_up();
    graft::source::FolderLabels labels(p);
    graft::source::PathFilter filter(p, "files");
    const graft::source::OnSkip skip = [this](const auto& kind, const auto& path, const auto& cure) {
      catalog_.skipped(kind, path, cure);
    };
    std::vector<graft::source::FoundFile> taken;
    for (auto& file : graft::source::list_files(root_, p.get<bool>("follow_symlinks"), skip)) {
      labels.see(file.path.substr(0, file.path.find('/')));
      if (filter.takes(file.path, root_, skip)) taken.push_back(std::move(file));
    }
    if (taken.empty() && filter.left_out() > 0) {
      catalog_.close();  // warns of what was there instead
      throw Error("expected videos in " + root_ + ", got none: files leaves out " +
                  plural(filter.left_out(), "file"));
    }
    labels.find_splits(root_);
    for (auto& file : taken)
      if (const auto place = labels.place(file.path)) add(std::move(file), *place, p);
    labels.report(root_, context.warn, skip);
    if (early_ends_ > 0)
      context.warn(plural(early_ends_, "video") + (early_ends_ == 1 ? " has" : " have") +
                   " no frames for the end of the duration that " +
                   (early_ends_ == 1 ? "it has" : "they have") + ", for example " + early_end_ +
                   ": the sound may be longer than the pictures, or frames are missing");
    if (videos_.empty()) {
      catalog_.close();
      throw Error(
          "expected videos in " + std::string(labels.has_classes() ? "the class folders of " : "") + root_ +
          ", got none; the layout is root/CLASS/VIDEO, or root/SPLIT/CLASS/VIDEO with splits; label_from: "
          "none takes videos without a class");
    }
    catalog_.close();
  }

  std::vector<std::string> classes() const override { return catalog_.classes(); }
  std::optional<std::size_t> count() override { return catalog_.size(); }

  bool next(Entry& entry) override {
    if (position_ == catalog_.size()) return false;
    current_ = frames_[catalog_.found_at(position_)];
    entry = catalog_.entry(position_++);
    const auto& video = videos_[current_.video];
    // What is remembered of a frame that version 1.0.0 rotated in the wrong direction, or that version 1.1.0
    // took for another one, is not used.
    if (!video.fault)
      entry.payload = graft::FileRef{root_ + "/" + video.file.path, video.file.size, video.file.mtime_ns,
                                     std::to_string(current_.frame) + (video.upright ? "" : " as shown") +
                                         (video.by_packet ? " by packet" : ""),
                                     video.file.ctime_ns};
    return true;
  }

  graft::Payload read_current() override {
    if (const auto& fault = videos_[current_.video].fault) throw Reject(*fault);
    if (ended_ && ended_->first == current_.video) throw Reject(ended_->second);
    if (!file_ || open_ != current_.video || file_->position() > current_.frame) {
      file_ = std::make_unique<VideoFile>(root_ + "/" + videos_[current_.video].file.path, max_pixels_);
      open_ = current_.video;
    }
    try {
      return file_->read(current_.frame);
    } catch (const Reject& e) {
      // What is missing here is missing further on, too: not to be looked for from the start, again and
      // again.
      if (e.code() == "truncated") ended_.emplace(current_.video, e);
      throw;
    }
  }

 private:
  struct Listed {
    graft::source::FoundFile file;
    std::optional<Reject> fault;  ///< Why it has no frames.
    bool upright = true;          ///< Frames are shown as they are stored.
    bool by_packet = false;       ///< Motion JPEG, whose packets tell sizes and dropped frames.
  };
  struct Frame {
    std::uint32_t video = 0;
    std::uint64_t frame = 0;
  };

  void add(graft::source::FoundFile file, const graft::source::FolderLabels::Place& place,
           const graft::Params& params) {
    const auto video = static_cast<std::uint32_t>(videos_.size());
    const std::string path = file.path;
    videos_.push_back({std::move(file), {}, true, false});
    try {
      VideoFile opened(root_ + "/" + path, max_pixels_);
      videos_.back().upright = opened.orientation() == Orientation{};
      videos_.back().by_packet = opened.is_motion_jpeg();
      const std::vector<std::uint64_t> frames = frames_of(opened, params);
      if (const auto& early = opened.ends_early(); early && ++early_ends_ == 1) {
        char seconds[80];
        std::snprintf(seconds, sizeof seconds, ", whose last frame is at %.1f s of %.1f s", early->last,
                      early->duration);
        early_end_ = path + seconds;
      }
      for (const std::uint64_t frame : frames) {
        char number[24];
        std::snprintf(number, sizeof number, "#%06llu", static_cast<unsigned long long>(frame));
        catalog_.add(path + number, place.labels, place.split, frames_.size(), path);
        frames_.push_back({video, frame});
      }
    } catch (const Reject& e) {
      videos_.back().fault = e;
      catalog_.add(path, place.labels, place.split, frames_.size(), path);
      frames_.push_back({video, 0});
    }
  }

  /// The frames that `every`, `fps` and `max_frames` choose, in order.
  static std::vector<std::uint64_t> frames_of(VideoFile& video, const graft::Params& params) {
    double step = params.has("every") ? params.get<double>("every") : 1;
    if (params.has("fps")) {
      if (video.rate() == 0)
        throw Reject("no-frame-rate", "the video does not say how many frames a second it has; use every");
      step = std::max(1.0, video.rate() / params.get<double>("fps"));
    }
    const std::uint64_t count = video.count_frames();
    if (count == 0) throw Reject("empty", "the video has no frame");
    const std::size_t most = params.has("max_frames") ? params.get<std::size_t>("max_frames")
                                                      : std::numeric_limits<std::size_t>::max();
    std::vector<std::uint64_t> frames;
    for (std::size_t k = 0; k < most; ++k) {
      const auto frame = static_cast<std::uint64_t>(std::floor(static_cast<double>(k) * step));
      if (frame >= count) break;
      frames.push_back(frame);
    }
    return frames;
  }

  const std::string root_;
  const std::int64_t max_pixels_;
  graft::Catalog catalog_;
  std::vector<Listed> videos_;
  std::vector<Frame> frames_;
  std::size_t early_ends_ = 0;
  std::string early_end_;  ///< The first of them.
  std::size_t position_ = 0;
  Frame current_;  ///< Of the entry that next gave last.
  // What read_current reads from.
  std::unique_ptr<VideoFile> file_;
  std::uint32_t open_ = 0;
  std::optional<std::pair<std::uint32_t, Reject>> ended_;  ///< The last video that ended too early.
};

}  // namespace

GRAFT_PLUGIN(
    video, "1.2.0", Video,
    graft::PluginSchema::source("Lists frames of videos: classes and splits from folders.")
        .known_fault("1.2.0",
                     "in Motion JPEG, frames whose size changed gave the picture of another frame, or a "
                     "damaged one, and frames after one that was dropped had the number of the frame before")
        .output("out", graft::PortType::Image, "u8[?,?,3]",
                "The frames, video by video in the order of their paths; the key is PATH#FRAME.")
        .param(graft::folder("root").required().doc(
            "Folder with one sub-folder per class, or with one per split that holds those."))
        .param(graft::list("files", graft::text(""))
                   .or_scalar()
                   .items(1, 1000)
                   .default_list({"*.mp4", "*.m4v", "*.mov", "*.avi", "*.mkv", "*.webm", "*.mpg", "*.mpeg",
                                  "*.ts", "*.wmv", "*.flv", "*.ogv"})
                   .doc("Patterns of the videos: one without a slash is for the name, one with a slash for "
                        "the path below the root, ** crosses slashes; in either case."))
        .param(graft::integer("every").at_least(1).unit("frames").optional().doc(
            "Take the first frame and every so many after it; left out, without fps: every frame."))
        .param(graft::number("fps")
                   .range(1e-6, 1000)
                   .unit("frames/s")
                   .optional()
                   .doc("Take so many frames for each second of the video, by its mean frame rate."))
        .param(graft::integer("max_frames")
                   .at_least(1)
                   .unit("frames")
                   .optional()
                   .doc("At most so many frames of each video, the first of those taken."))
        .params_from(graft::source::FolderLabels::parameters())
        .param(graft::integer("max_pixels", 64'000'000)
                   .range(1, 1'000'000'000)
                   .unit("px")
                   .doc("Videos with more pixels in a frame are rejected."))
        .param(graft::flag("follow_symlinks", false).doc("Follow symbolic links to videos and folders."))
        .params_from(graft::Catalog::parameters())
        .uses_libraries("OpenCV " CV_VERSION)
        .example(R"(name: video-example
stages:
  frames: {plugin: video, with: {root: "${CLIPS:-.}", fps: 2, max_frames: 100}}
  small: {plugin: resize, from: frames, with: {resize: 32, crop: 32}}
  features: {plugin: backbone, from: small, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  probe: {plugin: linear_probe, from: table}
  report: {plugin: evaluate, from: probe}
)"))
