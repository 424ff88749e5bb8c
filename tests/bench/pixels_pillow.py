#!/usr/bin/env python3
"""Pillow against pixels_bench, in turn: pixels_pillow.py PIXELS_BENCH FOLDER [ROUNDS]

Decode, resize the shorter side to 256, crop 224; and the resizer alone, 500 x 375 to 341 x 256, bilinear. One thread
each, files in memory. The best round of each counts, as in timeit: what else a machine does only ever adds.
"""
import io
import pathlib
import subprocess
import sys
import time

from PIL import Image


def decode(data):
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    size = (256, int(256 * height / width)) if width <= height else (int(256 * width / height), 256)
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    return image.resize(size, Image.BILINEAR).crop((left, top, left + 224, top + 224))


def milliseconds(calls):
    start = time.perf_counter()
    for call, argument in calls:
        call(argument)
    return (time.perf_counter() - start) * 1e3 / len(calls)


def main():
    program, folder = sys.argv[1:3]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    files = [path.read_bytes() for path in sorted(pathlib.Path(folder).rglob("*.jpg"))]
    source = Image.open(io.BytesIO(files[0])).convert("RGB").resize((500, 375), Image.BILINEAR)
    decode(files[0])
    rows = []
    for _ in range(rounds):
        words = subprocess.run([program, folder], check=True, capture_output=True, text=True).stdout.split()
        ours = dict(zip(words[::2], map(float, words[1::2])))
        whole = milliseconds([(decode, data) for data in files])
        alone = milliseconds([(lambda image: image.resize((341, 256), Image.BILINEAR), source)] * 200)
        rows.append((("exact", whole, ours["exact"]), ("fast", whole, ours["fast"]), ("resize", alone, ours["resize"])))
    print(f"{len(files)} photographs, best of {rounds} rounds")
    for column in zip(*rows):
        pillow = min(p for _, p, _ in column)
        graft = min(g for _, _, g in column)
        print(f"{column[0][0]:7} Pillow {pillow:6.3f} ms  graft {graft:6.3f} ms  ratio {pillow / graft:.2f}")


if __name__ == "__main__":
    main()
