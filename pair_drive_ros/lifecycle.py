"""What lifecycle nodes share: transitions that say why they fail, and a start without a lifecycle manager."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

NodeT = TypeVar("NodeT", bound=Any)


def told(
    transition: Callable[[NodeT, LifecycleState], TransitionCallbackReturn],
) -> Callable[[NodeT, LifecycleState], TransitionCallbackReturn]:
    """Log what a transition raises: rclpy turns it into a failed transition without a word."""

    @wraps(transition)
    def logged(node: NodeT, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except BaseException:
            node.get_logger().error(traceback.format_exc())
            raise

    return logged


def start(node: LifecycleNode) -> bool:
    """Configure and activate (parameter `autostart`); whether both succeeded."""
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        return False
    return bool(node.trigger_activate() == TransitionCallbackReturn.SUCCESS)
