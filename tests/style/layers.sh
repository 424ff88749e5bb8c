#!/usr/bin/env bash
# layers.sh SOURCE_FOLDER: the arrows of the design, checked on includes and on what CMake links, and where files go.
set -euo pipefail
cd "$1"

# All includes of product code and tests of pipeline/ and plugins/, as "FILE:LINE INCLUDE".
includes=$(grep -rnE '^#include [<"]' pipeline plugins --include='*.h' --include='*.cpp' |
  sed -E 's/^([^:]+:[0-9]+):#include [<"]([^">]+).*/\1 \2/')
# The CMakeLists.txt that a file belongs to, with the words in it: "FOLDER WORD".
words=$(find pipeline plugins tests examples -name CMakeLists.txt | sort | while read -r list; do
  tr -s ' ()\n\t' '\n' <"$list" | sort -u | sed "s|^|${list%/CMakeLists.txt} |"
done)
# The libraries of plugins, by the folders with their public headers: "NAME HOME".
libraries=$(find plugins -path '*/include/*' -type d -prune | sort | sed -E 's|^(.*)/include/([^/]+)$|\2 \1|')

check() {
  awk '
    function error(text) { print text; errors++ }
    function forbid(folder, pattern, why) { n++; folders[n] = folder; patterns[n] = "^(" pattern ")"; whys[n] = why }
    function is_test(file) { return file ~ /_test\.cpp$/ || file ~ /\/testing\// }
    function wing(path, parts) { split(path, parts, "/"); return parts[2] }
    BEGIN {
      forbid("pipeline/include/", "opencv2|torch|ATen|c10|oneapi|tbb|hdf5|H5|boost|yaml-cpp|nlohmann|fmt|spdlog|gtest", "the SDK is standard library only")
      forbid("pipeline/", "opencv2|torch/|ATen|c10|cblas", "the core knows no image and no tensor library")
      forbid("pipeline/", "spdlog", "messages go through the runner")
      split("base config plugin store run", others, " ")
      for (i in others) forbid("pipeline/src/" others[i] "/", "oneapi|tbb", "TBB belongs to src/graph")
      split("base config plugin graph run", others, " ")
      for (i in others) forbid("pipeline/src/" others[i] "/", "hdf5|H5", "HDF5 belongs to src/store")
      forbid("pipeline/src/", "boost", "Boost belongs to the command line")
      # The floors of the core, from the ground up; graph and store are beside each other.
      forbid("pipeline/src/base/", "(plugin|config|graph|store|run)/", "base is the ground floor")
      forbid("pipeline/src/plugin/", "(config|graph|store|run)/", "plugin is below")
      forbid("pipeline/src/config/", "(graph|store|run)/", "config is below")
      forbid("pipeline/src/graph/", "(store|run)/", "graph is below or beside")
      forbid("pipeline/src/store/", "(graph|run)/", "store is below or beside")
      forbid("plugins/", "(base|plugin|config|graph|store|run)/", "plugins see the SDK, not the core")
      # What a library of plugins may use.
      uses["numeric"] = uses["preprocessing"] = uses["preview"] = uses["split_names"] = uses["metrics"] = " "
      uses["source"] = " preview split_names "
      uses["remote"] = " source "
      uses["image"] = " preprocessing "
      uses["augment"] = " image numeric "
      uses["network"] = " preprocessing "
      uses["libtorch"] = " network "
      uses["learning"] = " metrics numeric "
      uses["embedding"] = " learning numeric "
      uses["search"] = " embedding learning numeric "
      uses["linear"] = uses["dense"] = " learning metrics numeric "
      uses["training"] = " augment image learning libtorch metrics network numeric "
    }
    FILENAME == ARGV[1] { home[$1] = $2; library[$2] = $1; if (!($1 in uses)) error($2 ": tests/style/layers.sh does not say what this library may use"); next }
    FILENAME == ARGV[2] { list[$1] = 1; word[$1, $2] = 1; next }
    {
      place = $1; include = $2; file = place; sub(/:[0-9]+$/, "", file)
      for (i = 1; i <= n; i++)
        if (index(file, folders[i]) == 1 && include ~ patterns[i]) error(place ": <" include ">: " whys[i])
      if (file !~ /^plugins\//) next
      owner = file
      do sub(/\/[^\/]*$/, "", owner); while (!(owner in list))
      if (include ~ /^(torch\/|ATen|c10)/ && owner !~ /^plugins\/(networks\/(engine_torch|lib\/libtorch)|learners\/(finetune|pretrain|lib\/training))$/)
        error(place ": <" include ">: LibTorch belongs to the plugins that need it")
      if (include ~ /^oneapi\/dnnl/ && owner != "plugins/networks/engine_fused")
        error(place ": <" include ">: oneDNN belongs to the engine that is made of it")
      if (include ~ /^(gtest|gmock)\// && !is_test(file)) error(place ": test code in a product folder")
      if (include ~ /\/testing\// && include !~ /^graft\// && !is_test(file)) error(place ": <" include "> is a fixture")
      name = include; sub(/\/.*/, "", name)
      if (name == include || !(name in home)) next
      to = home[name]
      if (to == owner) next
      from_wing = wing(file); to_wing = wing(to)
      if (to_wing != "lib" && to_wing != from_wing && !(from_wing == "learners" && (to_wing == "networks" || to_wing == "pixels" || name == "metrics")))
        error(place ": <" include ">: no arrow leads from " from_wing " to " to_wing)
      if ((owner in library) && !is_test(file) && index(uses[library[owner]], " " name " ") == 0)
        error(place ": <" include ">: the library " library[owner] " does not use " name)
      # graft_fit is the part of the library image that a network may name.
      if (!((owner, "graft_" name) in word) && !(name == "image" && (owner, "graft_fit") in word))
        error(place ": <" include ">, but " owner "/CMakeLists.txt does not link graft_" name)
    }
    END { exit errors > 0 }' "$@"
}

errors=0
error() {
  echo "$*"
  errors=$((errors + 1))
}
check <(echo "$libraries") <(echo "$words") <(echo "$includes") || errors=1

while IFS= read -r line; do error "$line: a library exports no folder above its own"; done < <(
  grep -rnE 'target_include_directories\(.*(PUBLIC|INTERFACE).*(\.\.|_SOURCE_DIR\}/plugins)' plugins --include=CMakeLists.txt || true)
while read -r name home; do
  for header in "$home"/*.h; do
    [ ! -f "$home/include/$name/${header##*/}" ] || error "$header: include/$name has a header of that name"
  done
done <<<"$libraries"
while IFS= read -r file; do error "$file: fixtures go to testing/"; done < <(
  find plugins \( -name '*fixture*.h' -o -name '*fixture*.cpp' \) -not -path '*/testing/*')
# Every test and benchmark is in the CMakeLists.txt of its folder or of one above, by its path from there.
while IFS= read -r file; do error "$file: no CMakeLists.txt names it"; done < <(
  find pipeline plugins tests examples -name '*_test.cpp' -o -name '*_bench.cpp' | awk '
    FILENAME == ARGV[1] { word[$1, $2] = 1; next }
    {
      folder = $0; found = 0
      while (!found && sub(/\/[^\/]*$/, "", folder)) found = (folder, substr($0, length(folder) + 2)) in word
      if (!found) print
    }' <(echo "$words") -)
while read -r lines file; do
  case $file in *.h) most=250 ;; *_test.cpp) most=1000 ;; total) continue ;; *) most=600 ;; esac
  [ "$lines" -le "$most" ] || error "$file: $lines lines, at most $most"
done < <(find pipeline plugins \( -name '*.h' -o -name '*.cpp' \) -print0 | xargs -0 wc -l)
[ $errors -eq 0 ] && echo "1 passed, 0 failed" || { echo "0 passed, 1 failed"; exit 1; }
