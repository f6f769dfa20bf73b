"""The synthetic city: road network, traffic, drivers with flaws, camera and LiDAR rendering."""

from pair_drive_core.town.camera_renderer import CameraRenderer
from pair_drive_core.town.cameras import navsim_calibration, stitch_calibrations
from pair_drive_core.town.ground import GroundTexture
from pair_drive_core.town.layout import LayoutConfig
from pair_drive_core.town.lidar import LidarConfig, cast_lidar
from pair_drive_core.town.moments import Moment
from pair_drive_core.town.scenes import SceneCutter
from pair_drive_core.town.sensors import TownSensors
from pair_drive_core.town.simulator import STEP_S, Town, TownConfig, TownSimulator
from pair_drive_core.town.town_map import TownMap
from pair_drive_core.town.weather import Daylight, draw_daylight
from pair_drive_core.town.world import TownView, World

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
