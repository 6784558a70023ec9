#!/usr/bin/env bash
# Installs what Burin needs to build, on Debian 12 (bookworm) and Debian 13 (trixie).
#
# Debian 13 has everything. Debian 12 has a oneDNN without micro-kernels and an old Xbyak, so there
# the libraries come from Debian 13, through the mirror that this system already uses. The added
# source is pinned to priority 100: nothing else on the system moves to Debian 13 by itself, but
# libc6 and libstdc++6 do, because the libraries need them. The compiler stays.
#
# Running it again is cheap: when all packages are there, apt is not called.
#
#   cmake/install-deps.sh            install what is missing
#   cmake/install-deps.sh --check    only say what is missing (exit status 1 if anything is)

set -euo pipefail

# Compiler, build tools and test libraries: the system's own release is good enough everywhere.
tools=(g++ cmake ninja-build pkg-config ccache libgtest-dev libbenchmark-dev)

# Libraries. All of them from one release, so that they agree with each other.
libraries=(libdnnl-dev libxbyak-dev libtbb-dev libonnx-dev libprotobuf-dev protobuf-compiler
           libpugixml-dev libvixl-dev nlohmann-json3-dev libcli11-dev libfmt-dev)

# Packages of which any version will not do.
declare -A minimum=([libdnnl-dev]=3.5 [libxbyak-dev]=7.0)

newer_release=trixie
source_file=/etc/apt/sources.list.d/burin-$newer_release.sources
pin_file=/etc/apt/preferences.d/burin-$newer_release

say() { echo "install-deps: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "needs root, or sudo, to install: ${missing[*]}"
  fi
}

# Waits for other users of apt instead of failing; never asks; keeps changed configuration files.
apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a \
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    -o APT::Install-Recommends=false "$@" </dev/null
}

# Runs a command without its output, unless it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  [[ $status == 0 ]] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

update_lists() {
  # The lock on the package lists has no timeout of its own; a third-party source that cannot be
  # reached is no reason to stop: if something is really missing, the installation says so.
  local attempt
  for attempt in 1 2 3; do
    quietly apt_get update && return
    sleep $((attempt * 5))
  done
  say "some package lists could not be refreshed; going on"
}

# The version of a package that is installed for this machine's architecture, or nothing.
installed_version() {
  dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Version}\n' "$1" 2>/dev/null |
    awk -v native="$native" '$1 == "installed" && ($2 == native || $2 == "all") {print $3; exit}'
}

good_enough() {  # good_enough PACKAGE VERSION
  [[ -n $2 && $2 != "(none)" ]] || return 1
  [[ -z ${minimum[$1]:-} ]] || dpkg --compare-versions "$2" ge "${minimum[$1]}"
}

find_missing() {
  missing=()
  local package
  for package in "${tools[@]}" "${libraries[@]}"; do
    good_enough "$package" "$(installed_version "$package")" || missing+=("$package")
  done
}

# Whether the libraries have to come from the newer release. Not decided by /etc/os-release, which
# names the newer release as soon as one of its base packages has come along.
needs_newer_release() {
  [[ -e $source_file ]] && return 0
  local package candidate
  for package in "${!minimum[@]}"; do
    candidate=$(LC_ALL=C apt-cache policy "$package" | awk '$1 == "Candidate:" {print $2}')
    good_enough "$package" "$candidate" || return 0
  done
  return 1
}

add_newer_release() {
  # The archive that this system's own packages come from: Debian's main component, not its
  # updates, backports or security archives.
  local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # shellcheck disable=SC2016  # apt expands these, not the shell
  uri=$(apt-get indextargets \
          --format '$(IDENTIFIER) $(COMPONENT) $(CODENAME) $(LABEL) $(REPO_URI)' |
        awk '$1 == "Packages" && $2 == "main" && $3 == "bookworm" && $4 == "Debian" {
               print $5; exit }')
  [[ -n $uri ]] || die "this system's apt sources have no Debian 12 or 13 main archive, and its" \
    "oneDNN or Xbyak is too old (needed: libdnnl-dev >= ${minimum[libdnnl-dev]}," \
    "libxbyak-dev >= ${minimum[libxbyak-dev]})"
  [[ -e $keyring ]] || keyring=

  say "adding $newer_release (pinned low) from the system's own mirror: $source_file"
  as_root tee "$pin_file" >/dev/null <<PIN
# Written by Burin's install-deps.sh.
Package: *
Pin: release n=$newer_release
Pin-Priority: 100
PIN
  as_root tee "$source_file" >/dev/null <<SOURCE
# Written by Burin's install-deps.sh.
Types: deb
URIs: $uri
Suites: $newer_release
Components: main
${keyring:+Signed-By: $keyring}
SOURCE
  update_lists
}

main() {
  command -v apt-get >/dev/null ||
    die "this script knows Debian 12 and 13; elsewhere, install what its lists of packages stand for"
  native=$(dpkg --print-architecture)

  find_missing
  if [[ ${#missing[@]} == 0 ]]; then
    say "nothing to do"
    return
  fi
  if [[ ${1:-} == --check ]]; then
    say "missing or too old: ${missing[*]}"
    return 1
  fi

  say "installing ${missing[*]}"
  update_lists
  if needs_newer_release; then
    [[ -e $source_file ]] || add_newer_release
    local tool missing_tools=()
    for tool in "${tools[@]}"; do
      [[ " ${missing[*]} " != *" $tool "* ]] || missing_tools+=("$tool")
    done
    [[ ${#missing_tools[@]} == 0 ]] || quietly apt_get install "${missing_tools[@]}"
    # All libraries, also those that the older release has installed.
    quietly apt_get install -t "$newer_release" "${libraries[@]}"
  else
    quietly apt_get install "${missing[@]}"
  fi

  find_missing
  [[ ${#missing[@]} == 0 ]] || die "still missing or too old: ${missing[*]}"
  say "done"
}

main "$@"
