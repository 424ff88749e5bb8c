#!/usr/bin/env python3
"""torchvision_logits.py FOLDER NAME...: what torchvision computes, for graft to compare with.

For each network: NAME.pth, the state_dict of torchvision.models.NAME with random weights (seed 0), of which no tensor
is left at a single value, and batch-norm statistics of its own, and NAME.logits, float32 [2, 1000], for the two images
that `pixel` draws. Needs Debian's python3-torch, python3-torchvision, python3-numpy.
"""
import sys

import numpy as np
import torch
import torchvision

SIDES = {"efficientnet_v2_s": 384, "inception_v3": 299}  # else 224


def pixel(i, y, x, c):
    """The same drawing as in torchvision_test.cpp: noise without a generator, on unsigned 32-bit numbers."""
    mixed = (i * 57 + y * 1311 + x * 7 + c * 101 + 1) * 2654435761 % 2**32
    return (mixed ^ (mixed >> 15)) % 256


def images(side):
    i, y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint64) for n in (2, side, side, 3)), indexing="ij")
    pixels = torch.from_numpy(pixel(i, y, x, c).astype(np.uint8)).permute(0, 3, 1, 2)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std


folder, names = sys.argv[1], sys.argv[2:]
torch.manual_seed(0)
for name in names:
    slow = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = getattr(torchvision.models, name)(weights=None, **slow).eval()
    for parameter in model.parameters():
        with torch.no_grad():
            if parameter.min() == parameter.max():
                parameter.add_(torch.empty_like(parameter).uniform_(-0.1, 0.1))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    torch.save(model.state_dict(), f"{folder}/{name}.pth")
    with torch.no_grad():
        model(images(SIDES.get(name, 224))).numpy().tofile(f"{folder}/{name}.logits")
