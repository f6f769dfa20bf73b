"""Scenes with a lane graph and their official tracks and scores in traffic."""

import itertools
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scene import LaneGraph, PackedRings
from pair_drive_core.scoring import Metric

FOLDER = Path(__file__).parent / "golden" / "traffic"


def centerline(points):
    step = np.diff(points, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    return torch.from_numpy(np.column_stack((points, np.append(heading, heading[-1]))))


@lru_cache
def read_case(name, metric=Metric.V2):
    """Scene, arrays and plans (K, 8, 3) of traffic_<name>.npz."""
    file = read_vector_file(FOLDER / f"traffic_{name}.npz")
    data = file.arrays
    tokens = [str(token) for token in data["lane_id"]]
    follows = json.loads(str(data["lane_out"]))
    lines = [centerline(data["lane_base_xy"][a:b]) for a, b in itertools.pairwise(data["lane_base_off"])]
    lanes = LaneGraph(
        tuple(tokens),
        torch.from_numpy(data["lane_connector"]),
        ("",) * len(tokens),
        PackedRings.from_sequences(lines),
        PackedRings(torch.from_numpy(data["lane_poly_xy"]), torch.from_numpy(data["lane_poly_off"].astype(np.int64))),
        torch.from_numpy(data["lane_speed"]),
        tuple(tuple(tokens.index(t) for t in follows[token] if t in tokens) for token in tokens),
    )
    scene = replace(file.scene(metric), lanes=lanes).validate()
    return SimpleNamespace(scene=scene, arrays=data, plans=file.candidates)
