#!/usr/bin/env bash
# out_of_tree.sh BUILD_FOLDER SOURCE_FOLDER install|build: builds the example plugins against the installation or the
# build folder, runs their tests, and uses them in configs.
set -euo pipefail
build=$1 source=$2 kind=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

graft=$build/graft
prefix=$build
if [ "$kind" = install ]; then
  cmake --install "$build" --prefix "$work/prefix" >"$work/log"
  prefix=$work/prefix
  graft=$prefix/bin/graft
fi
build_example() {
  cmake -S "$source/examples/$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
    { cat "$work/log"; exit 1; }
  cmake --build "$2" >"$work/log" || { cat "$work/log"; exit 1; }
  ctest --test-dir "$2" --output-on-failure --no-tests=error >"$work/log" || { cat "$work/log"; exit 1; }
}
build_example 01_hello_plugin "$work/plugin"
build_example 02_ridge_classifier "$work/ridge"
lines=$(wc -l <"$source/examples/02_ridge_classifier/ridge.cpp")
[ "$lines" -le 120 ] || { echo "the learner of the examples has $lines lines, expected at most 120"; exit 1; }

cat >"$work/mirror.yaml" <<'YAML'
name: mirror
stages:
  images: {plugin: synthetic, with: {task: target, train: 20, val: 10, test: 10, size: 24}}
  mirrored: {plugin: mirror, from: images}
  rows: {plugin: pixel_table, from: mirrored}
YAML
"$graft" describe mirror --plugin-dir "$work/plugin" | grep -q 'Mirrors images left to right'
"$graft" run "$work/mirror.yaml" --quiet --plugin-dir "$work/plugin" --out "$work/out" --store "$work/store"
grep -q '"computed": 40' "$work/out/results.json"

cat >"$work/ridge.yaml" <<'YAML'
name: ridge
stages:
  images: {plugin: synthetic, with: {task: target, train: 40, val: 20, test: 20, size: 32}}
  features:
    plugin: backbone
    from: images
    with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}
  table: {plugin: feature_table, from: features}
  ridge: {plugin: ridge, from: table}
  report: {plugin: evaluate, from: ridge}
YAML
"$graft" run "$work/ridge.yaml" --quiet --plugin-dir "$work/ridge" --out "$work/ridge_out" --store "$work/store"
grep -q '"chosen_on": "val"' "$work/ridge_out/results.json"

# A trained model in a program of somebody else, and from Python: the scores of graft predict.
sed 's/ridge: {plugin: ridge/probe: {plugin: linear_probe/; s/from: ridge/from: probe/' "$work/ridge.yaml" >"$work/probe.yaml"
"$graft" run "$work/probe.yaml" --quiet --out "$work/probe_out" --store "$work/store"
"$graft" model pack "$work/probe_out" --out "$work/m.graft" --quiet
{ printf 'P6 32 32 255\n'; head -c 3072 /dev/zero | tr '\0' 'x'; } >"$work/grey.ppm"
predicted=$("$graft" predict "$work/m.graft" "$work/grey.ppm" --top 1 --quiet | sed -n '2s/^[^,]*,\([^,]*\),.*/\1/p')
cmake -S "$source/examples/09_use_a_model" -B "$work/use" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" ||
  { cat "$work/log"; exit 1; }
cmake --build "$work/use" >"$work/log" || { cat "$work/log"; exit 1; }
"$work/use/classify" "$work/m.graft" "$work/grey.ppm" | grep -q "^$work/grey.ppm: $predicted (" || { echo "classify: not $predicted"; exit 1; }
if /usr/bin/python3 -c 'import numpy' 2>"$work/log"; then
  library=$(find "$prefix" -name libgraft.so.0 | head -n 1) package=$source/pipeline/python
  [ "$kind" = build ] || package=$(dirname "$(find "$prefix" -path '*/dist-packages/graft' -type d)")
  [ "$kind" = install ] || export GRAFT_LIBRARY=$library
  PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$package /usr/bin/python3 "$source/examples/10_python/classify.py" "$work/m.graft" "$work/grey.ppm" |
    grep -q "^$work/grey.ppm: $predicted (" || { echo "classify.py: not $predicted"; exit 1; }
fi

# A mistake in the schema fails the build with its cure, and leaves nothing that graft would take.
cp -r "$source/examples/01_hello_plugin" "$work/mistaken"
sed -i 's/graft::PluginSchema::transform("Mirrors images left to right.")/&.param(graft::integer("n", 500).range(1, 10).doc("N."))/' \
  "$work/mistaken/mirror.cpp"
cmake -S "$work/mistaken" -B "$work/mistaken/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" || { cat "$work/log"; exit 1; }
if cmake --build "$work/mistaken/build" >"$work/log"; then echo "a schema with a mistake was built"; exit 1; fi
grep -q "error: plugin mirror: parameter 'n': the default: 500 is out of range: expected from 1 to 10; give a default" "$work/log" ||
  { cat "$work/log"; exit 1; }
[ ! -e "$work/mistaken/build/mirror.json" ]
# The README shows this plugin; it must be the one that was built.
sed -n '/^```cpp$/,/^```$/p' "$source/README.md" | sed '1d;$d' | diff - "$source/examples/01_hello_plugin/mirror.cpp"
echo "1 passed, 0 failed"
