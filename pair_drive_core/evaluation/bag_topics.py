"""Which topics of a recording are the planner's inputs, and which of its sensors the recording has at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pair_drive_core.driving.planner_settings import PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics
from pair_drive_core.driving.topics import (
    CAMERA_TOPICS,
    INPUT_TOPICS,
    PLAN_TOPIC,
    TRUTH_TOPIC,
    InputKind,
    InputTopic,
    absolute,
)
from pair_drive_core.evaluation.bag_reader import Bag, BagError

_PICTURES = (InputKind.IMAGE, InputKind.COMPRESSED_IMAGE)
_COMPRESSED_SUFFIX = "/compressed"
_COMMAND = "driving_command"
_ROS_1 = "convert the recording with `rosbags-convert`"


@dataclass(frozen=True)
class BagInputs:
    """Input topics of a recording.

    Attributes:
        topics: what each topic of the recording is to the planner.
        cameras: cameras that the recording has, by NAVSIM name.
        missing_cameras: cameras that the planner knows and the recording does not have.
        pictures: topic of each camera's pictures.
        notes: what is unusual about them, one line each.
    """

    topics: dict[str, InputTopic]
    cameras: tuple[str, ...]
    missing_cameras: tuple[str, ...]
    pictures: dict[str, str]
    notes: list[str] = field(default_factory=list)


def has_commands(bag: Bag, remaps: Mapping[str, str]) -> bool:
    """Whether the recording holds the planner's own driving commands, or they were asked for by name."""
    topic = remaps.get(_COMMAND)
    return topic is not None or bag.topics.get(absolute(_COMMAND)) == InputKind.COMMAND.value


def find_inputs(bag: Bag, settings: PlannerSettings, remaps: Mapping[str, str], *, needs_command: bool) -> BagInputs:
    """The planner's input topics by their names in the recording.

    Side cameras of which the recording holds nothing are left out; all else must be there.

    Args:
        bag: the recording.
        settings: of the planner.
        remaps: absolute topic names of the recording by the planner's own relative ones, where they differ.
        needs_command: whether the driving command comes from the recording's own messages.

    Raises:
        BagError: naming all topics that are missing or of another type, and those that there are.
    """
    unknown = sorted(set(remaps) - {*INPUT_TOPICS, PLAN_TOPIC, TRUTH_TOPIC})
    if unknown:
        raise BagError(bag.path, f"topic {unknown[0]!r} to remap: expected one of {', '.join(INPUT_TOPICS)}")
    names = _names(bag, remaps)
    found: dict[str, InputTopic] = {}
    problems = [
        f"topic {topic} (for {name}): the recording holds no such topic"
        for name, topic in remaps.items()
        if not _holds(bag, topic)
    ]
    for name, topic in names.items():
        entry, kind = INPUT_TOPICS[name], bag.topics.get(topic)
        if kind == entry.kind.value:
            found[topic] = entry
        elif kind is not None and topic not in [names[e.name] for e in INPUT_TOPICS.values() if e.kind.value == kind]:
            problems.append(f"topic {topic}: expected {entry.kind.value}, got {kind}")
    notes: list[str] = []
    present = {(entry.kind, entry.camera) for entry in found.values()}
    cameras = _cameras(settings, present)
    missing_inputs = []
    for name, entry in INPUT_TOPICS.items():
        if name in remaps and not _holds(bag, remaps[name]):
            continue
        if _is_wanted(entry, cameras, settings, needs_command=needs_command) and not _is_there(entry, present):
            problems.append(f"topic {names[name]}: expected {entry.kind.value}, found none")
            missing_inputs.append(entry)
    if problems:
        available = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(bag.topics.items())) or "nothing"
        problems.append(f"the recording holds {available}")
        for encoding, count in sorted(bag.other_encodings.items()):
            hint = f": {_ROS_1}" if encoding.startswith("ros1") else ""
            problems.append(f"{count} more topics hold messages of encoding {encoding!r}, not of ROS 2{hint}")
        likely = _likely_remaps(bag, missing_inputs, set(names.values()))
        if likely:
            problems.append(f"likely: {likely}")
        raise BagError(bag.path, "; ".join(problems))
    kept = {
        topic: entry
        for topic, entry in found.items()
        if (not entry.camera or entry.camera in cameras)
        and (entry.kind is not InputKind.TRANSFORMS or settings.extrinsics is Extrinsics.TF)
        and (entry.kind is not InputKind.COMMAND or needs_command)
    }
    pictures = {entry.camera: topic for topic, entry in kept.items() if entry.kind is InputKind.COMPRESSED_IMAGE}
    for topic, entry in list(kept.items()):
        if entry.kind is InputKind.IMAGE:
            if entry.camera in pictures:
                notes.append(f"topic {pictures[entry.camera]}: not read, since {topic} holds the same pictures raw")
                del kept[pictures[entry.camera]]
            pictures[entry.camera] = topic
    missing = tuple(name for name in settings.sync.cameras if name not in cameras)
    return BagInputs(kept, cameras, missing, pictures, notes)


def _likely_remaps(bag: Bag, missing: list[InputTopic], taken: set[str]) -> str:
    """Options that name the only topic of a kind that is missing; empty where there is none or a choice."""
    options = []
    for entry in missing:
        kinds = [kind.value for kind in (_PICTURES if entry.kind in _PICTURES else (entry.kind,))]
        found = [topic for topic, kind in bag.topics.items() if kind in kinds and topic not in taken]
        if len(found) == 1:
            options.append(f"--topic {entry.name}:={found[0]}")
    return " ".join(options)


def _holds(bag: Bag, topic: str) -> bool:
    """Whether there is such a topic; image_transport puts compressed pictures below the name of the raw ones."""
    return topic in bag.topics or f"{topic}{_COMPRESSED_SUFFIX}" in bag.topics


def _names(bag: Bag, remaps: Mapping[str, str]) -> dict[str, str]:
    """The recording's name for each input.

    A picture topic that was given for raw pictures may hold compressed ones, and the other way round: the recording
    knows better.
    """
    names = {name: remaps.get(name, absolute(name)) for name in INPUT_TOPICS}
    for namespace in CAMERA_TOPICS.values():
        raw, compressed = f"{namespace}/image_raw", f"{namespace}/image_raw{_COMPRESSED_SUFFIX}"
        given = bag.topics.get(names[raw])
        if raw in remaps and compressed not in remaps:
            if given == InputKind.COMPRESSED_IMAGE.value:
                names[compressed], names[raw] = names[raw], absolute(raw)
            else:
                names[compressed] = f"{names[raw]}{_COMPRESSED_SUFFIX}"
        elif compressed in remaps and raw not in remaps and bag.topics.get(names[compressed]) == InputKind.IMAGE.value:
            names[raw], names[compressed] = names[compressed], absolute(compressed)
    return names


def _cameras(settings: PlannerSettings, present: set[tuple[InputKind, str]]) -> tuple[str, ...]:
    """Cameras of which the recording holds pictures; the reference camera always."""
    seen = {camera for kind, camera in present if kind in _PICTURES}
    return tuple(name for name in settings.sync.cameras if name in seen or name == settings.sync.reference_camera)


def _is_wanted(entry: InputTopic, cameras: tuple[str, ...], settings: PlannerSettings, *, needs_command: bool) -> bool:
    if entry.kind is InputKind.LIDAR:
        return settings.sync.with_lidar
    if entry.kind is InputKind.COMMAND:
        return needs_command
    if entry.camera:
        # Either kind of pictures will do; the raw topic speaks for both.
        return entry.camera in cameras and entry.kind is not InputKind.COMPRESSED_IMAGE
    return entry.kind is InputKind.ODOMETRY


def _is_there(entry: InputTopic, present: set[tuple[InputKind, str]]) -> bool:
    if entry.kind in _PICTURES:
        return any((kind, entry.camera) in present for kind in _PICTURES)
    return (entry.kind, entry.camera) in present
