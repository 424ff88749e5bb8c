/* A model used from C alone: the header is C, errors are texts, and what is wrong is NULL. */

#include <graft/model_c.h>

#include <stdio.h>
#include <string.h>

#define REQUIRE(condition)                                                 \
  do {                                                                     \
    if (!(condition)) {                                                    \
      snprintf(text, text_size, "%s: %s", #condition, graft_last_error()); \
      return 1;                                                            \
    }                                                                      \
  } while (0)

int check_model_from_c(const char* path, const char* file, float* scores, char* text, unsigned text_size);

int check_model_from_c(const char* path, const char* file, float* scores, char* text, unsigned text_size) {
  REQUIRE(strcmp(graft_version(), "0.1.0") == 0);
  REQUIRE(graft_model_open(NULL, NULL) == NULL);
  REQUIRE(strstr(graft_last_error(), "expected a path, got NULL") != NULL);
  REQUIRE(graft_model_open("/nowhere", NULL) == NULL);
  REQUIRE(strstr(graft_last_error(), "/nowhere is not there") == graft_last_error());

  const char* settings[] = {"run.threads=1", NULL};
  const graft_model_options options = {.struct_size = sizeof options, .settings = settings};
  graft_model* model = graft_model_open(path, &options);
  REQUIRE(model != NULL);
  REQUIRE(strcmp(graft_model_learner(model), "probe") == 0);
  REQUIRE(graft_model_class_count(model) == 2);
  REQUIRE(strcmp(graft_model_class_name(model, 1), "along") == 0);
  REQUIRE(graft_model_class_name(model, 2) == NULL);
  REQUIRE(graft_model_is_multi_label(model) == 0);

  const uint8_t pixels[6 * 5 * 3] = {0};
  const size_t size_of = sizeof(graft_image);
  const graft_image images[] = {{.struct_size = size_of, .path = file},
                                {.struct_size = size_of, .path = "/nowhere"},
                                {.struct_size = size_of, .data = pixels, .width = 6, .height = 5}};
  graft_predictions* made = graft_model_predict(model, images, 3, 1);
  REQUIRE(made != NULL);
  const float* row = graft_predictions_scores(made, 0);
  REQUIRE(row != NULL);
  memcpy(scores, row, 2 * sizeof *row);
  size_t size = 0;
  REQUIRE(graft_predictions_features(made, 0, &size) != NULL && size > 0);
  REQUIRE(graft_predictions_rejected(made, 0) == NULL);
  REQUIRE(graft_predictions_scores(made, 1) == NULL);
  REQUIRE(strstr(graft_predictions_rejected(made, 1), "missing: ") == graft_predictions_rejected(made, 1));
  REQUIRE(graft_predictions_features(made, 1, &size) == NULL && size == 0);
  REQUIRE(graft_predictions_scores(made, 2) != NULL);
  REQUIRE(graft_predictions_scores(made, 3) == NULL && graft_predictions_rejected(made, 3) == NULL);
  REQUIRE(graft_predictions_features(made, 0, NULL) == NULL);
  REQUIRE(strstr(graft_last_error(), "graft_predictions_features: expected where to put the size") != NULL);
  graft_predictions_free(made);

  const graft_image neither = {.struct_size = size_of, .name = "x"};
  REQUIRE(graft_model_predict(model, &neither, 1, 0) == NULL);
  REQUIRE(strcmp(graft_last_error(), "'x': expected either a path or data") == 0);
  made = graft_model_predict(model, NULL, 0, 0);
  REQUIRE(made != NULL);
  graft_predictions_free(made);
  graft_predictions_free(NULL);

  /* NULL where a handle or images are expected. */
  REQUIRE(graft_model_predict(NULL, images, 1, 0) == NULL);
  REQUIRE(strcmp(graft_last_error(), "graft_model_predict: expected a model, got NULL") == 0);
  REQUIRE(graft_model_predict(model, NULL, 1, 0) == NULL);
  REQUIRE(strcmp(graft_last_error(), "graft_model_predict: expected images, got NULL") == 0);
  REQUIRE(graft_model_learner(NULL) == NULL && graft_model_class_count(NULL) == 0);
  REQUIRE(graft_model_class_name(NULL, 0) == NULL && graft_model_is_multi_label(NULL) == 0);
  REQUIRE(graft_predictions_scores(NULL, 0) == NULL && graft_predictions_rejected(NULL, 0) == NULL);
  size = 7;
  REQUIRE(graft_predictions_features(NULL, 0, &size) == NULL && size == 0);

  /* Structures of other versions: larger ones whose further members are 0 are understood. */
  const graft_model_options unsized = {.allow_code = 1};
  REQUIRE(graft_model_open(path, &unsized) == NULL);
  REQUIRE(strstr(graft_last_error(), "struct_size: expected sizeof(graft_model_options), ") != NULL);
  struct later {
    graft_image image;
    size_t added;
  } later[] = {{{.struct_size = sizeof(struct later), .path = file}, 0},
               {{.struct_size = sizeof(struct later), .path = file}, 0}};
  made = graft_model_predict(model, &later[0].image, 2, 0);
  REQUIRE(made != NULL);
  REQUIRE(memcmp(graft_predictions_scores(made, 1), scores, 2 * sizeof *scores) == 0);
  graft_predictions_free(made);
  later[1].added = 1;
  REQUIRE(graft_model_predict(model, &later[0].image, 2, 0) == NULL);
  REQUIRE(strcmp(graft_last_error(),
                 "graft_image sets members that libgraft 0.1.0 does not know: use a newer one") == 0);
  later[1].added = 0;
  later[1].image.struct_size = size_of;
  REQUIRE(graft_model_predict(model, &later[0].image, 2, 0) == NULL);
  REQUIRE(strstr(graft_last_error(), "image 2: struct_size: expected ") == graft_last_error());

  graft_model_close(model);
  graft_model_close(NULL);
  return 0;
}
