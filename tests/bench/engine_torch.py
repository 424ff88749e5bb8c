#!/usr/bin/env python3
"""engine_torch.py THREADS NAME|FILE.pt...: images per second of torch.jit.optimize_for_inference, the best of batches
of 8 and 32, best of three rounds; one line a network. Needs Debian's python3-torch and python3-torchvision."""
import os
import sys
import time

import torch
import torchvision

threads = int(sys.argv[1])
torch.set_num_threads(threads)


def measured(model, batch):
    x = torch.randn(batch, 3, 224, 224)
    fast = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x) if isinstance(
        model, torch.nn.Module) and not isinstance(model, torch.jit.ScriptModule) else model))
    for _ in range(3):
        fast(x)
    best = 0
    for _ in range(3):
        start, n = time.perf_counter(), 0
        while time.perf_counter() - start < 1:
            fast(x)
            n += batch
        best = max(best, n / (time.perf_counter() - start))
    return best


for name in sys.argv[2:]:
    if os.path.exists(name):
        model = torch.jit.load(name).eval()
    else:
        model = getattr(torchvision.models, name)(weights=None).eval()
        if hasattr(model, "fc"):
            model.fc = torch.nn.Identity()
        else:
            model.classifier = torch.nn.Identity() if name.startswith("mobilenet") else model.classifier[:-1]
    with torch.no_grad():
        print(os.path.basename(name), round(max(measured(model, 8), measured(model, 32)), 1), flush=True)
