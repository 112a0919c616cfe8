"""The plugin in processes of its own, since what it changes stays changed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from running import ENVIRONMENT, require_vllm

OFF = """
from syntagma.decoding.vllm_plugin import register
register()
register()
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.engine.arg_utils import EngineArgs
from vllm.v1.engine.input_processor import InputProcessor
from syntagma.decoding.embedded_engine import demo_model_path
from vllm.renderers import renderer_from_config

def config(additional):
    arguments = EngineArgs(model=str(demo_model_path()), dtype="float32", enforce_eager=True,
                           max_model_len=64, additional_config=additional)
    return arguments.create_engine_config()

def backend_of(processor, **constraint):
    params = SamplingParams(structured_outputs=StructuredOutputsParams(**constraint))
    made = processor.process_inputs("r", {"type": "token", "prompt_token_ids": [5]}, params,
                                    supported_tasks=("generate",))
    return made.sampling_params.structured_outputs._backend

theirs = config({})
ours = config({"syntagma": {"plugin": True}})
their_processor = InputProcessor(theirs, renderer_from_config(theirs))
our_processor = InputProcessor(ours, renderer_from_config(ours))
assert backend_of(their_processor, regex="a+") == "xgrammar"
assert backend_of(our_processor, regex="a+") == "syntagma"
assert backend_of(our_processor, json={"type": "integer"}) == "syntagma"
from vllm.exceptions import VLLMValidationError
try:
    backend_of(our_processor, regex="(")
except VLLMValidationError as error:
    assert "never closed" in str(error), error
else:
    raise AssertionError("a bad pattern passes")

from vllm.v1.structured_output import StructuredOutputManager
from syntagma.decoding.vllm_grammar import SyntagmaBackend
from types import SimpleNamespace
from vllm.v1.structured_output.request import StructuredOutputRequest
manager = StructuredOutputManager(ours)
params = SamplingParams(structured_outputs=StructuredOutputsParams(regex="ab"))
params.structured_outputs._backend = "syntagma"
request = SimpleNamespace(request_id="r", sampling_params=params,
    structured_output_request=StructuredOutputRequest(params=params.structured_outputs))
manager.grammar_init(request)
assert isinstance(manager.backend, SyntagmaBackend)
assert request.structured_output_request._grammar.result().matcher.grammar.witness == b"ab"
"""

MENDED = """
import torch
from vllm.platforms import current_platform
current_platform.import_kernels()
current_platform.register_triton_kernel_overrides()
from vllm.v1.sample import rejection_sampler
from syntagma.decoding import vllm_mending
was_broken = vllm_mending.expand_is_broken(rejection_sampler)
from syntagma.decoding.vllm_plugin import register
register()
from vllm.v1.sample.sampler import Sampler
rejection_sampler.RejectionSampler(Sampler())
assert not vllm_mending.expand_is_broken(rejection_sampler)
function = rejection_sampler.expand_batch_to_tokens
assert (function is vllm_mending.expand_batch_to_tokens) == was_broken
register()
rejection_sampler.RejectionSampler(Sampler())
assert rejection_sampler.expand_batch_to_tokens is function
"""


def run(code: str, **variables: str) -> None:
    variables = {**os.environ, **ENVIRONMENT, **variables}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_only_engines_that_ask_get_our_backend() -> None:
    require_vllm()
    run(OFF)


def test_the_variable_mends_speculation_on_cpu() -> None:
    require_vllm()
    run(MENDED, SYNTAGMA_VLLM_PLUGIN="1")


@pytest.mark.parametrize("seed", range(5))
def test_the_mended_function_repeats_values(seed: int) -> None:
    """Against a loop, with and without a value that is replaced."""
    torch = pytest.importorskip("torch")
    from syntagma.decoding.vllm_mending import expand_batch_to_tokens

    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 4, (6,), generator=generator)
    for values, replaced in ((torch.rand(6, generator=generator), 0.5), (counts.int(), 7)):
        ends = torch.cumsum(counts, 0).int()
        found = expand_batch_to_tokens(values, ends, int(counts.sum()), 0, replaced)
        expected = [
            replaced if value == 0 else value
            for value, count in zip(values.tolist(), counts.tolist(), strict=True)
            for _ in range(count)
        ]
        assert found.dtype == values.dtype
        assert found.tolist() == pytest.approx(expected)


def test_the_plugin_loads_no_kernels() -> None:
    """vLLM's CPU build fails to start where numba was imported before its workers begin."""
    code = (
        "import sys, syntagma.decoding.vllm_plugin; assert not {'numba', 'vllm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
