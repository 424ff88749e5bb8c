#!/usr/bin/env bash
# What ./dev demo builds is what the quickstart runs: the plugins of its config, and the engine of its networks.
# quickstart.sh SOURCE_FOLDER
set -euo pipefail
cd "$1"

wanted=$({ grep -o 'plugin: [a-z_]*' configs/quickstart.yaml | cut -d' ' -f2; echo engine_fused graft | tr ' ' '\n'; } | sort -u)
built=$(sed -n 's/^add_custom_target(quickstart DEPENDS \(.*\))$/\1/p' plugins/CMakeLists.txt | tr ' ' '\n' | sort -u)
if [ "$wanted" != "$built" ]; then
  echo "plugins/CMakeLists.txt, target quickstart: differs from configs/quickstart.yaml" >&2
  diff <(echo "$built") <(echo "$wanted") >&2
  exit 1
fi
