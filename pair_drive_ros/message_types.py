"""Message classes by their names."""

from __future__ import annotations

import importlib
from typing import Any


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
