#!/usr/bin/env bash
# examples.sh BUILD_FOLDER SOURCE_FOLDER: builds the examples from 03 on, but for 09 and 10, against the build folder, runs
# their tests, and runs the configs of their READMEs. out_of_tree.sh has the others.
set -euo pipefail
build=$1 source=$2
graft=$build/graft
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() {
  echo "$*"
  exit 1
}
build_example() {
  cmake -S "$source/examples/$1" -B "$1" -G Ninja -DCMAKE_PREFIX_PATH="$build" >log 2>&1 || fail "$1: $(cat log)"
  cmake --build "$1" >log 2>&1 || fail "$1: $(cat log)"
  ! grep -q "warning:" log || fail "$1: $(cat log)"
  ctest --test-dir "$1" --output-on-failure --no-tests=error >log 2>&1 || fail "$1: $(cat log)"
}
config_of() { sed -n '/^```yaml$/,/^```$/p' "$source/examples/$1/README.md" | sed '1d;$d'; }
run() {
  "$graft" run "$2" --quiet --plugin-dir "$1" --out "out/$1" --store store >log 2>&1 || fail "$1: $(cat log)"
}

for example in "$source"/examples/0[3-8]_* "$source"/examples/12_engine; do build_example "$(basename "$example")"; done

# Two classes of vectors that are far from each other.
perl -e 'for my $class ("cats", "dogs") { mkdir "data"; mkdir "data/$class"; for my $i (1 .. 20) {
  my $header = sprintf("%-117s\n", "{\x27descr\x27: \x27<f4\x27, \x27fortran_order\x27: False, \x27shape\x27: (4,), }");
  open(my $file, ">:raw", "data/$class/$i.npy"); my $at = $class eq "cats" ? 0 : 10;
  print $file "\x93NUMPY\x01\x00", pack("v", length $header), $header, pack("f<4", map { $at + ($i * $_) % 3 } 1 .. 4); } }'
config_of 03_npy_source >npy.yaml
run 03_npy_source npy.yaml
run 03_npy_source npy.yaml
grep -q '"computed": 0' out/03_npy_source/results.json || fail "vectors are read again"
grep -q '"accuracy": 1.0' out/03_npy_source/results.json || fail "$(cat out/03_npy_source/results.json)"

config_of 07_hog_features >hog.yaml
run 07_hog_features hog.yaml

# Rounded weights: other scores, nearly as good.
config_of 12_engine >engine.yaml
run 12_engine engine.yaml
! cmp -s out/12_engine/predictions/exact_probe.csv out/12_engine/predictions/rounded_probe.csv || fail "no weight was rounded"

# High and low tones.
perl -e 'mkdir "clips"; for my $class ("high", "low") { mkdir "clips/$class"; for my $i (1 .. 30) {
  my $hertz = ($class eq "high" ? 3000 : 300) + 20 * $i;
  my $data = join "", map { pack("s<", 20000 * sin(6.283185 * $hertz * $_ / 16000)) } 0 .. 3999;
  open(my $file, ">:raw", "clips/$class/$i.wav");
  print $file "RIFF", pack("V", 36 + length $data), "WAVEfmt ", pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data",
    pack("V", length $data), $data; } }'
config_of 08_audio_clips >audio.yaml
"$graft" run audio.yaml --quiet --plugin-dir 08_audio_clips --out out/08_audio_clips --store store \
  --set clips.test_fraction=0.3 >log 2>&1 || fail "08_audio_clips: $(cat log)"

# A pipeline without a config: its predictions are those of the config that it amounts to, and its errors name the stage.
perl -e 'srand 1; mkdir "photos"; for my $class ("bright", "dark") { mkdir "photos/$class"; for my $i (1 .. 30) {
  open(my $file, ">:raw", "photos/$class/$i.ppm");
  print $file "P6 16 16 255\n", map { chr(($class eq "bright" ? 150 : 50) + int rand 50) } 1 .. 768; } }'
cmake -S "$source/examples/11_pipeline" -B 11_pipeline -G Ninja -DCMAKE_PREFIX_PATH="$build" >log 2>&1 || fail "$(cat log)"
cmake --build 11_pipeline >log 2>&1 || fail "$(cat log)"
! grep -q "warning:" log || fail "$(cat log)"
network=$source/configs/quickstart_backbone.safetensors
11_pipeline/classes photos "$network" >log 2>&1 || fail "11_pipeline: $(cat log)"
grep -q '^knn5  *[0-9]' log || fail "11_pipeline: $(cat log)"
"$graft" run runs/classes/config.yaml --quiet --out out/classes --store store >log 2>&1 || fail "11_pipeline: $(cat log)"
for learner in knn1 knn5; do
  cmp "runs/classes/predictions/$learner.csv" "out/classes/predictions/$learner.csv" || fail "11_pipeline: other predictions"
done
! 11_pipeline/classes photos none.safetensors >log 2>&1 || fail "11_pipeline: $(cat log)"
grep -q "^pipeline 'classes', stage 'features', parameter 'model': error: " log || fail "11_pipeline: $(cat log)"

# The five commands of the README, on the pictures that stand for photographs.
if command -v python3 >log; then
  python3 "$source/examples/draw_photos.py" . >log 2>&1 || fail "$(cat log)"
  export GRAFT_MODELS=/nowhere
  "$graft" train shapes >log 2>&1 || fail "graft train: $(cat log)"
  "$graft" predict runs/shapes new --out from-run.csv >log 2>&1 || fail "graft predict: $(cat log)"
  "$graft" model pack runs/shapes -o shapes.graft >log 2>&1 || fail "graft model pack: $(cat log)"
  "$graft" model show shapes.graft >log 2>&1 || fail "graft model show: $(cat log)"
  "$graft" predict shapes.graft new --out from-file.csv >log 2>&1 || fail "graft predict: $(cat log)"
  cmp from-run.csv from-file.csv || fail "the packed model predicts otherwise"
  [ "$(grep -cE '^new/(0.png,discs|1.png,squares|2.png,triangles),' from-run.csv)" = 3 ] || fail "$(cat from-run.csv)"
fi

cat >others.yaml <<'YAML'
name: others
stages:
  images: {plugin: synthetic, with: {train: 100, val: 50, test: 50}}
  features: {plugin: backbone, from: images, with: {model: "${GRAFT_SHARE}/configs/quickstart_backbone.safetensors"}}
  table: {plugin: feature_table, from: features}
  knn: {plugin: knn, from: table, with: {k: 5}}
  shifted: {plugin: prior_shift, from: knn}
  report: {plugin: markdown_report, from: [knn, shifted], with: {mistakes: 3}}
YAML
"$graft" run others.yaml --quiet --plugin-dir 05_prior_shift --plugin-dir 06_markdown_report --out out/others --store store \
  >log 2>&1 || fail "$(cat log)"
grep -q '^| shifted | 50 | ' out/others/reports/report/report.md || fail "$(cat out/others/reports/report/report.md)"
echo "1 passed, 0 failed"
