"""Messages or text -> prompt tokens.

A chat is rendered by the model's own template, in which control tokens such as ``<|im_end|>`` are
parsed. The same characters typed by a user are text and must stay text. So a user's string that
holds the text of a control token gets a *cut*, one character that occurs nowhere in the request,
inside that text; after rendering, the prompt is split at the cuts and the pieces are tokenised
apart, so that no piece holds the token's text as a whole. Requests without such strings, which is
nearly all, are tokenised in one piece, exactly as the model was trained.

The prompt of ``/v1/completions`` is raw: control tokens in it count, for there is no template.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

from syntagma.decoding.engine import Engine
from syntagma.server.errors import bad_request, shorten
from syntagma.server.json_body import parse_json
from syntagma.server.protocol import (
    AssistantMessage,
    Content,
    Message,
    PastCustomCall,
    PastToolCall,
    SystemMessage,
    ToolMessage,
)
from syntagma.server.sampling import context_length_error

# Private-use characters; the first one that the request does not contain is its cut.
_CUTS = range(0xF0000, 0xFFFFE)
_MAX_TEMPLATE_MESSAGE_CHARS = 200
MAX_ARGUMENTS_DEPTH = 128


class PromptTokenizer(Protocol):
    """What rendering a prompt needs of a Hugging Face tokenizer."""

    chat_template: str | None

    @property
    def added_tokens_decoder(self) -> dict[int, Any]: ...

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> list[int]: ...

    def apply_chat_template(
        self,
        conversation: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None,
        add_generation_prompt: bool,
        tokenize: bool,
    ) -> str: ...


class PromptEncoder:
    """Encodes prompts on one thread of its own: long ones would stall the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._tokenizer = cast(PromptTokenizer, engine.tokenizer)
        self._max_prompt_bytes = engine.max_model_len * engine.vocabulary.max_token_bytes
        self._control_texts = control_texts(self._tokenizer)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompts")

    async def chat(
        self,
        messages: Sequence[Message],
        tools: list[dict[str, Any]] | None,
        opening: str = "",
    ) -> tuple[int, ...]:
        """The tokens of a conversation up to where the model answers.

        Args:
            messages: the conversation.
            tools: for the template.
            opening: what the answer begins with; control tokens in it count.

        Raises:
            ApiError: 400 if there is no chat template, or it refuses the messages.
        """
        if not self._tokenizer.chat_template:
            raise bad_request(
                "This model has no chat template; use /v1/completions.",
                param="messages",
                code="chat_template_missing",
            )
        return await self._in_thread(lambda: self._encode_chat(messages, tools, opening))

    async def text(self, prompt: str) -> tuple[int, ...]:
        """The tokens of a raw prompt, with what the tokenizer puts around a text."""
        self._refuse_hopeless(prompt, "prompt")
        return await self._in_thread(lambda: tuple(self._tokenizer.encode(prompt)))

    def shutdown(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, encode: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, encode)

    def _encode_chat(
        self, messages: Sequence[Message], tools: list[dict[str, Any]] | None, opening: str
    ) -> tuple[int, ...]:
        conversation: Any = [template_message(message, i) for i, message in enumerate(messages)]
        (conversation, tools), cut = self._cut_control_texts([conversation, tools])
        rendered = self._render(conversation, tools) + opening
        self._refuse_hopeless(rendered, "messages")
        pieces = rendered.split(cut) if cut else [rendered]
        encode = self._tokenizer.encode
        return tuple(i for piece in pieces for i in encode(piece, add_special_tokens=False))

    def _cut_control_texts(self, value: Any) -> tuple[Any, str | None]:
        """`value` with a cut in every control token's text, and the cut if there is one."""
        if self._control_texts is None:
            return value, None
        everything = json.dumps(value, ensure_ascii=False)
        if not self._control_texts.search(everything):
            return value, None
        cut = next(chr(code) for code in _CUTS if chr(code) not in everything)
        control_texts = self._control_texts

        def cut_text(text: str) -> str:
            return control_texts.sub(lambda match: match.group(1) + cut, text)

        return map_strings(value, cut_text), cut

    def _render(
        self, conversation: list[dict[str, Any]], tools: list[dict[str, Any]] | None
    ) -> str:
        try:
            return self._tokenizer.apply_chat_template(
                conversation, tools=tools, add_generation_prompt=True, tokenize=False
            )
        except ImportError:
            raise
        except Exception as error:
            # Templates raise on roles they do not know and trip over shapes they do not expect;
            # the model's template is trusted and fixed, so it is the messages that are unfit.
            said = shorten(str(error), _MAX_TEMPLATE_MESSAGE_CHARS)
            raise bad_request(
                f"The model's chat template does not take these messages: {said}",
                param="messages",
                code="chat_template_failed",
            ) from error

    def _refuse_hopeless(self, text: str, param: str) -> None:
        """Too many bytes for the context even if every token were the longest."""
        if len(text) > self._max_prompt_bytes:
            raise context_length_error(
                f"The prompt has {len(text)} characters and cannot fit the model's context.",
                param=param,
            )


def control_texts(tokenizer: PromptTokenizer) -> re.Pattern[str] | None:
    """Matches the first character of each control token's text, the rest by looking ahead.

    Looking ahead finds overlapping texts too. A token of a single character cannot be cut.
    """
    texts = {
        str(token)
        for token in tokenizer.added_tokens_decoder.values()
        if token.special and len(str(token)) > 1
    }
    if not texts:
        return None
    rests: dict[str, list[str]] = {}
    for text in sorted(texts):
        rests.setdefault(text[0], []).append(re.escape(text[1:]))
    branches = (f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in rests.items())
    return re.compile(f"({'|'.join(branches)})")


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """A copy of a JSON value with every string, keys included, passed through `change`."""
    holder: list[Any] = [value]
    pending: list[Any] = [holder]
    while pending:
        container = pending.pop()
        places = range(len(container)) if isinstance(container, list) else list(container)
        for place in places:
            item = container[place]
            if isinstance(item, str):
                container[place] = change(item)
            elif isinstance(item, list):
                container[place] = list(item)
                pending.append(container[place])
            elif isinstance(item, dict):
                container[place] = {change(key): inner for key, inner in item.items()}
                pending.append(container[place])
    return holder[0]


def template_message(message: Message, index: int) -> dict[str, Any]:
    """A message as chat templates expect it."""
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": plain_text(message.content)}
    result: dict[str, Any] = {"role": message.role, "content": plain_text(message.content)}
    if isinstance(message, AssistantMessage) and message.tool_calls:
        result["tool_calls"] = [
            _template_call(call, f"messages[{index}].tool_calls[{i}]")
            for i, call in enumerate(message.tool_calls)
        ]
    if isinstance(message, ToolMessage):
        result["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        result["name"] = message.name
    return result


def plain_text(content: Content | None) -> str:
    """The text of a message; parts are lines."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content)


def _template_call(call: PastToolCall | PastCustomCall, param: str) -> dict[str, Any]:
    if isinstance(call, PastCustomCall):
        # As `custom_tools` shows the tool itself.
        shown = {"name": call.custom.name, "arguments": {"input": call.custom.input}}
        return {"id": call.id, "type": "function", "function": shown}
    function = {"name": call.function.name, "arguments": _arguments(call, param)}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(call: PastToolCall, param: str) -> dict[str, Any]:
    # Templates write the arguments out as JSON themselves; the wire format holds them as text.
    param = f"{param}.function.arguments"
    text = call.function.arguments.encode("utf-8")
    arguments = parse_json(text, max_depth=MAX_ARGUMENTS_DEPTH, what=param, param=param)
    if not isinstance(arguments, dict):
        raise bad_request(f"{param} must be the text of a JSON object.", param=param)
    return arguments
