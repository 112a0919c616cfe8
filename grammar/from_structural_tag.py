"""Structural tag -> grammar: free text, and segments that begin where a trigger comes up.

Read are the form that vLLM had first, a list of ``structures`` with ``triggers``, and xgrammar's tree of
formats. A format that is last in a tag runs on until one of the tag's ends comes up, so it is lowered
together with them. Each format becomes a rule; nothing recurses on their depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.errors import UnsupportedGrammarError
from syntagma.grammar.free_text import TextSearch
from syntagma.grammar.grammar_source import closest
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_text import shorten
from syntagma.grammar.tag_reading import Part, read_structural_tag
from syntagma.grammar.tag_segments import Segments
from syntagma.grammar.terminals import WordList
from syntagma.grammar.vocabulary import SPECIAL_MARK, special_word

# What may stand behind a format: one of these words, or nothing that it knows of. A word is a string in UTF-8
# or a special token as `special_word` spells it.
Ends = tuple[bytes, ...] | None

# Formats of xgrammar that have no counterpart here, with what to do instead.
UNSUPPORTED = {
    "qwen_xml_parameter": "use json_schema",
    "exclude_token": "special tokens never match text; leave it out",
    "any_tokens": "use any_text",
    "token_dispatch": "use dispatch, whose patterns are text",
}


def structural_tag_to_grammar(
    tag: Mapping[str, Any] | str,
    options: JsonOptions,
    budget: Budget,
    special_names: Mapping[str, int] | None = None,
) -> ir.Grammar:
    """The grammar of the texts that a structural tag describes.

    Args:
        tag: an object with ``"type": "structural_tag"``, or its JSON text.
        options: how JSON is written in its segments.
        budget: bounds on this compilation.
        special_names: the special tokens that it may ask for.

    Raises:
        GrammarError: as `GrammarCompiler.compile_structural_tag`, with the pointer of the place.
    """
    root = Part(read_structural_tag(tag, budget), "")
    if root.text("type") != "structural_tag":
        raise root.error('the type must be "structural_tag"', "type")
    lowering = _Lowering(options, budget, special_names or {})
    start = lowering.grammar.declare("root")
    if "structures" in root.value or "triggers" in root.value:
        body = lowering.structures(root)
    else:
        root.only("type", "format")
        body = lowering.call(root.part("format"))
    lowering.grammar.define(start, body)
    lowering.lower_all()
    return lowering.grammar


class _Lowering:
    """The rules of one structural tag.

    Attributes:
        grammar: the rules.
    """

    def __init__(
        self, options: JsonOptions, budget: Budget, special_names: Mapping[str, int]
    ) -> None:
        self._special_names = special_names
        self._special_ids = {token_id: name for name, token_id in special_names.items()}
        self.grammar = ir.Grammar()
        self._budget = budget
        self._segments = Segments(self.grammar, options, budget)
        # Declared rules and what they are to be.
        self._waiting: list[tuple[int, Part, Ends]] = []
        self._with_ends: dict[str, Callable[[Part, Ends], ir.Node]] = {
            "any_text": self._any_text,
            "sequence": self._sequence,
            "or": self._or,
            "optional": self._optional,
            "tag": self._tag,
            "triggered_tags": self._triggered_tags,
            "token_triggered_tags": self._token_triggered_tags,
            "dispatch": self._dispatch,
        }
        self._by_itself: dict[str, Callable[[Part], ir.Node]] = {
            "const_string": self._const_string,
            "token": self._token,
            "json_schema": self._segments.json_schema,
            "regex": self._segments.text,
            "choice": self._segments.text,
            "grammar": self._segments.text,
            "json_string": self._segments.json_string,
            "tags_with_separator": self._tags_with_separator,
            "star": lambda part: self._repeat(part, 0, None),
            "plus": lambda part: self._repeat(part, 1, None),
            "repeat": self._counted,
        }

    def call(self, part: Part, ends: Ends = None) -> ir.Call:
        """A call of the rule of a format and, if there are any, one of its ends."""
        rule = self.grammar.declare(str(part.value.get("type")))
        self._waiting.append((rule, part, ends))
        return ir.Call(rule)

    def lower_all(self) -> None:
        """Give all declared rules their bodies."""
        while self._waiting:
            rule, part, ends = self._waiting.pop()
            self._budget.check_time()
            self._budget.check("max_rules", len(self.grammar.rules), "rules of the grammar")
            self.grammar.define(rule, self._body(part, ends))

    def _body(self, part: Part, ends: Ends) -> ir.Node:
        kind = part.text("type")
        if kind in self._with_ends:
            return self._with_ends[kind](part, ends)
        if kind in self._by_itself:
            return _before(self._by_itself[kind](part), ends)
        known = (*self._with_ends, *self._by_itself)
        near = closest(kind, known)
        advice = UNSUPPORTED.get(kind) or (
            f"did you mean {near!r}?" if near else f"known are {', '.join(known)}"
        )
        raise UnsupportedGrammarError(
            f"the format {shorten(kind)!r} is not supported: {advice}",
            keyword=shorten(kind),
            pointer=part.at("type"),
        )

    def structures(self, root: Part) -> ir.Node:
        """The older form: triggers, and structures with a begin, a schema and an end."""
        root.only("type", "structures", "triggers")
        tags = []
        for part in root.parts("structures"):
            part.only("begin", "schema", "end")
            schema = self._segments.schema(part.required("schema"), part.at("schema"))
            tags.append((part, ir.sequence(schema, _literal(part.text("end").encode()))))
        return self._free(root, self._by_trigger(root, tags), None)

    def _any_text(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "excludes", "max_tokens", "max_chars")
        part.leaves_out(
            "limit the output with max_tokens of the request", "max_tokens", "max_chars"
        )
        return self._free(part, {}, ends)

    def _const_string(self, part: Part) -> ir.Node:
        part.only("type", "value")
        return _literal(part.text("value").encode())

    def _token(self, part: Part) -> ir.Node:
        part.only("type", "token")
        return _literal(self._special(part, part.required("token"), "token"))

    def _special(self, part: Part, token: object, *path: str | int) -> bytes:
        """A special token, given by its name or number."""
        names = self._special_names
        if isinstance(token, int) and not isinstance(token, bool):
            name = self._special_ids.get(token)
        else:
            name = token if isinstance(token, str) and token in names else None
        if name is None:
            near = closest(token, names) if isinstance(token, str) else None
            raise part.error(
                f"this vocabulary has no special token {shorten(repr(token))} that a grammar may ask for"
                + (
                    f"; did you mean {near!r}?" if near else "; what is text is written as a string"
                ),
                *path,
            )
        return special_word(name)

    def _word(self, part: Part, name: str) -> bytes:
        """A field that holds a string or a special token."""
        if isinstance(part.value.get(name), dict):
            token = part.part(name)
            if token.text("type") != "token":
                raise token.error('this must be a string or a format of type "token"', "type")
            token.only("type", "token")
            return self._special(token, token.required("token"), "token")
        return part.text(name).encode()

    def _sequence(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "elements")
        *parts, last = part.parts("elements")
        return ir.Sequence((*(self.call(element) for element in parts), self.call(last, ends)))

    def _or(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "elements")
        return ir.choice(*(self.call(element, ends) for element in part.parts("elements")))

    def _optional(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "content")
        return ir.Choice((self.call(part.part("content"), ends), _before(ir.EMPTY, ends)))

    def _repeat(self, part: Part, low: int, high: int | None) -> ir.Node:
        part.only("type", "content", "min", "max")
        return ir.repeat(self.call(part.part("content")), low, high)

    def _counted(self, part: Part) -> ir.Node:
        low, high = part.number("min"), part.number("max")
        if low < 0 or (high != -1 and high < low):
            raise part.error("min must be 0 at least, and max no less (-1: no bound)")
        if max(low, high) > ir.LARGEST_COUNT:
            raise part.error("the counts are too large")
        return self._repeat(part, low, None if high == -1 else high)

    def _tag(self, part: Part, ends: Ends) -> ir.Node:
        return _before(ir.sequence(_literal(self._word(part, "begin")), self._content(part)), ends)

    def _content(self, tag: Part) -> ir.Node:
        """The content of a tag and its end."""
        tag.only("type", "begin", "content", "end")
        if isinstance(tag.required("end"), list):
            ends = [text.encode() for text in tag.texts("end")]
        else:
            ends = [self._word(tag, "end")]
        if not ends:
            raise tag.error("a tag needs an end; it may be the empty string", "end")
        return self.call(tag.part("content"), tuple(dict.fromkeys(ends)))

    def _triggered_tags(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "triggers", "tags", "at_least_one", "stop_after_first", "excludes")
        tags = [(tag, self._content(tag)) for tag in part.parts("tags")]
        return self._tags_in_text(part, tags, self._by_trigger(part, tags), ends)

    def _token_triggered_tags(self, part: Part, ends: Ends) -> ir.Node:
        part.only(
            "type",
            "trigger_tokens",
            "tags",
            "at_least_one",
            "stop_after_first",
            "exclude_tokens",
            "excludes",
        )
        part.leaves_out(UNSUPPORTED["exclude_token"], "exclude_tokens")
        tags = [(tag, self._content(tag)) for tag in part.parts("tags")]
        found: dict[bytes, list[ir.Node]] = {}
        for index, token in enumerate(part.items("trigger_tokens")):
            found[self._special(part, token, "trigger_tokens", index)] = []
        for tag, content in tags:
            begin = self._word(tag, "begin")
            if begin not in found:
                raise tag.error("this must be one of the trigger tokens", "begin")
            found[begin].append(content)
        for index, follows in enumerate(found.values()):
            if not follows:
                raise part.error("no tag begins with this token", "trigger_tokens", index)
        return self._tags_in_text(part, tags, found, ends)

    def _tags_in_text(
        self,
        part: Part,
        tags: list[tuple[Part, ir.Node]],
        by_trigger: Mapping[bytes, list[ir.Node]],
        ends: Ends,
    ) -> ir.Node:
        """Free text with tags; ``tags`` holds each with what follows its begin."""
        is_once = part.flag("stop_after_first")
        rest = self._free(part, by_trigger, ends, is_once=is_once)
        if not part.flag("at_least_one"):
            return rest
        # The first tag stands at the beginning.
        first = ir.choice(
            *(ir.sequence(_literal(self._word(tag, "begin")), content) for tag, content in tags)
        )
        return _before(first, ends) if is_once else ir.sequence(first, rest)

    def _by_trigger(
        self, part: Part, tags: list[tuple[Part, ir.Node]]
    ) -> dict[bytes, list[ir.Node]]:
        """What may follow each trigger: the rest of a begin that it is the beginning of, and so on."""
        triggers = [trigger.encode() for trigger in part.texts("triggers")]
        found: dict[bytes, list[ir.Node]] = {trigger: [] for trigger in triggers}
        for tag, content in tags:
            self._budget.check_time()
            begin = tag.text("begin").encode()
            mine = [trigger for trigger in found if begin.startswith(trigger)]
            if len(mine) != 1:
                shown = ", ".join(repr(trigger.decode()) for trigger in mine[:3])
                told = f"{len(mine)} are: {shown}" if mine else "none is"
                raise tag.error(
                    f"exactly one trigger must be the beginning of {shorten(begin.decode())!r}, but "
                    f"{told}",
                    "begin",
                )
            found[mine[0]].append(ir.sequence(_literal(begin[len(mine[0]) :]), content))
        for index, trigger in enumerate(triggers):
            if not found[trigger]:
                raise part.error("no tag begins with this trigger", "triggers", index)
        return found

    def _dispatch(self, part: Part, ends: Ends) -> ir.Node:
        part.only("type", "rules", "loop", "excludes")
        found: dict[bytes, list[ir.Node]] = {}
        for index, rule in enumerate(part.items("rules")):
            if not isinstance(rule, list) or len(rule) != 2 or not isinstance(rule[0], str):
                raise part.error("a rule is a list of a pattern and a format", "rules", index)
            if not rule[0]:
                raise part.error("an empty string is everywhere", "rules", index)
            content = self.call(Part(rule[1], part.at("rules", index, 1)))
            found.setdefault(rule[0].encode(), []).append(content)
        if not found:
            raise part.error("the list is empty", "rules")
        return self._free(part, found, ends, is_once=not part.flag("loop", default=True))

    def _tags_with_separator(self, part: Part) -> ir.Node:
        part.only("type", "tags", "separator", "at_least_one", "stop_after_first")
        separator = _literal(part.text("separator").encode())
        tag = ir.Call(
            self.grammar.add(
                "tag", ir.choice(*(self._tag(tag, None) for tag in part.parts("tags")))
            )
        )
        tags: ir.Node = tag
        if not part.flag("stop_after_first"):
            tags = ir.Sequence((tag, ir.Repeat(ir.Sequence((separator, tag)), 0, None)))
        return tags if part.flag("at_least_one") else ir.optional(tags)

    def _free(
        self,
        part: Part,
        by_trigger: Mapping[bytes, list[ir.Node]],
        ends: Ends,
        *,
        is_once: bool = False,
    ) -> ir.Node:
        """Free text in which triggers may come up, each with what follows it, and one of the ends.

        Args:
            part: holds the strings that must not come up.
            by_trigger: what follows each trigger.
            ends: of the tag that this is last in.
            is_once: whether the first trigger is the last one.
        """
        if ends is not None and b"" in ends:
            raise part.error("free text needs an end that is not empty", "type")
        words = [*by_trigger, *(ends or ())]
        text_until = self._searching(part, words)
        segments: list[ir.Node] = []
        for number, (trigger, follows) in enumerate(by_trigger.items()):
            until = text_until(number)
            if until is None:
                raise part.error(
                    f"{shorten(trigger.decode())!r} cannot come up: it holds a string that ends the free "
                    "text before it is complete, or is one"
                )
            segments.append(ir.Sequence((until, ir.choice(*follows))))
        segment = ir.choice(*segments)
        numbers: Iterable[int | None] = (
            [None] if ends is None else range(len(by_trigger), len(words))
        )
        lasts = map(text_until, numbers)
        last = ir.choice(*(until for until in lasts if until is not None))
        if is_once:
            return ir.choice(last, _before(segment, ends))
        return ir.sequence(ir.Repeat(segment, 0, None), last) if segments else last

    def _searching(self, part: Part, words: list[bytes]) -> Callable[[int | None], ir.Node | None]:
        """The free text up to where a word comes up, before any other, by the word's number.

        None if it never does. For the number None, the free text in which no word comes up. Special tokens
        are no part of a text, so they end it wherever they come.
        """
        excluded = [text.encode() for text in part.texts("excludes", default=[])]
        strings = [i for i, word in enumerate(words) if not word.startswith(SPECIAL_MARK)]
        search = TextSearch([words[i] for i in strings], excluded, self._budget)
        without = search.without()
        free = ir.regular(without, non_empty=dfas.without_empty_word(without))

        def text_until(number: int | None) -> ir.Node | None:
            if number is None:
                return free
            if number not in strings:
                return ir.sequence(free, _literal(words[number]))
            until = search.until(strings.index(number))
            return None if until.is_empty else ir.Terminal(until)

        return text_until


def _literal(word: bytes) -> ir.Node:
    return ir.Terminal(WordList([word])) if word else ir.EMPTY


def _before(node: ir.Node, ends: Ends) -> ir.Node:
    """A node and one of the ends behind it."""
    return node if ends is None else ir.sequence(node, ir.choice(*map(_literal, ends)))
