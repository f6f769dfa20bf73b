"""The data model that every other room speaks: ego, objects, map, lights, sensors, trajectories, scenes."""

from pair_drive_core.scene.command import DrivingCommand
from pair_drive_core.scene.ego import STATE_SIZE, EgoHistory, EgoState, StateIndex
from pair_drive_core.scene.lens import Lens
from pair_drive_core.scene.map import LaneGraph, MapLayer, MapPolygons, Route
from pair_drive_core.scene.objects import OBJECT_STATE_SIZE, ObjectStateIndex, ObjectType, TrackedObjects
from pair_drive_core.scene.rings import PackedRings
from pair_drive_core.scene.scene import Scene
from pair_drive_core.scene.sensors import (
    ALL_CAMERAS,
    FRONT_CAMERAS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    EgoStatus,
    LidarSweep,
)
from pair_drive_core.scene.traffic_lights import TrafficLights
from pair_drive_core.scene.trajectory import PLAN_INTERVAL_S, PLAN_STEPS, Trajectory
from pair_drive_core.scene.validation import SceneError
from pair_drive_core.scene.vehicle import PACIFICA, VehicleParameters

__all__ = [
    "ALL_CAMERAS",
    "FRONT_CAMERAS",
    "OBJECT_STATE_SIZE",
    "PACIFICA",
    "PLAN_INTERVAL_S",
    "PLAN_STEPS",
    "STATE_SIZE",
    "AgentInput",
    "CameraCalibration",
    "CameraImage",
    "DrivingCommand",
    "EgoHistory",
    "EgoState",
    "EgoStatus",
    "LaneGraph",
    "Lens",
    "LidarSweep",
    "MapLayer",
    "MapPolygons",
    "ObjectStateIndex",
    "ObjectType",
    "PackedRings",
    "Route",
    "Scene",
    "SceneError",
    "StateIndex",
    "TrackedObjects",
    "TrafficLights",
    "Trajectory",
    "VehicleParameters",
]
