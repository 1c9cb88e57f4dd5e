"""The duals and the recursion as CUDA C, translated from the very functions that Numba compiles.

The portable subset is small: numbers, tuples returned and unpacked, ``if``, ``for … in range``, ``while``, calls of
other such functions, and arrays that are only read, by index or by row.  Every real is a double, every index a
``long long``; a function that returns a tuple returns a struct.  An array is a pointer, ``x[i]`` of a two-dimensional
one the row's address, and ``.size`` of one is passed beside it.  What is not in the subset is refused here, not by
the CUDA compiler.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Mod: "%"}
_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_MATH = {"sqrt", "atan2", "sin", "cos", "exp", "expm1", "erf"}
INTEGER, BOOLEAN, REAL = "long long", "bool", "double"


class Translator:
    """Collects the C of a function and of all it calls, each once, callees first."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.results: dict[str, tuple[str, ...]] = {}

    def add(self, function: Any, arrays: dict[str, str] | None = None) -> str:
        """Translate ``function`` (a Numba dispatcher or plain function) if it is new; return its C name."""
        plain = getattr(function, "py_func", function)
        name = f"ntk_{plain.__name__}"
        if name not in self.results:
            self.results[name] = ()
            tree = ast.parse(textwrap.dedent(inspect.getsource(plain))).body[0]
            assert isinstance(tree, ast.FunctionDef)
            self.parts.append(_Function(self, plain, tree, name, arrays or {}).text())
        return name

    def source(self) -> str:
        """Return everything collected."""
        return "\n".join(self.parts)


class _Function:
    def __init__(
        self, owner: Translator, plain: Callable[..., Any], tree: ast.FunctionDef, name: str, arrays: dict[str, str]
    ) -> None:
        self.owner, self.plain, self.tree, self.name = owner, plain, tree, name
        self.types: dict[str, str] = {}
        self.declared: list[str] = []
        used = {n.value.id for n in ast.walk(tree) if isinstance(n, ast.Subscript) and isinstance(n.value, ast.Name)}
        for argument in tree.args.args:
            note = ast.unparse(argument.annotation) if argument.annotation else "Any"
            kind = {"int": INTEGER, "bool": BOOLEAN}.get(note, REAL)
            if argument.arg in arrays:
                kind = arrays[argument.arg]
            elif argument.arg in used or argument.arg in ("par", "row1", "row2", "num"):
                kind = "const double*"
            self.types[argument.arg] = kind
        self.parameters = [a.arg for a in tree.args.args]

    def text(self) -> str:
        body: list[str] = []
        for statement in self.tree.body:
            body += self.statement(statement, "  ")
        kinds = self.owner.results[self.name]
        result = kinds[0] if len(kinds) == 1 else f"{self.name}_result"
        struct = ""
        if len(kinds) > 1:
            fields = " ".join(f"{kind} r{i};" for i, kind in enumerate(kinds))
            struct = f"struct {result} {{ {fields} }};\n"
        arguments = ", ".join(f"{self.types[a]} {a}" for a in self.parameters)
        locals_ = [f"  {self.types[v]} {v};" for v in self.declared]
        head = f"__device__ static {result} {self.name}({arguments})\n{{"
        return "\n".join([struct + head, *locals_, *body, "}"]) + "\n"

    def declare(self, name: str, kind: str) -> None:
        known = self.types.get(name)
        if known is None:
            self.types[name] = kind
            self.declared.append(name)
        elif known != kind and {known, kind} != {INTEGER, REAL} and known != REAL:
            raise NotImplementedError(f"{self.name}: {name} is both {known} and {kind}")

    def statement(self, node: ast.stmt, pad: str) -> list[str]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return []
        if isinstance(node, ast.Return):
            return self.returned(node, pad)
        if isinstance(node, ast.Assign):
            return self.assigned(node.targets[0], node.value, pad)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            return [f"{pad}{node.target.id} {_BINARY[type(node.op)]}= {self.value(node.value)[0]};"]
        if isinstance(node, ast.If):
            lines = [f"{pad}if ({self.value(node.test)[0]}) {{", *self.block(node.body, pad)]
            if node.orelse:
                lines += [f"{pad}}} else {{", *self.block(node.orelse, pad)]
            return [*lines, f"{pad}}}"]
        if isinstance(node, ast.While):
            return [f"{pad}while ({self.value(node.test)[0]}) {{", *self.block(node.body, pad), f"{pad}}}"]
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            return self.loop(node, node.target.id, pad)
        raise NotImplementedError(f"{self.name}: {ast.unparse(node)}")

    def block(self, body: list[ast.stmt], pad: str) -> list[str]:
        return [line for statement in body for line in self.statement(statement, pad + "  ")]

    def loop(self, node: ast.For, name: str, pad: str) -> list[str]:
        assert isinstance(node.iter, ast.Call)
        ends = [self.value(a)[0] for a in node.iter.args]
        start, stop, step = {1: ("0", ends[0], "1"), 2: (ends[0], ends[-1], "1"), 3: tuple(ends)}[len(ends)]
        name = name if name != "_" else f"turn{len(self.declared)}"
        self.declare(name, INTEGER)
        sign = ">" if step.lstrip("(").startswith("-") else "<"
        head = f"{pad}for ({name} = {start}; {name} {sign} {stop}; {name} += {step}) {{"
        return [head, *self.block(node.body, pad), f"{pad}}}"]

    def returned(self, node: ast.Return, pad: str) -> list[str]:
        assert node.value is not None
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        found = [self.value(v) for v in values]
        if len(found) == 1 and found[0][1].startswith("struct "):
            # Passing on another function's tuple.
            self.owner.results[self.name] = self.owner.results[found[0][1].removeprefix("struct ")]
            callee = found[0][1].removeprefix("struct ")
            kinds = self.owner.results[callee]
            temp = f"{pad}{{ {callee}_result t = {found[0][0]}; "
            return [temp + f"return {{{', '.join(f't.r{i}' for i in range(len(kinds)))}}}; }}"]
        kinds = tuple(REAL if kind == INTEGER and len(found) > 1 else kind for _, kind in found)
        self.owner.results[self.name] = kinds
        if len(found) == 1:
            return [f"{pad}return {found[0][0]};"]
        return [
            f"{pad}return {{{', '.join(f'({kind})({text})' for (text, _), kind in zip(found, kinds, strict=True))}}};"
        ]

    def assigned(self, target: ast.expr, value: ast.expr, pad: str) -> list[str]:
        text, kind = self.value(value)
        if isinstance(target, ast.Tuple):
            callee = kind.removeprefix("struct ")
            lines = [f"{pad}{{ {callee}_result t = {text};"]
            for i, (part, part_kind) in enumerate(zip(target.elts, self.owner.results[callee], strict=True)):
                assert isinstance(part, ast.Name)
                self.declare(part.id, part_kind)
                lines.append(f"{pad}  {part.id} = t.r{i};")
            return [*lines, f"{pad}}}"]
        if not isinstance(target, ast.Name):
            raise NotImplementedError(f"{self.name}: {ast.unparse(target)}")
        self.declare(target.id, kind)
        return [f"{pad}{target.id} = {text};"]

    def value(self, node: ast.expr) -> tuple[str, str]:
        """Return the C text of an expression and its type."""
        if isinstance(node, ast.Constant):
            if isinstance(node.value, int):
                return str(node.value), INTEGER
            return float(node.value).hex(), REAL  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            if node.id in self.types:
                return node.id, self.types[node.id]
            return float(self.plain.__globals__[node.id]).hex(), REAL
        if isinstance(node, ast.UnaryOp):
            text, kind = self.value(node.operand)
            sign = {ast.USub: "-", ast.Not: "!"}[type(node.op)]
            return f"({sign}{text})", BOOLEAN if sign == "!" else kind
        if isinstance(node, ast.BinOp):
            return self.binary(node)
        if isinstance(node, ast.Compare):
            left, right = self.value(node.left)[0], self.value(node.comparators[0])[0]
            return f"({left} {_COMPARE[type(node.ops[0])]} {right})", BOOLEAN
        if isinstance(node, ast.BoolOp):
            sign = " && " if isinstance(node.op, ast.And) else " || "
            return f"({sign.join(self.value(v)[0] for v in node.values)})", BOOLEAN
        if isinstance(node, ast.IfExp):
            (yes, kind), (no, other) = self.value(node.body), self.value(node.orelse)
            return f"({self.value(node.test)[0]} ? {yes} : {no})", kind if kind == other else REAL
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            index = self.value(node.slice)[0]
            kind = self.types[node.value.id]
            if kind == "rows":
                raise NotImplementedError(f"{self.name}: {ast.unparse(node)}")
            element = INTEGER if "long" in kind else REAL
            return f"({element}){node.value.id}[{index}]", element
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return self.call(node, node.func.id)
        raise NotImplementedError(f"{self.name}: {ast.unparse(node)}")

    def binary(self, node: ast.BinOp) -> tuple[str, str]:
        (left, a), (right, b) = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Pow):
            return f"pow((double)({left}), (double)({right}))", REAL
        if isinstance(node.op, ast.FloorDiv):
            return f"({left} / {right})", INTEGER
        both = INTEGER if a == b == INTEGER else REAL
        if isinstance(node.op, ast.Div):
            return f"((double)({left}) / {right})", REAL
        return f"({left} {_BINARY[type(node.op)]} {right})", both

    def call(self, node: ast.Call, name: str) -> tuple[str, str]:
        arguments = ", ".join(self.value(a)[0] for a in node.args)
        if name in _MATH:
            return f"{name}({arguments})", REAL
        if name in ("int", "float"):
            kind = INTEGER if name == "int" else REAL
            return f"(({kind})({arguments}))", kind
        c_name = self.owner.add(self.plain.__globals__[name])
        kinds = self.owner.results[c_name]
        return f"{c_name}({arguments})", kinds[0] if len(kinds) == 1 else f"struct {c_name}"
