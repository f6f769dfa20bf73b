"""How fast the town lives and is seen: `python test/benchmark/bench_town.py [layouts]`.

CPU time of one process, the fair figure on a busy machine. The ratio is against the speed asked for: 100 scenes/s for
the LiDAR raster and the stitched picture at the small model's size, 3 pictures of all eight cameras a second.
"""

import sys
import time
from collections.abc import Callable

import torch

from pair_drive_core.datasets.cache.codec import decode_scene, encode_scene
from pair_drive_core.models.features import FeatureConfig, rasterise_lidar
from pair_drive_core.scene import ALL_CAMERAS
from pair_drive_core.town import GroundTexture, SceneCutter, Town, TownSensors, TownSimulator

SENSED_A_S = 100.0
ALL_CAMERAS_A_S = 3.0
SENSING = "LiDAR raster + stitched picture, 64 x 256"
CAMERAS = "eight cameras, 1920 x 1080"


def seconds(action: Callable[[], object], times: int) -> float:
    """CPU time of one call."""
    start = time.process_time()
    for _ in range(times):
        action()
    return (time.process_time() - start) / times


def measure(layout: int) -> dict[str, float]:
    """CPU time of everything in one town."""
    town = Town.build(layout)
    found = {
        "build a town": seconds(lambda: Town.build(layout), 1),
        "paint its ground": seconds(lambda: GroundTexture(town.network), 1),
    }
    simulator = TownSimulator(town, 1)
    found["step of 0.1 s"] = seconds(simulator.step, 120)
    cutter, sensors = SceneCutter(simulator), TownSensors(simulator)
    pairs = [(step, vehicle) for step in cutter.steps[::10] for vehicle in range(12)]
    moments, first = iter(pairs), pairs[0]
    world, packed = sensors.world(*first), encode_scene(cutter.scene_at(*first))

    raster = FeatureConfig(lidar_size_px=64)

    def sense() -> None:
        step, vehicle = next(moments)
        seen = sensors.world(step, vehicle)
        sensors.stitched(step, vehicle, 256, 64, world=seen)
        rasterise_lidar(sensors.lidar(step, vehicle, seen), raster)

    found[SENSING] = seconds(sense, len(pairs))
    found["scene with status"] = seconds(lambda: (cutter.scene_at(*first), cutter.status_at(*first)), 40)
    found["scene, packed"] = seconds(lambda: encode_scene(cutter.scene_at(*first)), 10)
    found["unpack a scene"] = seconds(lambda: decode_scene(packed), 20)
    found[CAMERAS] = seconds(lambda: sensors.cameras(*first, ALL_CAMERAS, world=world), 4)
    return found


def main(layouts: int) -> None:
    torch.set_num_threads(1)
    towns = [measure(layout) for layout in range(layouts)]
    mean = {name: sum(town[name] for town in towns) / layouts for name in towns[0]}
    for name, value in mean.items():
        print(f"{name:44s} {1e3 * value:8.2f} ms {1.0 / value:9.1f} a second")
    sensed, cameras = 1.0 / mean[SENSING], 1.0 / mean[CAMERAS]
    print(f"against what was asked for: sensors {sensed / SENSED_A_S:.1f} x, cameras {cameras / ALL_CAMERAS_A_S:.1f} x")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
