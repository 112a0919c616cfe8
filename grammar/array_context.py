"""Many arrays as one argument of a kernel.

Handing an array to a kernel costs 60 ns, a tuple of arrays microseconds, and a mask wants some twenty of
them: that is as long as the walk takes. So whoever calls a kernel often keeps the addresses and sizes of its
arrays in one array, and the kernel makes views of them, for 15 ns each. Such kernels run compiled only; what
they call takes ordinary arrays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from syntagma.grammar.kernel_types import (
    AnyArray,
    Int32Array,
    Int64Array,
    UInt8Array,
    UInt64Array,
    brief_kernel,
    inlined_kernel,
)


@brief_kernel
def address_of(array: AnyArray) -> int:
    """Where an array's first item is; several times as fast as asking for it from outside of a kernel."""
    address: int = array.ctypes.data
    return address


class ArrayContext:
    """Addresses and sizes of arrays, which it keeps alive.

    Not locked: while a kernel runs with it, nobody may `put` others.

    Attributes:
        addresses: int64[2 * count], for the kernel.
    """

    def __init__(self, count: int) -> None:
        self.addresses = np.zeros(2 * count, np.int64)
        # Single numbers are written through a view: several times as fast.
        self._cells = self.addresses.data
        self._arrays: list[AnyArray | None] = [None] * count

    def put(self, first: int, arrays: Iterable[AnyArray]) -> None:
        """Enter arrays from a place on; those that are there already cost a comparison.

        Raises:
            ValueError: an array that is not contiguous.
        """
        kept = self._arrays
        for place, array in enumerate(arrays, first):
            if kept[place] is not array:
                if not array.flags.c_contiguous:
                    raise ValueError(f"array {place} of a context is not contiguous")
                kept[place] = array
                self.put_address(place, address_of(array), array.size)

    def put_address(self, place: int, address: int, size: int) -> None:
        """Enter an array at a place by where it is, for less time than `put` takes; the caller keeps it alive."""
        self._cells[2 * place] = address
        self._cells[2 * place + 1] = size

    def put_parts(self, first: int, memory: Int32Array, sizes: Sequence[int]) -> None:
        """Enter the parts of an array, one behind the other, from a place on; it asks for one address only."""
        address = address_of(memory)
        for place, size in enumerate(sizes, first):
            self.put_address(place, address, size)
            address += memory.itemsize * size
        self._arrays[first : first + len(sizes)] = [memory] * len(sizes)


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(typing_context: Any, address: Any) -> Any:
    """An address as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.voidptr(types.int64), generate


@inlined_kernel
def int32_view(addresses: Int64Array, place: int) -> Int32Array:
    """The int32 array at a place."""
    view: Int32Array = carray(_pointer(addresses[2 * place]), addresses[2 * place + 1], np.int32)
    return view


@inlined_kernel
def int32_table(addresses: Int64Array, place: int, width: int) -> Int32Array:
    """The int32[N, width] array at a place."""
    shape = (addresses[2 * place + 1] // width, width)
    table: Int32Array = carray(_pointer(addresses[2 * place]), shape, np.int32)
    return table


@inlined_kernel
def int64_view(addresses: Int64Array, place: int) -> Int64Array:
    """The int64 array at a place."""
    view: Int64Array = carray(_pointer(addresses[2 * place]), addresses[2 * place + 1], np.int64)
    return view


@inlined_kernel
def uint8_view(addresses: Int64Array, place: int) -> UInt8Array:
    """The uint8 array at a place."""
    view: UInt8Array = carray(_pointer(addresses[2 * place]), addresses[2 * place + 1], np.uint8)
    return view


@inlined_kernel
def uint8_table(addresses: Int64Array, place: int, width: int) -> UInt8Array:
    """The uint8[N, width] array at a place."""
    shape = (addresses[2 * place + 1] // width, width)
    table: UInt8Array = carray(_pointer(addresses[2 * place]), shape, np.uint8)
    return table


@inlined_kernel
def uint64_table(addresses: Int64Array, place: int, width: int) -> UInt64Array:
    """The uint64[N, width] array at a place."""
    shape = (addresses[2 * place + 1] // width, width)
    table: UInt64Array = carray(_pointer(addresses[2 * place]), shape, np.uint64)
    return table
