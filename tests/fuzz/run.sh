#!/usr/bin/env bash
# ./dev fuzz [MINUTES [TARGET...]]: every target of tests/fuzz/README.md, or those named, for so many minutes each.
set -euo pipefail
cd "$(dirname "$0")/../.."
minutes=${1:-1}
shift || true
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ ]] || { echo "./dev fuzz: expected minutes, got '$minutes'" >&2; exit 2; }
seconds=$(awk "BEGIN {print int($minutes * 60 + 0.5)}")
jobs=${GRAFT_JOBS:-$(nproc)}
work=build/fuzz/fuzz
export work seconds

mkdir -p "$work/corpus" "$work/faults" "$work/logs"
build/fuzz/graft_fuzz --prepare "$work" >"$work/targets.txt"
chosen=$(cut -d' ' -f1 "$work/targets.txt")
for name in "$@"; do
  grep -qx "$name" <<<"$chosen" || { echo "./dev fuzz: no target '$name'; there are" $chosen >&2; exit 2; }
done
[ $# -eq 0 ] || chosen=$(printf '%s\n' "$@")

# Files that parsers read lie in memory where that is possible.
scratch=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export scratch

one() {
  local name=$1 log=$work/logs/$1 folders=("$work/corpus/$1" "$work/seeds/$1")
  [ ! -d "tests/fuzz/regressions/$name" ] || folders+=("tests/fuzz/regressions/$name")
  mkdir -p "$work/corpus/$name" "$scratch/$name"
  rm -f "$work/faults/$name-"*
  # A worker thread of a library or a file of a parser that is not closed would show in time: no limits beside these.
  TMPDIR=$scratch/$name OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 "$work/targets/$name" \
    -max_total_time="$seconds" -max_len="$(sed -n "s/^$name //p" "$work/targets.txt")" \
    -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$work/faults/$name-" \
    "${folders[@]}" >"$log" 2>&1 && result=clean || result=FAULT
  local runs cov peak
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  cov=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  peak=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log" | tail -1)
  printf '%-20s %12s %9s %9s  %s\n' "$name" "${runs:--}" "${cov:--}" "${peak:--}" "$result"
}
export -f one

printf '%-20s %12s %9s %9s\n' target inputs coverage "MiB peak"
printf '%s\n' $chosen | xargs -P "$jobs" -I{} bash -c 'one {}' | tee "$work/table.txt"
grep -q 'FAULT$' "$work/table.txt" || exit 0
echo
for name in $(sed -n 's/ .*FAULT$//p' "$work/table.txt"); do
  echo "$name: $(grep -m1 -E '^==FAULT|ERROR: |runtime error: |terminate called' "$work/logs/$name" || echo "see $work/logs/$name")"
  for input in "$work/faults/$name-"*; do
    [ ! -e "$input" ] || echo "  $work/targets/$name $input"
  done
done >&2
exit 1
