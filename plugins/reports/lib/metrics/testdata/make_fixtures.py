#!/usr/bin/env python3
"""Metrics of 200 random cases by scikit-learn, for scikit_learn_test.cpp, which draws the same cases.

    python3 make_fixtures.py > scikit_learn.json        (Debian: python3-sklearn)

The cases have tied scores, classes without rows, and one label per row or several. A metric that has no value for
a case is null. What scikit-learn has no function for (ECE, Brier of several classes) is computed here with numpy.
"""
import json
import warnings

import numpy as np
from sklearn import metrics as sk

warnings.filterwarnings("ignore")
CASES = 200
MASK = (1 << 64) - 1


class Random:
    """graft::Random: SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return (self.next() * n) >> 64


def draw(case):
    """Scores [rows, classes] as float32, and truth [rows, classes] of 0 and 1."""
    random = Random(case)
    classes, rows = 2 + random.below(7), 2 + random.below(40)
    present = 1 + random.below(classes)
    several = case % 3 == 2
    scores = np.zeros((rows, classes), np.float32)
    truth = np.zeros((rows, classes), int)
    for r in range(rows):
        if several:
            for c in range(classes):
                truth[r, c] = c < present and random.below(3) == 0
                scores[r, c] = np.float32(min(8, random.below(7) + 2 * truth[r, c])) / np.float32(8)
        else:
            truth[r, random.below(present)] = 1
            counts = [random.below(6) + 3 * int(truth[r, c]) for c in range(classes)]
            counts = counts if sum(counts) > 0 else [1] * classes
            scores[r] = np.array(counts, np.float32) / np.float32(sum(counts))
    return scores, truth, several


def ranking(scores, truth):
    """Means over classes: area under the ROC curve, average precision."""
    auc = [sk.roc_auc_score(truth[:, c], scores[:, c]) for c in range(truth.shape[1]) if 0 < truth[:, c].mean() < 1]
    ap = [sk.average_precision_score(truth[:, c], scores[:, c]) for c in range(truth.shape[1]) if truth[:, c].any()]
    return (np.mean(auc) if auc else None), (np.mean(ap) if ap else None)


def averages(truth, predicted, labels=None):
    out = {}
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        for average in ("macro", "micro", "weighted"):
            use = labels if average == "macro" else None
            out[f"{average}_{name}"] = score(truth, predicted, average=average, zero_division=0, labels=use)
    return out


def of_one_label(scores, truth):
    scores = scores.astype(np.float64)
    classes = scores.shape[1]
    y, guess = truth.argmax(1), scores.argmax(1)
    confidence, right = scores.max(1), guess == y
    bins = np.clip(np.ceil(confidence * 15) - 1, 0, 14).astype(int)
    auc, ap = ranking(scores, truth)
    kappa = None if len(set(y) | set(guess)) == 1 else sk.cohen_kappa_score(y, guess)
    mcc = None if len(set(y)) == 1 or len(set(guess)) == 1 else sk.matthews_corrcoef(y, guess)
    # Of tied scores scikit-learn takes the higher class, Graft the lower: classes from the last to the first.
    top = sk.top_k_accuracy_score(classes - 1 - y, scores[:, ::-1], k=5, labels=range(classes)) if classes > 5 else None
    return {
        "accuracy": sk.accuracy_score(y, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(y, guess),
        "log_loss": sk.log_loss(y, scores, labels=range(classes)),
        "ece": sum(abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)) / len(y),
        "brier": ((scores - truth) ** 2).sum(1).mean(),
        "top_5_accuracy": top,
        "roc_auc": auc,
        "macro_average_precision": ap,
        "cohen_kappa": kappa,
        "matthews_corrcoef": mcc,
        **averages(y, guess),
    }


def of_several_labels(scores, truth):
    scores = scores.astype(np.float64)
    guess = (scores >= 0.5).astype(int)
    occurring = [c for c in range(truth.shape[1]) if truth[:, c].any() or guess[:, c].any()]
    auc, ap = ranking(scores, truth)
    loss = [sk.log_loss(truth[:, c], scores[:, c], labels=[0, 1]) for c in range(truth.shape[1])]
    return {
        "mean_average_precision": ap,
        "accuracy": sk.accuracy_score(truth, guess),
        "hamming_loss": sk.hamming_loss(truth, guess),
        "log_loss": np.mean(loss),
        "brier": ((scores - truth) ** 2).sum(1).mean(),
        "roc_auc": auc,
        **averages(truth, guess, occurring if occurring else [0]),
    }


def main():
    lines = []
    for case in range(CASES):
        scores, truth, several = draw(case)
        values = (of_several_labels if several else of_one_label)(scores, truth)
        values = {k: None if v is None else round(float(v), 12) for k, v in values.items()}
        lines.append(json.dumps(values, separators=(",", ":")))
    print("[\n" + ",\n".join(lines) + "\n]")


main()
