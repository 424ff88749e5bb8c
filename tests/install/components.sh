#!/usr/bin/env bash
# components.sh BUILD_FOLDER SOURCE_FOLDER: installs the components as packages hold them, and uses what is there.
set -euo pipefail
build=$1 source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "$*"
  exit 1
}
files() { (cd "$1" && find . ! -type d | sort); }

cmake --install "$build" --prefix "$work/first" --component graft >"$work/log"
# A package, or what was unpacked, may be in any folder.
prefix=$work/prefix
mv "$work/first" "$prefix"
graft=$prefix/bin/graft
wrong=$(cd "$prefix" && find . -name '*.h' -o -name '*.cmake' -o -name libgraft.so -o -name graft-plugin-schema -o -name engine_torch.so)
[ -z "$wrong" ] || fail "in the component graft: $wrong"
[ "$("$graft" share)" = "$prefix/share/graft" ] || fail "graft share prints $("$graft" share)"
cd "$work"
"$graft" run "$("$graft" share)/configs/quickstart.yaml" --quiet --out out --store store
[ -s out/results.json ]
# ${GRAFT_SHARE} of the examples is the same folder.
"$graft" describe knn --json | sed -n 's/^ *"example": "\(.*\)",$/\1/p' | xargs -0 printf '%b' >knn.yaml
"$graft" check knn.yaml --quiet >/dev/null
"$graft" model summary resnet18 >summary
"$graft" version >version
grep -q '^  OpenCV ' version || fail "graft version does not find the libraries of plugins"

commands=$("$graft" __complete "" | cut -f 1 | grep -v '^help$')
for name in graft $(sed 's/^/graft-/' <<<"$commands"); do
  page=$prefix/share/man/man1/$name.1.gz
  [ -f "$page" ] || fail "$name has no manual page"
  gunzip -c "$page" >"$name.1"
  if command -v man >/dev/null; then LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -l "$name.1" 2>>warnings >/dev/null; fi
  if command -v mandoc >/dev/null; then mandoc -T lint -W style "$name.1" >>warnings || true; fi
done
[ ! -s warnings ] || fail "$(cat warnings)"
[ -f "$prefix/share/bash-completion/completions/graft" ]
ls "$prefix"/share/zsh/*/_graft >/dev/null

# Links between pages of the documentation.
while IFS=: read -r page link; do
  [ -e "$prefix/share/doc/graft/$(dirname "$page")/${link%%#*}" ] || fail "$page: the link $link leads nowhere"
done < <(cd "$prefix/share/doc/graft" && grep -roE '\]\([^) #][^) ]*' --include=*.md . | sed 's/](//' | grep -v ':http')

# With the other components it is all that is installed, and no file is in two of them.
cp -r "$prefix" "$work/all"
for component in dev torch; do
  cmake --install "$build" --prefix "$work/$component" --component $component >>"$work/log"
  [ -d "$work/$component" ] || continue
  both=$(comm -12 <(files "$work/all") <(files "$work/$component"))
  [ -z "$both" ] || fail "in two components: $both"
  cp -r "$work/$component/." "$work/all"
done
cmake --install "$build" --prefix "$work/whole" >>"$work/log"
diff <(files "$work/all") <(files "$work/whole") || fail "these belong to no component"
echo "1 passed, 0 failed"
