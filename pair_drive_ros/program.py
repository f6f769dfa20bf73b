"""What every node program does around its node: start ROS, run, end cleanly, say in one line why it cannot start."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import rclpy
import torch
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from pair_drive_core.scene import SceneError
from pair_drive_ros.parameters import Parameter, ParameterError


class Closable(Protocol):
    """A node that can be closed."""

    def close(self) -> None:
        """Finish work and destroy the node."""


NodeT = TypeVar("NodeT", bound=Closable)


def run_program(
    program: str, arguments: list[str] | None, create: Callable[[], NodeT], run: Callable[[NodeT], int]
) -> int:
    """Run a node until it has done its work or is told to end.

    Args:
        program: name for messages.
        arguments: command line; None for the process's own.
        create: makes the node.
        run: does the node's work and gives the exit code.

    Returns:
        Exit code: 2 for parameters and files that are refused, 0 when told to end (SIGINT, SIGTERM).
    """
    # One thread plans or simulates; more would only take the cores of the other nodes.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rclpy.init(args=arguments)
    node: NodeT | None = None
    try:
        node = create()
        return run(node)
    except (ParameterError, SceneError, FileExistsError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except RuntimeError:
        # The signal may come while the executor prepares to wait; rclpy then complains of the context that is gone.
        if rclpy.ok():
            raise
        return 0
    finally:
        if node is not None:
            node.close()
        rclpy.try_shutdown()


def help_asked(arguments: list[str] | None) -> bool:
    """Whether a command line asks what the program is, before any `--ros-args`."""
    given = sys.argv[1:] if arguments is None else arguments
    own = given[: given.index("--ros-args")] if "--ros-args" in given else given
    return bool({"-h", "--help"} & set(own))


def help_text(program: str, purpose: str, parameters: Sequence[Parameter]) -> str:
    """What a node program is, and its parameters with their defaults."""
    lines = [
        purpose.strip(),
        "",
        f"usage: {program} [--ros-args [-p NAME:=VALUE]... [--params-file FILE] [-r FROM:=TO]...]",
    ]
    lines += ["", "parameters:"]
    lines += [f"  {p.name} ({p.default}): {p.description}" for p in parameters]
    return "\n".join(lines)


def spin(node: Node) -> None:
    """Turn a node's callbacks until it is told to end."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()
