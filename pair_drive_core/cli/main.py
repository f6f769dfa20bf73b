"""Entry point of the `pair-drive` command."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer

from pair_drive_core.cli.commands import LazyGroup, add_stand_ins

app = typer.Typer(
    name="pair-drive",
    cls=LazyGroup,
    help="Parallel imitation and reinforcement learning for end-to-end driving.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

USER_ERRORS = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
"""What bad input raises; anything else is a defect and keeps its traceback."""
_USAGE_ERROR: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What wrong options raise; typer has it from click, or brings its own copy."""

add_stand_ins(app)


@app.callback()
def pair_drive() -> None:
    """Parallel imitation and reinforcement learning for end-to-end driving."""


def main() -> None:
    """Run the command; bad input and bad usage end with one line on stderr and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        sys.exit(130)
    except _USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
            sys.exit(2)
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        _fail(error.format_message() + hint)
    except USER_ERRORS as error:
        _fail(str(error))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> NoReturn:
    print(f"pair-drive: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
