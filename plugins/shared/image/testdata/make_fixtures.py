#!/usr/bin/env python3
"""Makes resize.bin and jpeg.bin with Pillow (9.4 made the committed ones). Layout: fixtures.h beside this folder."""
import io
import os
import struct

import numpy as np
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20240501)


def picture(width, height):
    """Smooth colours with hard black and white spots: both ends of the range meet the negative lobes."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 13) % 256], -1)
    noise = rng.integers(-60, 60, base.shape)
    image = np.clip(base + noise, 0, 255)
    spots = rng.random((height, width))
    image[spots < 0.06] = 0
    image[spots > 0.94] = 255
    return image.astype(np.uint8)


def write_images(path, images):
    with open(path, "wb") as out:
        for name, data, rgb in images:
            rgb = np.asarray(rgb)
            assert rgb.dtype == np.uint8 and rgb.shape[2] == 3, name
            out.write(struct.pack("<I", len(name)) + name.encode() + struct.pack("<I", len(data)) + data)
            out.write(struct.pack("<II", rgb.shape[1], rgb.shape[0]) + rgb.tobytes())


def resize_cases():
    filters = [Image.BOX, Image.BILINEAR, Image.BICUBIC, Image.LANCZOS]
    sizes = [((37, 23), (16, 11)), ((16, 11), (37, 23)), ((50, 20), (50, 9)), ((50, 20), (21, 20)),
             ((1, 9), (5, 3)), ((64, 48), (7, 5)), ((20, 12), (20, 12)), ((3, 150), (9, 6)), ((33, 31), (32, 32))]
    with open(os.path.join(HERE, "resize.bin"), "wb") as out:
        for (w, h), (dw, dh) in sizes:
            source = picture(w, h)
            out.write(struct.pack("<4I", w, h, dw, dh) + source.tobytes())
            for f in filters:
                out.write(np.asarray(Image.fromarray(source).resize((dw, dh), f)).tobytes())


def jpeg_cases():
    def encode(image, **options):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        return buffer.getvalue()

    rgb = Image.fromarray(picture(29, 19))
    files = [("420", encode(rgb, quality=85, subsampling=2)), ("422", encode(rgb, quality=85, subsampling=1)),
             ("444", encode(rgb, quality=95, subsampling=0)), ("progressive", encode(rgb, progressive=True)),
             ("grey", encode(rgb.convert("L"))), ("cmyk", encode(rgb.convert("CMYK"))),
             ("optimised", encode(rgb, optimize=True, quality=40)),
             ("restart", encode(rgb, quality=75, restart_marker_rows=1))]
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files.append((f"orientation-{orientation}", encode(rgb, exif=exif.tobytes())))
    decoded = [(name, data, ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
               for name, data in files]
    write_images(os.path.join(HERE, "jpeg.bin"), decoded)


if __name__ == "__main__":
    resize_cases()
    jpeg_cases()
