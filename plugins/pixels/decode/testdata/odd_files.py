"""Image files that are not as they should be: what Pillow gives, or why they are rejected. For pixel_matrix.py."""
import io
import itertools
import struct

import numpy as np
from PIL import Image

from encoders import (H, W, add, add_named, add_own, add_reject, bmp, chunk, encode, grey3, on_white, pack, picture,
                      pillow, png, rng, samples, texts, tiff, webp, xmp)


def png_transparency():
    def keyed(pixels, depth, colour, key, **place):
        return png(pixels, depth, colour, **{place.get("at", "before"): chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))})

    # Of the 16 bits of a level those count that a sample has (PNG specification, 11.3.2.1).
    grey, rgb, four = samples(8, 1), samples(8, 3), samples(4, 1)
    add("png odd tRNS of 8 bits, high bits set", keyed(grey, 8, 0, grey[3, 4] + 0x6400))
    add("png odd tRNS of RGB, high bits set", keyed(rgb, 8, 2, rgb[3, 4] * 257))
    # Pillow compares 4-bit levels with 16-bit ones.
    add_own("png odd tRNS of 4 bits, high bits set", keyed(four, 4, 0, four[3, 4] + 0x50),
            on_white(grey3(four[..., 0] * 17), np.where(four[..., 0] == four[3, 4], 0, 255)))
    add("png odd tRNS of RGB after the pixels", keyed(rgb, 8, 2, rgb[3, 4], at="after"))
    add("png odd tRNS of grey after the pixels", keyed(grey, 8, 0, grey[3, 4], at="after"))
    add("png odd tRNS of RGB, too long", keyed(rgb, 8, 2, [*rgb[3, 4], 7]))
    add_reject("corrupt", "png odd tRNS of RGB, too short", keyed(rgb, 8, 2, rgb[3, 4][:2]))
    palette = chunk(b"PLTE", bytes(range(100, 112)))
    levels = chunk(b"tRNS", bytes([0, 60, 200, 255]))
    few = samples(2, 1)
    for name, data in {
            "before the palette": png(few, 8, 3, levels + palette),
            "after the pixels": png(few, 8, 3, palette, levels),
            "twice": png(few, 8, 3, palette + chunk(b"tRNS", bytes(4)) + levels),
            "of 256 for 4 colours": png(few, 8, 3, palette + chunk(b"tRNS", bytes([0, 60, 200]) + bytes([255] * 253))),
            "of 3 for 2 of 5 colours": png(few % 2, 1, 3, chunk(b"PLTE", bytes(range(15))) + chunk(b"tRNS", bytes([0, 60, 3]))),
            "empty": png(few, 8, 3, palette + chunk(b"tRNS", b""))}.items():
        add("png odd tRNS of a palette " + name, data)


def tiff_lost_data():
    """Strips that end early or are damaged, of which libtiff gives pixels all the same."""
    colours = picture(W, H)
    bits = picture(40, 30)[..., 0] > 128

    def strips(compression, rows, source):
        out = []
        for y in range(0, source.height, rows):
            data = encode(source.crop((0, y, source.width, min(y + rows, source.height))), "TIFF", compression=compression)
            tags = Image.open(io.BytesIO(data)).tag_v2
            out.append(data[tags[273][0]:tags[273][0] + tags[279][0]])
        return out, tags

    changes = {"whole": lambda s: s, "cut": lambda s: s[:len(s) // 2], "zeros": lambda s: s[:len(s) // 2].ljust(len(s), b"\0")}
    for name, change in changes.items():
        for compression, rows in itertools.product(("group4", "group3", "tiff_ccitt", "lzma"), (30, 12)):
            pixels, depth = (colours, 8) if compression == "lzma" else (bits, 1)
            pieces, tags = strips(compression, rows, Image.fromarray(pixels))
            pieces[-1] = change(pieces[-1])
            data = tiff("<", np.atleast_3d(pixels), depth, tags[262], compression=tags[259], rows=rows, pieces=pieces,
                        tags={292: (4, [tags[292]])} if 292 in tags else {})
            full_name = f"tiff odd {compression} {name}, strips of {rows}"
            if name == "whole":
                add(full_name, data)
            else:
                add_reject("truncated" if compression == "group4" else "corrupt", full_name, data)
    for size in ((W, H), (W - 5, H), (W, H - 5)):
        smaller = encode(Image.fromarray(colours).crop((0, 0, *size)), "JPEG")
        data = tiff("<", colours, 8, 6, compression=7, tags={530: (3, [2, 2])}, pieces=[smaller])
        name = f"tiff odd JPEG of {size} for {(W, H)}"
        add(name, data) if size == (W, H) else add_reject("corrupt", name, data)


def tiff_palettes():
    indices = samples(8, 1) % 4
    for bits, what, count, kind in ((8, "none", 0, 3), (8, "short", 12, 3), (8, "long", 1000, 3), (8, "of bytes", 768, 1),
                                    (4, "short", 12, 3)):
        tags = {320: (kind, rng.integers(0, 256, count).tolist())} if count else {}
        add_reject("corrupt", f"tiff odd palette of {bits} bits, {what}", tiff("<", indices, bits, 3, tags=tags))
    data = tiff("<", indices, 8, 3, tags={320: (3, [7] * 768)})  # the palette is the last part of the file
    add_reject("truncated", "tiff odd palette beyond the end", data[:-2])


def what_pillow_does_not_read():
    few = samples(8, 1) % 4
    colours = rng.integers(0, 256, (3, 256))
    # Pillow takes the high byte of each.
    add_own("tiff odd palette of 8-bit values", tiff("<", few, 8, 3, tags={320: (3, colours.reshape(-1).tolist())}),
            colours.T[few[..., 0]])
    # Pillow takes it for an image of 1 bit.
    add_own("bmp odd palette of black and white", bmp(40, 8, pack(few % 2, 8), b"\0\0\0\0\xff\xff\xff\0", colours=2),
            grey3(few[..., 0] % 2 * 255))
    # Pillow refuses these.
    pixels = samples(8, 3)
    factors = {530: (3, [1, 1])}
    add_own("tiff odd YCbCr, uncompressed", tiff("<", pixels, 8, 6, tags=factors),
            pillow(tiff("<", pixels, 8, 6, compression=8, tags=factors)))
    grey = samples(8, 2)
    add_own("tiff odd grey and an extra sample", tiff("<", grey, 8, 1, (0,)), grey3(grey[..., 0]))
    cmyk = samples(8, 5)
    add_own("tiff odd CMYK and opacities", tiff("<", cmyk, 8, 5, (2,)),
            on_white(pillow(tiff("<", cmyk[..., :4], 8, 5)), cmyk[..., 4]))


def bmp_odd():
    for bits, top_down in itertools.product((1, 4, 8, 24), (False, True)):
        pixels = samples(8, 3) if bits == 24 else samples(bits, 1)
        rows = pack(pixels, 8 if bits == 24 else bits)
        padding = -len(rows[0]) % 4
        data = bmp(40, bits, rows, b"" if bits == 24 else rng.bytes(4 << bits), top_down=top_down)
        name = f"bmp odd bits {bits}{' top-down' if top_down else ''}"
        add(name + " without the last padding", data[:-padding])
        add_reject("truncated", name + " without a byte of the last row", data[:-padding - 1])
    for header in (12, 40, 108, 124):
        data = bmp(header, 24, pack(samples(8, 3), 8))
        add(f"bmp odd header {header} with reserved bytes", data[:6] + b"Edit" + data[10:])
    add("bmp odd masks of 0", bmp(40, 32, pack(samples(8, 4), 8), masks=(0, 0, 0, 0), compression=3))


def exif_odd():
    def block(order, *entries):
        """Of entries [tag, type, count, four bytes]; the integer 6 of 64 bits stands at 100."""
        out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
        for tag, kind, count, value in entries:
            four = struct.pack(order + "I", value) if isinstance(value, int) else value
            out += struct.pack(order + "HHI", tag, kind, count) + four
        return out.ljust(100, b"\0") + struct.pack(order + "Q", 6)

    rgb = picture(5, 3)
    for order in "<>":
        six, three = (struct.pack(order + "HH", v, 0) for v in (6, 3))
        for name, entries in {
                "after a value that lies outside": [(0x100, 2, 5000, 60000), (0x112, 3, 1, six)],
                "after an empty value that lies outside": [(0x100, 2, 0, 60000), (0x112, 3, 1, six)],
                "after an unknown type that lies outside": [(0x100, 99, 5000, 60000), (0x112, 3, 1, six)],
                "before a value that lies outside": [(0x112, 3, 1, six), (0x9c9b, 2, 5000, 60000)],
                "and one of an unknown type": [(0x112, 3, 1, six), (0x112, 99, 1, three)],
                "and one without a value": [(0x112, 3, 1, six), (0x112, 3, 0, three)],
                "and another one": [(0x112, 3, 1, six), (0x112, 3, 1, three)],
                "as text": [(0x112, 2, 2, b"6\0\0\0")],
                "of 64 bits": [(0x112, 16, 1, 100)],
                "of an unknown type alone": [(0x112, 99, 1, six)]}.items():
            data = block(order, *entries)
            add(f"png odd eXIf {order} orientation {name}", png(rgb, 8, 2, chunk(b"eXIf", data)))
            add(f"png odd eXIf {order} orientation {name}, and XMP",
                png(rgb, 8, 2, chunk(b"eXIf", data) + next(texts(b"XML:com.adobe.xmp", xmp(8)))[1]))


def jpeg_odd():
    rgb = Image.fromarray(picture(37, 29))
    data = encode(rgb, "JPEG", subsampling=0)
    frame = data.index(b"\xff\xc0")
    add_named("jpeg odd height after the pixels", data[:frame + 5] + b"\0\0" + data[frame + 7:])
    factors = bytearray(data)
    for i, factor in enumerate((0x31, 0x21, 0x21)):
        factors[frame + 11 + 3 * i] = factor
    add_named("jpeg odd factors 3 to 2", bytes(factors))
    data = encode(rgb, "JPEG", progressive=True)
    scans = [i for i in range(len(data)) if data[i:i + 2] == b"\xff\xda"]
    for n in range(1, len(scans)):
        # A scan may stand after tables of its own.
        end = scans[n]
        while (table := data.rfind(b"\xff\xc4", scans[n - 1], end)) >= 0:
            end = table
        add_reject("truncated", f"jpeg odd {n} of {len(scans)} scans", data[:end] + b"\xff\xd9")


def webp_odd():
    rgba = Image.fromarray(np.dstack([picture(37, 29), picture(37, 29)[..., 0]]))
    for options in ({"quality": 60}, {"lossless": True}):
        data = encode(rgba, "WEBP", **options)
        if data[12:16] == b"VP8X":
            data = data[:20] + bytes([data[20] & ~0x10]) + data[21:]
        else:
            data = webp([], 0, rgba)
        add(f"webp odd {options} without the flag of its transparency", data)


ALL = (png_transparency, tiff_lost_data, tiff_palettes, bmp_odd, exif_odd, jpeg_odd, webp_odd, what_pillow_does_not_read)
