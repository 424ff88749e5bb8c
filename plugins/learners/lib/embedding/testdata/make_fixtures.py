#!/usr/bin/env python3
"""Prints the reference values of embedding_test.cpp and pairwise_test.cpp: NumPy, SciPy, scikit-learn, PyTorch."""
import numpy as np
import torch
from scipy.linalg import eigh
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def table(n, dim, classes):
    """The same numbers as `table` of the tests."""
    i, j = np.arange(n)[:, None], np.arange(dim)[None]
    x = np.sin(1.7 * (i + 1) * (j + 2)) * (j % 5 + 1) + 3 + np.where(j % classes == i % classes, 2.0, 0.0)
    return x.astype(np.float32).astype(float), np.arange(n) % classes


def show(name, values):
    print(f"{name}: " + ", ".join(f"{v:.8f}" for v in np.ravel(values)))


def signs(vectors):
    """Of every row: the sign of its element of largest magnitude."""
    return np.sign(vectors[np.arange(len(vectors)), np.abs(vectors).argmax(1)])


for n, dim in [(40, 6), (5, 8)]:
    x, y = table(n, dim, 3)
    _, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    v *= signs(v)[:, None]
    show(f"pca {n} x {dim}, shares", (s**2 / (s**2).sum())[:3])
    show("rows 0 and 2", ((x - x.mean(0)) @ v[:3].T)[[0, 2]])
    show("whitened", ((x - x.mean(0)) @ (v[:3].T / (s[:3] / np.sqrt(n))))[[0, 2]])

x, y = table(40, 6, 3)
m = LinearDiscriminantAnalysis(solver="eigen").fit(x, y)
a = m.scalings_[:, :2].T
show("lda, rows 0 and 2", ((x - x.mean(0)) @ (a * signs(a)[:, None]).T)[[0, 2]])
show("shares", m.explained_variance_ratio_)
within = sum((y == c).mean() * np.cov(x[y == c].T, bias=True) for c in range(3))
between = np.cov(x.T, bias=True) - within
w, v = eigh(between, 0.75 * within + 0.25 * np.trace(within) / 6 * np.eye(6))
a = v[:, ::-1][:, :2].T
show("shrunk by 0.25, rows 0 and 2", ((x - x.mean(0)) @ (a * signs(a)[:, None]).T)[[0, 2]])
show("shares", w[::-1][:2] / w[::-1][:2].sum())
show("variances", x.var(0))
show("fisher", np.diag(between) / np.diag(within))

x, y = table(12, 3, 3)
y = torch.tensor(y)
same = (y[:, None] == y[None]).double()
itself = torch.eye(12, dtype=bool)
points = torch.tensor(0.3 * (x - 3), requires_grad=True)
d = ((points[:, None] - points[None]) ** 2).sum(-1).masked_fill(itself, float("inf"))
loss = 1 - (torch.softmax(-d, 1) * same).sum(1).mean()
loss.backward()
show("nca", [loss.item()])
show("gradient of rows 0 and 5", points.grad.numpy()[[0, 5]])
points = torch.tensor(0.3 * (x - 3), requires_grad=True)
z = torch.nn.functional.normalize(points, dim=1)
logs = torch.log_softmax((z @ z.T / 0.5).masked_fill(itself, float("-inf")), 1).masked_fill(itself, 0)
others = same.masked_fill(itself, 0)
loss = -((logs * others).sum(1) / others.sum(1)).mean()
loss.backward()
show("contrastive", [loss.item()])
show("gradient of rows 0 and 5", points.grad.numpy()[[0, 5]])
