#!/usr/bin/env bash
# new_plugin.sh BUILD_FOLDER: writes a plugin of every kind with graft new-plugin, builds it as its README says, runs its
# test and its config, and tries what cannot be written.
set -euo pipefail
build=$1
graft=$build/graft
# make need not be installed where graft was built.
export CMAKE_GENERATOR=Ninja
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() {
  echo "$*"
  exit 1
}

try() {
  local kind=$1 name=$2
  "$graft" new-plugin "$name" --kind "$kind" >log
  cd "$name"
  # The commands of the README, with this graft.
  mapfile -t commands < <(sed -n 's/^\$ //p' README.md)
  [ ${#commands[@]} -eq 3 ] || fail "README.md of $kind has other commands"
  for command in "${commands[@]}"; do
    PATH=$build:$PATH bash -euc "${command/graft run/graft run --quiet}" >../log 2>&1 || fail "$kind: $command: $(cat ../log)"
    [[ $command != *ctest* ]] || grep -q '100% tests passed, 0 tests failed out of 1' ../log || fail "$kind: $(cat ../log)"
  done
  "$graft" plugins --check "build/$name.so" >../log || fail "$(cat ../log)"
  grep -q " is sound$" ../log
  [ -s "runs/$name/results.json" ] || fail "$kind: no results"
  cd ..
}
# A name that is hard on what makes class names of it, and one kind after the other.
try transform ext_1_a_123b
# Keywords of C++ and names of its library are no names here: the class is in camel case.
try report class
for kind in source batch collector learner calibrator report; do try "$kind" "new_$kind"; done
try engine engine_plain

lines() { cat "$@" | wc -l; }
[ "$(lines ext_1_a_123b/*.*)" -le 60 ] || fail "a new transform has $(lines ext_1_a_123b/*.*) lines"
# at_most LINES FILE: of the smallest plugin.
at_most() { [ "$(lines "ext_1_a_123b/$2")" -le "$1" ] || fail "$2 has $(lines "ext_1_a_123b/$2") lines, expected at most $1"; }
at_most 30 ext_1_a_123b.cpp
at_most 4 CMakeLists.txt
at_most 15 ext_1_a_123b_test.cpp

refused() {
  local wanted=$1
  shift
  if "$graft" new-plugin "$@" >log 2>&1; then fail "new-plugin $* is not refused"; fi
  grep -qF "$wanted" log || fail "new-plugin $*: $(cat log)"
}
refused "'Knn' is not a name for a plugin: expected a-z, 0-9 and _, a letter first, at most 64 characters" Knn --kind learner
for name in test all help install clean null graft; do
  refused "'$name' is not a name for a plugin: CMake, YAML or graft use it for something else; choose another one, such as my_$name" $name --kind learner
done
refused "'../x' is not a name for a plugin" ../x --kind learner
refused "there is a plugin 'knn' in " knn --kind learner
refused "'transfrom' is not a kind of plugin; did you mean 'transform'? (kinds: source, transform, batch, engine, collector, learner, calibrator, report)" x --kind transfrom
refused "expected --kind KIND, one of source, transform, batch, engine, collector, learner, calibrator, report" x
refused "an engine is named engine_NAME, so that a config says \`engine: NAME\`: graft new-plugin engine_fast --kind engine" fast --kind engine
refused "new_batch is there and not an empty folder: choose another one with --out" new_batch --kind batch
echo "1 passed, 0 failed"
