"""Parameters and checkpoints that do not fit are refused with the reason."""

import torch
from safetensors.torch import save_file

from pair_drive_core.models import PairModel
from pair_drive_core.models.checkpoint import save_checkpoint
from pair_drive_core.models.presets import tiny_config


def last_words(process, node):
    """What a node that refused to start said about it."""
    assert process.wait(120) == 2
    (line,) = [text for text in process.log_path.read_text().splitlines() if text.startswith(f"{node}:")]
    return line


def test_parameters_that_are_wrong_are_refused_together_at_the_start(planner_process, start_process):
    nodes = ("town_simulator_node", "bag_recorder_node")
    others = {
        name: start_process("-m", f"pair_drive_ros.nodes.{name}", "--ros-args", "-p", "speling:=1") for name in nodes
    }
    planner_process.start(extra={"sync.max_wait_s": 99.0, "sensor_depth": 0, "planner": "best", "chekpoint": "x"})
    line = last_words(planner_process.process, "planner_node")
    assert "sync.max_wait_s: expected 0.01 to 2, got 99" in line
    assert "sensor_depth: expected 1 to 1000, got 0" in line
    assert "planner: expected one of parallel, constant_velocity, got 'best'" in line
    assert "chekpoint: unknown; available: " in line
    for name, process in others.items():
        assert "speling: unknown; available: " in last_words(process, name)


def test_what_does_not_fit_is_refused_with_the_reason_and_what_runs_goes_on(planner_process, rig, peer, tmp_path):
    planner = planner_process
    torn, foreign = tmp_path / "torn.safetensors", tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(4)}, foreign)
    torn.write_bytes(foreign.read_bytes()[:20])
    planner.start(autostart=False, planner="parallel", checkpoint=torn)
    assert not planner.transition("configure")
    assert planner.state() == "unconfigured"
    assert str(torn) in planner.output()
    reason = lambda: planner.findings().get("lifecycle", (0, ""))  # noqa: E731
    assert peer.spin_until(lambda: reason()[0] == 2 and str(torn) in reason()[1], 20)

    accepted, why = planner.set_parameters(checkpoint=str(tmp_path / "none"))
    assert not accepted and "checkpoint: expected a file" in why
    assert planner.set_parameters(checkpoint=str(foreign))[0], "what does not fit is found when it is loaded"
    assert not planner.transition("configure")
    assert str(foreign) in planner.output()
    assert planner.set_parameters(checkpoint="", planner="constant_velocity")[0]
    assert planner.transition("configure"), "good parameters repair it without a restart"
    assert planner.transition("activate")
    rig.wait_for_planner()
    assert rig.stream_until(lambda: planner.plans, 30) is not None

    for given, words in (
        ({"sync__max_wait_s": 99.0}, "sync.max_wait_s out of range"),
        ({"sync__max_wait_s": 0.05}, "lidar_wait_s: expected at most max_wait_s = 0.05"),
        (
            {"sync__jump_forward_s": 0.2, "stale_after_s": 0.02},
            "jump_forward_s: expected above max_wait_s",
        ),
        ({"plan_period_s": 0.5}, "can only be set while unconfigured"),
        ({"checkpoint": str(tmp_path / "none")}, "expected a file"),
        ({"planner": "parallel", "checkpoint": str(torn)}, "can only be set while unconfigured"),
    ):
        accepted, why = planner.set_parameters(**given)
        assert not accepted
        assert words in why, why
    count = len(planner.plans)
    assert rig.stream_until(lambda: len(planner.plans) > count, 20) is not None
    assert planner.state() == "active"


def test_another_checkpoint_is_loaded_beside_the_running_one_and_a_bad_one_is_refused(planner_process, rig, tmp_path):
    planner = planner_process
    torch.manual_seed(0)
    model = PairModel(tiny_config())
    good, dead = tmp_path / "good.safetensors", tmp_path / "dead.safetensors"
    save_checkpoint(good, model, {})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    save_checkpoint(dead, model, {})
    odd = {}
    for number, config in enumerate(("[]", "null", "{}", "[" * 3000, '{"imitation": null}')):
        odd[number] = tmp_path / f"odd{number}.safetensors"
        metadata = {"format": "pair-drive checkpoint", "format_version": "1", "config": config, "training": "{}"}
        save_file({"weight": torch.zeros(1)}, odd[number], metadata)

    planner.start(planner="parallel", checkpoint=good, stale_after_s=1.0)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: planner.plans, 60) is not None
    for path in (dead, *odd.values()):
        accepted, why = planner.set_parameters(checkpoint=str(path), while_waiting=rig.publish)
        assert not accepted and "the running planner stays" in why, why
    before = len(planner.plans)
    assert planner.set_parameters(checkpoint="", while_waiting=rig.publish) == (True, "")
    assert len(planner.plans) > before, "plans went on while the other was being loaded"
    assert planner.set_parameters(checkpoint=str(good), while_waiting=rig.publish)[0]
    count = len(planner.plans)
    assert rig.stream_until(lambda: len(planner.plans) > count, 20) is not None
    assert "Traceback" not in planner.output()


def test_parameters_may_be_set_to_what_they_are_and_nonsense_ends_nothing(planner_process, rig):
    planner = planner_process.start()
    rig.wait_for_planner()
    mount = [1.66, 0.0, 1.55, 0.0, 0.0, 0.0]
    assert planner.set_parameters(mount__front=mount, sync__with_lidar=True)[0]
    accepted, why = planner.set_parameters(mount__front=[0.0] * 6)
    assert not accepted and "mount.front: can only be set while unconfigured" in why
    for nonsense in ({"mount__front": [1.0]}, {"mount__front": []}, {"sync__max_wait_s": float("nan")}):
        assert not planner.set_parameters(**nonsense)[0], nonsense
    assert planner.transition("deactivate") and planner.transition("cleanup")
    assert planner.set_parameters(mount__front=mount)[0], "its own default, while unconfigured"
    accepted, why = planner.set_parameters(planner="parallel", sync__with_lidar=False)
    assert not accepted and "with_lidar" in why
    assert planner.transition("configure") and planner.transition("activate")
    assert rig.stream_until(lambda: planner.plans, 30) is not None


def test_transforms_without_their_message_package_are_refused_by_name(peer, monkeypatch):
    from rclpy.lifecycle import TransitionCallbackReturn
    from rclpy.parameter import Parameter

    from pair_drive_ros.nodes import planner_node

    def not_installed(name):
        raise ModuleNotFoundError(f"{name}: expected the ROS package 'tf2_msgs' to be installed")

    monkeypatch.setattr(planner_node, "message_type", not_installed)
    overrides = [Parameter("planner", value="constant_velocity"), Parameter("extrinsics", value="tf")]
    node = planner_node.PlannerNode(context=peer.context, parameter_overrides=overrides)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "tf2_msgs" in node._configure_error
    node.close()


def test_the_period_of_the_diagnostics_is_as_set_at_the_start_and_while_unconfigured(planner_process, peer):
    planner = planner_process.start(autostart=False, extra={"diagnostics_period_s": 5.0})

    def told_in(duration_s):
        before = len(planner.diagnostics)
        peer.spin_for(duration_s)
        return len(planner.diagnostics) - before

    assert planner.state() == "unconfigured"
    assert told_in(2.0) <= 1
    assert planner.set_parameters(diagnostics_period_s=0.05)[0]
    assert peer.spin_until(lambda: told_in(1.0) >= 4, 30)
    assert planner.transition("configure")
    assert peer.spin_until(lambda: told_in(1.0) >= 4, 30)
    accepted, why = planner.set_parameters(diagnostics_period_s=5.0)
    assert not accepted and "diagnostics_period_s: can only be set while unconfigured" in why
