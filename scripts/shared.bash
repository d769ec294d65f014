# shellcheck shell=bash
# What the scripts here have in common: where things are kept, how they speak, how they wait, how they fetch packages.
# Sourced, never run. Nothing is written outside $CACHE, but for apt packages that need_packages names first.

CACHE="${EVENKEEL_CACHE:-$HOME/.cache/evenkeel}"
REPO="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
MIRROR="${EVENKEEL_DEBIAN_MIRROR:-http://deb.debian.org/debian}"
export CACHE REPO

# To stderr, so that stdout holds only what a caller wants to read back.
say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# wait_until SECONDS COMMAND…: polls the command until it succeeds; false at the deadline.
wait_until() {
  local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    ((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
    sleep 0.05
  done
}

# copy_to DIRECTORY: the repository's files as they are now, committed or not. They are new to cargo, whatever was built from
# the last copy.
copy_to() {
  rm -rf "$1"
  mkdir -p "$1"
  (cd "$REPO" && git ls-files -z --cached --others --exclude-standard --deduplicate |
    { xargs -0 ls -d 2>/dev/null || true; } | tar -cf - -T - | tar -xmf - -C "$1")
}

# running PIDFILE PROGRAM: the process in the file runs that program. (A pid may have been given to somebody else since, and
# a process that has ended but was not waited for runs nothing.)
running() { [[ -e $1 && "$(readlink "/proc/$(<"$1")/exe" 2>/dev/null)" == */"$2"* ]]; }

not() { ! "$@"; }

# locked NAME COMMAND…: one at a time among all processes that share the cache.
locked() {
  local lock="$CACHE/$1.lock"
  shift
  mkdir -p "$CACHE"
  (
    flock 9
    "$@" 9>&-
  ) 9>"$lock"
}

# need_packages PACKAGE…: installs those Debian packages that the machine does not have.
# A package that brings a service is refused a start, so that nothing begins to run behind the user's back.
need_packages() {
  local package missing=()
  for package; do
    [[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" == ii* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  [[ $(id -u) == 0 ]] || die "these packages are missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"
  say "Installing with apt: ${missing[*]}"
  mkdir -p "$CACHE"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$CACHE/apt-install.log" 2>&1 ||
    { tail -n 20 "$CACHE/apt-install.log" >&2; die "apt could not install: ${missing[*]}"; }
}

# fetch_debs DIRECTORY PACKAGE/SUITE…: unpacks Debian packages into a directory of ours, once.
# Uses a configuration, sources and lists of its own: the machine's apt knows nothing of these suites.
fetch_debs() { locked apt fetch_debs_locked "$@"; }
fetch_debs_locked() {
  local directory="$1" wanted deb
  shift
  wanted="$*"
  [[ "$(cat "$directory/.packages" 2>/dev/null)" == "$wanted" ]] && return 0
  say "Downloading Debian packages into $directory: $wanted"
  local apt="$CACHE/apt" keyring=/usr/share/keyrings/debian-archive-keyring.gpg suite
  [[ -e $keyring ]] || need_packages debian-archive-keyring
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/parts"
  for suite in bookworm trixie; do printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$MIRROR" "$suite"; done >"$apt/sources.list"
  cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::Etc::preferences "$apt/preferences";
Dir::Etc::preferencesparts "$apt/parts";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
  [[ -n "$(find "$apt/lists" -maxdepth 1 -name '*Packages*' -mtime -1 -print -quit)" ]] || APT_CONFIG="$apt/apt.conf" apt-get update -qq >&2
  rm -rf "$directory.part" "$apt/debs"
  mkdir -p "$directory.part" "$apt/debs"
  (cd "$apt/debs" && APT_CONFIG="$apt/apt.conf" apt-get download -qq "$@" >&2) || die "could not download: $wanted"
  for deb in "$apt/debs"/*.deb; do dpkg -x "$deb" "$directory.part"; done
  printf '%s' "$wanted" >"$directory.part/.packages"
  rm -rf "$directory" "$apt/debs"
  mv "$directory.part" "$directory"
}

# usage FILE: the comment at the top of a script.
usage() { sed -n '2,/^set/{/^#/s/^# \?//p}' "$1"; }
