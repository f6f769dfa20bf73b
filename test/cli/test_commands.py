"""The list of sub-commands: quick to show, and true to the commands that it stands for."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pair_drive_core.cli.commands import COMMANDS, load_command
from pair_drive_core.cli.main import app

PRINT_MODULES = """
import sys
import pair_drive_core.cli.main as command
sys.argv = ["pair-drive", *{arguments}]
try:
    command.main()
except SystemExit:
    pass
print("imported:", *(name for name in ("torch", "numpy", "cv2", "pair_drive_core.scene") if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [(["--help"], "score-vectors"), ([], "score-vectors"), (["nix"], "No such command 'nix'")],
    ids=["help", "nothing", "typing error"],
)
def test_what_runs_no_command_imports_no_torch(arguments, shown):
    program = PRINT_MODULES.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert shown in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "imported:"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name):
    command = load_command(name)
    assert command.name == name
    assert " ".join(command.help.split("\n\n")[0].split()) == COMMANDS[name].help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_its_own_help(name):
    result = CliRunner().invoke(app, [name, "--help"], prog_name="pair-drive", env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"Usage: pair-drive {name} " in result.output
    assert COMMANDS[name].help in result.output
    assert "stand-in" not in result.output
