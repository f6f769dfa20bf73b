"""The synthetic city: road network, traffic, drivers with flaws, camera and LiDAR rendering."""

from pair_drive_core.town.data.scenes import SceneCutter
from pair_drive_core.town.data.town_map import TownMap
from pair_drive_core.town.sensing.camera_renderer import CameraRenderer
from pair_drive_core.town.sensing.cameras import navsim_calibration, stitch_calibrations
from pair_drive_core.town.sensing.ground import GroundTexture
from pair_drive_core.town.sensing.lidar import LidarConfig, cast_lidar
from pair_drive_core.town.sensing.sensors import TownSensors
from pair_drive_core.town.sensing.weather import Daylight, draw_daylight
from pair_drive_core.town.sensing.world import TownView, World
from pair_drive_core.town.streets.layout import LayoutConfig
from pair_drive_core.town.traffic.moments import Moment
from pair_drive_core.town.traffic.simulator import STEP_S, Town, TownConfig, TownSimulator

__all__ = [
    "STEP_S",
    "CameraRenderer",
    "Daylight",
    "GroundTexture",
    "LayoutConfig",
    "LidarConfig",
    "Moment",
    "SceneCutter",
    "Town",
    "TownConfig",
    "TownMap",
    "TownSensors",
    "TownSimulator",
    "TownView",
    "World",
    "cast_lidar",
    "draw_daylight",
    "navsim_calibration",
    "stitch_calibrations",
]
