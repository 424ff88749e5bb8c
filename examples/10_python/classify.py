"""classify.py MODEL IMAGE...: what a trained model makes of images, from Python. Needs numpy and libgraft alone."""

import sys

import graft

if len(sys.argv) < 3:
    sys.exit(__doc__)
with graft.Model(sys.argv[1]) as model:
    scores = model.predict(sys.argv[2:])
    for path, row, rejected in zip(sys.argv[2:], scores, scores.rejected):
        print(f"{path}: {rejected}" if rejected else f"{path}: {model.classes[row.argmax()]} ({row.max():.6g})")
