#!/usr/bin/env python3
"""Makes warp.bin, colour.bin and rand_augment.bin with Pillow 9.4 and torchvision 0.14.

A file is a list of cases: name, width, height and RGB pixels of the input, of the expected output. Texts begin with
their length; all numbers are 32-bit, little-endian (graft::image::fixtures::Reader).
"""
import os
import struct

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms import InterpolationMode, autoaugment
from torchvision.transforms import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
rng = np.random.default_rng(20240611)
FILTERS = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR}


def picture(width, height):
    """Smooth colours under noise, with hard black and white spots."""
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x * 7 + y * 13) % 256], -1)
    image = np.clip(base + rng.integers(-60, 60, base.shape), 0, 255)
    spots = rng.random((height, width))
    image[spots < 0.06] = 0
    image[spots > 0.94] = 255
    return Image.fromarray(image.astype(np.uint8))


def narrow(image):
    """The same with values from 40 to 199 only, another range per channel: work for autocontrast and equalize."""
    pixels = np.asarray(image).astype(int)
    return Image.fromarray((pixels * np.array([120, 90, 150]) // 255 + np.array([40, 70, 49])).astype(np.uint8))


def write(name, cases):
    with open(os.path.join(HERE, name), "wb") as out:
        for text, before, after in cases:
            out.write(struct.pack("<I", len(text)) + text.encode())
            for image in (before, after):
                out.write(struct.pack("<II", *image.size) + np.asarray(image, np.uint8).tobytes())


def on_tensor(image, function):
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return Image.fromarray(function(tensor).permute(1, 2, 0).numpy())


def warp_cases():
    """rotate FILTER DEGREES EXPAND; affine FILTER DEGREES TX TY SCALE SHEAR_X SHEAR_Y"""
    wide, tall, odd = picture(23, 16), picture(12, 19), picture(15, 15)
    for name, mode in FILTERS.items():
        for image in (wide, tall, odd):
            for degrees, expand in [(30, 0), (-7.25, 0), (45, 1), (90, 0), (90, 1), (180, 0), (201.5, 1), (0, 0)]:
                yield (f"rotate {name} {degrees} {expand}", image,
                       F.rotate(image, degrees, mode, expand=bool(expand), fill=[200, 100, 50]))
        for change in [(0, 3, -2, 1, 0, 0), (0, 0, 0, 1, 0, 0), (20, 0, 0, 1.25, 0, 0), (-100, 4, 1, 0.7, 15, -8),
                       (0, 0, 0, 1, 30, 0), (5, -1, 2, 3, 0, 40)]:
            degrees, tx, ty, scale, *shear = change
            yield ("affine " + name + " " + " ".join(map(str, change)), wide,
                   F.affine(wide, degrees, [tx, ty], scale, shear, mode, fill=[200, 100, 50]))


def colour_cases():
    """OPERATION AMOUNT; blur SIZE SIGMA"""
    image, dull, tiny, flat = picture(15, 12), narrow(picture(26, 22)), picture(2, 1), Image.new("RGB", (5, 4), (9, 200, 77))
    for factor in (0, 0.37, 1, 1.61):
        for name in ("Brightness", "Contrast", "Color", "Sharpness"):
            for source in (image, dull, tiny):
                yield f"{name} {factor}", source, getattr(ImageEnhance, name)(source).enhance(factor)
    for turns in (-0.5, -0.21, 0.05, 0.33, 0.5):
        yield f"hue {turns}", image, on_tensor(image, lambda t: F.adjust_hue(t, turns))
    yield "grey 0", image, F.to_grayscale(image, 3)
    for source in (image, dull, tiny, flat):
        for bits in (1, 4, 7, 8):
            yield f"posterize {bits}", source, ImageOps.posterize(source, bits)
        for threshold in (0, 100, 178.5, 255):
            yield f"solarize {threshold}", source, ImageOps.solarize(source, threshold)
        yield "autocontrast 0", source, ImageOps.autocontrast(source)
        yield "equalize 0", source, ImageOps.equalize(source)
    yield "solarize 0", image, ImageOps.invert(image)
    for size, sigma in ((3, 0.4), (5, 1.1), (9, 2.0), (13, 5.0), (1, 1.0)):
        yield f"blur {size} {sigma}", image, on_tensor(image, lambda t: F.gaussian_blur(t, size, sigma))


def rand_augment_cases():
    """MAGNITUDE OPERATION: every operation, and both signs where it has one"""
    image = narrow(picture(23, 17))
    for magnitude in (9, 25):
        space = autoaugment.RandAugment()._augmentation_space(31, (image.height, image.width))
        for name, (magnitudes, signed) in space.items():
            strength = float(magnitudes[magnitude]) if magnitudes.ndim > 0 else 0.0
            for sign in (1, -1) if signed else (1,):
                yield (f"{magnitude} {name}", image,
                       autoaugment._apply_op(image, name, sign * strength, InterpolationMode.NEAREST, None))


if __name__ == "__main__":
    write("warp.bin", warp_cases())
    write("colour.bin", colour_cases())
    write("rand_augment.bin", rand_augment_cases())
