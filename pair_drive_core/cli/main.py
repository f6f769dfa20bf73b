"""Entry point of the `pair-drive` command."""

from __future__ import annotations

import sys

import typer

from pair_drive_core.cli import cache, navsim, town
from pair_drive_core.cli.bag_eval import bag_eval
from pair_drive_core.cli.evaluate import evaluate
from pair_drive_core.cli.score_vectors import score_vectors
from pair_drive_core.cli.train import train_command

app = typer.Typer(
    name="pair-drive",
    help="Parallel imitation and reinforcement learning for end-to-end driving.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

USER_ERRORS = (ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""What bad input raises; anything else is a defect and keeps its traceback."""


app.add_typer(cache.app, name="cache")
app.add_typer(navsim.app, name="navsim")
app.add_typer(town.app, name="town")
app.command("bag-eval")(bag_eval)
app.command("evaluate")(evaluate)
app.command("score-vectors")(score_vectors)
app.command("train")(train_command)


@app.callback()
def pair_drive() -> None:
    """Parallel imitation and reinforcement learning for end-to-end driving."""


def main() -> None:
    """Run the command; bad input ends with one line on stderr and exit code 2."""
    try:
        app()
    except USER_ERRORS as error:
        text = " ".join(str(error).split())
        print(f"pair-drive: {text}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
