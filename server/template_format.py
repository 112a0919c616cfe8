"""Which format of tool calls a model uses: by a setting, or by its chat template."""

from __future__ import annotations

from collections.abc import Container

from syntagma.server.call_format import CallFormat
from syntagma.server.harmony_format import CHANNEL, HARMONY
from syntagma.server.harmony_text import MESSAGE
from syntagma.server.marked_formats import DEEPSEEK_V3, DEEPSEEK_V31, KIMI_K2, MARKED_FORMATS
from syntagma.server.pythonic_format import PYTHONIC, TEMPLATE_MARK
from syntagma.server.tagged_formats import GLM45, GLM47, QWEN3_CODER, TAGGED_FORMATS
from syntagma.server.tool_formats import HERMES, JSON_FORMATS, LLAMA3_JSON, MISTRAL

# By what a setting may say: more names than formats.
FORMATS: dict[str, CallFormat] = {
    **JSON_FORMATS,
    PYTHONIC.name: PYTHONIC,
    **MARKED_FORMATS,
    **TAGGED_FORMATS,
    HARMONY.name: HARMONY,
}


def format_of_template(template: str | None) -> CallFormat | None:
    """The format that a chat template shows its model; None: none that is known here.

    Templates write past calls in their format, so that its marks are in their text. Some formats share
    a mark with one of these and are told apart by what else there is.
    """
    if template is None:
        return None
    if CHANNEL in template and MESSAGE in template:
        return HARMONY
    if TEMPLATE_MARK in template:
        return PYTHONIC
    if "[TOOL_CALLS]" in template:
        return None if "[ARGS]" in template or "[CALL_ID]" in template else MISTRAL
    if DEEPSEEK_V3.trigger in template:
        return DEEPSEEK_V3 if "```json" in template else DEEPSEEK_V31
    if KIMI_K2.trigger in template:
        return KIMI_K2
    if "<tool_call>" in template:
        return _between_tool_call(template)
    if "<|python_tag|>" in template and '"parameters"' in template:
        return LLAMA3_JSON
    return None


def _between_tool_call(template: str) -> CallFormat | None:
    """The format of a template in which ``<tool_call>`` begins a call."""
    if "<arg_key>" in template:
        return GLM47 if GLM47.argument_middle in template else GLM45
    if "<function=" in template:
        return QWEN3_CODER if "<parameter=" in template else None
    return HERMES


def tool_format(
    chosen: str, template: str | None, special_names: Container[str] = ()
) -> CallFormat | None:
    """The format of a setting: by its name, by the template (``auto``), or none.

    Args:
        chosen: the setting.
        template: the model's chat template.
        special_names: the special tokens of its vocabulary.
    """
    found = FORMATS.get(chosen) if chosen != "auto" else format_of_template(template)
    return None if found is None else found.in_vocabulary(special_names)
