"""Parameters of a node: declared once with type, bounds and description, and validated together."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

ParameterValue: TypeAlias = bool | int | float | str | list[float] | list[str]

_BUILT_IN_PREFIXES = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters that every node has."""


class ParameterError(ValueError):
    """Parameters that are unknown, of a wrong type, out of bounds, or contradict each other."""


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        name: dotted name.
        default: value where none is given; its type is the parameter's.
        description: what it does, with its unit.
        low: least value of a number; None for other types.
        high: greatest value of a number.
        choices: allowed texts; empty where any is allowed.
    """

    name: str
    default: ParameterValue
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def descriptor(self) -> ParameterDescriptor:
        """For tools such as `ros2 param describe`."""
        descriptor = ParameterDescriptor(name=self.name, description=self.description)
        if self.choices:
            descriptor.additional_constraints = f"one of {', '.join(self.choices)}"
        if self.low is not None and self.high is not None:
            if isinstance(self.default, float):
                descriptor.floating_point_range = [FloatingPointRange(from_value=self.low, to_value=self.high)]
            else:
                descriptor.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high))]
        return descriptor

    def problem(self, value: object) -> str | None:
        """What is wrong with a value; None if it is allowed."""
        if type(value) is not type(self.default) and not isinstance(self.default, list):
            return f"{self.name}: expected {type(self.default).__name__}, got {type(value).__name__} {value!r}"
        if self.choices and value not in self.choices:
            return f"{self.name}: expected one of {', '.join(self.choices)}, got {value!r}"
        if self.low is not None and self.high is not None and isinstance(value, (int, float)):
            inside = self.low <= value <= self.high
            return None if inside else f"{self.name}: expected {self.low:g} to {self.high:g}, got {value:g}"
        return None


def declare(node: Node, parameters: Sequence[Parameter]) -> None:
    """Declare all parameters of a node.

    Raises:
        ParameterError: naming every parameter that is unknown or whose given value is not allowed, at once.
    """
    problems = [problem for parameter in parameters if (problem := _declare_one(node, parameter)) is not None]
    known = {parameter.name for parameter in parameters}
    # rclpy passes over what nobody declared; a misspelt name would silently leave the default in place.
    given_names = [name for name in node._parameter_overrides if not name.startswith(_BUILT_IN_PREFIXES)]
    problems += [f"{name}: unknown; available: {', '.join(sorted(known))}" for name in given_names if name not in known]
    declared = [parameter for parameter in parameters if node.has_parameter(parameter.name)]
    problems += value_problems(declared, values(node, declared))
    if problems:
        raise ParameterError("; ".join(problems))


def _declare_one(node: Node, parameter: Parameter) -> str | None:
    """Declare a parameter; returns what is wrong with its given value."""
    try:
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        given = node._parameter_overrides.get(parameter.name)
        value = given.value if given is not None else None
        return parameter.problem(value) or f"{parameter.name}: {error}"
    return None


def values(node: Node, parameters: Sequence[Parameter]) -> dict[str, ParameterValue]:
    """The values of all parameters by name."""
    return {parameter.name: plain(node.get_parameter(parameter.name).value) for parameter in parameters}


def plain(value: object) -> ParameterValue:
    """A value of rclpy, whose lists of numbers are arrays, as a plain one."""
    return list(value) if isinstance(value, array.array) else value  # type: ignore[return-value]


def value_problems(parameters: Sequence[Parameter], given: Mapping[str, object]) -> list[str]:
    """What is wrong with each value taken alone."""
    found = (parameter.problem(given[parameter.name]) for parameter in parameters if parameter.name in given)
    return [problem for problem in found if problem is not None]
