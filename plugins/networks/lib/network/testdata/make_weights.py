#!/usr/bin/env python3
"""Writes the small weight files of network_test with PyTorch itself.

    /usr/bin/python3 make_weights.py        (torch 1.13.1)
"""
import os
from collections import OrderedDict

import torch

# (3 i - 7) / 4 for i = 0, 1, ...: exact in every type.
base = torch.arange(24, dtype=torch.float32) * 3 / 4 - 7 / 4

types = OrderedDict()
for name in ("float32", "float16", "bfloat16", "float64"):
    types[name] = base.to(getattr(torch, name)).reshape(2, 3, 4)
types["int64"] = torch.arange(24)
types["uint8"] = torch.arange(24, dtype=torch.uint8)
torch.save(types, "types.pth")
torch.save(types, "protocol4.pth", pickle_protocol=4)

cube = base.reshape(2, 3, 4).clone()
views = OrderedDict(
    whole=cube,
    transposed=cube.permute(2, 0, 1),
    row=cube[1, 2],
    column=cube[:, :, 1],
    every_second=cube[:, :, ::2],
    expanded=cube[0, 0].expand(3, 4),
    channels_last=base.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    scalar=cube[1, 1, 1],
    empty=torch.zeros(0, 5),
    parameter=torch.nn.Parameter(base[:6].reshape(2, 3).clone()),
    half_transposed=base.half().reshape(4, 6).t(),
)
torch.save(views, "views.pth")
torch.save(views, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"window": base.as_strided((5, 4), (1, 1))}, "overlapping.pth")

torch.manual_seed(1)
net = torch.nn.Sequential(OrderedDict(conv=torch.nn.Conv2d(3, 4, 3), bn=torch.nn.BatchNorm2d(4)))
with torch.no_grad():
    for parameter in net.parameters():
        parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape))
wrapped = torch.nn.DataParallel(net)
torch.save({"epoch": 7, "best": 0.5, "state_dict": wrapped.state_dict(), "note": None}, "checkpoint.pth")
torch.save(torch.nn.Linear(2, 2), "model.pth")
# The folder in the archive has the name that the file has when it is written.
torch.save({"w": base}, "модель.pth")
os.rename("модель.pth", "cyrillic.pth")
torch.jit.script(torch.nn.Linear(2, 2)).save("script.pt")
