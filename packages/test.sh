#!/usr/bin/env bash
# test.sh PACKAGES BASE ROOT: makes a copy of the root BASE, installs the packages there, uses them as people do, purges
# them, and shows that nothing is left. All mounts end with this command. See ./dev package-test.
set -euo pipefail
packages=$(cd "$1" && pwd)
base=$(cd "$2" && pwd)
root=$3
rm -rf "$root"
cp -a --reflink=auto "$base" "$root"
root=$(cd "$root" && pwd)
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir "$root/packages"
cp "$packages"/*.deb "$packages"/*.tar.gz "$root/packages"

cat >"$root/packages/inside.sh" <<'INSIDE'
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
shopt -s nullglob
graft=(/packages/graft_*.deb) torch=(/packages/graft-torch_*.deb) dev=(/packages/graft-dev_*.deb)
mkdir -m 777 /tmp/work

step() { printf '\n== %s\n' "$*"; }
fail() {
  echo "FAILED: $*"
  exit 1
}
install() { apt-get install -y -qq --no-install-recommends "$@" >/dev/null; }
# Every file but logs, caches and what apt has downloaded.
files() { find / -xdev \( -path /packages -o -path /tmp -o -path /var/cache -o -path /var/log -o -path /var/lib/apt \) -prune -o -print | sort; }
# quickstart PROGRAM NAME [OPTION...]: as a user who owns nothing but a folder.
quickstart() {
  (cd /tmp/work && setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp/work \
    "$1" run "$("$1" share)/configs/quickstart.yaml" --out "$2" --store "$2.store" --log-level warning "${@:3}")
  [ -s "/tmp/work/$2/results.json" ]
}

step "what the packages depend on"
apt-get update -qq
for deb in "${graft[@]}" "${torch[@]}" "${dev[@]}"; do
  depends=$(dpkg-deb --field "$deb" Depends | tr ',' '\n' | grep -v '^ *graft (' | paste -sd ,) || true
  [ -z "$depends" ] || apt-get satisfy -y -qq --no-install-recommends "$depends" >/dev/null
done
# What plugins are built with is what graft-dev recommends, and nothing else.
apt-get satisfy -y -qq --no-install-recommends "$(dpkg-deb --field "${dev[0]}" Recommends)" >/dev/null
install make
files >/tmp/before

step "graft"
install "${graft[@]}"
graft --version
[ "$(graft share)" = /usr/share/graft ] || fail "graft share prints $(graft share)"
! graft plugins | grep '^refused' || fail "a plugin is refused"
[ -f /usr/share/man/man1/graft-run.1.gz ] || fail "there is no manual page"
(. /usr/share/bash-completion/completions/graft && complete -p graft) || fail "there is no completion for bash"
graft model summary resnet18 >/dev/null
quickstart graft quickstart || fail "the quickstart"

if [ ${#torch[@]} -gt 0 ]; then
  step "graft-torch"
  install "${torch[@]}"
  quickstart graft with_torch --set features.engine=torch --set untrained_features.engine=torch || fail "the engine torch"
fi

step "graft-dev: the example is built, passes its test and is described"
install "${dev[@]}"
cp -r /usr/share/doc/graft-dev/examples/01_hello_plugin /tmp/hello
cmake -S /tmp/hello -B /tmp/hello/build -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build /tmp/hello/build >/dev/null
ctest --test-dir /tmp/hello/build --output-on-failure --no-tests=error | tail -n 4
graft describe mirror --plugin-dir /tmp/hello/build

step "graft-dev: new plugins, by their READMEs"
for kind in transform learner engine; do
  name=${kind}_a
  [ $kind != engine ] || name=engine_a
  (cd /tmp/work && graft new-plugin $name --kind $kind && cd $name
    sed -n 's/^\$ //p' README.md >commands
    bash -euo pipefail commands >log 2>&1 && grep '100% tests passed, 0 tests failed out of 1' log) ||
    fail "$kind: $(cat /tmp/work/$name/log)"
done
[ "$(update-alternatives --query libopenblas.so.0-x86_64-linux-gnu | sed -n 's/^Value: //p')" = \
  /usr/lib/x86_64-linux-gnu/openblas-openmp/libopenblas.so.0 ] || fail "graft-dev brings another OpenBLAS"

step "the .tar.gz, in some folder, without the packages"
dpkg --purge graft-torch graft-dev graft >/dev/null 2>&1
mkdir /tmp/unpacked
tar -xzf /packages/*.tar.gz -C /tmp/unpacked
unpacked=(/tmp/unpacked/graft-*)
"${unpacked[0]}/bin/graft" share
quickstart "${unpacked[0]}/bin/graft" from_archive || fail "the quickstart of the .tar.gz"

step "what is left of the packages"
[ -z "$(dpkg-query -W -f='${Status}\n' 'graft*' 2>/dev/null | grep -v not-installed)" ] || fail "dpkg still knows one"
files >/tmp/after
diff /tmp/before /tmp/after || fail "files were left behind, or taken away"
echo "nothing: $(wc -l </tmp/after) files before and after"
INSIDE

ROOT=$root unshare --mount bash -euc '
  mount -t proc proc "$ROOT/proc"
  mount --rbind /sys "$ROOT/sys"
  mount --rbind /dev "$ROOT/dev"
  chroot "$ROOT" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 bash /packages/inside.sh'
# A root in which something failed stays, to be looked at.
rm -rf "$root"
