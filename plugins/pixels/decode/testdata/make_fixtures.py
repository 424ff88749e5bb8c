#!/usr/bin/env python3
"""Makes formats.bin with Pillow and NumPy (Pillow 9.4 made the committed one): files and the pixels they mean."""
import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../lib/image/testdata"))
from make_fixtures import picture, write_images  # noqa: E402

W, H = 21, 13


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(depth, colour_type, rows, extra=b""):
    """A PNG of exactly this kind: Pillow does not write all of them."""
    header = struct.pack(">IIBBBBB", W, H, depth, colour_type, 0, 0, 0)
    body = b"".join(b"\0" + row for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(body)) +
            chunk(b"IEND", b""))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def on_white(rgb, alpha):
    a = alpha[..., None].astype(np.int64)
    return ((rgb * a + 255 * (255 - a)) * 2 + 255) // 510


def grey3(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, -1).astype(np.uint8)


def exif_chunk(orientation):
    tiff = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return chunk(b"eXIf", tiff)


def apng(rows, other_rows):
    """Two frames: the first is the image that every PNG reader shows."""
    control = struct.pack(">IIIIHHBB", W, H, 0, 0, 1, 10, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in other_rows))
    first = png(8, 2, rows, chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">I", 0) + control))
    return (first[:-12] + chunk(b"fcTL", struct.pack(">I", 1) + control) +
            chunk(b"fdAT", struct.pack(">I", 2) + body) + chunk(b"IEND", b""))


def tiff16(deep):
    """16-bit RGB, which Pillow does not write."""
    data = deep.astype("<u2").tobytes()
    entries = [(256, 3, 1, W), (257, 3, 1, H), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14),
               (277, 3, 1, 3), (278, 3, 1, H), (279, 4, 1, len(data))]
    folder = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (b"II*\0" + struct.pack("<I", 14 + len(data)) + struct.pack("<3H", 16, 16, 16) + data +
            struct.pack("<H", len(entries)) + folder + bytes(4))


def rng_alpha(palette):
    """A level of opacity for each colour of the palette: none, half and full among them."""
    return np.array([0, 128, 255, 60] * 64, np.uint8)[:len(palette.getpalette()) // 3]


def main():
    rgb = picture(W, H)
    image = Image.fromarray(rgb)
    grey = np.asarray(image.convert("L"))
    alpha = picture(W, H)[..., 0]
    rgba = np.dstack([rgb, alpha])
    matted = on_white(rgb.astype(np.int64), alpha).astype(np.uint8)
    palette = image.quantize(13)
    bits = grey > 127
    deep = (picture(W, H).astype(np.uint16) << 8) | picture(W, H)
    to8 = ((deep.astype(np.uint32) * 255 * 2 + 65535) // 131070).astype(np.uint8)
    packed = [np.packbits(row).tobytes() for row in bits]
    cases = [
        ("png-rgb", encode(image, "PNG"), rgb),
        ("png-grey", encode(image.convert("L"), "PNG"), grey3(grey)),
        ("png-palette", encode(palette, "PNG"), palette.convert("RGB")),
        ("png-1bit", png(1, 0, packed), grey3(bits * 255)),
        ("png-rgba", encode(Image.fromarray(rgba), "PNG"), matted),
        ("png-grey-alpha", encode(Image.merge("LA", [image.convert("L"), Image.fromarray(alpha)]), "PNG"),
         on_white(grey3(grey).astype(np.int64), alpha).astype(np.uint8)),
        ("png-16bit-rgb", png(16, 2, [row.astype(">u2").tobytes() for row in deep]), to8),
        ("png-16bit-grey", png(16, 0, [row[:, 0].astype(">u2").tobytes() for row in deep]), grey3(to8[..., 0])),
        ("png-orientation-6", png(8, 2, [row.tobytes() for row in rgb], exif_chunk(6)), np.rot90(rgb, -1)),
        ("webp-lossless", encode(image, "WEBP", lossless=True), rgb),
        ("webp-lossy", encode(image, "WEBP", quality=80),
         Image.open(io.BytesIO(encode(image, "WEBP", quality=80))).convert("RGB")),
        ("webp-alpha", encode(Image.fromarray(rgba), "WEBP", lossless=True, exact=True), matted),
        ("bmp-24", encode(image, "BMP"), rgb),
        ("bmp-8", encode(image.convert("L"), "BMP"), grey3(grey)),
        ("bmp-palette", encode(palette, "BMP"), palette.convert("RGB")),
        ("bmp-1", encode(Image.fromarray(bits), "BMP"), grey3(bits * 255)),
        ("bmp-32-padding", struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54 + 4 * W * H, 0, 0, 54, 40, W, -H, 1, 32, 0, 0,
                                       0, 0, 0, 0) + np.dstack([rgb[..., ::-1], 0 * alpha]).tobytes(), rgb),
        ("tiff-rgb", encode(image, "TIFF"), rgb),
        ("tiff-lzw", encode(image, "TIFF", compression="tiff_lzw"), rgb),
        ("tiff-grey", encode(image.convert("L"), "TIFF"), grey3(grey)),
        ("tiff-1bit", encode(Image.fromarray(bits), "TIFF"), grey3(bits * 255)),
        ("tiff-palette", encode(palette, "TIFF"), palette.convert("RGB")),
        ("tiff-rgba", encode(Image.fromarray(rgba), "TIFF"), matted),
        ("tiff-cmyk", encode(image.convert("CMYK"), "TIFF"), rgb),
        ("tiff-white-is-zero", encode(Image.fromarray(255 - grey), "TIFF").replace(
            struct.pack("<HHIH", 262, 3, 1, 1), struct.pack("<HHIH", 262, 3, 1, 0)), grey3(grey)),
        ("tiff-16bit-grey", encode(Image.fromarray(deep[..., 0].copy()), "TIFF"), grey3(to8[..., 0])),
        ("tiff-pages", encode(image, "TIFF", save_all=True, append_images=[image.convert("L")]), rgb),
        ("tiff-orientation-3", encode(image, "TIFF", tiffinfo={0x0112: 3}), rgb[::-1, ::-1]),
        ("tiff-orientation-6", encode(image, "TIFF", tiffinfo={0x0112: 6}), np.rot90(rgb, -1)),
        ("ppm", b"P6\n# a comment\n%d %d\n255\n" % (W, H) + rgb.tobytes(), rgb),
        ("pgm", b"P5 %d %d 255\n" % (W, H) + grey.tobytes(), grey3(grey)),
        ("pbm", b"P4\n%d %d\n" % (W, H) + b"".join(packed), grey3(~bits * 255)),
        ("ppm-text", b"P3\n%d %d\n255\n" % (W, H) + " ".join(map(str, rgb.ravel())).encode() + b"\n", rgb),
        ("ppm-16bit", b"P6\n%d %d\n65535\n" % (W, H) + deep.astype(">u2").tobytes(), to8),
    ]
    levels = rng_alpha(palette)
    cases += [
        ("png-palette-alpha", encode(palette, "PNG", transparency=bytes(levels)),
         on_white(np.asarray(palette.convert("RGB")).astype(np.int64), levels[np.asarray(palette)]).astype(np.uint8)),
        ("png-16bit-rgba", png(16, 6, [np.dstack([deep, 257 * alpha.astype(np.uint16)])[y].astype(">u2").tobytes()
                                       for y in range(H)]), on_white(to8.astype(np.int64), alpha).astype(np.uint8)),
        ("png-profile", png(8, 2, [row.tobytes() for row in rgb], chunk(b"iCCP", b"broken\0\0not a profile")), rgb),
        ("apng", apng([row.tobytes() for row in rgb], [row[::-1].tobytes() for row in rgb]), rgb),
        ("tiff-16bit-rgb", tiff16(deep), to8),
    ]
    write_images(os.path.join(HERE, "formats.bin"), cases)


if __name__ == "__main__":
    main()
