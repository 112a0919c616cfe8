"""What workers send of their logits, beside a plain softmax of the same rows."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from syntagma.decoding.vllm_recycling import (
    ask_for,
    find_likeliest,
    received_likeliest,
    send_likeliest,
)

VOCAB_SIZE = 30
DRAFTS = {"a": [3, 4], "c": [5]}
FIRST_ROWS = {"a": 0, "b": 3, "c": 4}


def sent(asked: list[str]) -> tuple[Any, Any]:
    """Logits of three requests, and what comes of them in another process."""
    scheduled = SimpleNamespace(scheduled_spec_decode_tokens=DRAFTS)
    ask_for(scheduled, asked, 4)
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(6, VOCAB_SIZE)) * 3).float()
    runner = SimpleNamespace(
        execute_model_state=SimpleNamespace(logits=logits.clone(), scheduler_output=scheduled),
        input_batch=SimpleNamespace(req_ids=["a", "b", "c"]),
    )
    likeliest = find_likeliest(runner)
    runner.execute_model_state.logits.fill_(float("-inf"))  # the masks are written afterwards
    output = SimpleNamespace()
    send_likeliest(output, likeliest)
    return logits.numpy().astype(np.float64), pickle.loads(pickle.dumps(output))


@pytest.mark.parametrize("asked", [["a", "b", "c"], ["b"], ["c", "a"], ["a", "gone"]])
def test_rows_are_those_of_the_requests_asked_for(asked: list[str]) -> None:
    logits, output = sent(asked)
    found = received_likeliest(output)
    assert set(found) == set(asked) - {"gone"}
    for request_id, (token_ids, probabilities) in found.items():
        rows = logits[FIRST_ROWS[request_id] :][: 1 + len(DRAFTS.get(request_id, []))]
        laws = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
        order = np.argsort(-laws, axis=1)[:, :4]
        np.testing.assert_array_equal(token_ids, order)
        np.testing.assert_allclose(
            probabilities, np.take_along_axis(laws, order, axis=1), rtol=1e-5
        )


def test_nothing_is_sent_where_nobody_asks() -> None:
    _, output = sent([])
    assert vars(output) == {}
    assert received_likeliest(output) == {}
    assert find_likeliest(SimpleNamespace(execute_model_state=None)) is None
