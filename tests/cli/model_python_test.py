"""The Python package on a run of model_api_test: model_python_test.py FOLDER. Exit code 77: numpy is not there."""

import csv
import os
import sys
import threading

try:
    import numpy
except ImportError:
    sys.exit(77)
import graft

folder = sys.argv[1]


def scores_of_run(learner):
    with open(f"{folder}/run/predictions/{learner}.csv", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "test"]
    paths = [f"{folder}/photos/{row['key']}" for row in rows]
    return paths, numpy.array([[row["across"], row["along"]] for row in rows]).astype(numpy.float32)


def fails(function, text):
    try:
        function()
    except graft.Error as error:
        assert str(error).startswith(text), error
    else:
        raise AssertionError(f"no error: {text}")


compared = 0
for learner in ["probe", "knn", "sure", "surer", "mlp", "nearest", "both"]:
    paths, wanted = scores_of_run(learner)
    with graft.Model(f"{folder}/run", learner=learner) as model:
        assert model.classes == ["across", "along"] and model.learner == learner and not model.multi_label
        got = model.predict(paths)
        assert got.dtype == numpy.float32 and numpy.array_equal(numpy.asarray(got), wanted), learner
        assert got.rejected == [None] * len(paths) and got.features is None
        encoded = [open(path, "rb").read() for path in paths]
        assert numpy.array_equal(numpy.asarray(model.predict(encoded)), wanted)
        pixels = [numpy.frombuffer(data[13:], numpy.uint8).reshape(16, 20, 3) for data in encoded]
        assert numpy.array_equal(numpy.asarray(model.predict(pixels)), wanted)
        # Columns in another order in memory.
        assert numpy.array_equal(numpy.asarray(model.predict([p[:, ::-1][:, ::-1] for p in pixels])), wanted)
        compared += len(paths)

model = graft.Model(f"{folder}/run", learner="probe", settings=["run.threads=2"])
paths, wanted = scores_of_run("probe")
one = model.predict(paths[0], features=True)
assert one.shape == (1, 2) and one.features.shape[0] == 1 and one.features.shape[1] > 0
bad = model.predict([b"no image", paths[0], b"", f"{folder}/none.jpg"], features=True)
assert numpy.isnan(bad[[0, 2, 3]]).all() and numpy.array_equal(numpy.asarray(bad[1]), wanted[0])
assert bad.rejected[0].startswith("not-an-image: ") and bad.rejected[1] is None
assert bad.rejected[3].startswith("missing: ") and numpy.array_equal(bad.features[1], one.features[0])

results = {}
threads = [threading.Thread(target=lambda i=i: results.update({i: model.predict(paths[i])})) for i in range(len(paths))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert all(numpy.array_equal(numpy.asarray(results[i][0]), wanted[i]) for i in range(len(paths)))

fails(lambda: graft.Model(f"{folder}/photos"), f"{folder}/photos holds no models")
fails(lambda: graft.Model(f"{folder}/run", learner="prob"), "--learner prob: no such model in ")
fails(lambda: model.predict([numpy.zeros((4, 4), numpy.uint8)]), "image 1: expected a path, bytes, or pixels uint8")
fails(lambda: model.predict([numpy.zeros((4, 4, 3), numpy.float32)]), "image 1: expected a path, bytes, or pixels")
model.close()
fails(lambda: model.predict(paths), "the model is closed")
assert graft.version() == "0.1.0" and os.environ["GRAFT_LIBRARY"]
print(f"{compared} images have the bits of the run")
