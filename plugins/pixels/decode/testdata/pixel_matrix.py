#!/usr/bin/env python3
"""Image files of every kind that `decode` reads, with the pixels that Pillow gives.

pixel_matrix.py OUT: writes one file for decode_test (layout: plugins/pixels/lib/image/include/image/testing/fixtures.h).
pixel_matrix.py: writes a choice of them to pixel_matrix.bin, for machines without Pillow (Pillow 9.4 made the committed one).
The first word of each name says what is expected:

  pillow  Pillow's pixels, orientation applied, transparent pixels laid on white
  own     other pixels, because Pillow's are wrong there: the reason stands at the case
  named   a reject `unsupported-format` that names the kind
  corrupt, truncated  a reject with this code
"""
import itertools
import os
import struct
import sys

import numpy as np
from PIL import Image

import odd_files
from encoders import (H, TYPES, W, add, add_named, add_own, bmp, cases, chunk, encode, exif, grey3, on_white, pack,
                      picture, pillow, png, raw_profile, rng, samples, texts, tiff, to8, webp, write_images, xmp)

HERE = os.path.dirname(os.path.abspath(__file__))


# --- orientation -----------------------------------------------------------------------------------------------------


def orientations():
    """Every type in both byte orders for one turn, every turn for one type."""
    for kind, order in itertools.product(TYPES, "<>"):
        yield f"{kind} {'II' if order == '<' else 'MM'}", 6, exif(6, kind, order), kind
    for turn in range(1, 9):
        yield f"turn {turn}", turn, exif(turn, "long", ">"), "long"
    for turn in (0, 9):
        yield f"no turn {turn}", 1, exif(turn), "short"
    yield "two values", 6, exif(6, count=2), "short"


def turned(rgb, turn):
    flip = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
            5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
            8: lambda a: np.rot90(a)}
    return flip[turn](rgb)


def add_turned(name, data, turn, kind):
    if "byte" == kind:
        # Pillow keeps values of type BYTE as bytes and so misses them; exiftool and libexif read them.
        add_own(name, data, turned(pillow(data), turn))
    else:
        add(name, data)


# --- PNG -------------------------------------------------------------------------------------------------------------


def png_cases():
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    kinds = [(0, d) for d in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)] + [(3, d) for d in (1, 2, 4, 8)]
    kinds += [(4, 8), (4, 16), (6, 8), (6, 16)]
    for (colour, depth), interlaced in itertools.product(kinds, (False, True)):
        pixels = samples(depth, channels[colour])
        colours = rng.integers(0, 256, (1 << depth if colour == 3 else 0, 3))
        palette = chunk(b"PLTE", colours.astype(np.uint8).tobytes()) if colour == 3 else b""
        name = f"png colour {colour} depth {depth}{' interlaced' if interlaced else ''}"
        write = lambda extra=b"": png(pixels, depth, colour, palette + extra, interlaced=interlaced)
        if depth < 16:
            add(name, write())
        else:
            # Pillow cuts grey levels off at 255 and drops the low byte of colours, instead of rounding.
            eight = to8(pixels, 65535)
            rgb = eight[..., :3] if colour in (2, 6) else grey3(eight[..., 0])
            add_own(name, write(), on_white(rgb, eight[..., -1]) if colour in (4, 6) else rgb)
        if colour in (4, 6):
            continue
        name += " with tRNS"
        if colour == 3:
            alpha = rng.integers(0, 256, 1 << depth).astype(np.uint8)
            alpha[0] = 0
            alpha[alpha == 10] = 11  # Pillow takes a 10 at the end for a line's end and loses it
            add(name, write(chunk(b"tRNS", alpha.tobytes())))
            add(name + ", short", write(chunk(b"tRNS", b"\0")))
            continue
        key = pixels[3, 4]
        extra = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
        if depth == 8:
            add(name, write(extra))
        else:
            # Pillow compares the level of the file with the level that it has scaled to 8 bits.
            rgb = to8(pixels, (1 << depth) - 1)
            rgb = grey3(rgb[..., 0]) if colour == 0 else rgb
            add_own(name, write(extra), on_white(rgb, np.where((pixels == key).all(-1), 0, 255)))
    for w, h in ((1, 1), (2, 3), (3, 2), (5, 9), (8, 8)):
        add(f"png interlaced {w} x {h}", png(samples(8, 3, w, h), 8, 2, interlaced=True))
    few = samples(8, 1) % 7
    # Colours that the palette lacks are grey levels, as in Pillow before 10; they are black in later ones.
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    levels[:4] = np.arange(100, 112).reshape(4, 3)
    add_own("png palette of 4 colours, 7 used", png(few, 8, 3, chunk(b"PLTE", bytes(range(100, 112)))), levels[few[..., 0]])
    rgb = picture(W, H)
    for level in range(5):
        add(f"png by Pillow, colours {level}", encode(Image.fromarray(picture(40, 30)).quantize(2 << level), "PNG"))
    for name, turn, block, kind in orientations():
        add_turned(f"png eXIf {name}", png(rgb, 8, 2, chunk(b"eXIf", block)), turn, kind)
    add("png eXIf after the pixels", png(rgb, 8, 2, after=chunk(b"eXIf", exif(6))))
    png_texts(rgb)


def png_texts(rgb):
    prefix = b"Exif\0\0"
    profiles = {"profile": raw_profile(prefix + exif(6)), "profile without prefix": raw_profile(exif(8, "long", ">"))}
    for (what, text), place in itertools.product(profiles.items(), ("before", "after")):
        for kind, extra in texts(b"Raw profile type exif", text):
            add(f"png {what} in {kind} {place}", png(rgb, 8, 2, **{place: extra}))
    for kind, extra in texts(b"Raw profile type APP1", profiles["profile"]):
        add(f"png profile APP1 in {kind}", png(rgb, 8, 2, extra))
    for element, turn in itertools.product((False, True), (1, 3, 6, 9)):
        for kind, extra in texts(b"XML:com.adobe.xmp", xmp(turn, element)):
            add(f"png XMP {turn} {'element' if element else 'attribute'} in {kind}", png(rgb, 8, 2, extra))
    chunks = {"eXIf": chunk(b"eXIf", exif(3)), "eXIf without": chunk(b"eXIf", exif(3).replace(b"\x12\x01", b"\x13\x01")),
              "profile": next(texts(b"Raw profile type exif", raw_profile(exif(6))))[1],
              "XMP": next(texts(b"XML:com.adobe.xmp", xmp(8)))[1]}
    for pair in itertools.permutations(chunks, 2):
        add("png " + " and ".join(pair), png(rgb, 8, 2, b"".join(chunks[c] for c in pair)))


# --- JPEG and WebP ---------------------------------------------------------------------------------------------------


def jpeg_cases():
    rgb = Image.fromarray(picture(37, 29))
    for mode, options in itertools.product(
            ("RGB", "L", "CMYK"),
            ({}, {"progressive": True}, {"quality": 30, "optimize": True}, {"subsampling": 0}, {"subsampling": 1})):
        add(f"jpeg {mode} {options}", encode(rgb.convert(mode), "JPEG", **options))
    data = encode(rgb, "JPEG")
    for name, turn, block, kind in orientations():
        segment = b"Exif\0\0" + block
        segment = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
        add_turned(f"jpeg EXIF {name}", data[:2] + segment + data[2:], turn, kind)
    first = b"Exif\0\0" + exif(6), b"Exif\0\0" + exif(3)
    add("jpeg two EXIF segments",
        data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in first) + data[2:])
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp(6)
    add("jpeg XMP", data[:2] + b"\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + data[2:])


def webp_cases():
    rgb = picture(37, 29)
    image = Image.fromarray(rgb)
    rgba = Image.fromarray(np.dstack([rgb, picture(37, 29)[..., 0]]))
    for source, options in itertools.product((image, rgba, image.convert("L")),
                                             ({"quality": 80}, {"quality": 5}, {"lossless": True},
                                              {"lossless": True, "exact": True}, {"quality": 100, "method": 6})):
        add(f"webp {source.mode} {options}", encode(source, "WEBP", **options))
    for name, turn, block, kind in orientations():
        add_turned(f"webp EXIF {name}", webp([(b"EXIF", block)], 8, image), turn, kind)
    add("webp EXIF with prefix", webp([(b"EXIF", b"Exif\0\0" + exif(6))], 8, image))
    add("webp EXIF without its flag", webp([(b"EXIF", exif(6))], 0, image))
    add("webp XMP", webp([(b"XMP ", xmp(6))], 4, image))


# --- BMP -------------------------------------------------------------------------------------------------------------

MASKS = {"565": (16, (0xf800, 0x7e0, 0x1f, 0)), "555": (16, (0x7c00, 0x3e0, 0x1f, 0)),
         "24": (24, (0xff0000, 0xff00, 0xff, 0)), "BGRX": (32, (0xff0000, 0xff00, 0xff, 0)),
         "XBGR": (32, (0xff000000, 0xff0000, 0xff00, 0)), "ABGR": (32, (0xff000000, 0xff0000, 0xff00, 0xff)),
         "RGBA": (32, (0xff, 0xff00, 0xff0000, 0xff000000)), "BGRA": (32, (0xff0000, 0xff00, 0xff, 0xff000000))}


def bmp_cases():
    for header, bits in itertools.product((12, 40, 64, 108, 124), (1, 4, 8)):
        indices = samples(bits, 1)
        entry = 3 if header == 12 else 4
        for what in ("colours", "greys", "two greys"):
            levels = np.linspace(0, 255, 1 << bits).astype(np.uint8)
            table = rng.integers(0, 256, (1 << bits, entry)).astype(np.uint8)
            if what != "colours":
                table[:, :3] = levels[:, None] if what == "greys" else levels[::-1, None]
            for top_down in ((False, True) if header != 12 else (False,)):
                add(f"bmp header {header} bits {bits} {what}{' top-down' if top_down else ''}",
                    bmp(header, bits, pack(indices, bits), table.tobytes(), top_down=top_down))
    few = samples(8, 1) % 5
    table = rng.integers(0, 256, (5, 4)).astype(np.uint8)
    add("bmp palette of 5 colours", bmp(40, 8, pack(few, 8), table.tobytes(), colours=5))
    for header, bits in itertools.product((12, 40, 64, 108, 124), (16, 24, 32)):
        rows = [row.tobytes() for row in samples(8, bits // 8).astype(np.uint8)]
        for top_down in ((False, True) if header != 12 else (False,)):
            add(f"bmp header {header} bits {bits}{' top-down' if top_down else ''}",
                bmp(header, bits, rows, top_down=top_down))
    for header, (name, (bits, masks)) in itertools.product((40, 108, 124), MASKS.items()):
        if header == 40 and masks[3]:
            continue  # no room for a fourth mask
        rows = [row.tobytes() for row in samples(8, bits // 8).astype(np.uint8)]
        add(f"bmp header {header} masks {name}", bmp(header, bits, rows, masks=masks))
    pixels = samples(16, 1)
    four = pixels[..., 0] >> np.array([8, 4, 0])[:, None, None] & 15
    # Pillow knows no 4-4-4 and no header of 52 and 56 bytes; the values follow from its rule for 5 and 6 bits.
    add_own("bmp masks 444", bmp(40, 16, pack(pixels, 16, "<"), masks=(0xf00, 0xf0, 0xf, 0)), np.moveaxis(four * 17, 0, -1))
    rgba = samples(8, 4)
    add_own("bmp header 52", bmp(52, 32, pack(rgba, 8), masks=MASKS["BGRX"][1]), rgba[..., 2::-1])
    add_own("bmp header 56", bmp(56, 32, pack(rgba, 8), masks=MASKS["BGRA"][1]), on_white(rgba[..., 2::-1], rgba[..., 3]))
    for bits in (4, 8):
        bmp_run_lengths(bits)
    for header, compression in ((64, 3), (64, 4), (40, 4), (40, 5)):
        add_named(f"bmp header {header} compression {compression}", bmp(header, 24, pack(samples(8, 3), 8), compression=compression))
    add_named("bmp bits 2", bmp(40, 2, pack(samples(2, 1), 2), bytes(16)))
    add_named("bmp masks with gaps", bmp(40, 16, pack(pixels, 16, "<"), masks=(0xa00, 0xf0, 0xf, 0)))


def bmp_run_lengths(bits):
    table = rng.integers(0, 256, (1 << bits, 4)).astype(np.uint8)
    colours = table[:, 2::-1]
    indices = np.zeros((H, W), np.uint8)
    runs, literals = b"", b""
    for y in range(H - 1, -1, -1):
        a, b = rng.integers(0, 1 << bits, 2)
        if bits == 4:
            indices[y] = np.where(np.arange(W) % 2, b, a)
            runs += bytes([W, a << 4 | b])
        else:
            indices[y] = a
            runs += bytes([W, a])
        runs += b"\0\0"
    written = dict(palette=table.tobytes(), compression=1 if bits == 8 else 2)
    add(f"bmp RLE{bits} runs", bmp(40, bits, [], data=runs + b"\0\1", **written))
    add_own(f"bmp RLE{bits} without the last mark", bmp(40, bits, [], data=runs[:-2], **written), colours[indices])
    noise = rng.integers(0, 1 << bits, (H, W)).astype(np.uint8)
    for y in range(H - 1, -1, -1):
        row = pack(noise[y:y + 1], bits)[0]
        literals += bytes([0, W]) + row + bytes(len(row) % 2) + b"\0\0"
    # Pillow loses the last pixel of an odd number of literal ones of 4 bits.
    literal = bmp(40, bits, [], data=literals + b"\0\1", **written)
    if bits == 8:
        add("bmp RLE8 literals", literal)
    else:
        add_own("bmp RLE4 literals", literal, colours[noise])
    jump = b"\0\2\3\2" + bytes([4, 0x11]) + b"\0\1"
    indices = np.zeros((H, W), np.uint8)
    indices[H - 3, 3:7] = 0x11 if bits == 8 else 1
    # Pillow refuses images whose rest is left out.
    add_own(f"bmp RLE{bits} jump", bmp(40, bits, [], data=jump, **written), colours[indices])


# --- TIFF ------------------------------------------------------------------------------------------------------------


LAYOUTS = {"strip": {}, "strips": {"rows": 4}, "tiles": {"tile": 16}, "deflate": {"compression": 8, "rows": 5},
           "deflate tiles": {"compression": 8, "tile": 16}}


def tiff_cases():
    for order, (where, layout), (photometric, depth) in itertools.product(
            "<>", LAYOUTS.items(), [(p, d) for p in (0, 1) for d in (1, 2, 4, 8, 16)] + [(1, 12), (3, 1), (3, 2), (3, 4), (3, 8)]):
        if order == ">" and where not in ("strips", "deflate"):
            continue
        pixels = samples(depth, 1)
        tags = {}
        if photometric == 3:
            tags[320] = (3, rng.integers(0, 65536, 3 << depth).tolist())
        data = tiff(order, pixels, depth, photometric, tags=tags, **layout)
        name = f"tiff {order} {where} photometric {photometric} bits {depth}"
        if "tile" in layout and layout.get("compression", 1) == 1 and depth < 8:
            # Pillow refuses these or reads past them; the pixels are those of the file in one strip.
            add_own(name, data, pillow(tiff(order, pixels, depth, photometric, tags=tags)))
        elif depth > 8:
            # Pillow cuts levels off at 255, and does not read big-endian white-is-zero.
            grey = to8(pixels[..., 0], (1 << depth) - 1)
            add_own(name, data, grey3(255 - grey if photometric == 0 else grey))
        else:
            add(name, data)
    colours = [(2, 3, 8, ()), (2, 4, 8, ()), (2, 4, 8, (0,)), (2, 4, 8, (1,)), (2, 4, 8, (2,)), (2, 5, 8, (2, 0)),
               (2, 3, 16, ()), (2, 4, 16, (2,)), (5, 4, 8, ()), (5, 5, 8, (0,)), (5, 4, 16, ()), (1, 2, 8, (2,))]
    for order, (where, layout), (photometric, n, depth, extra) in itertools.product("<>", LAYOUTS.items(), colours):
        if order == ">" and where not in ("strips", "deflate"):
            continue
        pixels = samples(depth, n)
        data = tiff(order, pixels, depth, photometric, extra, **layout)
        name = f"tiff {order} {where} photometric {photometric} x{n} bits {depth} extra {extra}"
        if depth == 8:
            add(name, data)
        elif photometric == 2:
            # Pillow drops the low byte instead of rounding.
            eight = to8(pixels, 65535)
            add_own(name, data, on_white(eight[..., :3], eight[..., 3]) if n == 4 else eight)
        else:
            eight = to8(pixels, 65535).astype(np.uint8)
            add_own(name, data, Image.frombytes("CMYK", (W, H), np.ascontiguousarray(eight).tobytes()).convert("RGB"))
    for depth, order, compression in itertools.product((8, 16), "<>", (1, 8)):
        for photometric, n in ((1, 1), (2, 3), (5, 4)):
            pixels = samples(depth, n)
            if compression == 8:
                data = tiff(order, pixels, depth, photometric, compression=8, predictor=2, rows=5)
                want = pillow(tiff(order, to8(pixels, (1 << depth) - 1), 8, photometric))
                name = f"tiff {order} predictor photometric {photometric} bits {depth}"
                add(name, data) if depth == 8 else add_own(name, data, want)
            if n > 1:
                data = tiff(order, pixels, depth, photometric, planar=2, compression=compression, rows=6)
                want = pillow(tiff(order, to8(pixels, (1 << depth) - 1), 8, photometric))
                # Pillow reads planes of 16 bits and of CMYK wrongly or not at all.
                add_own(f"tiff {order} planes photometric {photometric} bits {depth} compression {compression}", data, want)
    for depth in (1, 2, 4, 8):
        add(f"tiff fill order 2 bits {depth}", tiff("<", samples(depth, 1), depth, 1, fill=2, rows=5))
    add("tiff without photometric", tiff("<", samples(8, 1), 8, 1, tags={262: None}))
    image = Image.fromarray(picture(40, 30))
    for mode, compression in itertools.product(("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr"),
                                               ("tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate", "jpeg",
                                                "group3", "group4", "tiff_ccitt", "lzma", "zstd", "webp")):
        if compression in ("group3", "group4", "tiff_ccitt") and mode != "1":
            continue
        if compression == "jpeg" and mode in ("1", "P", "RGBA"):
            continue
        if compression == "webp" and mode not in ("RGB", "RGBA"):
            continue
        try:
            data = encode(image.convert(mode), "TIFF", compression=compression)
        except Exception:  # this Pillow's libtiff does not write it
            continue
        add(f"tiff by Pillow {mode} {compression}", data)
    rgb = picture(W, H)
    for kind, order in itertools.product(TYPES, "<>"):
        data = tiff(order, rgb, 8, 2, tags={274: (TYPES[kind][0], [6])})
        add_turned(f"tiff orientation {kind} {order}", data, 6, kind)
    for turn in range(1, 9):
        add(f"tiff orientation {turn}", tiff("<", rgb, 8, 2, tags={274: (4, [turn])}))
        add(f"tiff orientation {turn} JPEG",
            encode(image, "TIFF", compression="jpeg", tiffinfo={274: turn}))
    for name, data in {
            "32 bits": tiff("<", rgb[..., :1], 8, 1, tags={258: (3, [32])}),
            "float": tiff("<", rgb[..., :1], 8, 1, tags={258: (3, [32]), 339: (3, [3])}),
            "signed": tiff("<", rgb[..., :1], 8, 1, tags={339: (3, [2])}),
            "LAB": tiff("<", rgb, 8, 8), "LogLuv": tiff("<", rgb, 8, 32845), "nine samples": tiff("<", samples(8, 9), 8, 1),
            "mixed bits": tiff("<", rgb, 8, 2, tags={258: (3, [8, 8, 4])}),
            "unknown compression": tiff("<", rgb, 8, 2, tags={259: (3, [34712])}),
            "BigTIFF": b"II+\0\x08\0\0\0" + bytes(64)}.items():
        add_named("tiff " + name, data)


# --- PNM -------------------------------------------------------------------------------------------------------------

MAXVALS = (1, 2, 3, 7, 15, 31, 34, 63, 100, 127, 128, 200, 254, 255, 256, 511, 1000, 1023, 4095, 32767, 65534, 65535)


def pnm(kind, pixels, largest, header="P%d\n%d %d\n%d\n"):
    h, w = pixels.shape[:2]
    head = (header % (kind, w, h, largest)).encode()
    flat = pixels.reshape(-1)
    if kind in (2, 3):
        return head + b"\n".join(b" ".join(b"%d" % v for v in row) for row in flat.reshape(h, -1)) + b"\n"
    return head + flat.astype(">u2" if largest > 255 else np.uint8).tobytes()


def pnm_cases():
    for kind, largest in itertools.product((2, 3, 5, 6), MAXVALS):
        pixels = rng.integers(0, largest + 1, (H, W, 3 if kind in (3, 6) else 1))
        data = pnm(kind, pixels, largest)
        if largest > 255 and kind in (2, 5):
            # Pillow cuts grey levels off at 255.
            add_own(f"pnm P{kind} largest {largest}", data, grey3(np.rint(pixels[..., 0] / largest * 255)))
        else:
            add(f"pnm P{kind} largest {largest}", data)
    add("pnm P6 above its largest value", pnm(6, samples(8, 3), 200))
    bits = samples(1, 1)
    lines = [" ".join(map(str, row)) for row in bits[..., 0]]
    add("pnm P1", ("P1\n%d %d\n" % (W, H) + "\n".join(lines)).encode())
    add("pnm P1 touching", ("P1\n%d %d\n" % (W, H) + "".join(lines).replace(" ", "")).encode())
    add("pnm P4", b"P4\n%d %d\n" % (W, H) + b"".join(pack(bits, 1)))
    for name, header in {"comments": "P%d # one\n# two\n%d # three\n%d\n#four\n%d\n", "tabs": "P%d\t%d\t%d\t%d\t",
                         "CR": "P%d\r%d\r%d\r%d\r", "comment to CR": "P%d #c\r%d %d %d "}.items():
        add(f"pnm P6 {name}", pnm(6, samples(8, 3), 255, header))
        add(f"pnm P3 {name}", pnm(3, samples(8, 3), 255, header))
    commented = pnm(2, samples(8, 1), 255).replace(b"\n", b" \n", 4).split(b"\n")
    add("pnm P2 comments between samples", b"\n# a comment 1 2 3\n".join(commented))
    add_named("pnm P7", b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n0")


# Of each kind of fault that has been, a few.
ALWAYS = ("colour 0 depth 1 with", "colour 0 depth 8 with", "colour 0 depth 16 with", "eXIf long", "eXIf slong MM",
          "EXIF long", "profile in zTXt before", "XMP 6 attribute in iTXt", "bmp header 12 bits 4 colours",
          "bmp header 12 bits 8 colours", "bmp header 40 bits 16", "tiff < strip photometric 1 bits 2",
          "tiff < strip photometric 1 bits 4", "tiff < strip photometric 3 bits 4", "tiff < tiles photometric 2 x3 bits 8",
          "tiff orientation long", "pnm P5 largest 15", "pnm P5 largest 1023", "pnm P6 largest 4095", "pnm P2 largest 15",
          "named tiff", " odd ")


def main():
    for make in (png_cases, jpeg_cases, webp_cases, bmp_cases, tiff_cases, pnm_cases, *odd_files.ALL):
        make()
    names = [name for name, _, _ in cases]
    assert len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
    if len(sys.argv) > 1:
        write_images(sys.argv[1], cases)
    else:
        chosen = [c for i, c in enumerate(cases) if i % 17 == 0 or any(word in c[0] for word in ALWAYS)]
        write_images(os.path.join(HERE, "pixel_matrix.bin"), chosen)


if __name__ == "__main__":
    main()
