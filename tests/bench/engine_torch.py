#!/usr/bin/env python3
"""Networks of torchvision without their classifier, for the comparison of engines.

  engine_torch.py THREADS NAME|FILE.pt...   images per second of PyTorch in the best of its forms (eager, traced and
                                            scripted with torch.jit.optimize_for_inference; batches of 1, 8 and 32),
                                            best of two rounds; one line a network
  engine_torch.py --export FOLDER NAME...   FOLDER/NAME.pth for graft, NAME_b1.onnx and NAME_b8.onnx for others, of the
                                            same random weights

`vit_s_14` is a ViT-S/14 at 224 x 224, the shape of DINOv2's small one. Needs Debian's python3-torchvision."""
import os
import sys
import time
import warnings

import torch
import torchvision
from torch import nn

warnings.filterwarnings("ignore")


def network(name):
    torch.manual_seed(0)
    if name == "vit_s_14":
        return torchvision.models.VisionTransformer(224, 14, 12, 6, 384, 1536).eval()
    return getattr(torchvision.models, name)(weights=None).eval()


def without_classifier(net, name):
    """What graft's engine computes up to its tap."""
    for head in ("fc", "heads", "head"):
        if hasattr(net, head):
            setattr(net, head, nn.Identity())
            return net
    if name.startswith("mobilenet"):
        net.classifier = nn.Identity()
    else:
        net.classifier[-1] = nn.Identity()
    return net


def export(folder, name):
    net = network(name)
    torch.save(net.state_dict(), f"{folder}/{name}.pth")
    without_classifier(net, name)
    for batch in (1, 8):
        torch.onnx.export(net, torch.randn(batch, 3, 224, 224), f"{folder}/{name}_b{batch}.onnx", opset_version=13,
                          input_names=["x"], output_names=["y"])


def forms(model, x):
    yield model
    for make in (lambda: torch.jit.trace(model, x, check_trace=False), lambda: torch.jit.script(model)):
        try:
            yield torch.jit.optimize_for_inference(torch.jit.freeze(make()))
        except Exception as fault:
            print(f"  left out: {type(fault).__name__}", file=sys.stderr)


def rate(run, x):
    for _ in range(2):
        run(x)
    best = 0
    for _ in range(2):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < 1:
            run(x)
            n += len(x)
        best = max(best, n / (time.perf_counter() - start))
    return best


def main():
    if sys.argv[1] == "--export":
        for name in sys.argv[3:]:
            export(sys.argv[2], name)
        return
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_grad_enabled(False)  # not for the export: attention would become one operation that ONNX lacks
    for name in sys.argv[2:]:
        is_file = os.path.exists(name)
        model = torch.jit.load(name).eval() if is_file else without_classifier(network(name), name)
        best = 0
        for batch in (1, 8, 32):
            if batch == 32 and best < 10:
                continue  # minutes a network, and it has not been the best of one so large
            x = torch.randn(batch, 3, 224, 224)
            runs = [torch.jit.optimize_for_inference(torch.jit.freeze(model))] if is_file else forms(model, x)
            best = max([best] + [rate(run, x) for run in runs])
        print(os.path.basename(name), round(best, 1), flush=True)


main()
