"""Trained models of Graft, applied to images.

    import graft
    model = graft.Model("ants.graft")
    scores = model.predict(["a.jpg", "b.jpg"])      # float32 [images, classes]; a row of NaN: rejected
    model.classes[scores[0].argmax()]

Pure Python over the C functions of libgraft (graft/model_c.h), with the same bits as `graft predict`. The library is
looked for at $GRAFT_LIBRARY, then beside this installation, then where the system looks for libraries.
"""

import ctypes
import os
import pathlib

import numpy

__all__ = ["Error", "Model", "Predictions", "version"]


class Error(Exception):
    """What libgraft could not do, in its words."""


class _Options(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("learner", ctypes.c_char_p),
        ("settings", ctypes.POINTER(ctypes.c_char_p)),
        ("allow_code", ctypes.c_int),
    ]


class _Image(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("path", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("row_bytes", ctypes.c_size_t),
    ]


def _load():
    name = "libgraft.so.0"
    places = [os.environ["GRAFT_LIBRARY"]] if "GRAFT_LIBRARY" in os.environ else []
    if not places:
        # PREFIX/lib/python3/dist-packages/graft: the library is in PREFIX/lib or in a folder of it.
        lib = pathlib.Path(__file__).resolve().parents[3]
        places = [str(path) for path in [lib / name, *sorted(lib.glob("*/" + name))] if path.is_file()]
        places.append(name)
    try:
        library = ctypes.CDLL(places[0])
    except OSError as error:
        raise Error(
            f"libgraft cannot be loaded: {error}; install graft, or name the library with GRAFT_LIBRARY=/path/to/{name}"
        ) from None
    index = ctypes.c_size_t
    handle = ctypes.c_void_p
    for function, result, arguments in [
        ("graft_version", ctypes.c_char_p, []),
        ("graft_last_error", ctypes.c_char_p, []),
        ("graft_model_open", handle, [ctypes.c_char_p, ctypes.POINTER(_Options)]),
        ("graft_model_close", None, [handle]),
        ("graft_model_learner", ctypes.c_char_p, [handle]),
        ("graft_model_class_count", index, [handle]),
        ("graft_model_class_name", ctypes.c_char_p, [handle, index]),
        ("graft_model_is_multi_label", ctypes.c_int, [handle]),
        ("graft_model_predict", handle, [handle, ctypes.POINTER(_Image), index, ctypes.c_int]),
        ("graft_predictions_scores", ctypes.POINTER(ctypes.c_float), [handle, index]),
        ("graft_predictions_features", ctypes.POINTER(ctypes.c_float), [handle, index, ctypes.POINTER(index)]),
        ("graft_predictions_rejected", ctypes.c_char_p, [handle, index]),
        ("graft_predictions_free", None, [handle]),
    ]:
        try:
            entry = getattr(library, function)
        except AttributeError:
            raise Error(f"{places[0]} has no {function}: it is of another version; install graft again") from None
        entry.restype = result
        entry.argtypes = arguments
    return library


_library = _load()


def _text(raw):
    return os.fsdecode(raw)


def version():
    """The version of libgraft, such as "0.1.0"."""
    return _text(_library.graft_version())


class Predictions(numpy.ndarray):
    """Scores, float32 [images, classes]; the row of a rejected image is NaN.

    rejected: one text per image that says why it was rejected, or None.
    features: float32 [images, dims] where they were asked for, else None; NaN for a rejected image.
    """

    rejected = None
    features = None


class Model:
    """A trained model: the folder of a run, models/ID in it, or a file of `graft model pack`.

    learner: of a run; default: the one with the best scores on val.
    settings: as --set of graft, such as ["run.threads=2"].
    allow_code: whether a packed model may hold TorchScript, which is code.

    Threads may share a model: images that several ask for at once are computed together.
    """

    def __init__(self, path, learner=None, settings=(), allow_code=False):
        self._handle = None
        texts = [os.fsencode(setting) for setting in settings]
        options = _Options(
            ctypes.sizeof(_Options),
            os.fsencode(learner) if learner is not None else None,
            (ctypes.c_char_p * (len(texts) + 1))(*texts, None),
            1 if allow_code else 0,
        )
        self._handle = _library.graft_model_open(os.fsencode(path), ctypes.byref(options))
        if self._handle is None:
            raise Error(_text(_library.graft_last_error()))
        count = _library.graft_model_class_count(self._handle)
        self.classes = [_text(_library.graft_model_class_name(self._handle, c)) for c in range(count)]
        self.learner = _text(_library.graft_model_learner(self._handle))
        self.multi_label = _library.graft_model_is_multi_label(self._handle) != 0

    def predict(self, images, features=False):
        """Scores of images: paths, bytes of encoded images, or uint8 arrays [height, width, 3] of RGB pixels.

        One image gives one row. Raises Error where nothing can be predicted; an image that cannot be used is a row
        of NaN, and `rejected` of the result says why.
        """
        if self._handle is None:
            raise Error("the model is closed")
        if isinstance(images, (str, os.PathLike, bytes, bytearray)) or (
            isinstance(images, numpy.ndarray) and images.ndim == 3
        ):
            images = [images]
        kept, given = [], (_Image * len(images))()
        for index, image in enumerate(images):
            kept.append(self._fill(given[index], index, image))
        made = _library.graft_model_predict(self._handle, given, len(images), 1 if features else 0)
        if made is None:
            raise Error(_text(_library.graft_last_error()))
        try:
            return self._taken(made, len(images), features)
        finally:
            _library.graft_predictions_free(made)

    def close(self):
        """Frees the model. It must not be in use."""
        handle, self._handle = self._handle, None
        if handle is not None:
            _library.graft_model_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    @staticmethod
    def _fill(to, index, image):
        """Gives what must stay alive while the image is used."""
        to.struct_size = ctypes.sizeof(_Image)
        if isinstance(image, (str, os.PathLike)):
            to.path = os.fsencode(image)
            return image
        to.name = f"image {index + 1}".encode()
        if isinstance(image, (bytes, bytearray, memoryview)):
            encoded = bytes(image)
            to.data, to.size = ctypes.cast(ctypes.c_char_p(encoded), ctypes.c_void_p), len(encoded)
            return encoded
        pixels = numpy.asarray(image)
        if pixels.dtype != numpy.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise Error(
                f"image {index + 1}: expected a path, bytes, or pixels uint8 [height, width, 3], "
                f"got {pixels.dtype} {list(pixels.shape)}"
            )
        pixels = numpy.ascontiguousarray(pixels)
        to.data, to.size = pixels.ctypes.data, pixels.size
        to.height, to.width = pixels.shape[:2]
        return pixels

    def _taken(self, made, count, features):
        scores = numpy.full((count, len(self.classes)), numpy.nan, numpy.float32)
        vectors, rejected = [None] * count, [None] * count
        for index in range(count):
            reason = _library.graft_predictions_rejected(made, index)
            if reason is not None:
                rejected[index] = _text(reason)
                continue
            row = _library.graft_predictions_scores(made, index)
            scores[index] = numpy.ctypeslib.as_array(row, (len(self.classes),))
            if features:
                size = ctypes.c_size_t()
                vector = _library.graft_predictions_features(made, index, ctypes.byref(size))
                vectors[index] = numpy.ctypeslib.as_array(vector, (size.value,)).copy()
        out = scores.view(Predictions)
        out.rejected = rejected
        if features:
            dims = max((len(v) for v in vectors if v is not None), default=0)
            out.features = numpy.full((count, dims), numpy.nan, numpy.float32)
            for index, vector in enumerate(vectors):
                if vector is not None:
                    out.features[index, : len(vector)] = vector
        return out
