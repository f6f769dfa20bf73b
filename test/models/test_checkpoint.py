"""Checkpoints round trip; files that do not fit are refused with one clear sentence."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pair_drive_core.models import CheckpointError, load_checkpoint, save_checkpoint


@pytest.fixture
def written(model, tmp_path):
    path = tmp_path / "deep" / "model.safetensors"
    save_checkpoint(path, model, {"seed": 3, "command": "pair-drive train"})
    return path


def rewrite(path, change_tensors=lambda tensors: None, change_metadata=lambda metadata: None):
    with safe_open(path, framework="pt") as file:
        metadata, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change_tensors(tensors)
    change_metadata(metadata)
    save_file(tensors, path, metadata)


def test_round_trip(model, written, features):
    loaded = load_checkpoint(written)
    assert loaded.training == {"seed": 3, "command": "pair-drive train"}
    assert loaded.model.config == model.config
    assert not loaded.model.training
    assert torch.equal(loaded.model.imitation(features), model.imitation(features))


def test_nothing_but_the_file_is_left(written):
    assert [entry.name for entry in written.parent.iterdir()] == ["model.safetensors"]


def test_failed_write_leaves_the_old_file(model, written):
    before = written.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(written, model, {"seed": object()})
    assert written.read_bytes() == before
    assert len(list(written.parent.iterdir())) == 1


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*none\.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_truncated_file(written):
    written.write_bytes(written.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected a whole safetensors file"):
        load_checkpoint(written)


def test_foreign_file(tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="expected format 'pair-drive checkpoint', got 'none'"):
        load_checkpoint(tmp_path / "other.safetensors")


def test_other_version(written):
    rewrite(written, change_metadata=lambda metadata: metadata.update(format_version="99"))
    with pytest.raises(CheckpointError, match="expected format version 1, got 99"):
        load_checkpoint(written)


def test_wrong_shape_names_both(written):
    def grow(tensors):
        tensors["imitation.query"] = torch.zeros(1, 1, 99)

    rewrite(written, grow)
    with pytest.raises(CheckpointError, match=r"imitation\.query: expected shape \(1, 1, 16\), got \(1, 1, 99\)"):
        load_checkpoint(written)


def test_missing_and_unknown_tensors_are_named(written):
    def swap(tensors):
        tensors["surprise"] = tensors.pop("imitation.query")

    rewrite(written, swap)
    with pytest.raises(CheckpointError, match=r"missing \['imitation\.query'\], unknown \['surprise'\]"):
        load_checkpoint(written)


def test_weights_must_be_finite(written):
    rewrite(written, lambda tensors: tensors["imitation.query"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match=r"imitation\.query: expected finite weights"):
        load_checkpoint(written)


def test_unknown_setting_is_named(written):
    def extend(metadata):
        config = json.loads(metadata["config"])
        config["imitation"]["colour"] = "red"
        metadata["config"] = json.dumps(config)

    rewrite(written, change_metadata=extend)
    with pytest.raises(CheckpointError, match=r"unknown setting 'imitation\.colour'; available here: backbone"):
        load_checkpoint(written)
