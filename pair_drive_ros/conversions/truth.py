"""pair_drive_ros/SceneTruth."""

from __future__ import annotations

import numpy as np

from pair_drive_core.datasets.cache.codec import FORMAT, encode_scene
from pair_drive_core.scene import Scene
from pair_drive_ros.conversions.images import byte_array
from pair_drive_ros.conversions.stamps import to_header
from pair_drive_ros.msg import SceneTruth


def to_scene_truth(scene: Scene, frame_id: str) -> SceneTruth:
    """Ground truth around t0 for scoring.

    Args:
        scene: in the frame `frame_id`.
        frame_id: frame of its coordinates.
    """
    message = SceneTruth(header=to_header(scene.time_us, frame_id), format=FORMAT)
    message.data = byte_array(np.frombuffer(encode_scene(scene), dtype=np.uint8))
    return message
