#!/usr/bin/env bash
# subproject.sh SOURCE_FOLDER: graft as a part of another project, by add_subdirectory and by FetchContent: the project has
# graft_add_plugin, compiles a plugin, and gets none of graft's tests.
set -euo pipefail
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for way in add_subdirectory FetchContent; do
  mkdir -p "$work/$way"
  cp "$source/examples/01_hello_plugin/mirror.cpp" "$work/$way"
  {
    echo 'cmake_minimum_required(VERSION 3.25)'
    echo 'project(consumer LANGUAGES C CXX)'
    echo 'set(GRAFT_TORCH OFF)'
    if [ $way = add_subdirectory ]; then
      echo "add_subdirectory($source graft EXCLUDE_FROM_ALL)"
    else
      echo 'include(FetchContent)'
      echo "FetchContent_Declare(graft SOURCE_DIR $source)"
      echo 'FetchContent_MakeAvailable(graft)'
    fi
    echo 'graft_add_plugin(mirror mirror.cpp)'
    # The whole of graft would take minutes: what shows that headers and flags are found is one object.
    echo 'add_library(only_compiled OBJECT mirror.cpp)'
    echo 'target_link_libraries(only_compiled PRIVATE graft::core)'
  } >"$work/$way/CMakeLists.txt"
  cmake -S "$work/$way" -B "$work/$way/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_POLICY_DEFAULT_CMP0077=NEW \
    >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  targets=$(cmake --build "$work/$way/build" --target help)
  for target in mirror graft graft_core decode backbone; do
    grep -q "^$target: phony" <<<"$targets" || { echo "$way: no target $target"; exit 1; }
  done
  ! grep -q '^unit_test: phony' <<<"$targets" || { echo "$way: graft's own tests are built, too"; exit 1; }
  cmake --build "$work/$way/build" --target CMakeFiles/only_compiled.dir/mirror.cpp.o >"$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
done
echo "1 passed, 0 failed"
