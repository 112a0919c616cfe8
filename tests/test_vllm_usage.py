"""What became of drafts, as it travels from vLLM's scheduler to the front end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from syntagma.decoding.draft_tree import EMPTY_TREE, SOURCES, DraftTree, Source
from syntagma.decoding.speculation import SourceUsage, SpeculationUsage
from syntagma.decoding.vllm_usage import NUM_REMEMBERED, UsageLog, usage_of


def chain(*sources: Source) -> DraftTree:
    number = len(sources)
    return DraftTree(
        token_ids=np.arange(number, dtype=np.int32),
        parents=np.arange(-1, number - 1, dtype=np.int32),
        probabilities=np.ones(number),
        sources=np.array([SOURCES.index(source) for source in sources], np.int8),
    )


def sent(log: UsageLog, **fields: Any) -> SimpleNamespace:
    """An output that has gone from one process to another."""
    output = SimpleNamespace(**{"ec_transfer_params": None} | fields)
    log.attach(output)
    output.ec_transfer_params = msgspec.msgpack.decode(
        msgspec.msgpack.encode(output.ec_transfer_params)
    )
    return output


def test_counts_arrive() -> None:
    log = UsageLog()
    log.count(EMPTY_TREE, [], 1)
    log.count(chain("forced", "forced", "habit"), [0, 1], 3)
    assert usage_of(sent(log), 0) == SpeculationUsage(
        steps=2, by_source={"forced": SourceUsage(2, 2), "habit": SourceUsage(1, 0)}
    )


def test_what_is_unread_was_not_of_use() -> None:
    """Tokens of the last step and of those before it, drawn or drafted."""
    log = UsageLog()
    log.count(chain("prompt", "forced"), [0, 1], 3)
    log.count(chain("corpus", "prompt"), [0], 2)
    # prompt forced drawn | corpus drawn
    accepted = []
    for num_unread in range(6):
        usage = usage_of(sent(log), num_unread)
        assert usage is not None
        assert (usage.steps, usage.drafted) == (2, 4)
        accepted.append(
            [usage.by_source[source].accepted for source in ("prompt", "forced", "corpus")]
        )
    assert accepted == [[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]


def test_a_draft_whose_last_token_ends_the_output_is_followed_by_none() -> None:
    log = UsageLog()
    log.count(chain("forced", "habit"), [0, 1], 2)
    usage = usage_of(sent(log), 1)
    assert usage is not None
    assert usage.by_source == {"forced": SourceUsage(1, 1), "habit": SourceUsage(1, 0)}


def test_only_the_latest_tokens_travel() -> None:
    log = UsageLog()
    for _ in range(NUM_REMEMBERED):
        log.count(chain("forced"), [0], 2)
    output = sent(log)
    assert len(output.ec_transfer_params["syntagma_speculation"]["latest"]) == NUM_REMEMBERED
    usage = usage_of(output, 3 * NUM_REMEMBERED)
    assert usage is not None
    assert usage.accepted == NUM_REMEMBERED // 2


def test_what_else_is_told_stays() -> None:
    output = sent(UsageLog(), ec_transfer_params={"peer_port": 7})
    assert output.ec_transfer_params["peer_port"] == 7
    assert usage_of(output, 0) == SpeculationUsage()
    assert usage_of(SimpleNamespace(ec_transfer_params={"peer_port": 7}), 0) is None
    assert usage_of(SimpleNamespace(ec_transfer_params=None), 0) is None


def test_what_is_new_since_the_last_message() -> None:
    earlier = SpeculationUsage(steps=2, by_source={"forced": SourceUsage(4, 3)})
    later = SpeculationUsage(
        steps=5, by_source={"forced": SourceUsage(6, 3), "habit": SourceUsage(2, 1)}
    )
    news = later.since(earlier)
    assert news == SpeculationUsage(
        steps=3, by_source={"forced": SourceUsage(2, 0), "habit": SourceUsage(2, 1)}
    )
    earlier.add(news)
    assert earlier == later
