#!/usr/bin/env python3
"""torchvision_scripts.py FOLDER NAME...: networks of torchvision as TorchScript, for graft to compare with.

For each network: NAME.traced.pt and NAME.scripted.pt, torchvision.models.NAME with random weights (seed 0),
batch-norm statistics of its own and no classifier, and NAME.features, what PyTorch gives for each of the 8 images
that `pixel` draws, computed alone: int32 side and number of features, then float32 [8, features]. Needs Debian's
python3-torch, python3-torchvision, python3-numpy.
"""
import sys
import warnings

import numpy as np
import torch
import torchvision

IMAGES = 8
SIDES = {"inception_v3": 75, "swin_t": 64, "vit_b_32": 224}
warnings.filterwarnings("ignore")
torch.set_num_threads(1)


def pixel(i, y, x, c):
    """The same drawing as in torchvision_test.cpp: noise without a generator, on unsigned 32-bit numbers."""
    mixed = (i * 57 + y * 1311 + x * 7 + c * 101 + 1) * 2654435761 % 2**32
    return (mixed ^ (mixed >> 15)) % 256


def images(side):
    i, y, x, c = np.meshgrid(*(np.arange(n, dtype=np.uint64) for n in (IMAGES, side, side, 3)), indexing="ij")
    pixels = torch.from_numpy(pixel(i, y, x, c).astype(np.uint8)).permute(0, 3, 1, 2)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (pixels.float() / 255 - mean) / std


def network(name):
    torch.manual_seed(0)
    extra = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if extra:
        extra.update(aux_logits=False)
    model = getattr(torchvision.models, name)(weights=None, **extra).eval()
    for part in ("classifier", "fc", "head", "heads"):
        if isinstance(getattr(model, part, None), torch.nn.Module):
            setattr(model, part, torch.nn.Identity())
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return model


class First(torch.nn.Module):
    """The features alone of a network whose script returns a tuple, with places for auxiliary classifiers."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)[0]


folder, names = sys.argv[1], sys.argv[2:]
for name in names:
    model = network(name)
    side = SIDES.get(name, 64)
    batch = images(side)
    with torch.no_grad():
        torch.jit.trace(model, batch[:2]).save(f"{folder}/{name}.traced.pt")
        scripted = First(model) if name in ("googlenet", "inception_v3") else model
        torch.jit.script(scripted).save(f"{folder}/{name}.scripted.pt")
        features = torch.cat([model(image[None]).flatten(1) for image in batch])
    with open(f"{folder}/{name}.features", "wb") as out:
        out.write(np.array([side, features.shape[1]], dtype=np.int32).tobytes())
        out.write(features.numpy().tobytes())
