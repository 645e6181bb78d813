# Sets up everything the two commands at the root need; sourced by them, safe to run again, quick the second time.
#
#   setup_python EXTRAS     a virtual environment in .venv with the project and its extras
#   setup_system PACKAGE…   Debian packages, installed where that is allowed, otherwise named
#
# Nothing outside the checkout changes but Debian packages, and those only as root or with a sudo that asks nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }

may_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Packages are asked for by a file or command they bring, so that a machine that has them is never touched.
setup_system() {
  local missing=()
  for pair in "$@"; do
    local package="${pair%%=*}" probe="${pair#*=}"
    # shellcheck disable=SC2086 # a probe may be a pattern
    case "$probe" in
      /*) compgen -G "$probe" >/dev/null || missing+=("$package") ;;
      *) command -v "$probe" >/dev/null || missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} = 0 ] && return 0
  if ! may_install; then
    say "Missing Debian packages: ${missing[*]}"
    say "Install them as root (apt-get install ${missing[*]}); going on without what needs them."
    return 0
  fi
  say "Installing Debian packages: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

find_python() {
  for candidate in python3.13 python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  say "Kentongan needs Python 3.11, 3.12 or 3.13, and none is on the PATH: install python3 from your distribution."
  return 69
}

# A virtual environment needs ensurepip, which Debian keeps in a package of its own.
make_venv() {
  local python="$1"
  "$python" -c 'import ensurepip' 2>/dev/null || setup_system python3-venv=/nonexistent
  "$python" -m venv .venv
}

# Whether these extras were installed for this very state of the project; dev holds all that the demo needs.
is_set_up() {
  grep -qxF -e "$1 $2" -e "$1 dev" .venv/.kentongan-setup 2>/dev/null
}

setup_python() {
  local extras="$1" python want
  python="$(find_python)"
  want="$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)"
  if [ -x .venv/bin/kentongan ] && is_set_up "$want" "$extras"; then return 0; fi
  # A virtual environment that was never finished has no pip: it is made again.
  .venv/bin/python -m pip --version >/dev/null 2>&1 || { rm -rf .venv && make_venv "$python"; }
  say "Installing Kentongan and what it needs into .venv (once; some minutes on a Raspberry Pi)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[$extras]"
  printf '%s %s\n' "$want" "$extras" >>.venv/.kentongan-setup
}

# What opencv-python's wheels link against on Debian.
OPENCV_LIBRARIES=(
  "libgl1=/usr/lib/*/libGL.so.1"
  "libglib2.0-0=/usr/lib/*/libglib-2.0.so.0"
)
