#!/usr/bin/env python3
"""Features of classes that overlap, as two HDF5 files: probe_data.py FOLDER [ROWS [DIM [CLASSES [SEED]]]]

Writes train.h5 and test.h5 (a fifth as many rows) with `features` f32 [n, d] and `labels` i64 [n]. Rows are Gaussian
around the mean of their class. The variances fall as 1 / (1 + j / 16), as those of a backbone's features do; the
directions are turned by a random rotation, so that every column carries something. Class means are drawn so that the
best linear rule is right in about 0.8 of all cases at the default size.
"""
import pathlib
import sys

import h5py
import numpy as np

SEPARATION = 0.36  # standard deviation of the class means in units of that of the rows, in every direction


def main(folder, rows=10000, dim=512, classes=10, seed=1):
    random = np.random.default_rng(seed)
    deviation = 1 / np.sqrt(1 + np.arange(dim) / 16)
    rotation = np.linalg.qr(random.normal(size=(dim, dim)))[0]
    means = SEPARATION * random.normal(size=(classes, dim)) * np.sqrt(64 / dim)
    for name, n in (("train.h5", rows), ("test.h5", rows // 5)):
        labels = random.permutation(np.arange(n) % classes)
        x = (means[labels] + random.normal(size=(n, dim))) * deviation @ rotation
        with h5py.File(pathlib.Path(folder) / name, "w") as file:
            file["features"] = x.astype(np.float32)
            file["labels"] = labels.astype(np.int64)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
