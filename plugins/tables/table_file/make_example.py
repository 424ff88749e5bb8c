#!/usr/bin/env python3
"""Writes configs/table_file.h5, the table of the plugin's example: three classes, two of which lie close together."""

import sys

import h5py
import numpy as np

random = np.random.default_rng(7)
centres = np.zeros((3, 8))
centres[0, 0], centres[1, 1], centres[2, 1], centres[2, 2] = 3, 3, 3, 2
labels = np.arange(240) % 3
with h5py.File(sys.argv[1] if len(sys.argv) > 1 else "configs/table_file.h5", "w", track_order=False) as table:
    table["features"] = (centres[labels] + random.normal(size=(240, 8))).astype("f4")
    table["labels"] = labels.astype("i1")
    table["splits"] = np.array([0] * 120 + [1] * 60 + [2] * 60, dtype="i1")
    table.attrs["classes"] = np.array([b"ant", b"bee", b"wasp"])
