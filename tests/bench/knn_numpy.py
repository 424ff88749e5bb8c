#!/usr/bin/env python3
"""knn_numpy.py [ROWS DIM K]: seconds of brute-force k nearest neighbours by cosine as it is usually written with NumPy:
all products in float64, a full stable sort of every row of them. The peer of learners_bench."""
import sys
import time

import numpy as np

rows, dim, k = (int(v) for v in (sys.argv[1:] or ["10000", "512", "20"]))
random = np.random.default_rng(1)
x, q = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in random.standard_normal((2, rows, dim)))
start = time.perf_counter()
similarity = q @ x.T
order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
print(f"  NumPy, stable sort       {time.perf_counter() - start:.3f} s")
