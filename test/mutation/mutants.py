"""Small mistakes that somebody could make: one change of the syntax tree each."""

import ast
import copy
from collections.abc import Callable
from dataclasses import dataclass

_COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
_SAID = ("_log", "logger", "get_logger", "warn")
"""Calls that only say something: without them nothing behaves otherwise."""


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    Attributes:
        path: the module.
        line: where.
        lines: all lines of the smallest statement that it is in, or of its head where it holds others.
        number: which of the module's mutants.
        what: the mistake, in words.
        text: the module without it.
        change: makes it in the module's tree.
    """

    path: str
    line: int
    lines: tuple[int, ...]
    number: int
    what: str
    text: str
    change: Callable[[ast.AST], None]

    @property
    def source(self):
        """The module with the mistake."""
        tree = ast.parse(self.text)
        self.change(tree)
        return ast.unparse(ast.fix_missing_locations(tree))

    @property
    def key(self):
        """Names it from run to run, as long as the line stays."""
        return f"{self.path}:{self.line}: {self.what}"


def mutants_of(path, text):
    """All mutants of a module, in the order of its lines."""
    changes = _changes(ast.parse(text))
    return [Mutant(path, *place, number, what, text, change) for number, (place, what, change) in enumerate(changes)]


def _changes(tree):
    """((line, lines), words, function that makes the change in an equal tree) of every possible mistake."""
    nodes = list(ast.walk(tree))
    silent = _not_behaviour(tree)
    lines = _lines_of_statements(tree)
    for index, node in enumerate(nodes):
        if node in silent:
            continue
        for what, change in _of_node(node):
            yield (getattr(node, "lineno", 0), lines.get(node, ())), what, _at(index, change)


def _lines_of_statements(tree):
    """For every node the lines of the statement that it belongs to; of one with a body, its head's and first ones."""
    lines = {}
    for statement in ast.walk(tree):
        if not isinstance(statement, ast.stmt):
            continue
        end = statement.body[0].lineno if getattr(statement, "body", None) else statement.end_lineno
        own = tuple(range(statement.lineno, end + 1))
        # Outer statements come first in a walk: inner ones take over what is theirs.
        lines.update(dict.fromkeys(ast.walk(statement), own))
    return lines


def _at(index, change):
    """The same change at the same place of an equal tree."""
    return lambda tree: change(list(ast.walk(tree))[index])


def _not_behaviour(tree):
    """Nodes of documentation, annotations, error texts and log lines."""
    silent = set()
    for node in ast.walk(tree):
        parts = []
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node) is not None:
            parts.append(node.body[0])
        if isinstance(node, ast.Raise):
            parts.append(node)
        if isinstance(node, ast.FunctionDef):
            parts += [node.returns, *(a.annotation for a in (*node.args.args, *node.args.kwonlyargs))]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            parts += node.decorator_list
        if isinstance(node, ast.AnnAssign):
            parts.append(node.annotation)
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
            parts.append(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            parts.append(node)
        if isinstance(node, ast.Expr) and any(word in ast.unparse(node).lower() for word in _SAID):
            parts.append(node)
        for part in parts:
            if part is not None:
                silent.update(ast.walk(part))
    return silent


def _of_node(node):
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                yield (
                    f"{type(operator).__name__} -> {other.__name__} in `{_short(node)}`",
                    lambda n, i=i, other=other: n.ops.__setitem__(i, other()),
                )
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        other = _ARITHMETIC[type(node.op)]
        yield (
            f"{type(node.op).__name__} -> {other.__name__} in `{_short(node)}`",
            lambda n, other=other: setattr(n, "op", other()),
        )
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield (
            f"{type(node.op).__name__} -> {other.__name__} in `{_short(node)}`",
            lambda n, other=other: setattr(n, "op", other()),
        )
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        yield (
            f"condition `{_short(node.test)}` negated",
            lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test)),
        )
    elif isinstance(node, ast.Constant):
        yield from _of_constant(node)
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    for name in ("body", "orelse"):
        yield from _of_block(node, name)


def _of_constant(node):
    value = node.value
    if isinstance(value, bool):
        yield f"{value} -> {not value}", lambda n: setattr(n, "value", not n.value)
    elif isinstance(value, (int, float)):
        changed = value + 1 if isinstance(value, int) else value * 2.0 + 0.1
        yield f"{value} -> {changed}", lambda n: setattr(n, "value", changed)


def _of_call(node):
    if len(node.args) >= 2 and not any(isinstance(arg, ast.Starred) for arg in node.args[:2]):
        yield f"arguments of `{_short(node)}` swapped", lambda n: n.args.__setitem__(slice(0, 2), n.args[1::-1])
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield f"keyword {keyword.arg} of `{_short(node)}` left out", lambda n, i=i: n.keywords.pop(i)


def _of_block(node, name):
    """Statements left out: assignments to what is already there, and calls."""
    block = getattr(node, name, None)
    if not isinstance(block, list) or isinstance(node, (ast.Module, ast.ClassDef)):
        return
    for i, statement in enumerate(block):
        if _may_go(statement):
            yield f"`{_short(statement)}` left out", lambda n, i=i: getattr(n, name).__setitem__(i, ast.Pass())


def _may_go(statement):
    if isinstance(statement, ast.Expr):
        said = ast.unparse(statement).lower()
        return isinstance(statement.value, ast.Call) and not any(word in said for word in _SAID)
    if isinstance(statement, ast.Assign):
        return all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in statement.targets)
    return isinstance(statement, (ast.AugAssign, ast.Continue, ast.Break))


def _short(node):
    text = " ".join(ast.unparse(copy.deepcopy(node)).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
