"""The files for RViz and Foxglove: they parse, and show only topics that exist."""

import json
from pathlib import Path

import yaml

from pair_drive_core.driving import topics

CONFIG = Path(__file__).resolve().parents[2] / "config"
OUTPUTS = {value for name, value in vars(topics).items() if name.endswith("_TOPIC") and isinstance(value, str)}
KNOWN = {topics.absolute(name) for name in (*topics.INPUT_TOPICS, *OUTPUTS)}


def strings(value):
    """All texts anywhere inside, keys of mappings among them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def shown(document):
    """Topics in a document, without the fields that plots take from them."""
    return {text.partition(".")[0] for text in strings(document) if text.startswith("/")}


def test_rviz_shows_pictures_with_the_plan_lidar_map_tree_and_plan():
    document = yaml.safe_load((CONFIG / "pair_drive.rviz").read_text(encoding="utf-8"))
    displays = document["Visualization Manager"]["Displays"]
    assert shown(document) <= KNOWN
    wanted = {topics.MARKERS_TOPIC, topics.PATH_TOPIC, topics.MAP_TOPIC, "lidar/points", "odometry"}
    assert {f"/{name}" for name in wanted} <= shown(document)
    cameras = [display for display in displays if display["Class"].endswith("/Camera")]
    assert {camera["Topic"]["Value"] for camera in cameras} == {
        f"/{namespace}/image_raw" for namespace in topics.CAMERA_TOPICS.values()
    }
    names = {display["Name"] for display in displays}
    for camera in cameras:
        assert set(camera["Visibility"]) - {"Value"} <= names, "what is drawn into the picture is a display"
        assert camera["Visibility"]["Chosen plan"] and camera["Visibility"]["Tree by score and chosen plan"]


def test_foxglove_shows_the_same_and_its_layout_names_only_its_panels():
    document = json.loads((CONFIG / "foxglove_layout.json").read_text(encoding="utf-8"))
    assert shown(document) <= KNOWN
    panels = document["configById"]
    placed = [text for text in strings(document["layout"]) if "!" in text]
    assert sorted(placed) == sorted(panels)
    for namespace in topics.CAMERA_TOPICS.values():
        panel = panels[f"Image!{namespace.rpartition('/')[2]}"]
        assert panel["imageMode"]["calibrationTopic"] == f"/{namespace}/camera_info"
        assert panel["topics"][f"/{topics.MARKERS_TOPIC}"]["visible"]
    assert panels["3D!main"]["topics"][f"/{topics.MAP_TOPIC}"]["visible"]
