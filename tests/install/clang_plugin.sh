#!/usr/bin/env bash
# clang_plugin.sh BUILD_FOLDER SOURCE_FOLDER: a plugin that clang has built, in a graft that another compiler has built. 77
# (skipped) without clang++.
set -euo pipefail
build=$1 source=$2
if ! command -v clang++ >/dev/null; then
  echo "skipped: clang++ is not installed; apt-get install clang"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }; }

# Its test asks check_contract: exceptions, payloads and virtual functions cross the border both ways.
quietly cmake -S "$source/examples/01_hello_plugin" -B "$work/plugin" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_PREFIX_PATH="$build"
quietly cmake --build "$work/plugin"
quietly ctest --test-dir "$work/plugin" --output-on-failure --no-tests=error
# The layouts are those of tests/data/abi.txt, which the tests compare with GCC's.
quietly clang++ -std=c++20 -w -I"$source/pipeline/include" -I"$source/tests/support" \
  -DGRAFT_TEST_DATA="\"$source/tests/data\"" "$source/tests/unit/plugin/abi_test.cpp" -o "$work/abi_test" -lgtest -lgtest_main -lpthread
quietly "$work/abi_test"
comment=$(readelf -p .comment "$work/plugin/mirror.so")
grep -q 'clang version' <<<"$comment" || { echo "not built by clang: $comment"; exit 1; }
ours=$(nm -D --defined-only "$work/plugin/mirror.so" | awk '$2 == "T" { print $3 }')
[ "$ours" = graft_plugin ] || { echo "exported: $ours, expected graft_plugin alone"; exit 1; }
cat >"$work/mirror.yaml" <<'YAML'
name: mirror
stages:
  images: {plugin: synthetic, with: {task: target, train: 20, val: 10, test: 10, size: 24}}
  mirrored: {plugin: mirror, from: images}
  rows: {plugin: pixel_table, from: mirrored}
YAML
"$build/graft" run "$work/mirror.yaml" --quiet --plugin-dir "$work/plugin" --out "$work/out" --store "$work/store"
grep -q '"computed": 40' "$work/out/results.json"
echo "1 passed, 0 failed"
