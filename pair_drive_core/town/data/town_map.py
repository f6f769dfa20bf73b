"""A town's map, prepared once for all scenes of the town."""

from __future__ import annotations

from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.town.data.navsim_map import nuplan_map
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.traffic.simulator import Town


class TownMap:
    """The network and the same network as an indexed nuPlan map; share it between simulators of one town.

    Attributes:
        network: lanes and junctions.
        index: what scenes are cut out of, exactly as from an exported map.
    """

    def __init__(self, town: Town) -> None:
        """Convert the town's network."""
        self.network: RoadNetwork = town.network
        self.index = MapIndex(nuplan_map(town))
