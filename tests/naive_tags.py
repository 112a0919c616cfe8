"""What structural tags mean, by trying all ways to cut a text; and random ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

Format = dict[str, Any]
Ends = tuple[str, ...] | None

LETTERS = "<ab"


def is_word(fmt: Format, text: str) -> bool:
    """Whether a whole text matches a format."""
    return len(text) in set(ends_of(fmt, text, 0, None))


def ends_of(fmt: Format, text: str, at: int, ends: Ends) -> Iterator[int]:
    """Where a format that begins at a place may end, one of ``ends`` behind it if there are any."""
    kind = fmt["type"]
    if kind == "any_text":
        yield from free(text, at, {}, fmt.get("excludes", ()), ends)
    elif kind == "triggered_tags":
        yield from triggered(fmt, text, at, ends)
    elif kind == "tag":
        for inner in tag_ends(fmt, text, at, fmt["begin"]):
            yield from closed(text, inner, ends)
    elif kind == "sequence":
        yield from sequence(fmt["elements"], text, at, ends)
    elif kind == "or":
        for element in fmt["elements"]:
            yield from ends_of(element, text, at, ends)
    elif kind == "optional":
        yield from ends_of(fmt["content"], text, at, ends)
        yield from closed(text, at, ends)
    else:
        for end in set(limited(fmt, text, at)):
            yield from closed(text, end, ends)


def limited(fmt: Format, text: str, at: int) -> Iterator[int]:
    match fmt["type"]:
        case "const_string":
            if text.startswith(fmt["value"], at):
                yield at + len(fmt["value"])
        case "regex":
            pattern = re.compile(fmt["pattern"])
            yield from (end for end in range(at, len(text) + 1) if pattern.fullmatch(text, at, end))
        case "choice":
            for choice in fmt["choices"]:
                yield from limited({"type": "const_string", "value": choice}, text, at)
        case "star" | "plus":
            seen = {at}
            waiting = [at]
            if fmt["type"] == "star":
                yield at
            while waiting:
                for end in ends_of(fmt["content"], text, waiting.pop(), None):
                    yield end
                    if end not in seen:
                        seen.add(end)
                        waiting.append(end)
        case "tags_with_separator":
            if not fmt.get("at_least_one"):
                yield at
            starts = {at}
            while starts:
                found = {
                    e for s in starts for tag in fmt["tags"] for e in ends_of(tag, text, s, None)
                }
                yield from found
                separator = fmt["separator"]
                starts = {e + len(separator) for e in found if text.startswith(separator, e)}
                if fmt.get("stop_after_first"):
                    break
        case kind:
            raise ValueError(kind)


def closed(text: str, at: int, ends: Ends) -> Iterator[int]:
    """Behind any of the ends that stand at a place."""
    if ends is None:
        yield at
    for end in ends or ():
        if text.startswith(end, at):
            yield at + len(end)


def sequence(elements: list[Format], text: str, at: int, ends: Ends) -> Iterator[int]:
    first, *others = elements
    if not others:
        yield from ends_of(first, text, at, ends)
    else:
        for middle in set(ends_of(first, text, at, None)):
            yield from sequence(others, text, middle, ends)


def tag_ends(tag: Format, text: str, at: int, begin: str) -> Iterator[int]:
    """Where a tag may end of whose begin a part stands at a place."""
    if text.startswith(begin, at):
        end = tag["end"]
        ends = (end,) if isinstance(end, str) else tuple(end)
        yield from ends_of(tag["content"], text, at + len(begin), ends)


def triggered(fmt: Format, text: str, at: int, ends: Ends) -> Iterator[int]:
    is_once = fmt.get("stop_after_first", False)
    starts = {at}
    if fmt.get("at_least_one"):
        starts = {end for tag in fmt["tags"] for end in tag_ends(tag, text, at, tag["begin"])}
        if is_once:
            for start in starts:
                yield from closed(text, start, ends)
            return
    tags = {
        trigger: [tag for tag in fmt["tags"] if tag["begin"].startswith(trigger)]
        for trigger in fmt["triggers"]
    }
    seen = set(starts)
    waiting = list(starts)
    while waiting:
        segments: set[int] = set()
        yield from free(text, waiting.pop(), tags, fmt.get("excludes", ()), ends, segments)
        for end in segments:
            if is_once:
                yield from closed(text, end, ends)
            elif end not in seen:
                seen.add(end)
                waiting.append(end)


def free(
    text: str,
    at: int,
    tags: Mapping[str, list[Format]],
    excludes: Any,
    ends: Ends,
    segments: set[int] | None = None,
) -> Iterator[int]:
    """Where free text may end; ``segments``: gets the ends of the tag that it leads to."""
    for end in range(at, len(text) + 1):
        met = [w for w in (*tags, *excludes, *(ends or ())) if text.endswith(w, at, end)]
        if not met:
            if ends is None:
                yield end
            continue
        longest = max(met, key=len)
        if longest in tags:
            for tag in tags[longest]:
                rest = tag["begin"][len(longest) :]
                assert segments is not None
                segments.update(tag_ends(tag, text, end, rest))
        elif longest not in excludes:
            yield end
        return


texts = st.text(LETTERS, min_size=1, max_size=2)


def formats(depth: int = 2) -> st.SearchStrategy[Format]:
    """Random formats, triggers and begins often like each other."""
    simple = st.one_of(
        st.builds(lambda v: {"type": "const_string", "value": v}, st.text(LETTERS, max_size=2)),
        st.builds(
            lambda p: {"type": "regex", "pattern": p},
            st.sampled_from(["a+", "[ab]", "(ab)*", "<?"]),
        ),
        st.builds(
            lambda c: {"type": "choice", "choices": c}, st.lists(texts, min_size=1, max_size=2)
        ),
        st.builds(lambda e: {"type": "any_text", "excludes": e}, st.lists(texts, max_size=1)),
    )
    if depth == 0:
        return simple
    inner = formats(depth - 1)
    several = st.lists(inner, min_size=1, max_size=3)
    tags = tag_formats(texts, inner)
    return st.one_of(
        inner,
        st.builds(lambda e: {"type": "sequence", "elements": e}, several),
        st.builds(lambda e: {"type": "or", "elements": e}, several),
        st.builds(
            lambda k, c: {"type": k, "content": c},
            st.sampled_from(["optional", "star", "plus"]),
            inner,
        ),
        tags,
        st.builds(
            lambda t, s, a, o: {
                "type": "tags_with_separator",
                "tags": t,
                "separator": s,
                "at_least_one": a,
                "stop_after_first": o,
            },
            st.lists(tags, min_size=1, max_size=2),
            st.text(LETTERS, max_size=1),
            st.booleans(),
            st.booleans(),
        ),
        triggered_formats(inner),
    )


def tag_formats(
    begins: st.SearchStrategy[str], content: st.SearchStrategy[Format]
) -> st.SearchStrategy[Format]:
    ends = st.one_of(st.text(LETTERS, max_size=2), st.lists(texts, min_size=1, max_size=2))
    return st.builds(
        lambda b, c, e: {"type": "tag", "begin": b, "content": c, "end": e}, begins, content, ends
    )


@st.composite
def triggered_formats(draw: st.DrawFn, content: st.SearchStrategy[Format]) -> Format:
    triggers = draw(st.lists(texts, min_size=1, max_size=2, unique=True))
    tags = []
    for trigger in triggers:
        begins = st.builds(lambda rest, t=trigger: t + rest, st.text(LETTERS, max_size=1))
        tags += draw(st.lists(tag_formats(begins, content), min_size=1, max_size=2))
    return {
        "type": "triggered_tags",
        "triggers": triggers,
        "tags": tags,
        "at_least_one": draw(st.booleans()),
        "stop_after_first": draw(st.booleans()),
        "excludes": draw(st.lists(texts, max_size=1)),
    }
