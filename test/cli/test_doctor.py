"""What `pair-drive doctor` finds on good and on bad machines."""

import importlib.util
import json

import pytest
from typer.testing import CliRunner

from pair_drive_core.cli import doctor
from pair_drive_core.cli.doctor import Check, State, data_checks, ros_checks, split_check, transport_check
from pair_drive_core.cli.main import app
from pair_drive_core.scoring.native import library


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], standalone_mode=False)


def test_this_machine_is_well_and_says_so_in_words():
    result = run()
    assert result.return_value == 0, result.output
    for name in ("python", "packages", "torch", "scorer kernel", "checkpoint"):
        assert any(name in line for line in result.output.splitlines()), name
    assert "missing" not in result.output.split("ROS 2")[0]


def test_json_holds_one_entry_a_check():
    checks = json.loads(run("--json").output)
    assert {"name", "state", "found", "remedy"} == set(checks[0])
    assert len({check["name"] for check in checks}) == len(checks)


def test_a_checkpoint_that_does_not_load_is_named_and_fails(tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"nothing of the kind")
    for path in (torn, tmp_path / "none.safetensors"):
        result = run("--checkpoint", path, "--json")
        assert result.return_value == 1
        (found,) = (check for check in json.loads(result.output) if check["name"] == "checkpoint")
        assert found["state"] == "missing"
        assert path.name in found["found"]


def test_parts_of_a_data_set_are_counted_or_named(tmp_path):
    (tmp_path / "navsim_logs" / "test").mkdir(parents=True)
    (tmp_path / "navsim_logs" / "test" / "a.pkl").touch()
    (tmp_path / "maps").mkdir()
    found = {check.name: check for check in data_checks(tmp_path, None)}
    assert found["data: logs"].state is State.OK
    assert found["data: logs"].found.startswith("1 log files")
    assert "no such folder" in found["data: sensors"].found
    assert "no maps" in found["data: maps"].found
    assert not list(data_checks(None, None)), "nothing is looked for that was not named"


def test_a_split_file_that_is_none_is_named(tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("data_split: [")
    assert split_check(bad).state is State.MISSING
    assert split_check(tmp_path / "none.yaml").state is State.MISSING


def test_large_messages_need_a_profile_that_is_there_and_shared_memory(tmp_path):
    profile = tmp_path / "profile.xml"
    profile.touch()
    assert transport_check({}).state is State.OPTIONAL
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" in transport_check({}).remedy
    lost = transport_check({"FASTDDS_DEFAULT_PROFILES_FILE": str(tmp_path / "none.xml")})
    assert (lost.state, "none.xml" in lost.found) == (State.MISSING, True)
    assert transport_check({"FASTDDS_DEFAULT_PROFILES_FILE": str(profile)}, tmp_path / "none").state is State.OK
    assert transport_check({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}).found == "rmw_cyclonedds_cpp"


@pytest.mark.parametrize(("absent", "state"), [("pair_drive_ros.msg", State.MISSING), ("tf2_msgs", State.OPTIONAL)])
def test_message_packages_that_are_absent_are_named_with_their_remedy(absent, state, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else object())
    (found,) = (check for check in ros_checks({}) if check.name == "message packages")
    assert found.state is state
    assert absent in found.found
    assert found.remedy


def test_without_ros_only_the_nodes_are_lost(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (found,) = ros_checks({})
    assert (found.name, found.state) == ("ROS 2", State.OPTIONAL)


@pytest.mark.parametrize(("compiler", "word"), [("/usr/bin/c++", "native.build"), (None, "install a C++ compiler")])
def test_without_the_kernel_the_way_to_it_is_named(compiler, word, monkeypatch):
    monkeypatch.setattr(library, "load", lambda: None)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: compiler)
    found = doctor.kernel_check()
    assert found.state is State.OPTIONAL
    assert word in found.remedy


def test_packages_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: ["no-such-package>=1", "numpy>=1.26"])
    assert doctor.packages_check() == Check(
        "packages", State.MISSING, "without no-such-package", "pip install no-such-package"
    )
