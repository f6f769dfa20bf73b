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


def with_setting(name, value):
    """A change of the file's description: one setting, by its dotted name."""

    def change(metadata):
        config = json.loads(metadata["config"])
        *groups, last = name.split(".")
        group = config
        for part in groups:
            group = group[part]
        group[last] = value
        metadata["config"] = json.dumps(config)

    return change


BOTH_ENCODERS = ("imitation.backbone.camera", "imitation.backbone.lidar")


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ("[]", "'config' as a group of settings, got \\[\\]"),
        ("null", "got None"),
        ('"text"', "got 'text'"),
        ("{", "does not fit"),
        ("", "does not fit"),
        ("9" * 5000, "does not fit"),
        ("[" * 100_000, "does not fit"),
        ('{"imitation": []}', "setting 'imitation': expected a group of settings"),
        ('{"imitation": {"backbone": {"camera": null}}}', "setting 'imitation.backbone.camera'"),
        ('{"join": {"margin": NaN}}', "setting 'join.margin': expected a finite number"),
        ('{"join": {"margin": 1' + "0" * 400 + "}}", "setting 'join.margin': expected a finite number"),
    ],
)
def test_a_description_that_is_none_is_refused(written, config, named):
    rewrite(written, change_metadata=lambda metadata: metadata.update(config=config))
    with pytest.raises(CheckpointError, match=named) as error:
        load_checkpoint(written)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("training", ["[]", "null", "[" * 100_000, "{"])
def test_a_training_that_is_none_is_refused(written, training):
    rewrite(written, change_metadata=lambda metadata: metadata.update(training=training))
    with pytest.raises(CheckpointError, match="'training'"):
        load_checkpoint(written)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("imitation.decoder_heads", 3),
        ("imitation.decoder_heads", 0),
        ("imitation.decoder_layers", 0),
        ("imitation.decoder_layers", 10**9),
        ("imitation.decoder_feed_forward", 10**9),
        ("imitation.decoder_feed_forward", 2**16),
        ("imitation.decoder_feed_forward", -1),
        ("imitation.backbone.token_width", 2**16),
        ("imitation.backbone.token_width", 0),
        ("imitation.backbone.fusion_layers", 10**9),
        ("imitation.backbone.fusion_heads", 5),
        ("imitation.backbone.camera_anchors", [2**16, 2**16]),
        ("imitation.backbone.camera_anchors", []),
        ("imitation.backbone.camera.blocks", []),
        ("imitation.backbone.camera.blocks", [10**9, 1]),
        ("imitation.backbone.camera.strides", [2]),
        ("imitation.backbone.camera.channels", []),
        ("imitation.backbone.camera.stem_kernel", 0),
        ("imitation.backbone.bev_channels", 10**30),
        ("reinforcement.sampler.group_size", 1),
        ("reinforcement.sampler.group_size", 10**9),
        ("reinforcement.reward.formula", ["pdms"]),
        ("features.lidar_range_m", 0),
        ("features.image_height_px", 0),
        ("features.image_width_px", 2**16),
        ("features.lidar_size_px", 2**15),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_more_than_the_file_holds_is_built(written, monkeypatch, name, value):
    rewrite(written, change_metadata=with_setting(name, value))
    with safe_open(written, framework="pt") as file:
        elements = sum(file.get_tensor(key).numel() for key in file.keys())  # noqa: SIM118
    built = []
    init = torch.nn.Parameter.__new__

    def make(cls, data=None, requires_grad=True):
        built.append(data.numel())
        return init(cls, data, requires_grad)

    monkeypatch.setattr(torch.nn.Parameter, "__new__", make)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        load_checkpoint(written)
    assert sum(built) <= 2 * elements + 2**16


def test_both_encoders_without_stages_are_refused(written):
    for encoder in BOTH_ENCODERS:
        for name in ("blocks", "channels", "strides"):
            rewrite(written, change_metadata=with_setting(f"{encoder}.{name}", []))
    with pytest.raises(CheckpointError, match="does not fit"):
        load_checkpoint(written)


def test_a_header_without_end_is_not_read(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes((2**40).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointError, match="header at most"):
        load_checkpoint(path)


def test_weights_of_another_kind_are_refused(written):
    rewrite(written, lambda tensors: tensors.update({"imitation.query": tensors["imitation.query"].long()}))
    with pytest.raises(CheckpointError, match=r"imitation\.query: expected torch\.float32, got torch\.int64"):
        load_checkpoint(written)
