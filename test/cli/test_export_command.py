"""`pair-drive export`: what it writes, where, and what it refuses."""

import pytest

from pair_drive_core.cli.export import ExportFormat, export
from pair_drive_core.models import save_checkpoint
from pair_drive_core.policies import load_planner
from pair_drive_core.policies.runtime.backends import graphs_folder


@pytest.fixture
def checkpoint(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, {})
    return path


def test_what_was_exported_into_the_cache_is_what_auto_plans_with(
    model, checkpoint, agent_input, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PAIR_DRIVE_CACHE", str(tmp_path / "cache"))
    assert load_planner(checkpoint).networks.backend == "eager"
    export(out=None, checkpoint=str(checkpoint), form=ExportFormat.ONNX, check=3)
    said = capsys.readouterr().out
    assert str(graphs_folder(model)) in said
    assert "opset 20" in said
    assert "onnx beside eager float32, 3 scenes" in said
    planner = load_planner(checkpoint)
    assert planner.networks.backend == "onnx"
    planner.plan(agent_input)
    assert planner.networks.state.lost == ""


def test_programs_are_written_where_they_are_wanted(checkpoint, tmp_path):
    export(out=tmp_path / "programs", checkpoint=str(checkpoint), form=ExportFormat.PT2, check=0)
    names = {path.name for path in (tmp_path / "programs").iterdir()}
    assert names == {"look.pt2", "step.pt2", "reward.pt2"}


def test_engines_are_refused_by_name(checkpoint):
    with pytest.raises(ValueError, match="engines are not built"):
        export(out=None, checkpoint=str(checkpoint), form=ExportFormat.TENSORRT, check=0)


def test_without_the_exporter_the_missing_package_is_named(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("pair_drive_core.policies.runtime.onnx_export.importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="needs onnx"):
        export(out=tmp_path, checkpoint=str(checkpoint), form=ExportFormat.ONNX, check=0)
