#!/bin/sh
# Installs the Debian packages that `make vm-test` stands on, without recommended packages. Unlike
# tests/system-packages.sh it fails where they cannot be had: without QEMU nothing is proven.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need qemu-system-aarch64 qemu-system-arm
need mkfs.ext4 e2fsprogs
need debugfs e2fsprogs
need depmod kmod
need cpio cpio
need mosquitto mosquitto
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "vm-test runs on Debian 12 or 13 only; missing here:$missing" >&2
  exit 1
fi
root=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || { echo "Neither root nor sudo; install by hand:$missing" >&2; exit 1; }
  root="sudo"
fi

echo "Installing Debian packages for vm-test:$missing" >&2
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=""
clean_up() {
  [ -z "$made_policy" ] || $root rm -f "$policy"
  rm -f "$log"
}
trap clean_up EXIT
if [ ! -e "$policy" ]; then
  # Keeps package scripts from starting services (invoke-rc.d asks it; 101 means no).
  printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null
  $root chmod 755 "$policy"
  made_policy=yes
fi
$root apt-get update -qq >"$log" 2>&1 || true
# shellcheck disable=SC2086 - a list of names
if ! $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >>"$log" 2>&1; then
  echo "apt-get could not install them; its last words:" >&2
  tail -n 5 "$log" >&2
  exit 1
fi
case "$missing" in
  *mosquitto*) ! command -v systemctl >/dev/null 2>&1 || $root systemctl disable mosquitto >/dev/null 2>&1 || true ;;
esac
