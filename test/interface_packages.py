"""Message packages that have no wheel, built from their published lists of fields when a test needs them.

Only names and types of fields are stated here; colcon builds them once into build/interfaces/, where a second run finds
them. They are for tests alone: nothing that ships depends on them.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "build" / "interfaces"

PACKAGES = {
    "tf2_msgs": (["geometry_msgs"], {"TFMessage": "geometry_msgs/TransformStamped[] transforms"}),
    "ackermann_msgs": (
        ["std_msgs"],
        {
            "AckermannDrive": """
                float32 steering_angle
                float32 steering_angle_velocity
                float32 speed
                float32 acceleration
                float32 jerk""",
            "AckermannDriveStamped": "std_msgs/Header header\nackermann_msgs/AckermannDrive drive",
        },
    ),
    "carla_msgs": (
        ["std_msgs"],
        {
            "CarlaEgoVehicleControl": """
                std_msgs/Header header
                float32 throttle
                float32 steer
                float32 brake
                bool hand_brake
                bool reverse
                int32 gear
                bool manual_gear_shift"""
        },
    ),
    "autoware_planning_msgs": (
        ["builtin_interfaces", "geometry_msgs", "std_msgs"],
        {
            "TrajectoryPoint": """
                builtin_interfaces/Duration time_from_start
                geometry_msgs/Pose pose
                float32 longitudinal_velocity_mps
                float32 lateral_velocity_mps
                float32 acceleration_mps2
                float32 heading_rate_rps
                float32 front_wheel_angle_rad
                float32 rear_wheel_angle_rad""",
            "Trajectory": "std_msgs/Header header\nautoware_planning_msgs/TrajectoryPoint[] points",
            "PathPoint": """
                geometry_msgs/Pose pose
                float32 longitudinal_velocity_mps
                float32 lateral_velocity_mps
                float32 heading_rate_rps
                bool is_final""",
            "Path": """
                std_msgs/Header header
                autoware_planning_msgs/PathPoint[] points
                geometry_msgs/Point[] left_bound
                geometry_msgs/Point[] right_bound""",
        },
    ),
    "autoware_internal_planning_msgs": (
        ["autoware_planning_msgs", "std_msgs", "unique_identifier_msgs"],
        {
            "GeneratorInfo": "unique_identifier_msgs/UUID generator_id\nstd_msgs/String generator_name",
            "CandidateTrajectory": """
                std_msgs/Header header
                unique_identifier_msgs/UUID generator_id
                autoware_planning_msgs/TrajectoryPoint[] points""",
            "CandidateTrajectories": """
                autoware_internal_planning_msgs/CandidateTrajectory[] candidate_trajectories
                autoware_internal_planning_msgs/GeneratorInfo[] generator_info""",
        },
    ),
}
"""By package: what it depends on, and the fields of its messages."""


def built():
    """The folder that the packages are installed in; builds them if they are not there as stated."""
    stated = json.dumps([PACKAGES, sys.version_info[:2]], sort_keys=True)
    folder = STORE / hashlib.sha256(stated.encode()).hexdigest()[:16]
    STORE.mkdir(parents=True, exist_ok=True)
    with (STORE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes beside each other build once
        if not (folder / "complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder)
            (folder / "complete").touch()
    return folder / "install"


def environment():
    """Environment variables with which processes find the packages."""
    prefix = built()
    site = next(prefix.glob("lib/python3*/site-packages"))
    added = {"AMENT_PREFIX_PATH": prefix, "LD_LIBRARY_PATH": prefix / "lib", "PYTHONPATH": site}
    return {name: os.pathsep.join([*filter(None, [os.environ.get(name)]), str(path)]) for name, path in added.items()}


def _build(folder):
    for package, (depends, messages) in PACKAGES.items():
        _write_package(folder / "src" / package, package, depends, messages)
    virtual = ROOT / ".venv"
    # What ros_env.sh puts in front is this package itself; message packages need the base installation alone.
    found = {**os.environ, "AMENT_PREFIX_PATH": str(virtual), "CMAKE_PREFIX_PATH": str(virtual), "PYTHONPATH": ""}
    found["LD_LIBRARY_PATH"] = str(virtual / "lib")
    # Of itself colcon adds a limit of the load (-l), at which a build beside other work stands still.
    found["MAKEFLAGS"] = f"-j{os.cpu_count()}"
    python = str(virtual / "bin" / "python")
    command = ["colcon", "--log-base", "log", "build", "--merge-install", "--executor", "sequential", "--cmake-args"]
    command += ["-GNinja", f"-DPython3_EXECUTABLE={python}", f"-DPYTHON_EXECUTABLE={python}", "-DBUILD_TESTING=OFF"]
    result = subprocess.run(command, cwd=folder, env=found, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def _write_package(folder, package, depends, messages):
    (folder / "msg").mkdir(parents=True)
    for name, fields in messages.items():
        lines = [line.strip() for line in fields.strip().splitlines()]
        (folder / "msg" / f"{name}.msg").write_text("\n".join(lines) + "\n")
    needs = "\n".join(f"  <depend>{name}</depend>" for name in depends)
    (folder / "package.xml").write_text(
        f"""<?xml version="1.0"?>
<package format="3">
  <name>{package}</name>
  <version>0.0.0</version>
  <description>Fields of {package}, for tests.</description>
  <maintainer email="maintainers@pair-drive.invalid">PaIR-Drive maintainers</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
{needs}
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
    )
    finds = "\n".join(f"find_package({name} REQUIRED)" for name in depends)
    files = " ".join(f'"msg/{name}.msg"' for name in messages)
    (folder / "CMakeLists.txt").write_text(
        f"""cmake_minimum_required(VERSION 3.16)
project({package} LANGUAGES C CXX)
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
{finds}
rosidl_generate_interfaces(${{PROJECT_NAME}} {files} DEPENDENCIES {" ".join(depends)})
ament_export_dependencies(rosidl_default_runtime)
get_target_property(exported ${{PROJECT_NAME}}__rosidl_generator_py INTERFACE_INCLUDE_DIRECTORIES)
if(exported)
  set_target_properties(${{PROJECT_NAME}}__rosidl_generator_py PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "$<BUILD_INTERFACE:${{exported}}>")
endif()
ament_package()
"""
    )


if __name__ == "__main__":
    print(built())
