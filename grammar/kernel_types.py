"""Array types of the kernels and the decorator that compiles them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]
UInt64Array = NDArray[np.uint64]
BoolArray = NDArray[np.bool_]
AnyArray = NDArray[Any]

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile with numba: cached on disk, without the interpreter's lock."""
    return cast(Function, njit(cache=True, nogil=True, _nrt=True)(function))


def lean_kernel(function: Function) -> Function:
    """A kernel that allocates nothing, compiled without reference counts.

    numba counts references to an array wherever one is taken from a tuple, handed on or written out with
    an inlined kernel, atomically, and takes few of these pairs out again where there are loops: in a walk
    they were two thirds of the time. Such a kernel must not make arrays, not even by assigning slices.
    """
    return cast(Function, njit(cache=True, nogil=True, _nrt=False)(function))


def brief_kernel(function: Function) -> Function:
    """A kernel that keeps the interpreter's lock: for work of microseconds that Python asks for thousands of times.

    Who waits for the lock is woken when a kernel gives it up, and finds it taken again when the kernel is that short. Each
    time its wait begins anew, so it never gets as far as asking for the lock: threads stood still for 0.1 s.
    """
    return cast(Function, njit(cache=True, _nrt=True)(function))


def inlined_kernel(function: Function) -> Function:
    """A kernel that is written out where it is called, for those that take many arrays in a loop."""
    return cast(Function, njit(cache=True, nogil=True, inline="always")(function))
