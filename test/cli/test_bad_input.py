"""Bad input to any command: one clear line, exit code 2, nothing half written."""

import json
import sys

import pytest

from pair_drive_core.cli.main import main


@pytest.fixture
def files(tmp_path):
    """Broken files of every kind."""
    contents = {
        "empty/.keep": b"",
        "file": b"x",
        "torn.safetensors": b"\x10" + b"\0" * 7 + b'{"a":1',
        "bag/metadata.yaml": b"rosbag2_bagfile_information: {version: 5",
        "torn.mcap": b"\x89MCAP0\r\n" + b"\0" * 50,
        "bad.yaml": b"a: [",
        "unknown.yaml": b"nonsense: 3\n",
        "cache/log.json": b"{",
        "data/navsim_logs/test/log.pkl": b"garbage",
        "data/split.yaml": b"defaults:\n- scene_filter: all\ndata_split: test\n",
        "data/scene_filter/all.yaml": b"num_history_frames: 4\n",
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path


CASES = [
    ("nix", "No such command 'nix'"),
    ("cache build", "Missing option '--data'"),
    ("cache verify @empty --nix", "No such option"),
    ("cache verify @empty", "no scene cache"),
    ("cache verify @cache", "log.json: torn cache index"),
    ("cache build --data @empty --split @no.yaml --out @out", "no.yaml: no such split file"),
    ("cache build --data @empty --split @data/split.yaml --out @out", "navsim_logs/test: no such folder"),
    ("cache build --data @data --split @data/split.yaml --out @out --workers 1", "log.pkl: corrupt pickle"),
    ("cache build --data @data --split @data/split.yaml --out @file --workers 1 --skip-bad", "file"),
    ("navsim export --out @out --layouts many", "20000-20003"),
    ("navsim export --out @out --layouts 5-3", "at least one layout"),
    ("town make --out @out --split nix", "'nix'"),
    ("bag-eval @nix", "found nothing"),
    ("bag-eval @bag", "metadata.yaml cannot be read"),
    ("bag-eval @torn.mcap", "mcap recover"),
    ("bag-eval @torn.mcap --params @bad.yaml", "not YAML"),
    ("bag-eval @torn.mcap --topic x", "NAME:=/absolute/topic"),
    ("evaluate", "one source of scenes"),
    ("evaluate --cache @empty", "no scene cache"),
    ("evaluate --town test --checkpoint @torn.safetensors --out @out", "safetensors"),
    ("evaluate --town test --checkpoint @nix", "no checkpoint"),
    ("evaluate --town test --checkpoint @nix --device tpu9", "cpu or cuda"),
    ("evaluate --town test --metric v3", "v3"),
    ("evaluate --data @data --split @data/split.yaml --out @out", "log.pkl: corrupt pickle"),
    ("score-vectors @empty", "Missing option '--out'"),
    ("train --config @no.yaml", "no.yaml"),
    ("train --config @bad.yaml", "bad.yaml"),
    ("train --config @unknown.yaml", "nonsense"),
]


@pytest.mark.parametrize(("command", "message"), CASES, ids=[command for command, _ in CASES])
def test_one_clear_line_and_exit_code_two(files, monkeypatch, capsys, command, message):
    before = sorted(files.rglob("*"))
    words = [str(files / word[1:]) if word.startswith("@") else word for word in command.split()]
    monkeypatch.setattr(sys, "argv", ["pair-drive", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert stop.value.code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("pair-drive: ")
    assert message in lines[0]
    assert sorted(files.rglob("*")) == before, "something was written"


def test_help_and_versions_of_good_calls_end_with_zero(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pair-drive", "cache", "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert "verify" in capsys.readouterr().out


def test_no_arguments_show_the_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pair-drive"])
    with pytest.raises(SystemExit):
        main()
    out, err = capsys.readouterr()
    assert "evaluate" in out + err


def test_a_defect_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pair-drive", "evaluate", "--town", "test"])
    monkeypatch.setattr("pair_drive_core.cli.evaluate.score_source", lambda *_: json.loads(None))
    with pytest.raises(TypeError):
        main()
