# Source this: the environment for building the ROS package and for everything that runs on ROS from this checkout.
# On a machine with a ROS installation source its setup.bash and install/setup.bash instead.

_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
_site=""
for _candidate in "$_root"/install/pair_drive_ros/lib/python3*/site-packages; do
  if [ -d "$_candidate" ]; then _site="$_candidate"; fi
done
export PATH="$_root/.venv/bin:$PATH"
export AMENT_PREFIX_PATH="$_root/install/pair_drive_ros:$_root/.venv"
export CMAKE_PREFIX_PATH="$_root/.venv"
export LD_LIBRARY_PATH="$_root/install/pair_drive_ros/lib:$_root/.venv/lib"
# The checkout comes first, so what runs is what is being edited; the messages exist only in the installed package.
export PYTHONPATH="$_root${_site:+:$_site}"
# One core is for the simulator, one for the planner; torch must not take all of them for each.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
unset _root _site _candidate
