#!/usr/bin/env bash
# How time, processor time and memory grow with inputs, processes and rows. Called by run.sh; alone:
# tests/bench/scale.sh BUILD. GRAFT_BENCH_LARGE=1: up to a million inputs, ten million lines and rows, some twenty minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$PWD/${1:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
inputs=(1000 10000 100000)
lines=1000000
rows=(10000 100000 1000000)
if [ -n "${GRAFT_BENCH_LARGE:-}" ]; then
  inputs+=(1000000)
  lines=10000000
  rows+=(10000000)
fi

# COUNT COMMAND...: seconds, processor seconds, peak memory, microseconds of processor per thing.
measured() {
  local n=$1
  shift
  command time -f '%e %U %S %M' -o "$work/time" "$@" >/dev/null
  awk -v n="$n" '{printf "%9d  %8.2f s  %8.2f s  %7.1f MiB  %8.2f us\n", n, $1, $2 + $3, $4 / 1024, ($2 + $3) * 1e6 / n}' "$work/time"
}
# Lines of `measured`: what one thing more costs, from the smallest to the largest count.
with_slope() {
  tee "$work/lines"
  awk 'NR == 1 {n = $1; cpu = $4; mib = $6}
       END {if ($1 > n) printf "    slope: %.2f us of processor and %.1f bytes of memory each\n", ($4 - cpu) * 1e6 / ($1 - n), ($6 - mib) * 1048576 / ($1 - n)}' "$work/lines"
}
columns='    count       time   processor       peak       each'

cat >"$work/inputs.yaml" <<END
name: inputs
stages:
  rows: {plugin: numbered_rows, with: {rows: 1000, dim: 64, val: 100}}
  table: {plugin: feature_table, from: rows}
END
run() { "$build/graft" run "$1" --plugin-dir "$build/bench-plugins" --quiet "${@:2}"; }

echo "== inputs: the whole stream path without a network, rows of 64 numbers, one process"
echo "$columns"
for n in "${inputs[@]}"; do
  measured "$n" "$build/graft" run "$work/inputs.yaml" --plugin-dir "$build/bench-plugins" --quiet --set rows.rows="$n" \
    --store "$work/store$n" --out "$work/out$n"
  rm -rf "$work/store$n" "$work/out$n"
done | with_slope

most=${inputs[-1]}
echo "== processes: $most inputs in shards; peak: of the largest process"
echo "processes       time   processor       peak"
for tasks in 1 2 4 8; do
  start=$(date +%s.%N)
  for ((task = 0; task < tasks; ++task)); do
    command time -f '%U %S %M' -o "$work/time.$task" "$build/graft" run "$work/inputs.yaml" --plugin-dir "$build/bench-plugins" \
      --quiet --set rows.rows="$most" --store "$work/store" --shard "$task/$tasks" >/dev/null &
  done
  wait
  cat "$work"/time.* | awk -v n=$tasks -v start="$start" -v end="$(date +%s.%N)" \
    '{cpu += $1 + $2; if ($3 > peak) peak = $3} END {printf "%9d  %8.2f s  %8.2f s  %7.1f MiB\n", n, end - start, cpu, peak / 1024}'
  rm -rf "$work/store" "$work"/time.*
done

echo "== lists: $lines lines; the first image is the first line, all others are missing"
awk -v n=$lines 'BEGIN {print "path,label"; print "first.ppm,class0"; for (i = 1; i < n; ++i) printf "train/class%02d/image_%09d.jpg,class%d\n", i % 100, i, i % 10}' >"$work/list.csv"
awk -v n=$lines 'BEGIN {print "{\"path\": \"first.ppm\", \"label\": \"class0\"}"; for (i = 1; i < n; ++i) printf "{\"path\": \"train/class%02d/image_%09d.jpg\", \"label\": \"class%d\"}\n", i % 100, i, i % 10}' >"$work/list.jsonl"
printf 'P6\n8 8\n255\n%192s' '' >"$work/first.ppm"
cat >"$work/list.yaml" <<END
name: list
run: {max_rejects: 100%}
stages:
  images: {plugin: image_list, with: {file: list.csv, root: $work}}
  pixels: {plugin: decode, from: images, with: {resize: 8, crop: 8}}
  table: {plugin: pixel_table, from: pixels}
END
for format in csv jsonl; do
  start=$(date +%s.%N)
  command time -f '%M' -o "$work/peak" "$build/graft" run "$work/list.yaml" --quiet --set images.file="$work/list.$format" \
    --store "$work/store" --out "$work/out" >/dev/null 2>&1 &
  runner=$!
  until compgen -G "$work/store/tables/*/logs/*.rows" >/dev/null || ! kill -0 $runner 2>/dev/null; do sleep 0.05; done
  first=$(date +%s.%N)
  pkill -INT -P $runner || true
  wait $runner || true
  awk -v f=$format -v s="$start" -v t="$first" '{peak = $1} END {printf "%-6s first image after %.2f s, peak %.1f MiB\n", f, t - s, peak / 1024}' "$work/peak"
  rm -rf "$work/store" "$work"/out*
done
rm -f "$work"/list.*

echo "== a disk that needs 20 ms for every open: 2,000 images of 64 x 64, decoded; the first run reads as fast as it can"
/usr/bin/env bash -c 'mkdir -p "$1"; for i in $(seq 2000); do { printf "P6\n64 64\n255\n"; head -c 12288 /dev/urandom; } >"$1/$i.ppm"; done' _ "$work/photos/a"
cat >"$work/disk.yaml" <<END
name: disk
stages:
  images: {plugin: image_folder, with: {root: $work/photos}}
  pixels: {plugin: decode, from: images, with: {resize: 512, crop: 512}}
  table: {plugin: pixel_table, from: pixels}
END
seconds_of() {
  rm -rf "$work/store" "$work"/out*
  command time -f '%e' -o "$work/time" "$@" "$build/graft" run "$work/disk.yaml" --quiet --store "$work/store" --out "$work/out" >/dev/null 2>&1
  cat "$work/time"
}
for round in 1 2 3; do
  plain=$(seconds_of env)
  slow=$(seconds_of env LD_PRELOAD="$build/slow_open.so" SLOW_FOLDER="$work/photos" SLOW_MS=20)
  awk -v a="$plain" -v b="$slow" 'BEGIN {printf "unthrottled %.2f s, throttled %.2f s: %.0f %% of its speed\n", a, b, 100 * a / b}'
done
rm -rf "$work/store" "$work"/out* "$work/photos"

echo "== learners: rows of 64 numbers, 1,000 of val; table made before"
for learner in knn linear_probe; do
  echo "$learner"
  echo "$columns"
  cat >"$work/learner.yaml" <<END
extends: inputs.yaml
stages:
  learner: {plugin: $learner, from: table}
END
  for n in "${rows[@]}"; do
    run "$work/inputs.yaml" --set rows.rows="$n" --set rows.val=1000 --store "$work/store" --out "$work/out" >/dev/null
    measured "$n" "$build/graft" run "$work/learner.yaml" --plugin-dir "$build/bench-plugins" --quiet --set rows.rows="$n" \
      --set rows.val=1000 --store "$work/store" --out "$work/out"
    rm -rf "$work/store" "$work"/out*
  done | with_slope
done
