"""The files that those who carry on read, and the services that read them."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTIONS = [
    *sorted((ROOT / ".github").rglob("*.yaml")),
    ROOT / ".pre-commit-config.yaml",
    ROOT / "CITATION.cff",
]


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.name)
def test_descriptions_are_yaml(path):
    assert YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def test_every_hook_is_a_target_of_the_makefile():
    hooks = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in hooks:
        assert f"\n{hook['entry'].removeprefix('make ')}:" in makefile


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_between_pages_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert "://" in target or (page.parent / target).exists(), f"{name}: {target}"
