"""Reading a request's JSON with every bound checked before the parser sees it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from starlette.requests import Request

from syntagma.server.errors import ApiError, bad_request

# Possessive, so that a hostile string cannot make the matcher remember a position per character.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_DEPTH_CHANGE = np.zeros(256, dtype=np.int8)
_DEPTH_CHANGE[list(b"[{")] = 1
_DEPTH_CHANGE[list(b"]}")] = -1
_THREAD_ABOVE_BYTES = 1 << 16
_MAX_INTEGER_DIGITS = 1000

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")


@dataclass(frozen=True)
class JsonBody:
    """A request's JSON object.

    Attributes:
        value: the object.
        num_bytes: of its text.
    """

    value: dict[str, Any]
    num_bytes: int

    async def run(
        self,
        work: Callable[Parameters, Result],
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> Result:
        """What a function returns that takes as long as the body is large; large ones get a thread."""
        if self.num_bytes > _THREAD_ABOVE_BYTES:
            return await asyncio.to_thread(work, *args, **kwargs)
        return work(*args, **kwargs)


async def read_json_object(request: Request, *, max_bytes: int, max_depth: int) -> JsonBody:
    """The request's body, which must be a JSON object.

    Raises:
        ApiError: too large (413), too deep, not JSON, or not an object (400).
    """
    body = await read_body(request, max_bytes)
    if len(body) > _THREAD_ABOVE_BYTES:
        value = await asyncio.to_thread(parse_json, body, max_depth=max_depth)
    else:
        value = parse_json(body, max_depth=max_depth)
    if not isinstance(value, dict):
        raise bad_request("The request body must be a JSON object.", code="invalid_json")
    return JsonBody(value, len(body))


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The raw body, refused as soon as it is known to be larger than `max_bytes`."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def parse_json(
    body: bytes, *, max_depth: int, what: str = "The request body", param: str | None = None
) -> Any:
    """Strict JSON: UTF-8, bounded nesting, no duplicate keys, no NaN, no lone surrogates.

    Raises:
        ApiError: 400 that says what is wrong, without echoing the text.
    """
    if nesting_depth(body) > max_depth:
        raise bad_request(
            f"{what} nests brackets deeper than {max_depth} levels.",
            code="json_too_deep",
            param=param,
        )
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_int,
        )
        if b"\\ud" in body or b"\\uD" in body:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except ValueError as error:
        raise bad_request(f"{what} {_fault(error)}.", code="invalid_json", param=param) from None
    return value


def _fault(error: ValueError) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "holds a lone surrogate escape"
    if isinstance(error, UnicodeDecodeError):
        return f"is not UTF-8 (byte {error.start})"
    if isinstance(error, json.JSONDecodeError):
        return f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    return f"is not valid JSON: {error}"


def nesting_depth(body: bytes) -> int:
    """How deep the brackets of `body` nest, those inside strings not counted."""
    changes = _DEPTH_CHANGE[np.frombuffer(_STRING.sub(b"", body), dtype=np.uint8)]
    return int(changes.cumsum(dtype=np.int32).max(initial=0))


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A repeated "properties" or "response_format" would silently drop a constraint.
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"an object has the key {key[:80]!r} twice")
            seen.add(key)
    return result


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _bounded_int(text: str) -> int:
    if len(text) > _MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer has more than {_MAX_INTEGER_DIGITS} digits")
    return int(text)


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"The request body is larger than {max_bytes} bytes.",
        code="body_too_large",
        headers={"connection": "close"},
    )
