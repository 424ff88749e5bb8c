#ifndef GRAFT_MODEL_C_H
#define GRAFT_MODEL_C_H

/* A trained model, applied to images, from C and from whatever can call C: model.h without C++. Link
   libgraft.

     graft_model* model = graft_model_open("ants.graft", NULL);
     if (model == NULL) { puts(graft_last_error()); exit(1); }
     graft_image image = {.struct_size = sizeof(graft_image), .path = "photo.jpg"};
     graft_predictions* made = graft_model_predict(model, &image, 1, 0);
     const float* scores = made == NULL ? NULL : graft_predictions_scores(made, 0);
     if (scores != NULL) printf("%s: %g\n", graft_model_class_name(model, 0), scores[0]);
     graft_predictions_free(made);
     graft_model_close(model);

   Structures begin with their size, so that later versions can add members: set the rest to 0. Handles are
   opaque. A function that fails, or gets NULL for a handle, gives NULL or 0, and graft_last_error() says why.
   A model may be used by any number of threads at once. Texts are UTF-8 where the names of files and classes
   are. What a function gives belongs to the handle it comes from and lives as long as that does. */

#include <stddef.h>
#include <stdint.h>

#include <graft/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graft_model graft_model;
typedef struct graft_predictions graft_predictions;

typedef struct graft_model_options {
  size_t struct_size;          /* sizeof(graft_model_options). */
  const char* learner;         /* Of a run; NULL: the one with the best scores on val. */
  const char* const* settings; /* As --set of graft, "run.threads=2"; ended by NULL. NULL: none. */
  int allow_code;              /* Not 0: a packed model may hold TorchScript, which is code. */
} graft_model_options;

/* One of: a file, by `path`; an encoded image, `data` of `size` bytes; pixels, `data` with `width` and
   `height`, 8-bit RGB, `row_bytes` from one row to the next (0: 3 * width). */
typedef struct graft_image {
  size_t struct_size; /* sizeof(graft_image). */
  const char* name;   /* For messages; may be NULL. */
  const char* path;
  const uint8_t* data;
  size_t size;
  int width, height;
  size_t row_bytes;
} graft_image;

/* "0.1.0". */
GRAFT_API const char* graft_version(void);
/* What the last function that failed on this thread could not do, until the next one fails. Never NULL. */
GRAFT_API const char* graft_last_error(void);

/* Opens the folder of a run, models/ID in it, or a file of `graft model pack`. `options` may be NULL. */
GRAFT_API graft_model* graft_model_open(const char* path, const graft_model_options* options);
/* Waits for predictions that are being made. NULL is allowed. */
GRAFT_API void graft_model_close(graft_model* model);

GRAFT_API const char* graft_model_learner(const graft_model* model);
GRAFT_API size_t graft_model_class_count(const graft_model* model);
/* NULL beyond the last. */
GRAFT_API const char* graft_model_class_name(const graft_model* model, size_t index);
/* Not 0: an image may show any number of the classes, and scores do not add up to 1. */
GRAFT_API int graft_model_is_multi_label(const graft_model* model);

/* Predicts `count` images, which are not used after it returns; `features` not 0: with their vectors. An
   image that cannot be used is rejected, and disturbs no other. Free the result. */
GRAFT_API graft_predictions* graft_model_predict(const graft_model* model, const graft_image* images,
                                                 size_t count, int features);
/* One score per class; NULL for a rejected image and beyond the last. */
GRAFT_API const float* graft_predictions_scores(const graft_predictions* predictions, size_t index);
/* The vector of an image and, in *size, its length; NULL and 0 where there is none. */
GRAFT_API const float* graft_predictions_features(const graft_predictions* predictions, size_t index,
                                                  size_t* size);
/* Why an image was rejected, "truncated: ..."; NULL: it was not. */
GRAFT_API const char* graft_predictions_rejected(const graft_predictions* predictions, size_t index);
/* NULL is allowed. */
GRAFT_API void graft_predictions_free(graft_predictions* predictions);

#ifdef __cplusplus
}
#endif

#endif
