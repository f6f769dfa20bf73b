"""Message classes by their names."""

from __future__ import annotations

import array
import importlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt


@lru_cache(maxsize=128)
def message_type(name: str) -> Any:  # noqa: ANN401 - generated classes have no common base
    """The class of a message type such as `sensor_msgs/msg/Image`.

    Raises:
        ModuleNotFoundError: naming the package that has to be installed.
    """
    package, kind, message = name.split("/")
    try:
        module = importlib.import_module(f"{package}.{kind}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{name}: expected the ROS package {package!r} to be installed ({error})") from None
    return getattr(module, message)


def ros_message(kind: str, **fields: Any) -> Any:  # noqa: ANN401
    """Makes a message for rclpy: `pair_drive_core.driving.messages.MakeMessage`.

    Arrays of numbers are handed over in the type that rclpy takes without looking at each element.
    """
    given = {name: _sequence(value) if isinstance(value, np.ndarray) else value for name, value in fields.items()}
    return message_type(kind)(**given)


def _sequence(values: npt.NDArray[Any]) -> array.array[Any]:
    packed: array.array[Any] = array.array(values.dtype.char)
    packed.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return packed
