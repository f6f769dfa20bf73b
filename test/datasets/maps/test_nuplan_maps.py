"""Map files: layers and columns of the data set, round trips, projections, broken files."""

import json
import shutil
import sqlite3
from dataclasses import fields, replace

import numpy as np
import pytest
import shapely
from shapely import MultiPolygon, box

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.map_tiles import MapTile, merged_map
from pair_drive_core.datasets.maps.nuplan_map import MAP_LOCATIONS, MapArea, NuplanMap
from pair_drive_core.datasets.maps.nuplan_map_writer import write_map, write_map_folder
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary, read_map
from pair_drive_core.scene import SceneError

COLUMNS = {
    "lanes_polygons": "lane_fid lane_group_fid left_boundary_fid right_boundary_fid speed_limit_mps lane_index",
    "lane_connectors": "exit_lane_fid entry_lane_fid lane_group_connector_fid speed_limit_mps "
    "traffic_light_stop_line_fids",
    "gen_lane_connectors_scaled_width_polygons": "lane_connector_fid left_boundary_fid right_boundary_fid",
    "baseline_paths": "lane_fid lane_connector_fid",
    "boundaries": "",
    "lane_groups_polygons": "",
    "lane_group_connectors": "from_lane_group_fid to_lane_group_fid intersection_fid",
    "intersections": "",
    "stop_polygons": "stop_polygon_type_fid",
    "crosswalks": "",
    "walkways": "",
    "carpark_areas": "",
    "generic_drivable_areas": "",
    "road_segments": "",
}


@pytest.fixture
def map_file(tmp_path, town_map):
    path = tmp_path / "map.gpkg"
    write_map(town_map, path)
    return path


def difference_m(a, b):
    """Largest distance between equal vertices of two maps; everything else must be the same."""
    worst = 0.0
    for field in fields(NuplanMap):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if not isinstance(one, tuple):
            assert one == other
            continue
        assert len(one) == len(other)
        for x, y in zip(sorted(one, key=lambda e: e.fid), other, strict=True):
            for part in fields(x):
                value, back = getattr(x, part.name), getattr(y, part.name)
                if isinstance(value, shapely.Geometry):
                    assert value.geom_type == back.geom_type
                    worst = max(worst, np.abs(shapely.get_coordinates(value) - shapely.get_coordinates(back)).max())
                else:
                    assert value == back, (field.name, part.name)
    return worst


def test_a_map_comes_back_exactly(town_map, map_file):
    assert difference_m(town_map, read_map(map_file, town_map.location)) == 0.0


def test_writing_again_gives_the_same_bytes(tmp_path, town_map, map_file):
    again = tmp_path / "again.gpkg"
    write_map(read_map(map_file, town_map.location), again)
    assert again.read_bytes() == map_file.read_bytes()


def test_geographic_coordinates_as_in_the_data_set_are_projected(tmp_path, town_map):
    path = tmp_path / "map.gpkg"
    write_map(town_map, path, storage_crs="EPSG:4326")
    with sqlite3.connect(path) as file:
        x, y = file.execute("SELECT min_x, min_y FROM gpkg_contents WHERE table_name = 'intersections'").fetchone()
    assert -72 < x < -71
    assert 42 < y < 43
    assert difference_m(town_map, read_map(path, town_map.location)) < 1e-6


def test_the_file_has_every_layer_and_column_that_the_devkit_reads(map_file):
    with sqlite3.connect(map_file) as file:
        layers = {name for (name,) in file.execute("SELECT table_name FROM gpkg_contents")}
        assert layers == {"meta", *COLUMNS}
        for layer, columns in COLUMNS.items():
            present = {row[1] for row in file.execute(f"PRAGMA table_info({layer})")}
            assert present >= {"fid", "geom", *columns.split()}
        meta = dict(file.execute("SELECT key, value FROM meta"))
        assert meta["projectedCoordSystem"] == "epsg:32619"
        # NULL here would break `has_traffic_lights` of the devkit.
        assert not list(file.execute("SELECT 1 FROM lane_connectors WHERE traffic_light_stop_line_fids IS NULL"))
        ((magic, version),) = file.execute("SELECT substr(geom, 1, 2), substr(geom, 3, 2) FROM boundaries LIMIT 1")
        assert magic == b"GP"
        assert version == b"\x00\x03"


def test_all_four_cities_are_there_since_the_devkit_opens_all(tmp_path, town_map):
    write_map_folder([town_map], tmp_path)
    registry = json.loads((tmp_path / "nuplan-maps-v1.0.json").read_text())
    assert set(registry) == set(MAP_LOCATIONS)
    library = NuplanMapLibrary(tmp_path)
    for name in MAP_LOCATIONS:
        loaded = library.load(name)
        assert len(loaded.lanes) == (len(town_map.lanes) if name == town_map.location else 0)
        assert library.load(name) is loaded


def without(path, statement):
    with sqlite3.connect(path) as file:
        file.execute(statement)
    return path


@pytest.mark.parametrize("layer", ["meta", *COLUMNS])
def test_a_map_without_a_layer_is_named(map_file, layer):
    without(map_file, f"DELETE FROM gpkg_contents WHERE table_name = '{layer}'")
    with pytest.raises(DatasetError, match=f"no layer '{layer}'") as error:
        read_map(map_file, "us-ma-boston")
    assert str(map_file) in str(error.value)


def test_a_missing_column_is_named(map_file):
    without(map_file, "ALTER TABLE lanes_polygons DROP COLUMN lane_index")
    with pytest.raises(DatasetError, match=r"lanes_polygons.*lane_index"):
        read_map(map_file, "us-ma-boston")


def test_torn_geometry_is_named(map_file):
    without(map_file, "UPDATE intersections SET geom = substr(geom, 1, 60)")
    with pytest.raises(DatasetError, match=r"intersections.*malformed"):
        read_map(map_file, "us-ma-boston")


def test_elements_that_lack_a_part_are_left_out_and_listed(map_file, town_map):
    without(map_file, "DELETE FROM baseline_paths WHERE lane_fid = 1000")
    back = read_map(map_file, town_map.location)
    assert len(back.lanes) == len(town_map.lanes) - 1
    assert len(back.left_out) == 1
    assert "1000" in back.left_out[0]
    with pytest.raises(SceneError, match="1000"):
        back.validate()


def test_surfaces_of_several_parts_are_read_but_not_written(tmp_path, town_map):
    parts = MultiPolygon([box(0, 0, 1, 1), box(2, 0, 3, 1)])
    broken = replace(town_map, crosswalks=(MapArea(1, parts),))
    with pytest.raises(SceneError, match="crosswalks 1: expected one polygon"):
        write_map(broken, tmp_path / "map.gpkg")


def test_files_that_are_no_maps_are_named(tmp_path, town_map):
    path = tmp_path / "map.gpkg"
    with pytest.raises(FileNotFoundError, match=r"map\.gpkg"):
        read_map(path, "us-ma-boston")
    path.write_bytes(b"no database, but longer than a header " * 30)
    with pytest.raises(DatasetError, match=r"map\.gpkg.*GeoPackage"):
        read_map(path, "us-ma-boston")
    library = NuplanMapLibrary(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"nuplan-maps-v1\.0\.json"):
        library.load("us-ma-boston")
    (tmp_path / "nuplan-maps-v1.0.json").write_text("{}")
    with pytest.raises(DatasetError, match="us-ma-boston"):
        library.load("us-ma-boston")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: replace(m, location="atlantis"), "atlantis"),
        (lambda m: replace(m, lanes=(*m.lanes, m.lanes[0])), "unique"),
        (lambda m: replace(m, lanes=(replace(m.lanes[0], roadblock=99), *m.lanes[1:])), "names 99"),
        (lambda m: replace(m, stop_polygons=()), "stop_polygons names 900"),
        (lambda m: replace(m, roadblock_connectors=m.roadblock_connectors[1:]), "roadblock_connector names"),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(town_map, change, problem):
    with pytest.raises(SceneError, match=problem):
        change(town_map).validate()


def test_tiles_lie_apart_and_share_no_ids(town_map, town_log):
    tile = MapTile(town_map.location, 2)
    both = merged_map([town_map, tile.place_map(town_map)])
    assert len(both.lanes) == 2 * len(town_map.lanes)
    moved = both.lanes[len(town_map.lanes)]
    assert moved.fid == town_map.lanes[0].fid + 2_000_000
    assert moved.polygon.distance(town_map.lanes[0].polygon) > 19_000
    frame = town_log.frames[0].placed(tile)
    assert frame.roadblock_ids[0] == str(2_000_000 + 100)
    np.testing.assert_allclose(frame.ego_translation - town_log.frames[0].ego_translation, [20_000, 0, 0])
    with pytest.raises(SceneError, match="unique"):
        merged_map([town_map, town_map])


def test_a_map_folder_holds_one_map_a_city(tmp_path, town_map):
    with pytest.raises(SceneError, match="two maps"):
        write_map_folder([town_map, town_map], tmp_path)
    shutil.rmtree(tmp_path)
