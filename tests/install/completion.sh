#!/usr/bin/env bash
# completion.sh BUILD_FOLDER SOURCE_FOLDER: completion as bash calls it, and as zsh does where it is installed.
set -euo pipefail
graft=$1/graft scripts=$2/pipeline/cli/completion
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir configs data
touch configs/a.yaml configs/b.yml configs/notes.txt "data/two words.yaml"
faults=0

# gives EXPECTED WORD...: what bash offers in the place of the last word; names are separated by blanks.
gives() {
  local expected=$1 got
  shift
  COMP_WORDS=("$graft" "$@") COMP_CWORD=$#
  _graft
  got=$(printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' ')
  [ "$got" = "$expected" ] || { echo "graft $*: expected '$expected', got '$got'"; faults=$((faults + 1)); }
}

source "$scripts/graft.bash"
[ "$(complete -p graft)" = "complete -F _graft graft" ] || { echo "bash does not know of the completion"; exit 1; }
compopt() { :; } # it works only while readline completes

gives "bench-node check describe embed graph help init launch model new-plugin plan plugins predict report run runs schema serve share status store sweep train version" ""
gives "report run runs" r
gives "plan plugins" pl
gives "configs data" run ""
gives "configs/a.yaml configs/b.yml" run configs/
gives "data/two words.yaml" run data/t
gives "--keep" run --k
gives "--log-level" check configs/a.yaml --log
gives "debug" run --log-level d
gives "learner" new-plugin mine --kind l
# Bash makes three words of --log-level=d.
gives "debug" run --log-level = d
gives "debug error info warning" run --log-level =
gives "log_loss" sweep --metric log
gives "configs data" run --out ""
gives "configs/a.yaml configs/b.yml configs/notes.txt" sweep --list configs/
gives "compact export gc ls verify" store ""
gives "--dry-run" store gc --dr
gives "" store ls --dr
gives "check fetch list pack show summary" model ""
gives "--to --trust-name" model fetch --t
gives "resnet101" model summary resnet10
gives "all none" model summary resnet18 --freeze ""
gives "report run runs" help r
gives "synthetic" describe syn
gives "" share x

cat >c.yaml <<'YAML'
name: c
stages:
  images: {plugin: synthetic, with: {task: target, train: 4, val: 2, test: 2, size: 16}}
  rows: {plugin: pixel_table, from: images}
YAML
"$graft" run c.yaml --quiet
gives "c/rows" store verify ""
gives "c/rows" store export c
gives "" --store elsewhere store verify ""

if command -v zsh >/dev/null; then
  zsh -n "$scripts/_graft"
  # The functions of zsh's completion print here what they are asked to offer.
  cat >zsh_test <<'ZSH'
_files() { print files "$@" }
_describe() { shift; local -a all=("${(@P)1}"); print -l -- "${all[@]%%:*}" }
compset() { : }
offers() { words=(graft "$@") CURRENT=$((# + 1)) PREFIX=$@[-1]; words[1]=$graft; source $script }
offers pl
offers run ''
offers run --log-level=de
offers run --out ''
ZSH
  got=$(graft=$graft script=$scripts/_graft zsh -f zsh_test)
  expected=$'plan\nplugins\nfiles -g *.(yaml|yml)\n--log-level=debug\nfiles -/'
  [ "$got" = "$expected" ] || { echo "zsh: expected '$expected', got '$got'"; faults=$((faults + 1)); }
fi
[ $faults -eq 0 ] && echo "1 passed, 0 failed" || { echo "0 passed, 1 failed"; exit 1; }
