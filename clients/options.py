"""The keyword options of the clients' methods, declared once for both clients.

``None`` always means "not given": the server's default holds. Options that a method does not have
are a ``TypeError``, whether a type checker looks or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import httpx
from pydantic import TypeAdapter

Messages = str | Sequence[Mapping[str, object]]
"""A chat in OpenAI's form; a string is one user message."""

JsonSchema = Mapping[str, object] | bool
Schema = JsonSchema | type[Any] | TypeAdapter[Any]
"""A JSON schema, or a type (pydantic model, ``list[Model]``, ...) that stands for its schema."""

Timeout = float | httpx.Timeout


class JsonPolicies(TypedDict, total=False):
    """How JSON outputs are written, and what a schema leaves unsaid; the server's documentation
    explains each.

    Attributes:
        whitespace: ``flexible``, ``compact`` or ``pretty``.
        property_order: ``schema`` or ``any``.
        numbers: ``canonical`` or ``any``.
        formats: ``enforce``, ``known`` or ``annotate``.
        slips: ``refuse`` or ``annotate``.
        additional_properties_default: whether undeclared properties are allowed where the schema does
            not say.
        string_escapes: ``any`` or ``canonical``.
        max_digits, max_string: bounds on numbers and strings without a bound; ``"none"`` lifts them.
        schemas: documents that the schema may refer to, by URI.
    """

    whitespace: Literal["flexible", "compact", "pretty"] | None
    property_order: Literal["schema", "any"] | None
    numbers: Literal["canonical", "any"] | None
    formats: Literal["enforce", "known", "annotate"] | None
    slips: Literal["refuse", "annotate"] | None
    additional_properties_default: bool | None
    string_escapes: Literal["any", "canonical"] | None
    max_digits: int | Literal["none"] | None
    max_string: int | Literal["none"] | None
    schemas: Mapping[str, JsonSchema] | None


class GrammarOptions(TypedDict, total=False):
    """A context-free grammar as a constraint.

    Attributes:
        grammar: the rules; the output is a text that they describe.
        syntax: what they are written in; always needed. GBNF is ``ebnf``.
        start: the rule to start from; not given: ``start`` in Lark, ``root`` in EBNF.
        semantics: of Lark: ``lexed`` (what Lark itself accepts) or ``scannerless``.
        files: texts that Lark's ``%import`` may lead into, by path.
        indenter: of Lark: the terminals that tell indentation (``{"newline": "_NL", "tab_length": 4}``);
            not needed where they have the usual names.
    """

    grammar: str | None
    syntax: Literal["lark", "ebnf"] | None
    start: str | None
    semantics: Literal["lexed", "scannerless"] | None
    files: Mapping[str, str] | None
    indenter: Mapping[str, object] | None


class LanguageOptions(TypedDict, total=False):
    """A language by name as a constraint.

    Attributes:
        language: ``sql``, ``json``, ``csv``, ...; the server's documentation lists them.
        language_options: what to leave out of it; each language has its own options.
    """

    language: str | None
    language_options: Mapping[str, object] | None


class CheckOptions(GrammarOptions, LanguageOptions, JsonPolicies, total=False):
    """What `check` takes besides a schema, regex or choice.

    Attributes:
        structural_tag: as in `CompletionOptions`.
    """

    structural_tag: Mapping[str, object] | str | None


class SpeculationOptions(TypedDict, total=False):
    """How drafts are made; the output's law is the same with and without.

    Attributes:
        enabled: False: one token a pass.
        max_tokens: drafted tokens in a pass, at most.
        sources: where drafts may come from.
    """

    enabled: bool
    max_tokens: int
    sources: Sequence[Literal["forced", "prompt", "corpus", "recycling", "habit", "model"]]


class CallOptions(JsonPolicies, total=False):
    """What every generation takes; of `JsonPolicies` what is to hold for its JSON.

    Attributes:
        model: a name from `models()`; not given: the first one.
        timeout: seconds of silence to bear, instead of the client's; ``httpx.Timeout(None)``
            waits for ever.
        max_tokens: generated tokens at most.
        temperature, top_p, top_k, min_p: how freely tokens are drawn; temperature 0 is greedy.
        seed: makes the draw repeatable.
        presence_penalty, frequency_penalty, repetition_penalty: against repeating tokens.
        logit_bias: token id -> added to its logit.
        stop: a string or several that end the output and are not part of it.
        ignore_eos: do not let the model end an unconstrained output.
        logprobs: how many alternatives to report per token; 0 or True: only the drawn token.
        speculation: how drafts are made.
        user: on whose behalf; drafts learn from a user's own outputs only.
        extra_body: further fields of the request's body, for what this SDK does not know.
    """

    model: str | None
    timeout: Timeout | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    repetition_penalty: float | None
    logit_bias: Mapping[int, float] | None
    stop: str | Sequence[str] | None
    ignore_eos: bool | None
    logprobs: int | None
    speculation: SpeculationOptions | None
    user: str | None
    extra_body: Mapping[str, object] | None


class CompletionOptions(CallOptions, GrammarOptions, LanguageOptions, total=False):
    """What `complete` takes: `CallOptions` and at most one constraint.

    Attributes:
        n: how many independent answers.
        schema: the output is JSON that fits this schema or type.
        regex: the whole output matches this pattern.
        choice: the output is one of these strings.
        structural_tag: free text with segments that other grammars describe, in xgrammar's or vLLM's form.
    """

    n: int | None
    schema: Schema | None
    regex: str | None
    choice: Sequence[str] | None
    structural_tag: Mapping[str, object] | str | None


class ChatOptions(CompletionOptions, total=False):
    """What `chat` and `stream` take: `CompletionOptions` and OpenAI's own fields.

    Attributes:
        response_format: OpenAI's form, sent as it is; counts as a constraint.
        tools: functions and custom tools the model may call, in OpenAI's form.
        tool_choice: ``auto``, ``none``, ``required``, a tool's name, or OpenAI's form.
    """

    response_format: Mapping[str, object] | None
    tools: Sequence[Mapping[str, object]] | None
    tool_choice: str | Mapping[str, object] | None
