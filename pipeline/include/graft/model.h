#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <graft/export.h>
#include <graft/payload.h>

/// \file
/// A trained model, applied to images: what `graft predict`, `graft serve`, the C API (model_c.h) and the
/// Python package are made of.
///
///     const graft::Model model("ants.graft");
///     const graft::ImagePrediction p = model.predict(graft::ImageInput::file("photo.jpg"));
///     if (!p.rejected) std::cout << model.classes()[p.best()] << ' ' << p.scores[p.best()] << '\n';
///
/// Link graft::core (find_package(graft)).

namespace graft {

struct ModelOptions {
  std::string learner;                      ///< Of a run; empty: the one with the best scores on val.
  std::vector<std::string> settings;        ///< As --set: "features.batch=1", "run.threads=2".
  std::vector<std::string> plugin_folders;  ///< As --plugin-dir.
  bool allow_code = false;                  ///< Whether a packed model may hold TorchScript.
  /// How long an image waits for others that are then computed together with it. Others that come while
  /// images are being computed are computed together in any case.
  std::chrono::milliseconds gather{0};
  /// Gets warnings; any thread. Default: to stderr.
  std::function<void(const std::string&)> warn;
};

/// One image to predict. Cheap to copy: it shares what it holds.
struct GRAFT_API ImageInput {
  std::string name;  ///< For messages.
  Payload content;   ///< FileRef or Bytes.

  /// A file, which is read when its turn comes.
  static ImageInput file(const std::string& path);
  /// An encoded image (JPEG, PNG, ...), copied.
  static ImageInput bytes(std::string name, std::span<const std::uint8_t> encoded);
  /// 8-bit RGB pixels, copied: predicted as a lossless file of them is. `row_bytes`: from one row to the
  /// next. Throws Error for a size below 1 or above 65535.
  static ImageInput pixels(std::string name, const std::uint8_t* rgb, int width, int height,
                           std::size_t row_bytes);
};

/// What is wanted of images beside their scores.
struct PredictionExtras {
  bool features = false;
  std::size_t neighbours = 0;  ///< How many, at most 1000; see Model::knows_neighbours.
};

/// What a model makes of one image.
struct GRAFT_API ImagePrediction {
  /// Why an image has no scores: the stage that refused it, a short stable word (`truncated`, `not-an-image`,
  /// ...), and a text for people.
  struct Rejection {
    std::string stage, code, text;
  };
  /// A training image, by its key in the run, and how like it this one is: larger is nearer.
  struct Neighbour {
    std::string key;
    float similarity = 0;
  };
  std::vector<float> scores;  ///< One per class, from 0 to 1; empty where the image was rejected.
  /// Where asked for: the vectors of the model's first table, one after the other for several views.
  std::vector<float> features;
  /// Where asked for: the training images that are most like it, best first.
  std::vector<Neighbour> neighbours;
  std::optional<Rejection> rejected;

  /// Position of the highest score, ties go to the lower one. 0 for a rejected image.
  std::size_t best() const;
};

/// A trained model, open. Images go through the stages of its run, so that scores have the same bits as in
/// the run, whatever else is predicted beside them. Every const method may be called from any number of
/// threads: what several ask for at once is computed together.
class GRAFT_API Model {
 public:
  /// `path`: the folder of a run, models/LEARNER in it, or a file of `graft model pack`. Loads what is
  /// needed and checks that it is what the model was trained with. Throws Error.
  explicit Model(const std::string& path, ModelOptions options = {});
  /// Waits for what was submitted.
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const std::string& learner() const;
  /// Class names; the position is that of the score.
  const std::vector<std::string>& classes() const;
  /// Whether an image may show any number of the classes: then the predicted ones are those with a score of
  /// at least 0.5, and scores do not add up to 1.
  bool multi_label() const;
  int threads() const;
  /// Whether the model keeps its training images to compare with, as knn and hybrid do.
  bool knows_neighbours() const;

  /// One prediction per image, in their order. An image that cannot be used is rejected and disturbs no
  /// other; what fails for every image throws Error.
  std::vector<ImagePrediction> predict(std::span<const ImageInput> images,
                                       PredictionExtras extras = {}) const;
  ImagePrediction predict(const ImageInput& image, PredictionExtras extras = {}) const;
  /// As predict, without waiting. An Error comes out of the future.
  std::future<std::vector<ImagePrediction>> submit(std::vector<ImageInput> images,
                                                   PredictionExtras extras = {}) const;

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace graft
