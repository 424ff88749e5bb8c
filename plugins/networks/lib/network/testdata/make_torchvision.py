#!/usr/bin/env python3
"""Writes torchvision_models.txt: what torchvision says of its own networks, for network_test.

    /usr/bin/python3 make_torchvision.py > torchvision_models.txt        (torch 1.13.1, torchvision 0.14.1)

A line `model NAME PARAMETERS MULTIPLY_ADDS` opens a network; the lines after it are the tensors of its state_dict in
its order, `NAME EXTENT EXTENT ...`, without num_batches_tracked. Multiply-adds are those of convolutions and linear
layers for one image of 3 x 224 x 224, counted by hooks.
"""
import torch
import torchvision

NAMES = """resnet18 resnet34 resnet50 resnet101 vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn
mobilenet_v2 efficientnet_b0""".split()


def multiply_adds(model):
    total = 0

    def hook(module, inputs, output):
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            total += output.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            total += module.weight.numel()

    for module in model.modules():
        module.register_forward_hook(hook)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, 224, 224))
    return total


for name in NAMES:
    model = getattr(torchvision.models, name)(weights=None)
    print("model", name, sum(p.numel() for p in model.parameters()), multiply_adds(model))
    for key, value in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            print(key, *value.shape)
