import dataclasses
import json
import sys

import numpy as np
import pytest
import torch

from pair_drive_core.cli.main import main
from pair_drive_core.datasets.cache.codec import decode_scene, encode_scene
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_reader import BagError, open_bag
from pair_drive_core.evaluation.bag_replay import ReplayWatcher
from pair_drive_core.planning.pdm_closed import pdm_reference
from pair_drive_core.scoring import Metric, score
from pair_drive_core.town import TownSensors

FRAMES = 6
SETTINGS = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY)


class Keep(ReplayWatcher):
    """Keeps what the planner saw."""

    def __init__(self):
        self.inputs = []

    def planned(self, agent_input, result):
        self.inputs.append(agent_input)


def run(monkeypatch, *arguments):
    """The command's exit code."""
    monkeypatch.setattr(sys, "argv", ["pair-drive", "bag-eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_each_frame_is_planned_and_each_moment_with_truth_scored(town_recording, tmp_path, storage):
    path = town_recording.write(tmp_path / "bag", storage)
    report, outcome = evaluate_bag(path, SETTINGS, Metric.V1)
    assert (report.frames, report.dropped, report.live_dropped) == (FRAMES, 0, None)
    assert len(outcome.plans) == FRAMES
    assert [row.name for row in report.rows] == ["planned", "driven"]
    assert [row.scenes for row in report.rows] == [FRAMES, FRAMES]


def test_the_planner_sees_exactly_what_the_simulator_rendered(town_recording, tmp_path):
    watcher = Keep()
    evaluate_bag(town_recording.write(tmp_path / "bag"), SETTINGS, watcher=watcher)
    sensors = TownSensors(town_recording.simulator)
    offline = town_recording.cutter.agent_input(sensors, 17, width_px=160)
    from_bag = next(i for i in watcher.inputs if i.now.time_us == offline.now.time_us)
    for name, image in offline.cameras.items():
        np.testing.assert_array_equal(from_bag.cameras[name].rgb, image.rgb)
        np.testing.assert_allclose(from_bag.cameras[name].calibration.ego_r_camera, image.calibration.ego_r_camera)
    np.testing.assert_array_equal(from_bag.lidar.points, offline.lidar.points)
    np.testing.assert_allclose(from_bag.now.pose, offline.now.pose, atol=1e-9)
    assert from_bag.now.command == offline.now.command


@pytest.mark.parametrize("metric", list(Metric))
def test_the_score_is_the_scorers(town_recording, tmp_path, metric):
    report, outcome = evaluate_bag(town_recording.write(tmp_path / "bag"), SETTINGS, metric)
    time_us, scene = next(iter(outcome.scenes.items()))
    scene = dataclasses.replace(scene, reference=pdm_reference(scene, metric))
    plan = outcome.plans[time_us].result.plan.poses.double()
    assert report.scene_totals[time_us] == pytest.approx(float(score([scene], plan[None, None], metric).total))
    assert report.rows[0].total == pytest.approx(np.mean(list(report.scene_totals.values())))


def test_the_command_prints_one_table_and_writes_the_report(town_recording, tmp_path, monkeypatch, capsys):
    bag = town_recording.write(tmp_path / "bag")
    out = tmp_path / "deep" / "table.json"
    assert run(monkeypatch, bag, "--planner", "constant_velocity", "--out", out) == 0
    printed = capsys.readouterr().out
    assert printed.count("PDMS") == 1
    assert "p50" in printed and "p99" in printed and "dropped 0" in printed
    report = json.loads(out.read_text())
    assert report["rows"][0]["sub_scores"].keys() == {"NC", "DAC", "EP", "TTC", "C", "DDC"}
    assert report["live_compute"]["p50_ms"] is None, "no plan was made live; JSON knows no NaN"


def test_without_ground_truth_there_are_plans_but_no_scores(town_recording, tmp_path):
    bag = town_recording.write(tmp_path / "bag", change=lambda m: [e for e in m if "truth" not in e[0]])
    report, outcome = evaluate_bag(bag, SETTINGS)
    assert (report.rows, report.scene_totals, len(outcome.plans)) == ([], {}, FRAMES)


def test_topics_may_have_other_names(town_recording, tmp_path):
    def rename(messages):
        return [("/vehicle/odom" if t == "/odometry" else t, k, us, m) for t, k, us, m in messages]

    bag = town_recording.write(tmp_path / "bag", change=rename)
    with pytest.raises(BagError, match=r"topic /odometry: expected nav_msgs/msg/Odometry, found none; .*/vehicle/odom"):
        evaluate_bag(bag, SETTINGS)
    report, _ = evaluate_bag(bag, SETTINGS, remaps={"odometry": "/vehicle/odom"})
    assert report.dropped == 0


def test_frames_without_their_other_camera_are_dropped_and_counted(town_recording, tmp_path):
    def lose(messages):
        times = sorted({entry[2] for entry in messages})
        return [e for e in messages if not (e[0] == "/camera/front_left/image_raw" and e[2] == times[2])]

    report, _ = evaluate_bag(town_recording.write(tmp_path / "bag", change=lose), SETTINGS)
    assert (report.dropped, report.drop_reasons) == (1, {"no CAM_L0": 1})


def with_image(**fields):
    def change(messages):
        return [
            (t, k, us, dataclasses.replace(m, **fields) if t == "/camera/front/image_raw" else m)
            for t, k, us, m in messages
        ]

    return change


def another_place(messages):
    """Ground truth of a moment with the ego somewhere else."""
    changed = []
    for topic, kind, time_us, message in messages:
        if topic == "/ground_truth/scene":
            scene = decode_scene(bytes(message.data))
            ego = dataclasses.replace(scene.ego, pose=scene.ego.pose + torch.tensor([9.0, 0.0, 0.0]))
            data = np.frombuffer(encode_scene(dataclasses.replace(scene, ego=ego)), dtype=np.uint8)
            message = dataclasses.replace(message, data=data)
        changed.append((topic, kind, time_us, message))
    return changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: [e for e in m if "lidar" not in e[0]], "topic /lidar/points: expected sensor_msgs/msg/PointCloud2"),
        (lambda m: [e for e in m if "front/image" not in e[0]], "topic /camera/front/image_raw: expected sensor_msgs"),
        (lambda m: [e for e in m if "info" not in e[0]], "/camera/front_left/camera_info: expected sensor_msgs"),
        (with_image(encoding="32FC1"), "topic /camera/front/image_raw: image encoding: expected one of"),
        (with_image(height=17, data=np.zeros(17 * 480, np.uint8)), "expected a picture of the aspect ratio"),
        (another_place, "expected the ego within 0.5 m of the odometry"),
        (lambda m: [e for e in m if e[0] != "/odometry" or e[2] < 0], "topic /odometry: expected"),
    ],
)
def test_a_recording_that_lacks_something_is_refused_in_one_line(
    town_recording, tmp_path, monkeypatch, capsys, change, words
):
    bag = town_recording.write(tmp_path / "bag", change=change)
    out = tmp_path / "table.json"
    assert run(monkeypatch, bag, "--planner", "constant_velocity", "--out", out) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith(f"pair-drive: {bag}")
    assert words in captured.err
    assert captured.out == "" and not out.exists()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.999])
def test_a_truncated_recording_is_refused_in_one_line(town_recording, tmp_path, monkeypatch, capsys, storage, kept):
    bag = town_recording.write(tmp_path / "bag", storage)
    (data,) = [path for path in bag.iterdir() if path.suffix in (".mcap", ".db3")]
    content = data.read_bytes()
    data.write_bytes(content[: int(kept * len(content))])
    out = tmp_path / "table.json"
    assert run(monkeypatch, bag, "--planner", "constant_velocity", "--out", out) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and f"pair-drive: {bag}: truncated" in captured.err
    assert not out.exists()


@pytest.mark.parametrize("kind", ["nothing", "empty folder", "text file"])
def test_what_is_no_recording_is_refused(tmp_path, kind):
    path = tmp_path / "bag.mcap"
    if kind == "empty folder":
        path.mkdir()
    elif kind == "text file":
        path.write_text("hello")
    with pytest.raises(BagError, match=str(path)), open_bag(path):
        pass


def test_a_single_file_is_a_recording_too(town_recording, tmp_path):
    town_recording.write(tmp_path / "bag")
    with open_bag(tmp_path / "bag" / "bag.mcap") as bag:
        assert bag.count("/odometry") == FRAMES
        assert bag.topics["/driving_command"] == "pair_drive_ros/msg/DrivingCommand"


def test_an_unknown_topic_to_remap_is_refused(town_recording, tmp_path):
    with pytest.raises(BagError, match="topic 'odometri' to remap: expected one of"):
        evaluate_bag(town_recording.write(tmp_path / "bag"), SETTINGS, remaps={"odometri": "/x"})
