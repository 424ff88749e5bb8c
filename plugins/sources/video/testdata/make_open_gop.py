#!/usr/bin/env python3
"""Writes open_gop.mp4 (needs python3-av): H.264 that was cut without encoding it again, before a group of pictures that is open.

Of the 19 frames that its header lists, the first four need pictures from before the cut: players leave them out and show 15,
of which frame i is grey 40 + 8 i.
"""
import os
import tempfile

import av
import numpy as np

WIDTH, HEIGHT, GROUP, FRAMES = 48, 32, 10, 25
OPTIONS = {"x264-params": f"open-gop=1:keyint={GROUP}:min-keyint={GROUP}:bframes=4:scenecut=0:b-adapt=0"}


def encode(path):
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(FRAMES):
            grey = np.full((HEIGHT, WIDTH, 3), max(0, 40 + 8 * (i - GROUP)), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        out.mux(stream.encode())


def cut(path, to):
    with av.open(path) as source, av.open(to, "w") as out:
        stream = source.streams.video[0]
        packets = [p for p in source.demux(stream) if p.dts is not None]
        second = [i for i, p in enumerate(packets) if p.is_keyframe][1]
        copy = out.add_stream(template=stream)
        start = packets[second].dts
        for p in packets[second:]:
            p.pts, p.dts, p.stream = p.pts - start, p.dts - start, copy
            out.mux(p)


with tempfile.TemporaryDirectory() as folder:
    encode(os.path.join(folder, "whole.mp4"))
    cut(os.path.join(folder, "whole.mp4"), os.path.join(os.path.dirname(os.path.abspath(__file__)), "open_gop.mp4"))
