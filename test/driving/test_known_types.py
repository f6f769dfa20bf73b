from pathlib import Path

from pair_drive_core.driving.messages.known_types import known_types, own_types

MSG = Path(__file__).resolve().parents[2] / "msg"


def test_the_definitions_that_come_with_the_core_are_those_that_the_ros_package_builds():
    written = {f"pair_drive_ros/msg/{p.stem}": p.read_text(encoding="utf-8") for p in MSG.glob("*.msg")}
    assert own_types() == written


def test_they_are_known_without_ros():
    assert set(own_types()) <= set(known_types().fielddefs)
