#include <graft/model_c.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/model.h>
#include <graft/version.h>

#include "plugin/plugin_call.h"

struct graft_model {
  graft::Model model;
};

struct graft_predictions {
  std::vector<graft::ImagePrediction> images;
  std::vector<std::string> rejected;  // by image; empty: it was not
};

namespace graft {
namespace {

thread_local std::string t_last_error;  // NOLINT(runtime/string): of the calling thread

/// No exception crosses the border: it becomes the text of graft_last_error and NULL or 0.
template <typename Body>
auto guard_c_call(const Body& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (...) {
    try {
      t_last_error = text_of_exception("the function");
    } catch (...) {  // no memory for the text
      t_last_error.clear();
    }
    return {};
  }
}

/// What `where` begins with, a structure that says its size: members that an older program does not know are
/// 0. Throws Error for a size that no version has, and for members that this version does not know.
template <typename Struct>
Struct versioned(const void* where, const char* type) {
  constexpr std::size_t kLargest = 4096;  // of any version to come: more is a size that was never set
  std::size_t size = 0;
  std::memcpy(&size, where, sizeof size);
  if (size < sizeof(Struct) || size > kLargest)
    throw Error(fmt::format("struct_size: expected sizeof({}), {}, got {}", type, sizeof(Struct), size));
  const auto* bytes = static_cast<const unsigned char*>(where);
  if (std::any_of(bytes + sizeof(Struct), bytes + size, [](unsigned char byte) { return byte != 0; }))
    throw Error(
        fmt::format("{} sets members that libgraft {} does not know: use a newer one", type, GRAFT_VERSION));
  Struct out;
  std::memcpy(&out, where, sizeof out);
  return out;
}

ModelOptions options_from(const graft_model_options* options) {
  ModelOptions out;
  if (options == nullptr) return out;
  const auto given = versioned<graft_model_options>(options, "graft_model_options");
  if (given.learner != nullptr) out.learner = given.learner;
  out.allow_code = given.allow_code != 0;
  for (const char* const* setting = given.settings; setting != nullptr && *setting != nullptr; ++setting)
    out.settings.emplace_back(*setting);
  return out;
}

/// The model or the predictions behind a handle. Throws Error for NULL.
template <typename Handle>
Handle& required(Handle* handle, const char* function, const char* what) {
  if (handle == nullptr) throw Error(fmt::format("{}: expected {}, got NULL", function, what));
  return *handle;
}

ImageInput image_from(const graft_image& image, std::size_t index) {
  std::string name = image.name != nullptr   ? image.name
                     : image.path != nullptr ? image.path
                                             : fmt::format("image {}", index + 1);
  if ((image.path != nullptr) == (image.data != nullptr))
    throw Error(fmt::format("'{}': expected either a path or data", name));
  if (image.path != nullptr) {
    ImageInput input = ImageInput::file(image.path);
    input.name = std::move(name);
    return input;
  }
  if (image.width == 0 && image.height == 0)
    return ImageInput::bytes(std::move(name), {image.data, image.size});
  const std::size_t row = image.row_bytes != 0 ? image.row_bytes : 3 * static_cast<std::size_t>(image.width);
  return ImageInput::pixels(std::move(name), image.data, image.width, image.height, row);
}

}  // namespace
}  // namespace graft

using graft::guard_c_call;

const char* graft_version() {
  return GRAFT_VERSION;
}

const char* graft_last_error() {
  return graft::t_last_error.c_str();
}

graft_model* graft_model_open(const char* path, const graft_model_options* options) {
  return guard_c_call([&]() -> graft_model* {
    if (path == nullptr) throw graft::Error("graft_model_open: expected a path, got NULL");
    return new graft_model{graft::Model(path, graft::options_from(options))};
  });
}

void graft_model_close(graft_model* model) {
  delete model;
}

const char* graft_model_learner(const graft_model* model) {
  return guard_c_call(
      [&] { return graft::required(model, "graft_model_learner", "a model").model.learner().c_str(); });
}

size_t graft_model_class_count(const graft_model* model) {
  return guard_c_call(
      [&] { return graft::required(model, "graft_model_class_count", "a model").model.classes().size(); });
}

const char* graft_model_class_name(const graft_model* model, size_t index) {
  return guard_c_call([&]() -> const char* {
    const auto& classes = graft::required(model, "graft_model_class_name", "a model").model.classes();
    return index < classes.size() ? classes[index].c_str() : nullptr;
  });
}

int graft_model_is_multi_label(const graft_model* model) {
  return guard_c_call([&] {
    return graft::required(model, "graft_model_is_multi_label", "a model").model.multi_label() ? 1 : 0;
  });
}

graft_predictions* graft_model_predict(const graft_model* model, const graft_image* images, size_t count,
                                       int features) {
  return guard_c_call([&]() -> graft_predictions* {
    const graft::Model& predictor = graft::required(model, "graft_model_predict", "a model").model;
    std::vector<graft::ImageInput> inputs;
    if (count > 0) {
      // The caller's array has elements of the caller's size.
      const std::size_t stride = graft::required(images, "graft_model_predict", "images").struct_size;
      const auto* at = reinterpret_cast<const unsigned char*>(images);
      inputs.reserve(count);
      for (std::size_t i = 0; i < count; ++i, at += stride) {
        const auto image = graft::versioned<graft_image>(at, "graft_image");
        if (image.struct_size != stride)
          throw graft::Error(fmt::format("image {}: struct_size: expected {} as of image 1, got {}", i + 1,
                                         stride, image.struct_size));
        inputs.push_back(graft::image_from(image, i));
      }
    }
    auto out = std::make_unique<graft_predictions>();
    out->images = predictor.submit(std::move(inputs), {features != 0, 0}).get();
    for (const graft::ImagePrediction& image : out->images)
      out->rejected.push_back(image.rejected ? image.rejected->code + ": " + image.rejected->text : "");
    return out.release();
  });
}

const float* graft_predictions_scores(const graft_predictions* predictions, size_t index) {
  return guard_c_call([&]() -> const float* {
    const auto& images = graft::required(predictions, "graft_predictions_scores", "predictions").images;
    return index < images.size() && !images[index].scores.empty() ? images[index].scores.data() : nullptr;
  });
}

const float* graft_predictions_features(const graft_predictions* predictions, size_t index, size_t* size) {
  if (size != nullptr) *size = 0;
  return guard_c_call([&]() -> const float* {
    const auto& images = graft::required(predictions, "graft_predictions_features", "predictions").images;
    if (index >= images.size() || images[index].features.empty()) return nullptr;
    graft::required(size, "graft_predictions_features", "where to put the size") =
        images[index].features.size();
    return images[index].features.data();
  });
}

const char* graft_predictions_rejected(const graft_predictions* predictions, size_t index) {
  return guard_c_call([&]() -> const char* {
    const auto& rejected = graft::required(predictions, "graft_predictions_rejected", "predictions").rejected;
    return index < rejected.size() && !rejected[index].empty() ? rejected[index].c_str() : nullptr;
  });
}

void graft_predictions_free(graft_predictions* predictions) {
  delete predictions;
}
