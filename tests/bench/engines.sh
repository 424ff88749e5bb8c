#!/usr/bin/env bash
# engines.sh BUILD [NETWORK...]: images per second of a network alone on all cores at 224 x 224: the engine fused in
# fp32, and in bf16 where the processor has instructions for it, PyTorch in its best form, and ONNX Runtime, in turn,
# the best of GRAFT_BENCH_ROUNDS (3) rounds, of which PyTorch, which is slow, has one; beside them the rate of a large product.
# PyTorch: python3-torchvision. ONNX Runtime: the npm package onnxruntime-node where NODE_PATH finds it, and ort.js in
# GRAFT_PEERS.
set -euo pipefail
build=$1
shift
here=$(dirname "$0")
cores=$(nproc)
rounds=${GRAFT_BENCH_ROUNDS:-3}
weights=${GRAFT_DATA:-}/weights/mobilenet_v1_075_imagenet
listed=(resnet18 resnet50 vgg16 mobilenet_v2 mobilenet_v1_075)
published=(vit_b_16 vit_s_14 convnext_tiny swin_t)
[ $# -gt 0 ] || set -- "${listed[@]}" "${published[@]}"

nets=$(mktemp -d)
trap 'rm -rf "$nets"' EXIT
has_torch=false has_ort=false
if /usr/bin/python3 -c 'import torch, torchvision' 2>/dev/null; then has_torch=true; fi
if $has_torch && [ -f "${GRAFT_PEERS:-}/ort.js" ] && node -e 'require("onnxruntime-node")' 2>/dev/null; then has_ort=true; fi
$has_torch || echo "PyTorch, and the networks it makes, skipped: needs python3-torch, python3-torchvision"
$has_ort || echo "ONNX Runtime skipped: needs onnxruntime-node in NODE_PATH, ort.js in GRAFT_PEERS"

larger() { awk -v a="$1" -v b="$2" 'BEGIN {print (b == "" || a == "-" || b + 0 > a + 0) && b != "" ? b : a}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {print a == "-" || b == "-" ? "-" : sprintf("%.2f", a / b)}'; }

printf '%-18s %8s %8s %8s %8s | %7s %7s %7s | %s\n' network graft bf16 torch ort /torch /ort bf16 'large product, GFLOP/s'
for network in "$@"; do
  ours=$network theirs=$network
  if [ "$network" = mobilenet_v1_075 ]; then
    [ -f "$weights.safetensors" ] || continue
    ours=$weights.safetensors theirs=$weights.torchscript.pt
  elif [[ " ${listed[*]} " != *" $network "* ]] || $has_ort; then
    $has_torch || continue
    /usr/bin/python3 "$here/engine_torch.py" --export "$nets" "$network" >/dev/null 2>&1 || {
      echo "$network: cannot be exported" >&2
      continue
    }
    [[ " ${listed[*]} " == *" $network "* ]] || ours=$nets/$network.pth
  fi
  graft=- bf16=- torch=- ort=- product=-
  for ((round = 0; round < rounds; round++)); do
    graft=$(larger $graft "$("$build/engine_bench" "$cores" "$ours" | awk '{print $NF}')")
    if $has_ort && [ -f "$nets/${network}_b8.onnx" ]; then
      ort=$(larger $ort "$(node "$GRAFT_PEERS/ort.js" "$nets" "$network" | awk '{print $2}')")
    fi
    if grep -q avx512_bf16 /proc/cpuinfo; then
      bf16=$(larger $bf16 "$(GRAFT_BENCH_PRECISION=bf16 "$build/engine_bench" "$cores" "$ours" | awk '{print $NF}')")
    fi
    product=$(larger $product "$("$build/engine_bench" "$cores" product | awk '{print $NF}')")
    if $has_torch && [ $round = 0 ]; then
      torch=$(/usr/bin/python3 "$here/engine_torch.py" "$cores" "$theirs" 2>/dev/null | awk '{print $2}') || torch=-
    fi
  done
  rm -f "$nets"/*
  printf '%-18s %8s %8s %8s %8s | %7s %7s %7s | %s\n' "$network" "$graft" "$bf16" "$torch" "$ort" \
    "$(ratio "$graft" "$torch")" "$(ratio "$graft" "$ort")" "$(ratio "$bf16" "$graft")" "$product"
done
