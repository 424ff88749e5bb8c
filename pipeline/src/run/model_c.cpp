#include <graft/model_c.h>

#include <exception>
#include <new>
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

/// No exception crosses the border: it becomes the text of graft_last_error and a null handle.
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
    return nullptr;
  }
}

ModelOptions options_from(const graft_model_options* given) {
  ModelOptions options;
  if (given == nullptr) return options;
  if (given->learner != nullptr) options.learner = given->learner;
  options.allow_code = given->allow_code != 0;
  for (const char* const* setting = given->settings; setting != nullptr && *setting != nullptr; ++setting)
    options.settings.emplace_back(*setting);
  return options;
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
  return model->model.learner().c_str();
}

size_t graft_model_class_count(const graft_model* model) {
  return model->model.classes().size();
}

const char* graft_model_class_name(const graft_model* model, size_t index) {
  return index < model->model.classes().size() ? model->model.classes()[index].c_str() : nullptr;
}

int graft_model_is_multi_label(const graft_model* model) {
  return model->model.multi_label() ? 1 : 0;
}

graft_predictions* graft_model_predict(const graft_model* model, const graft_image* images, size_t count,
                                       int features) {
  return guard_c_call([&]() -> graft_predictions* {
    std::vector<graft::ImageInput> inputs;
    inputs.reserve(count);
    for (std::size_t i = 0; i < count; ++i) inputs.push_back(graft::image_from(images[i], i));
    auto out = std::make_unique<graft_predictions>();
    out->images = model->model.submit(std::move(inputs), {features != 0, 0}).get();
    for (const graft::ImagePrediction& image : out->images)
      out->rejected.push_back(image.rejected ? image.rejected->code + ": " + image.rejected->text : "");
    return out.release();
  });
}

const float* graft_predictions_scores(const graft_predictions* predictions, size_t index) {
  if (index >= predictions->images.size() || predictions->images[index].scores.empty()) return nullptr;
  return predictions->images[index].scores.data();
}

const float* graft_predictions_features(const graft_predictions* predictions, size_t index, size_t* size) {
  const bool there = index < predictions->images.size() && !predictions->images[index].features.empty();
  *size = there ? predictions->images[index].features.size() : 0;
  return there ? predictions->images[index].features.data() : nullptr;
}

const char* graft_predictions_rejected(const graft_predictions* predictions, size_t index) {
  if (index >= predictions->rejected.size() || predictions->rejected[index].empty()) return nullptr;
  return predictions->rejected[index].c_str();
}

void graft_predictions_free(graft_predictions* predictions) {
  delete predictions;
}
