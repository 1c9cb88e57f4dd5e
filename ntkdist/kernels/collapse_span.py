"""The collapse's inner loop as LLVM vector code: √, one polynomial, two scales, for a run of correlations.

A loop over scalars leaves it to LLVM how many vectors advance together, and LLVM takes one: every coefficient
is then loaded for every vector, and each chain of multiply-adds waits for itself.  Here ``STREAMS`` vectors of
the machine's widest registers advance in step (measured on Zen 4 in float64: 2.2 times the speed).  Every entry
goes through the same correctly rounded operations wherever it stands in the run, so bits do not depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import none
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from ntkdist.kernels import wide_registers as _wide_registers  # noqa: F401 - before anything is compiled

REGISTER_BYTES = 64 if "+avx512f" in get_host_cpu_features().split(",") else 32
# Values and variables of all streams must fit the 32 registers of AVX-512 or the 16 of AVX2.
STREAMS = 6 if REGISTER_BYTES == 64 else 4
SURVEY_STREAMS = 4


class Vectors:
    """Arithmetic on ``streams`` LLVM vectors of ``lanes`` numbers at once (scalars where ``lanes`` is 1)."""

    def __init__(self, builder: ir.IRBuilder, real: ir.Type, lanes: int, streams: int) -> None:
        self.builder, self.real, self.streams = builder, real, streams
        self.type = ir.VectorType(real, lanes) if lanes > 1 else real
        self.lanes = lanes
        self.align = 8 if isinstance(real, ir.DoubleType) else 4

    def constant(self, value: float) -> ir.Constant:
        """Return ``value`` in every lane."""
        return ir.Constant(self.type, [value] * self.lanes if self.lanes > 1 else value)

    def spread(self, scalar: ir.Value) -> ir.Value:
        """Return ``scalar`` in every lane."""
        if self.lanes == 1:
            return scalar
        one = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, ir.Constant(self.type, ir.Undefined), mask)

    def place(self, pointer: ir.Value, start: ir.Value, stream: int) -> ir.Value:
        """Return the address of a stream's lanes in an array of reals."""
        index = self.builder.add(start, ir.Constant(start.type, stream * self.lanes))
        return self.builder.bitcast(self.builder.gep(pointer, [index]), self.type.as_pointer())

    def load(self, pointer: ir.Value, start: ir.Value) -> list[ir.Value]:
        """Return consecutive numbers from ``start``, a vector a stream."""
        return [self.builder.load(self.place(pointer, start, s), align=self.align) for s in range(self.streams)]

    def save(self, values: Sequence[ir.Value], pointer: ir.Value, start: ir.Value) -> None:
        """Write one vector a stream from ``start`` on."""
        for s, value in enumerate(values):
            self.builder.store(value, self.place(pointer, start, s), align=self.align)

    def call(self, name: str, *arguments: Sequence[ir.Value]) -> list[ir.Value]:
        """Call the LLVM intrinsic ``name`` (sqrt, fabs, fma) in every stream."""
        suffix = (f"v{self.lanes}" if self.lanes > 1 else "") + f"f{8 * self.align}"
        signature = ir.FunctionType(self.type, [self.type] * len(arguments))
        function = cgutils.get_or_insert_function(self.builder.module, signature, f"llvm.{name}.{suffix}")
        return [self.builder.call(function, parts) for parts in zip(*arguments, strict=True)]


def polynomial(
    on: Vectors, c: list[ir.Value], near: list[ir.Value], far: list[ir.Value] | None, scale: list[ir.Value]
) -> list[ir.Value]:
    """Return scale · p(2√(1 − |c|) − 1), with p the polynomial ``near`` for c ≥ 0 and ``far`` below.

    Coefficients are vectors, lowest power first; without ``far`` every c is taken to be ≥ 0.
    """
    build = on.builder
    zero, one, minus = on.constant(0.0), on.constant(1.0), on.constant(-1.0)
    size = c if far is None else on.call("fabs", c)
    lack = [build.fsub(one, v) for v in size]
    lack = [build.select(build.fcmp_ordered(">", v, zero), v, zero) for v in lack]
    r = on.call("sqrt", lack)
    t = [build.fadd(build.fadd(v, v), minus) for v in r]
    side = None if far is None else [build.fcmp_ordered(">=", v, zero) for v in c]

    def coefficient(k: int) -> list[ir.Value]:
        if side is None or far is None:
            return [near[k]] * on.streams
        return [build.select(s, near[k], far[k]) for s in side]

    value = coefficient(len(near) - 1)
    for k in range(len(near) - 2, -1, -1):
        value = on.call("fma", value, t, coefficient(k))
    return [build.fmul(v, s) for v, s in zip(value, scale, strict=True)]


@contextmanager
def _while_room(builder: ir.IRBuilder, start: ir.Value, step: ir.Value, count: ir.Value) -> Iterator[ir.Value]:
    """Emit a loop that runs while ``step`` more numbers are left, advancing the counter behind ``start``."""
    check, body, after = (builder.append_basic_block(name) for name in ("check", "body", "after"))
    builder.branch(check)
    with builder.goto_block(check):
        builder.cbranch(builder.icmp_signed("<=", builder.add(builder.load(start), step), count), body, after)
    with builder.goto_block(body):
        j = builder.load(start)
        yield j
        builder.store(builder.add(j, step), start)
        builder.branch(check)
    builder.position_at_end(after)


def _span(signed: bool) -> Any:
    """Return the intrinsic ``span(row, near, far, own, other)``."""

    def typed(typingctx: Any, row: Any, near: Any, far: Any, own: Any, other: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            arrays = [context.make_array(signature.args[i])(context, builder, arguments[i]) for i in (0, 4)]
            real = context.get_value_type(row.dtype)
            count = cgutils.unpack_tuple(builder, arrays[0].shape, 1)[0]
            halves = [cgutils.unpack_tuple(builder, arguments[i]) for i in (1, 2)]
            start = cgutils.alloca_once_value(builder, ir.Constant(count.type, 0))
            width = REGISTER_BYTES // (row.dtype.bitwidth // 8)
            for lanes, streams in ((width, STREAMS), (width, 1), (1, 1)):
                on = Vectors(builder, real, lanes, streams)
                near_, far_ = ([on.spread(a) for a in half] for half in halves)
                factor = on.spread(arguments[3])
                step = ir.Constant(count.type, lanes * streams)
                with _while_room(builder, start, step, count) as j:
                    c = on.load(arrays[0].data, j)
                    scale = [builder.fmul(factor, v) for v in on.load(arrays[1].data, j)]
                    on.save(polynomial(on, c, near_, far_ if signed else None, scale), arrays[0].data, j)
            return context.get_dummy_value()

        return none(row, near, far, own, other), generate

    return intrinsic(typed)


def _survey(typingctx: Any, row: Any) -> Any:
    """Return the largest |ρ| and the smallest ρ of a run that has no NaN, (0, 0) if it is empty."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        real = context.get_value_type(row.dtype)
        count = cgutils.unpack_tuple(builder, array.shape, 1)[0]
        start = cgutils.alloca_once_value(builder, ir.Constant(count.type, 0))
        width = REGISTER_BYTES // (row.dtype.bitwidth // 8)
        ends = [cgutils.alloca_once_value(builder, ir.Constant(real, 0.0)) for _ in range(2)]
        for lanes, streams in ((width, SURVEY_STREAMS), (1, 1)):
            on = Vectors(builder, real, lanes, streams)
            best = [[cgutils.alloca_once_value(builder, on.constant(0.0)) for _ in range(streams)] for _ in ends]
            with _while_room(builder, start, ir.Constant(count.type, lanes * streams), count) as j:
                c = on.load(array.data, j)
                for slots, values, sign in ((best[0], on.call("fabs", c), ">"), (best[1], c, "<")):
                    for slot, value in zip(slots, values, strict=True):
                        _keep(builder, slot, value, sign)
            for end, slots, sign in zip(ends, best, "><", strict=True):
                for slot in slots:
                    vector = builder.load(slot)
                    for lane in range(lanes):
                        place = ir.Constant(ir.IntType(32), lane)
                        _keep(builder, end, builder.extract_element(vector, place) if lanes > 1 else vector, sign)
        return context.make_tuple(builder, signature.return_type, [builder.load(end) for end in ends])

    return UniTuple(row.dtype, 2)(row), generate


def _keep(builder: ir.IRBuilder, slot: ir.Value, value: ir.Value, sign: str) -> None:
    """Put ``value`` into ``slot`` where it is the greater (or smaller) one."""
    old = builder.load(slot)
    builder.store(builder.select(builder.fcmp_ordered(sign, value, old), value, old), slot)


survey: Any = intrinsic(_survey)
positive_span: Any = _span(signed=False)
signed_span: Any = _span(signed=True)
