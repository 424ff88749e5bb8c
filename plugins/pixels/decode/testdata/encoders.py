"""Image files exactly as they are told to be, and the pixels that Pillow gives: for pixel_matrix.py and odd_files.py."""
import io
import os
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib/image/testdata"))
from make_fixtures import picture, write_images  # noqa: E402, F401

W, H = 21, 13
rng = np.random.default_rng(15)
cases = []


def pillow(data):
    image = Image.open(io.BytesIO(data))
    if image.format == "TIFF":
        image.load()  # turns it; exif_transpose would do so once more
    else:
        image = ImageOps.exif_transpose(image)
    if image.mode not in ("RGBA", "LA", "PA") and "transparency" not in image.info:
        return np.asarray(image.convert("RGB"))
    rgba = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return np.asarray(white)


def add(name, data):
    cases.append(("pillow " + name, data, pillow(data)))


def add_own(name, data, pixels):
    cases.append(("own " + name, data, np.ascontiguousarray(pixels, np.uint8)))


def add_reject(code, name, data):
    cases.append((code + " " + name, data, np.zeros((1, 1, 3), np.uint8)))


def add_named(name, data):
    add_reject("named", name, data)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def to8(v, largest):
    """Rounded; for 16 bits and less."""
    return ((np.asarray(v, np.int64) * 510 + largest) // (2 * largest)).astype(np.uint8)


def grey3(grey):
    return np.repeat(np.asarray(grey)[..., None], 3, -1)


def on_white(rgb, alpha):
    a = np.asarray(alpha, np.int64)[..., None]
    return (np.asarray(rgb, np.int64) * a * 2 + 255 * (255 - a) * 2 + 255) // 510


def samples(depth, channels, w=W, h=H):
    return rng.integers(0, 1 << depth, (h, w, channels))


def pack(rows, depth, order=">"):
    """Rows of samples as bytes; less than 8 bits from the high bit on."""
    rows = np.asarray(rows).reshape(len(rows), -1)
    if depth == 16:
        return [row.astype(order + "u2").tobytes() for row in rows]
    bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    return [np.packbits(row.reshape(-1).astype(np.uint8)).tobytes() for row in bits]

TYPES = {"byte": (1, "B"), "short": (3, "H"), "long": (4, "I"), "sbyte": (6, "b"), "sshort": (8, "h"),
         "slong": (9, "i")}


def exif(orientation, kind="short", order="<", count=1):
    code, letter = TYPES[kind]
    value = (struct.pack(order + letter, orientation) * count).ljust(4, b"\0")[:4]
    return ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, 1) +
            struct.pack(order + "HHI", 0x0112, code, count) + value + bytes(4))

ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels, depth, colour, before=b"", after=b"", interlaced=False):
    h, w = pixels.shape[:2]
    parts = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    body = b"".join(b"\0" + row for part in parts if part.size for row in pack(part, depth))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlaced)) +
            before + chunk(b"IDAT", zlib.compress(body)) + after + chunk(b"IEND", b""))


def raw_profile(block, name=b"exif"):
    return b"\n" + name + b"\n%8d\n" % len(block) + b"\n".join(
        block.hex().encode()[i:i + 72] for i in range(0, 2 * len(block), 72)) + b"\n"


def texts(keyword, text):
    yield "tEXt", chunk(b"tEXt", keyword + b"\0" + text)
    yield "zTXt", chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(text))
    yield "iTXt", chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)
    yield "compressed iTXt", chunk(b"iTXt", keyword + b"\0\1\0\0\0" + zlib.compress(text))


def xmp(turn, element=False):
    if element:
        return b"<x><tiff:Orientation>%d</tiff:Orientation></x>" % turn
    return b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>' % turn


def webp(extra_chunks, flags, image):
    """The extended form around a simple file."""
    simple = encode(image, "WEBP", lossless=True)[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<IB3x", 10, flags)
    for side in image.size:
        body += struct.pack("<I", side - 1)[:3]
    body += simple
    for name, data in extra_chunks:
        body += name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bmp(header, bits, rows, palette=b"", colours=0, masks=None, top_down=False, compression=None, data=None):
    """`rows` from top to bottom, as bytes; they are padded here."""
    compression = (3 if masks else 0) if compression is None else compression
    if data is None:
        data = b"".join(row + bytes(-len(row) % 4) for row in (rows if top_down else rows[::-1]))
    if header == 12:
        info = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, W, -H if top_down else H, 1, bits, compression, len(data), 2835, 2835,
                           colours, 0)
        after = struct.pack("<4I", *masks) if masks else b""
        if header == 40:
            info += after[:12]
        else:
            info = (info + after).ljust(header, b"\0")[:header]
    offset = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset) + info + palette + data


def tiff(order, pixels, depth, photometric, extra=(), compression=1, predictor=1, planar=1, tile=None, rows=None,
         tags=(), fill=1, pieces=None):
    """A TIFF of exactly this kind; `pixels` are samples [H, W, channels], and `pieces` what stands for them in the file."""
    pixels = np.asarray(pixels)
    h, w, n = pixels.shape

    def squeeze(block):
        if predictor == 2:
            block = np.concatenate([block[:, :1], np.diff(block, axis=1)], 1) & ((1 << depth) - 1)
        data = b"".join(pack(block, depth, order))
        if fill == 2:
            data = bytes(int(f"{b:08b}"[::-1], 2) for b in data)
        return zlib.compress(data) if compression == 8 else data

    planes = [pixels] if planar == 1 else [pixels[..., i:i + 1] for i in range(n)]
    given, pieces = pieces, list(pieces or ())
    for plane in () if given else planes:
        if tile:
            padded = np.zeros((-(-h // tile) * tile, -(-w // tile) * tile, plane.shape[2]), plane.dtype)
            padded[:h, :w] = plane
            pieces += [squeeze(padded[y:y + tile, x:x + tile])
                       for y in range(0, h, tile) for x in range(0, w, tile)]
        else:
            pieces += [squeeze(plane[y:y + (rows or h)]) for y in range(0, h, rows or h)]
    offsets, at = [], 8
    for piece in pieces:
        offsets.append(at)
        at += len(piece) + len(piece) % 2
    fields = {256: (4, [w]), 257: (4, [h]), 258: (3, [depth] * n), 259: (3, [compression]), 262: (3, [photometric]),
              277: (3, [n]), 284: (3, [planar])}
    if tile:
        fields.update({322: (4, [tile]), 323: (4, [tile]), 324: (4, offsets), 325: (4, list(map(len, pieces)))})
    else:
        fields.update({273: (4, offsets), 278: (4, [rows or h]), 279: (4, list(map(len, pieces)))})
    if predictor != 1:
        fields[317] = (3, [predictor])
    if fill != 1:
        fields[266] = (3, [fill])
    if extra:
        fields[338] = (3, list(extra))
    fields.update(dict(tags))
    fields = {tag: field for tag, field in fields.items() if field}
    letters = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
    entries, far, far_at = b"", b"", at + 2 + 12 * len(fields) + 4
    for tag, (kind, values) in sorted(fields.items()):
        data = struct.pack(order + str(len(values)) + letters[kind], *values)
        if len(data) > 4:
            entries += struct.pack(order + "HHII", tag, kind, len(values), far_at + len(far))
            far += data + b"\0" * (len(data) % 2)
        else:
            entries += struct.pack(order + "HHI", tag, kind, len(values)) + data.ljust(4, b"\0")
    return ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at) +
            b"".join(p + b"\0" * (len(p) % 2) for p in pieces) + struct.pack(order + "H", len(fields)) + entries +
            bytes(4) + far)
