"""The sub-commands of `pair-drive`, imported when they are called: most of them need torch, which takes seconds."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True)
class Registration:
    """Where a sub-command is, and what the list of commands says about it.

    Attributes:
        module: of this package.
        attribute: a function, or the typer application of a group of commands.
        help: first paragraph of the command's own help, so that listing the commands imports none.
    """

    module: str
    attribute: str
    help: str


COMMANDS = {
    "bag-eval": Registration(
        "bag_eval",
        "bag_eval",
        "Run the planner on a recording as fast as it can; score the plans where ground truth is recorded.",
    ),
    "doctor": Registration(
        "doctor", "doctor", "Look at this machine: what PaIR-Drive needs, what is missing, how to get it."
    ),
    "evaluate": Registration(
        "evaluate",
        "evaluate",
        "Score the human, constant velocity, PDM-Closed and a learned planner on a benchmark, in one stage or two.",
    ),
    "score": Registration(
        "score",
        "score",
        "Score plans of any model: PDMS or EPDMS, one stage or two, as the official scripts do, without them.",
    ),
    "drive": Registration(
        "drive",
        "drive",
        "Drive towns in a closed loop, without ROS, and say how it went; drives that are done are not driven again.",
    ),
    "score-vectors": Registration(
        "score_vectors",
        "score_vectors",
        "Score the candidates of vector files from their inputs alone and print how well official results agree.",
    ),
    "train": Registration(
        "train",
        "train_command",
        "Train imitation branch, reward world model and tree sampler on town scenes and write a checkpoint.",
    ),
    "calibrate": Registration(
        "calibrate",
        "calibrate",
        "Find how sure the reward model must be to overrule a plan, the policy's or a human's; write a checkpoint.",
    ),
    "export": Registration(
        "export",
        "export",
        "Write the networks of a checkpoint as ONNX or .pt2 files and compare what they compute with torch.",
    ),
    "cache": Registration("cache", "app", "Build and check caches of NAVSIM scenes."),
    "navsim": Registration("navsim", "app", "Write data sets that the official NAVSIM devkit reads."),
    "town": Registration("town", "app", "The synthetic city: make scenes, look at them, count what they hold."),
}
"""In the order of the help."""


class LazyGroup(TyperGroup):
    """A group that lists stand-ins of its commands and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401 - click's
        """Name, command and remaining arguments of a call."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in if name is None else load_command(name), rest


def add_stand_ins(app: typer.Typer) -> None:
    """Give an application, whose class is `LazyGroup`, every command's name and help."""
    for name, entry in COMMANDS.items():
        app.command(name, help=entry.help)(_stand_in)


def load_command(name: str) -> Any:  # noqa: ANN401 - click's command, of which typer may bring its own copy
    """Import a command.

    Args:
        name: one of `COMMANDS`.
    """
    entry = COMMANDS[name]
    target = getattr(importlib.import_module(f"{__package__}.{entry.module}"), entry.attribute)
    holder = typer.Typer()
    if isinstance(target, typer.Typer):
        holder.add_typer(target, name=name)
    else:
        holder.command(name)(target)
    return typer.main.get_group(holder).commands[name]


def _stand_in() -> None:
    raise AssertionError("a stand-in is listed, never run")
