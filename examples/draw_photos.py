#!/usr/bin/env python3
"""draw_photos.py FOLDER: draws pictures to try Graft with, in place of photographs: FOLDER/shapes has a folder
per class, FOLDER/new six pictures that nobody has labelled. Needs nothing but Python."""

import os
import random
import struct
import sys
import zlib

SIDE = 96


def inside(shape, x, y, r):
    if shape == "discs":
        return x * x + y * y < r * r
    if shape == "squares":
        return max(abs(x), abs(y)) < 0.85 * r
    return -0.7 * r < y < 0.9 * r and 2 * abs(x) < 0.9 * r - y  # triangles


def picture(shape, draw):
    """Rows of RGB: one shape of any colour on another one, with noise."""
    ground = [draw.randrange(40, 216) for _ in range(3)]
    colour = [(c + draw.randrange(70, 186)) % 256 for c in ground]
    r, cx, cy = draw.uniform(18, 34), draw.uniform(36, 60), draw.uniform(36, 60)
    rows = []
    for y in range(SIDE):
        row = bytearray()
        for x in range(SIDE):
            for c in colour if inside(shape, x - cx, y - cy, r) else ground:
                row.append(min(255, max(0, c + draw.randrange(-20, 21))))
        rows.append(bytes(row))
    return rows


def write_png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))) + chunk(b"IEND", b""))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw = random.Random(1)
    shapes = ["discs", "squares", "triangles"]
    for shape in shapes:
        for i in range(60):
            write_png(f"{sys.argv[1]}/shapes/{shape}/{i:02}.png", picture(shape, draw))
    for i in range(6):
        write_png(f"{sys.argv[1]}/new/{i}.png", picture(shapes[i % 3], draw))


main()
