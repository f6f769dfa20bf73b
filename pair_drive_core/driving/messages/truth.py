"""pair_drive_ros/SceneTruth."""

from __future__ import annotations

from typing import Any

import numpy as np

from pair_drive_core.datasets.cache.codec import FORMAT, encode_scene
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import Scene


def to_scene_truth(make: MakeMessage, scene: Scene, frame_id: str) -> Any:  # noqa: ANN401
    """Ground truth around t0 for scoring.

    Args:
        make: maker of messages.
        scene: in the frame `frame_id`.
        frame_id: frame of its coordinates.
    """
    data = np.frombuffer(encode_scene(scene), dtype=np.uint8)
    header = to_header(make, scene.time_us, frame_id)
    return make("pair_drive_ros/msg/SceneTruth", header=header, format=FORMAT, data=data)
