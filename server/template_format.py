"""Which format of tool calls a model uses: by a setting, or by its chat template."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from syntagma.server.pythonic_format import PYTHONIC, TEMPLATE_MARK, PythonicFormat
from syntagma.server.tool_formats import HERMES, JSON_FORMATS, LLAMA3_JSON, MISTRAL, ToolFormat

AnyToolFormat = ToolFormat | PythonicFormat
FORMATS: dict[str, AnyToolFormat] = {**JSON_FORMATS, PYTHONIC.name: PYTHONIC}


def format_of_template(template: str | None) -> AnyToolFormat | None:
    """The format that a chat template shows its model; None: none that is known here.

    Templates write past calls in their format, so that its marks are in their text. Some formats share
    a mark with one of these and are told apart by what else there is.
    """
    if template is None:
        return None
    if TEMPLATE_MARK in template:
        return PYTHONIC
    if "[TOOL_CALLS]" in template:
        return None if "[ARGS]" in template or "[CALL_ID]" in template else MISTRAL
    if "<tool_call>" in template:
        has_other_calls = "<function=" in template or "<arg_key>" in template
        return None if has_other_calls else HERMES
    if "<|python_tag|>" in template and '"parameters"' in template:
        return LLAMA3_JSON
    return None


def tool_format(
    chosen: str, template: str | None, special_names: Container[str] = ()
) -> AnyToolFormat | None:
    """The format of a setting: by its name, by the template (``auto``), or none.

    Args:
        chosen: the setting.
        template: the model's chat template.
        special_names: the special tokens of its vocabulary.
    """
    found = FORMATS.get(chosen) if chosen != "auto" else format_of_template(template)
    if isinstance(found, ToolFormat) and found.trigger in special_names:
        return replace(found, is_special=True)
    return found
