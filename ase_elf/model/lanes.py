"""Instructions on eight numbers at once, for compiled functions.

Loops as short as those over the fields of a point are unrolled by LLVM before they could be vectorized, and then
stay scalar; these are vectors from the start. No bounds are checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

__all__ = ["LANES", "add_product", "add_squares", "put_row"]

LANES = 8
"""Numbers that are worked on together."""


@intrinsic
def add_product(typing, a, i, b, j, x):
    """a[i : i + 8] += b[j : j + 8] * x within a compiled function, by one instruction where there is one.

    ``a`` and ``b`` are contiguous float32, x is one.
    """

    def made(context, builder, signature, arguments):
        into = _lanes(context, builder, signature.args[0], arguments[0], arguments[1])
        of = _lanes(context, builder, signature.args[2], arguments[2], arguments[3])
        total = _plus_product(builder, builder.load(into, align=4), builder.load(of, align=4), arguments[4])
        builder.store(total, into, align=4)
        return context.get_dummy_value()

    return types.void(a, types.intp, b, types.intp, types.float32), made


@intrinsic
def add_squares(typing, a, i, b, j):
    """a[i : i + 8] += b[j : j + 8] ** 2 within a compiled function, as :func:`add_product`."""

    def made(context, builder, signature, arguments):
        into = _lanes(context, builder, signature.args[0], arguments[0], arguments[1])
        of = builder.load(_lanes(context, builder, signature.args[2], arguments[2], arguments[3]), align=4)
        builder.store(_plus(builder, builder.load(into, align=4), of, of), into, align=4)
        return context.get_dummy_value()

    return types.void(a, types.intp, b, types.intp), made


@intrinsic
def put_row(typing, a, i, b, j, n, matrix, k, width):
    """a[i : i + 8] = b[j : j + n] @ matrix[:, k : k + 8] within a compiled function.

    As :func:`add_product`; ``matrix`` is given flat, in rows of ``width``. The sum stays in a register.
    """

    def made(context, builder, signature, arguments):
        total = cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(ir.FloatType(), LANES), None))
        weights = context.make_array(signature.args[2])(context, builder, arguments[2]).data
        with cgutils.for_range(builder, arguments[4]) as loop:
            place = builder.add(arguments[6], builder.mul(loop.index, arguments[7]))
            row = builder.load(_lanes(context, builder, signature.args[5], arguments[5], place), align=4)
            weight = builder.load(builder.gep(weights, [builder.add(arguments[3], loop.index)]))
            builder.store(_plus_product(builder, builder.load(total), row, weight), total)
        into = _lanes(context, builder, signature.args[0], arguments[0], arguments[1])
        builder.store(builder.load(total), into, align=4)
        return context.get_dummy_value()

    index = types.intp
    return types.void(a, index, b, index, index, matrix, index, index), made


def _lanes(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where the lanes of an array begin."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), ir.VectorType(ir.FloatType(), LANES).as_pointer())


def _plus_product(builder: Any, total: Any, lanes: Any, x: Any) -> Any:
    """total + lanes * x."""
    nothing, first = ir.Constant(lanes.type, ir.Undefined), ir.IntType(32)(0)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    spread = builder.shuffle_vector(builder.insert_element(nothing, x, first), nothing, zeros)
    return _plus(builder, total, lanes, spread)


def _plus(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """total + a * b, rounded once where the machine can."""
    return builder.fadd(total, builder.fmul(a, b, flags=("contract",)), flags=("contract",))
