#!/usr/bin/env bash
# ./dev bench: every figure of tests/bench/README.md, from one run. Peers run where they are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/${GRAFT_PRESET:-release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# OpenBLAS takes its slowest kernels on a processor it does not know. The program chooses for itself (as in
# pipeline/src/plugin/registry.cpp); so that its parts and its peers have the same ones here:
if grep -q avx512bw /proc/cpuinfo; then
  export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX}
elif grep -q fma /proc/cpuinfo; then
  export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-Haswell}
fi

echo "== flow: items per second through four stages that do nothing"
"$build/flow_bench" --benchmark_min_time=2 --benchmark_counters_tabular=true

echo "== store: 1,000,000 rows of 512 numbers, written with commits, read back, and found by a second run"
rows=1000000
for round in 1 2; do
  "$build/store_bench" write "$work/store" $rows 512 | tee "$work/written"
  syncs=$(sed 's/.*commits //' "$work/written")
  "$build/store_bench" plain "$work/plain" $rows 512 "$syncs"
  if [ $round = 2 ]; then "$build/store_bench" read "$work/store" $rows 512; fi
  rm -rf "$work/store" "$work/plain"
done
cat >"$work/million.yaml" <<END
name: million
stages:
  rows: {plugin: numbered_rows, with: {rows: $rows, dim: 512}}
  table: {plugin: feature_table, from: rows}
END
for run in first second; do
  command time -f "$run run of the program: %e s, peak %M KiB" "$build/graft" run "$work/million.yaml" \
    --plugin-dir "$build/bench-plugins" --store "$work/store" --out "$work/out"
done

echo "== k nearest neighbours of 1,000 rows among 999,000 rows of 512 numbers, read as they are needed and held in memory"
cat >"$work/nearest.yaml" <<END
extends: million.yaml
stages:
  knn: {plugin: knn, from: table, with: {k: 20, retrieval: 0}}
END
for cache in 256 8192; do
  command time -f "cache $cache MiB: %e s, peak %M KiB" "$build/graft" run "$work/nearest.yaml" --quiet \
    --plugin-dir "$build/bench-plugins" --store "$work/store" --out "$work/out$cache" --set knn.cache=$cache
done
for file in predictions/knn.csv neighbours/knn.csv models/knn/weights.safetensors; do
  cmp "$work/out256/$file" "$work/out8192/$file" && echo "  $file: the same bytes"
done
rm -rf "$work/store" "$work"/out*

echo "== learners: exact k nearest neighbours, against FAISS and NumPy"
"$build/learners_bench" "$(nproc)"
if /usr/bin/python3 -c 'import numpy' 2>/dev/null; then
  /usr/bin/python3 tests/bench/knn_numpy.py
else
  echo "  NumPy                    skipped: needs python3-numpy"
fi

tests/bench/scale.sh "$build"

data=${GRAFT_DATA:-}
peers=${GRAFT_PEERS:-${data:+$data/../peers}}
peer=$peers/extract_torch.py

echo "== probe: logistic regression on 10,000 x 512 features of 10 classes, 2 threads, against scikit-learn, in turn"
if /usr/bin/python3 -c 'import h5py, numpy' 2>/dev/null; then
  /usr/bin/python3 tests/bench/probe_data.py "$work"
  echo "graft: C, seconds (median of five), objective, iterations, evaluations; scikit-learn: C, seconds, objective"
  for round in 1 2 3; do
    "$build/probe_bench" "$work/train.h5" 2 0.01 0.1 1 | sed 's/^/graft  /'
    if [ -f "$peers/probe_sklearn.py" ] && /usr/bin/python3 -c 'import sklearn' 2>/dev/null; then
      OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=2 \
        /usr/bin/python3 "$peers/probe_sklearn.py" "$work/train.h5" "$work/test.h5" --k 1 --pca |
        /usr/bin/python3 -c 'import json, sys
for step in json.load(sys.stdin)["logistic"]: print("sklearn", step["C"], step["seconds"], step["objective"])'
    else
      echo "scikit-learn skipped: needs python3-sklearn and probe_sklearn.py"
    fi
  done
else
  echo "skipped: needs python3-h5py"
fi

if [ -z "$data" ] || [ ! -d "$data/hymenoptera" ]; then
  echo "== pixels and whole pipeline: skipped, set GRAFT_DATA to a folder with hymenoptera/ and weights/"
  exit 0
fi

echo "== pixels: decode, resize 256, crop 224, one thread, against Pillow"
if /usr/bin/python3 -c 'import PIL' 2>/dev/null; then
  /usr/bin/python3 tests/bench/pixels_pillow.py "$build/pixels_bench" "$data/hymenoptera"
else
  echo "Pillow skipped: needs python3-pil; milliseconds per photograph:"
  "$build/pixels_bench" "$data/hymenoptera"
fi

has_torch=false
if /usr/bin/python3 -c 'import torch, torchvision, h5py' 2>/dev/null; then has_torch=true; fi
weights=$data/weights/mobilenet_v1_075_imagenet

echo "== engines: images per second of the network alone, against PyTorch and ONNX Runtime, in turn"
GRAFT_PEERS=$peers tests/bench/engines.sh "$build"

# Images per second of the stream alone: what the manifest and the peer both call their seconds.
graft_speed() {
  rm -rf "$work/store" "$work/out"
  /usr/bin/time -f '%M' -o "$work/rss" "$build/graft" run configs/hymenoptera.yaml --quiet --store "$work/store" --out "$work/out" "$@"
  sed -n 's/.*"images": *\([0-9.][0-9.]*\).*/\1/p' "$work/out/results.json" | head -1 |
    awk -v rss="$(cat "$work/rss")" '{printf "graft  %.2f images/s (decode to sealed features, start-up included), peak %d MiB\n", 397 / $1, rss / 1024}'
}
peer_speed() {
  # Pillow cannot open the stray GIF as a photograph; the peer reads the folders without it.
  mkdir -p "$work/train"
  for class in ants bees; do
    mkdir -p "$work/train/$class"
    find "$data/hymenoptera/train/$class" -type f ! -name '*.gif' -exec ln -sf {} "$work/train/$class/" \;
  done
  /usr/bin/python3 "$peer" --root "$work/train" --root "$data/hymenoptera/val" --mode ofi --workers 2 --threads 2 \
    --out "$work/peer.h5" "$@" 2>/dev/null
}
# Both in turn, three times. The arguments after -- are the peer's.
compare() {
  local ours=()
  while [ "$1" != -- ]; do ours+=("$1"); shift; done
  shift
  for round in 1 2 3; do
    graft_speed "${ours[@]}"
    if $has_torch && [ -f "$peer" ]; then
      peer_speed "$@"
    else
      echo "peer   skipped: needs python3-torch, python3-torchvision, python3-h5py and extract_torch.py"
    fi
  done
}
for network in resnet18 mobilenet_v2; do
  echo "== whole pipeline: hymenoptera, $network"
  if $has_torch; then
    /usr/bin/python3 tests/golden/torchvision_logits.py "$work" $network
    source=(--set "features.model=$work/$network.pth")
  else
    source=(--set features.model=null --set features.architecture=$network --set features.untrained=true)
  fi
  compare "${source[@]}" --set features.normalize=imagenet -- --arch $network
done
echo "== whole pipeline: hymenoptera, MobileNet v1 0.75, from safetensors and from TorchScript"
compare --set "features.model=$weights.safetensors" -- --torchscript $weights.torchscript.pt --mean 0.5 --std 0.5
compare -- --torchscript $weights.torchscript.pt --mean 0.5 --std 0.5
