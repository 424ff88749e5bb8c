#!/usr/bin/env bash
# layers.sh SOURCE_FOLDER: the arrows of the design, checked on includes. Also: every test file is in a CMakeLists.txt,
# headers stay within 250 lines and sources within 600.
set -euo pipefail
cd "$1"
faults=0
fault() {
  echo "$*"
  faults=$((faults + 1))
}
# may_not FOLDER PATTERN WHY: no include in FOLDER matches PATTERN.
may_not() {
  while IFS= read -r line; do fault "$line: $3"; done < <(grep -rnE "^#include [<\"]($2)" "$1" --include=*.h --include=*.cpp || true)
}
third='opencv2|torch|ATen|c10|oneapi|tbb|hdf5|H5|boost|yaml-cpp|nlohmann|fmt|spdlog|gtest'
may_not pipeline/include "$third" "the SDK is standard library only"
may_not pipeline "opencv2|torch/|ATen|c10|cblas" "the core knows no image and no tensor library"
may_not pipeline "spdlog" "messages go through the runner"
for folder in config plugin store run; do may_not "pipeline/src/$folder" "oneapi|tbb" "TBB belongs to src/graph"; done
for folder in config plugin graph run; do may_not "pipeline/src/$folder" "hdf5|H5" "HDF5 belongs to src/store"; done
may_not pipeline/src "boost" "Boost belongs to the command line"
# store/files.h is a leaf that everybody may use.
may_not pipeline/src/plugin "config/|graph/|store/[^f]|run/" "plugin comes first"
may_not pipeline/src/config "graph/|store/[^f]|run/" "config comes before graph"
may_not pipeline/src/graph "store/[^f]|run/" "graph comes before store"
may_not pipeline/src/store "graph/|run/" "store comes before run"
may_not plugins "config/|graph/|store/|run/|plugin/" "plugins see the SDK, not the core"
for folder in plugins/*/; do
  case $folder in plugins/engine_torch/ | plugins/finetune/ | plugins/pretrain/ | plugins/shared/) ;; *) may_not "$folder" "torch/|ATen|c10" "LibTorch belongs to the plugins that need it" ;; esac
done

for folder in plugins/*/; do
  case $folder in plugins/engine_fused/) ;; *) may_not "$folder" "oneapi/dnnl" "oneDNN belongs to the engine that is made of it" ;; esac
done

while IFS= read -r file; do
  name=$(basename "$file")
  grep -rqsF "$name" --include=CMakeLists.txt . || fault "$file: no CMakeLists.txt names it"
done < <(find pipeline plugins tests examples -name '*_test.cpp' -o -name '*_bench.cpp')
while IFS= read -r file; do
  lines=$(wc -l <"$file")
  case $file in *.h) most=250 ;; *_test.cpp) most=1000 ;; *) most=600 ;; esac
  [ "$lines" -le "$most" ] || fault "$file: $lines lines, at most $most"
done < <(find pipeline plugins -name '*.h' -o -name '*.cpp')
[ $faults -eq 0 ] && echo "1 passed, 0 failed" || { echo "0 passed, 1 failed"; exit 1; }
