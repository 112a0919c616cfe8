"""Models that reason before they answer: where the reasoning ends, as vLLM's parsers see it.

The engine's process leaves masks open until then, and begins the grammar behind it; whoever follows the output
here has to find the same place, and asks the same parser the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm.parser.engine.adapters import ParserEngineReasoningAdapter
from vllm.reasoning import ReasoningParserManager
from vllm.reasoning.abs_reasoning_parsers import ReasoningParser

# vLLM names it for gpt-oss where nobody names one. It finds no end of anything: reasoning is a part of these
# answers as grammars know them.
WITHOUT_MARKS = "openai_gptoss"


class ReasoningMarks:
    """How a model marks its reasoning, by the parser that vLLM has for it.

    Args:
        parser_name: as ``--reasoning-parser`` has it.
        tokenizer: the model's.

    Raises:
        ValueError: there is no such parser, or it does not fit the model, or it looks for marks that are not
            single tokens.
    """

    def __init__(self, parser_name: str, tokenizer: Any) -> None:
        try:
            self._parser_class = ReasoningParserManager.get_reasoning_parser(parser_name)
            self._tokenizer = tokenizer
            parser = self.new_parser()
            texts = (parser.reasoning_start_str, parser.reasoning_end_str)
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"reasoning_parser={parser_name!r}: {error}") from error
        ids = [parser.vocab.get(text.strip()) if text else None for text in texts]
        if None in ids:
            raise ValueError(
                f"reasoning_parser={parser_name!r} cannot be given: its marks {texts!r} are not single tokens "
                "of this model"
            )
        self.token_ids = frozenset(token_id for token_id in ids if token_id is not None)

    def new_parser(self) -> ReasoningParser:
        """A parser for one output."""
        parser: ReasoningParser = self._parser_class(tokenizer=self._tokenizer)
        return parser

    def follow(self, prompt_token_ids: Sequence[int]) -> Reasoning | None:
        """What follows an output's reasoning; None where the prompt has ended it already."""
        parser = self.new_parser()
        if parser.is_reasoning_end(prompt_token_ids):
            return None
        return Reasoning(parser, self.token_ids, prompt_token_ids)


def reasoning_marks(config: Any, tokenizer: Any) -> ReasoningMarks | None:
    """The marks by vLLM's `StructuredOutputsConfig`; None if no parser is named that looks for any.

    Raises:
        ValueError: the parser cannot be used, or grammars are to hold within the reasoning.
    """
    if config.reasoning_parser in ("", WITHOUT_MARKS):
        return None
    if config.enable_in_reasoning:
        raise ValueError("enable_in_reasoning cannot be given: grammars begin behind the reasoning")
    if config.reasoning_parser_plugin:
        ReasoningParserManager.import_reasoning_parser(config.reasoning_parser_plugin)
    return ReasoningMarks(config.reasoning_parser, tokenizer)


class Reasoning:
    """The part of one output that comes before the answer.

    Attributes:
        has_ended: the answer has begun.
    """

    def __init__(
        self, parser: ReasoningParser, mark_ids: frozenset[int], prompt_token_ids: Sequence[int]
    ) -> None:
        self._parser = parser
        self._mark_ids = mark_ids
        self._token_ids = list(prompt_token_ids)
        self.has_ended = False

    def read(self, token_id: int) -> bool:
        """Take the next token; whether it is part of the reasoning, as the mark at its end is."""
        if self.has_ended:
            return False
        self._token_ids.append(token_id)
        parser = self._parser
        if isinstance(parser, ParserEngineReasoningAdapter) and parser.reasoning_end_token_ids:
            end = parser.find_reasoning_end([token_id])
            self.has_ended = end is not None and end.offset == 0
            return not (self.has_ended and end is not None and end.implicit)
        self.has_ended = bool(parser.is_reasoning_end_streaming(self._token_ids, [token_id]))
        return True

    def is_mark(self, token_id: int) -> bool:
        """Whether a token begins or ends the reasoning, and is no text of it."""
        return token_id in self._mark_ids
