"""Where an answer stands in a model's channels; models whose answers have none are not touched."""

from __future__ import annotations

from syntagma.server.call_format import CallFormat
from syntagma.server.constraints import Constraint
from syntagma.server.harmony_format import FINAL, HarmonyFormat
from syntagma.server.protocol import ChatBody
from syntagma.server.sampling import stop_strings
from syntagma.server.tools import CallsInText, ForcedCall

Calls = ForcedCall | CallsInText | None


def in_channels(
    form: CallFormat | None, body: ChatBody, calls: Calls, constraint: Constraint | None
) -> tuple[Calls, Constraint | None, str]:
    """What an answer is told as, what it obeys, and what the model has written of it already.

    Text goes in channels as answers with calls do. Other constraints hold for the whole output, and what ends it
    (``stop``) is looked for in all of it, so that it begins within the final channel.

    Args:
        form: how the model writes answers.
        body: the request.
        calls: that the answer may have.
        constraint: what it has to obey.
    """
    if not isinstance(form, HarmonyFormat) or isinstance(calls, CallsInText):
        return calls, constraint, ""
    if constraint is not None or stop_strings(body) or body.ignore_eos:
        return calls, constraint, FINAL
    tag, _ = form.tag([], is_forced=False, may_repeat=False)
    channels = Constraint("structural_tag", tag, "messages")
    return CallsInText(form, False, "stop", channels, ()), channels, ""
