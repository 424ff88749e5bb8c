#!/usr/bin/env python3
"""Makes resize.bin, box.bin, jpeg.bin with Pillow (9.4) and fit.bin with torchvision (0.14). Layout: fixtures.h beside
this folder."""
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


def box_cases():
    """Parts of images whose borders lie between pixels, in eighths."""
    filters = [Image.BOX, Image.BILINEAR, Image.BICUBIC, Image.LANCZOS]
    cases = [((19, 13), (0, 0, 19 * 8 - 4, 13 * 8 - 1), (8, 6)), ((19, 13), (5, 3, 19 * 8, 13 * 8), (19, 13)),
             ((6, 9), (7, 2, 41, 66), (21, 30))]
    with open(os.path.join(HERE, "box.bin"), "wb") as out:
        for (w, h), box, (dw, dh) in cases:
            source = picture(w, h)
            out.write(struct.pack("<8I", w, h, dw, dh, *box) + source.tobytes())
            for f in filters:
                out.write(np.asarray(Image.fromarray(source).resize((dw, dh), f, [v / 8 for v in box])).tobytes())


def fit_cases():
    """What the parameters of Fit stand for, in torchvision's and Pillow's own words."""
    from torchvision.transforms import InterpolationMode as Mode, functional as F

    def crops(image, side, n):
        return F.five_crop(image, side) if n == 5 else F.ten_crop(image, side)

    cases = [
        ("{resize: 16, crop: 12}", lambda i: [F.center_crop(F.resize(i, 16), 12)]),
        ("{resize: 16, crop: null, filter: bicubic}", lambda i: [F.resize(i, 16, Mode.BICUBIC)]),
        ("{resize: null, crop: 11}", lambda i: [F.center_crop(i, 11)]),
        ("{resize: 12, crop: 17}", lambda i: [F.center_crop(F.resize(i, 12), 17)]),
        ("{resize: [20, 14], fit: stretch, crop: null}", lambda i: [F.resize(i, [14, 20])]),
        ("{resize: 15, fit: stretch, crop: null, filter: lanczos}", lambda i: [F.resize(i, [15, 15], Mode.LANCZOS)]),
        ("{resize: [21, 14], fit: letterbox, crop: null, fill: [10, 200, 30]}",
         lambda i: [ImageOps.pad(i, (21, 14), Image.BILINEAR, (10, 200, 30))]),
        ("{resize: 19, fit: letterbox, crop: null, fill: 128, filter: bicubic}",
         lambda i: [ImageOps.pad(i, (19, 19), Image.BICUBIC, (128, 128, 128))]),
        ("{resize: [9, 22], fit: letterbox, crop: 12, fill: 7, pad: 2}",
         lambda i: [F.center_crop(F.pad(ImageOps.pad(i, (9, 22), Image.BILINEAR, (7, 7, 7)), 2, (7, 7, 7)), 12)]),
        ("{resize: null, pad: 3, crop: null, fill: 77}", lambda i: [F.pad(i, 3, (77, 77, 77))]),
        ("{resize: 14, pad: [1, 2, 3, 4], crop: 15, fill: [1, 2, 3]}",
         lambda i: [F.center_crop(F.pad(F.resize(i, 14), [1, 2, 3, 4], (1, 2, 3)), 15)]),
        ("{resize: 13, crop: 10, crops: five}", lambda i: crops(F.resize(i, 13), 10, 5)),
        ("{resize: 13, crop: 10, crops: ten}", lambda i: crops(F.resize(i, 13), 10, 10)),
        ("{resize: 10, pad: 3, crop: 9, crops: ten, fill: 200}",
         lambda i: crops(F.pad(F.resize(i, 10), 3, (200, 200, 200)), 9, 10)),
    ]
    with open(os.path.join(HERE, "fit.bin"), "wb") as out:
        for w, h in [(24, 15), (14, 25), (16, 16)]:
            source = Image.fromarray(picture(w, h))
            out.write(struct.pack("<3I", w, h, len(cases)) + np.asarray(source).tobytes())
            for params, make in cases:
                views = [np.asarray(v) for v in make(source)]
                out.write(struct.pack("<I", len(params)) + params.encode() + struct.pack("<I", len(views)))
                for v in views:
                    out.write(struct.pack("<II", v.shape[1], v.shape[0]) + v.tobytes())


if __name__ == "__main__":
    resize_cases()
    jpeg_cases()
    box_cases()
    fit_cases()
