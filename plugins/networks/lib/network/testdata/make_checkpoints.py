#!/usr/bin/env python3
"""make_checkpoints.py FOLDER: a LeNet of Graft's names in every way that training scripts save one, in both formats
of torch.save; all have the same weights. Needs Debian's python3-torch.
"""
import argparse
import collections
import copy
import sys

import numpy
import torch
from torch import nn


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 5, padding=2)
        self.fc1 = nn.Linear(32 * 8 * 8, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


folder = sys.argv[1]
torch.manual_seed(0)
net = LeNet()
optimizer = torch.optim.AdamW(net.parameters())
scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3])
# A step fills the optimiser; the weights of before are what every file has.
weights = copy.deepcopy(net.state_dict())
net(torch.zeros(2, 3, 32, 32)).sum().backward()
optimizer.step()
net.load_state_dict(weights)

averaged = torch.optim.swa_utils.AveragedModel(net)
with torch.no_grad():
    for parameter in averaged.parameters():
        parameter.add_(1)
beside = {
    "epoch": 7,
    "best_acc1": torch.tensor(71.5),
    "numpy": numpy.float64(0.5),
    "optimizer": optimizer.state_dict(),
    "scheduler": scheduler.state_dict(),
    "args": argparse.Namespace(lr=0.1, names={"a", "b"}),
    "history": collections.defaultdict(list, loss=[0.5, 0.25]),
    "random": (torch.get_rng_state(), numpy.random.default_rng(1).bit_generator.state),
}
prefixed = lambda prefix: collections.OrderedDict((prefix + k, v) for k, v in weights.items())
own = copy.deepcopy(net)
own.fc2 = nn.Sequential(nn.Linear(128, 64), nn.BatchNorm1d(64), nn.Linear(64, 2))
checkpoints = {
    "plain": weights,
    "state_dict": {**beside, "state_dict": weights},
    "model": {**beside, "model": weights, "model_ema": averaged.state_dict()},
    "net": {"net": nn.DataParallel(net).state_dict(), "acc": 93.5, "epoch": 3},
    "params": {"params_ema": averaged.module.state_dict(), "params": weights},
    "compiled": {**beside, "model_state_dict": prefixed("_orig_mod.")},
    "lightning": {**beside, "state_dict": {**prefixed("model.backbone."), "criterion.weight": torch.ones(10)}},
    "own": {**beside, "state_dict": own.state_dict()},
    "parameters": dict(net.named_parameters()),
    "half_beside": {"network": weights, "half": {"a": torch.zeros(3).half(), "b": torch.zeros(2, dtype=torch.int32)}},
    "complex": {"weights": weights, "spectrum": torch.zeros(3, dtype=torch.complex64), "mask": torch.ones(2).bool()},
    "dino": {"teacher": prefixed("backbone."), "student": averaged.module.state_dict()},
}
for name, content in checkpoints.items():
    torch.save(content, f"{folder}/{name}.pth")
    torch.save(content, f"{folder}/{name}_old.pth", _use_new_zipfile_serialization=False)
torch.save(weights, f"{folder}/protocol4_old.pth", pickle_protocol=4, _use_new_zipfile_serialization=False)
torch.save(net, f"{folder}/whole.pth")
torch.save(net, f"{folder}/whole_old.pth", _use_new_zipfile_serialization=False)
torch.save({**beside, "model": net}, f"{folder}/whole_beside.pth")
