"""Parameter services whose changes may take seconds to prepare, without the executor standing still meanwhile."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from rclpy.parameter_service import ParameterService
from rclpy.task import Future

from pair_drive_core.driving.guarded_planner import one_line

ResultT = TypeVar("ResultT")


class Preparation(Generic[ResultT]):
    """Something that is made on a thread of its own.

    Args:
        make: makes it.
        done: told when it has been made, or cannot be; called on that thread.
    """

    def __init__(self, make: Callable[[], ResultT], done: Callable[[], None]) -> None:
        self.result: ResultT | None = None
        self.problem = ""
        self._make = make
        self._done = done
        self._thread = threading.Thread(target=self._run, name="preparation", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._make()
        except Exception as error:  # noqa: BLE001 - the thread owns its exceptions: what it raises is a refusal
            self.problem = refusal(error)
        finally:
            self._done()


def refusal(error: Exception) -> str:
    """Why something is refused: our own errors speak for themselves, others are named by their kind."""
    text = " ".join(str(error).split())
    return text if text and isinstance(error, (ValueError, OSError, ModuleNotFoundError)) else one_line(error)


class _OwnGroup:
    """Creates a node's services in a callback group of their own: one that waits must hold up nothing else."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = ReentrantCallbackGroup()

    def get_name(self) -> str:
        return str(self._node.get_name())

    def create_service(self, kind: Any, name: str, callback: Callable[..., Any], **options: Any) -> None:  # noqa: ANN401
        self._node.create_service(kind, name, callback, callback_group=self._group, **options)


class PreparedParameterService(ParameterService):  # type: ignore[misc]
    """rclpy's parameter services; before a change is applied the node may prepare it.

    Waiting is done as rclpy's executors do it for any coroutine: other callbacks of the node are served meanwhile.

    Args:
        node: created with `start_parameter_services=False`.
        prepare: given the changes of one request; returns what to wait for, or None.
    """

    def __init__(self, node: Node, prepare: Callable[[list[RosParameter]], Future | None]) -> None:
        self._node = node
        self._prepare = prepare
        self._services = _OwnGroup(node)
        super().__init__(self._services)

    def _get_node(self) -> Node:
        return self._node

    async def _set_parameters_callback(self, request: Any, response: Any) -> Any:  # noqa: ANN401 - generated classes
        await self._prepared(request)
        return self._applied(super()._set_parameters_callback, request, response)

    async def _set_parameters_atomically_callback(self, request: Any, response: Any) -> Any:  # noqa: ANN401
        await self._prepared(request)
        return self._applied(super()._set_parameters_atomically_callback, request, response)

    async def _prepared(self, request: Any) -> None:  # noqa: ANN401
        waiting = self._prepare([RosParameter.from_parameter_msg(given) for given in request.parameters])
        if waiting is not None:
            await waiting

    def _applied(self, apply: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:  # noqa: ANN401
        """What rclpy raises for a request (a value of no type, say) must not end the process that serves it."""
        try:
            return apply(request, response)
        except Exception:  # noqa: BLE001 - the caller gets no results, the log the reason
            self._node.get_logger().error(f"parameters not set: {traceback.format_exc()}")
            return response
