#!/usr/bin/env bash
# Build the ROS package into build/ and install/ with colcon, inside .venv. Run again, it builds what changed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/ros_env.sh
# What is being built must not be found in an earlier installation of itself.
export AMENT_PREFIX_PATH="$PWD/.venv" LD_LIBRARY_PATH="$PWD/.venv/lib" PYTHONPATH=
# Of itself colcon adds a limit of the load (-l), at which a build beside other work stands still.
export MAKEFLAGS="-j$(nproc)"
mkdir -p build
log=build/colcon.log
if ! colcon --log-base build/log build --symlink-install --packages-select pair_drive_ros --cmake-args -GNinja \
  -DPython3_EXECUTABLE="$PWD/.venv/bin/python" -DPYTHON_EXECUTABLE="$PWD/.venv/bin/python" \
  -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=Release >"$log" 2>&1; then
  cat "$log" >&2
  echo "build_ros: colcon failed, see $log" >&2
  exit 1
fi
echo "ROS package built: install/pair_drive_ros"
