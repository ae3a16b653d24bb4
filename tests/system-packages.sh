#!/bin/sh
# Installs the Debian packages the tests use, without recommended packages and without leaving new
# daemons running or enabled. Does nothing where all programs are there. Off Debian, or without
# root, it says what is missing and lets the tests skip (loudly); in CI a missing piece fails them.
# Then the npm packages some tests need, at the versions tests/peers/package.json names, into .venv.
set -u

PATH="$PATH:/usr/sbin:/sbin"
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need mbpoll mbpoll
need promtool prometheus
need strace strace
need systemd-analyze systemd
need openssl openssl
need gcc gcc
need pkg-config pkg-config
need node nodejs
need npm npm
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
[ -e /usr/include/modbus/modbus.h ] || missing="$missing libmodbus-dev"

install_debian_packages() {
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "Not Debian: install by hand for the full test suite:$missing" >&2
    return
  fi
  root=""
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null 2>&1; then
      root="sudo"
    else
      echo "Neither root nor sudo: some tests will be skipped for want of:$missing" >&2
      return
    fi
  fi

  echo "Installing Debian packages for the tests:$missing" >&2
  log=$(mktemp)
  policy=/usr/sbin/policy-rc.d
  made_policy=""
  trap clean_up EXIT
  if [ ! -e "$policy" ]; then
    # Keeps package scripts from starting services (invoke-rc.d asks it; 101 means no).
    printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" >/dev/null && $root chmod 755 "$policy" && made_policy=yes
  fi

  $root apt-get update -qq >"$log" 2>&1 || true
  if ! $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >>"$log" 2>&1; then
    echo "apt-get could not install them; its last words:" >&2
    tail -n 5 "$log" >&2
    return
  fi
  # Whatever came enabled for the next boot was not asked for.
  for each in $missing; do
    case "$each" in
      mosquitto | prometheus) command -v systemctl >/dev/null 2>&1 && $root systemctl disable "$each" >/dev/null 2>&1 ;;
    esac
  done
}

clean_up() {
  [ -n "$made_policy" ] && $root rm -f "$policy"
  rm -f "$log"
}

install_npm_peer() {
  wanted=tests/peers/package.json
  folder=.venv/peers
  [ -d .venv ] && command -v npm >/dev/null 2>&1 || return
  cmp -s "$wanted" "$folder/installed.json" && return
  echo "Installing the npm packages the tests need (once) ..." >&2
  mkdir -p "$folder" && cp "$wanted" "$folder/package.json"
  # --ignore-scripts: its serial port comes ready built, nothing else is to run here
  if npm install --prefix "$folder" --no-package-lock --no-audit --no-fund --ignore-scripts \
    --omit=dev >"$folder/npm.log" 2>&1; then
    cp "$wanted" "$folder/installed.json"
  else
    echo "npm could not install it; its last words:" >&2
    tail -n 5 "$folder/npm.log" >&2
  fi
}

cd "$(dirname "$0")/.." || exit 0
[ -z "$missing" ] || install_debian_packages
install_npm_peer
exit 0
