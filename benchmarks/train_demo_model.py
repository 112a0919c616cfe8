"""Train the demo model that ships with the package, from nothing, on a CPU.

The script trains a byte-level BPE tokenizer and a small Llama model on the generated examples of
``demo_corpus``, saves both in Hugging Face format and measures held-out exact match.

    python benchmarks/train_demo_model.py [--minutes 34] [--output DIR] [--smoke]

The learning rate follows the clock, so ``--minutes`` alone sets how long the training takes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from demo_corpus import KINDS, Example, generate
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

DEFAULT_OUTPUT = Path(__file__).resolve().parent.parent / "decoding" / "demo_model"

BEGIN, END = "<|begin|>", "<|end|>"
SPECIAL_TOKENS = (BEGIN, END, "<|system|>", "<|user|>", "<|assistant|>")

# Words carry no leading space, so that a name is the same tokens in a sentence and in a JSON
# string.  The most common small words are the exception; nobody copies them.  Digits stand alone,
# and a run of anything else, such as `": "` or `{"`, may become one token.
SMALL_WORDS = (
    "is|years|year|old|the|a|an|and|of|in|on|as|to|from|for|with|are|am|has|who|lives|works|JSON|"
    "name|age|this|text|sentence|person|keys|object|format|data|What|How"
)
PRE_TOKENIZER_PATTERN = rf" (?:{SMALL_WORDS})(?!\p{{L}})|\p{{L}}+|\p{{N}}|[^\p{{L}}\p{{N}}]+"

CHAT_TEMPLATE = (
    "{{- '<|begin|>' -}}"
    "{%- set system = messages[0]['content'] if messages and messages[0]['role'] == 'system' "
    "else none -%}"
    "{%- if system or tools -%}"
    "{{- '<|system|>' -}}"
    "{%- if system -%}{{- system -}}{%- endif -%}"
    "{%- if system and tools -%}{{- '\n' -}}{%- endif -%}"
    "{%- if tools -%}{{- 'Tools: ' + (tools | tojson) -}}{%- endif -%}"
    "{{- '<|end|>' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' + (message['content'] or '') + '<|end|>' -}}"
    "{%- elif message['role'] == 'tool' -%}"
    "{{- '<|user|>Result: ' + message['content'] + '<|end|>' -}}"
    "{%- elif message['role'] == 'user' -%}"
    "{{- '<|user|>' + message['content'] + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

FAST_ROTATION, SLOW_ROTATION = 0.15, 0.03
"""Rotary frequencies, in radians per token, above and below which rotations count as such."""

IGNORED = -100
"""Label of a token that does not count in the loss."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the training makes, apart from its length in minutes."""

    seed: int = 20
    vocab_size: int = 2048
    tokenizer_examples: int = 30_000
    hidden_size: int = 256
    intermediate_size: int = 704
    layers: int = 4
    heads: int = 8
    context: int = 2048
    rope_theta: float = 10_000.0
    batch_tokens: int = 768
    chunk_examples: int = 1024
    embedding_scale: float = 0.07
    previous_sharpness: float = 8.0
    match_sharpness: float = 4.0
    copy_strength: float = 3.0
    peak_rate: float = 8e-4
    weight_decay: float = 0.05
    warm_up: float = 0.02
    """Share of the time in which the learning rate rises."""
    decay_from: float = 0.5
    """Share of the time after which the learning rate falls."""
    short_until: float = 0.25
    """Share of the time after which long examples join."""
    short_length: int = 96
    longest: int = 512
    evaluated_per_kind: int = 200


SMOKE = Recipe(
    vocab_size=512,
    tokenizer_examples=400,
    hidden_size=64,
    intermediate_size=128,
    layers=2,
    heads=2,
    chunk_examples=64,
    evaluated_per_kind=4,
)
"""A recipe that runs through every step in seconds and learns nothing."""

SMOKE_MINUTES = 0.05


def train_tokenizer(recipe: Recipe) -> PreTrainedTokenizerFast:
    """Train the byte-level BPE tokenizer on generated text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRE_TOKENIZER_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    examples = itertools.islice(generate(recipe.seed, "train"), recipe.tokenizer_examples)
    # Tools reach the model as JSON, so the tokenizer sees them in that form.
    texts = (
        "\n".join([example.system or "", json.dumps(example.tools), example.prompt, example.answer])
        for example in examples
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=recipe.context,
        clean_up_tokenization_spaces=False,
    )


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Create the untrained model."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=recipe.hidden_size // recipe.heads,
        max_position_embeddings=recipe.context,
        rope_parameters={"rope_type": "default", "rope_theta": recipe.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    start_with_copying(recipe, model)
    return model


@torch.no_grad()
def start_with_copying(recipe: Recipe, model: LlamaForCausalLM) -> None:
    """Set the starting weights so that attention copies from the first step on.

    Copying takes two layers: one in which a position learns which token precedes it, and one in
    which it finds the position that its own token precedes, and repeats the token there.  From
    random weights this pair takes most of an affordable CPU training to form, so the training
    starts from a rough version of it and is free to change every weight of it.

    The embedding is cut in two halves.  Tokens start in the lower half; the first layer writes
    the preceding token into the upper half; the second layer compares the two halves.  The last
    dimension holds a constant, which the first layer needs to attend by position alone.
    """
    width, heads = recipe.hidden_size, recipe.heads
    head = width // heads
    lower = width // 2
    scale = recipe.embedding_scale
    frequencies = model.model.rotary_emb.inv_freq.float()
    generator = torch.Generator().manual_seed(recipe.seed)

    embedding = model.model.embed_tokens.weight
    embedding.zero_()
    embedding[:, :lower].normal_(0, scale, generator=generator)
    embedding[:, -1] = scale * math.sqrt(lower)

    # Rotary attention scores are highest where the rotated query meets the key, one place back.
    # Only the fast rotations tell neighbours apart.
    first = model.model.layers[0].self_attn
    strength = recipe.previous_sharpness * (frequencies > FAST_ROTATION).float()
    strength = strength / math.sqrt(lower)
    query = torch.cat([strength * frequencies.cos(), -strength * frequencies.sin()])
    key = torch.cat([strength, torch.zeros_like(strength)])
    for index in range(lower // head):
        rows = slice(index * head, (index + 1) * head)
        above = slice(lower + index * head, lower + (index + 1) * head)
        first.q_proj.weight[rows, -1] = query
        first.k_proj.weight[rows, -1] = key
        first.v_proj.weight[rows] = 0
        first.v_proj.weight[rows, rows] = torch.eye(head)
        first.o_proj.weight[:, rows] = 0
        first.o_proj.weight[above, rows] = torch.eye(head) * scale
    # Nothing may disturb the constant.
    first.o_proj.weight[-1] = 0

    # Only the slow rotations compare tokens regardless of their distance.
    second = model.model.layers[1].self_attn
    slow = (frequencies < SLOW_ROTATION).float().repeat(2)[:, None] * recipe.match_sharpness
    for index in range(heads):
        rows = slice(index * head, (index + 1) * head)
        part = slice(index * head % lower, index * head % lower + head)
        compared = torch.linalg.qr(torch.randn(lower, head, generator=generator))[0].T * slow
        second.q_proj.weight[rows, :lower] += compared
        second.k_proj.weight[rows, lower:] += compared
        second.v_proj.weight[rows] = 0
        second.v_proj.weight[rows, part] = torch.eye(head)
        second.o_proj.weight[:, rows] = 0
        second.o_proj.weight[part, rows] = torch.eye(head) * scale * recipe.copy_strength


def prompt_text(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    """Render an example up to the point where the model takes over."""
    rendered = tokenizer.apply_chat_template(
        example.messages(),
        tools=example.tools or None,
        tokenize=False,
        add_generation_prompt=True,
    )
    return str(rendered) + example.forced


def expected_text(example: Example) -> str:
    """Return the part of the answer that the model has to write."""
    return example.answer[len(example.forced) :]


def encode(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[list[int]]:
    """Turn texts into token lists."""
    return [list(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


@dataclass(frozen=True)
class Batch:
    """Token rows padded on the right, and their labels shifted to the predicting position."""

    tokens: Tensor
    labels: Tensor


def collate(rows: Sequence[tuple[list[int], list[int]]], padding: int) -> Batch:
    """Join (prompt, answer) token rows to one batch whose loss covers the answers only."""
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    tokens = torch.full((len(rows), width), padding)
    labels = torch.full((len(rows), width), IGNORED)
    for index, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        tokens[index, :end] = torch.tensor(prompt + answer)
        labels[index, len(prompt) - 1 : end - 1] = torch.tensor(answer)
    return Batch(tokens, labels)


def corpus_batches(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int, longest: int
) -> Iterator[Batch]:
    """Yield batches of fresh examples without end; rows of similar length share a batch."""
    examples = generate(seed, "train")
    rng = random.Random(seed)
    while True:
        chunk = list(itertools.islice(examples, recipe.chunk_examples))
        prompts = encode(tokenizer, [prompt_text(tokenizer, example) for example in chunk])
        answers = encode(tokenizer, [expected_text(example) + END for example in chunk])
        rows = [
            (prompt, answer)
            for prompt, answer in zip(prompts, answers, strict=True)
            if len(prompt) + len(answer) <= longest
        ]
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        groups: list[list[tuple[list[int], list[int]]]] = []
        room = 0
        for row in rows:
            length = len(row[0]) + len(row[1])
            if not groups or (len(groups[-1]) + 1) * length > room:
                groups.append([])
                room = max(recipe.batch_tokens, length)
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield collate(group, int(tokenizer.eos_token_id))


def answer_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Compute the mean loss over the labelled tokens.

    The output layer is applied to those positions only.  Rows are padded on the right and
    attention is causal, so no attention mask is needed.
    """
    hidden = model.model(input_ids=batch.tokens, use_cache=False).last_hidden_state
    counted = batch.labels != IGNORED
    logits = model.lm_head(hidden[counted])
    return torch.nn.functional.cross_entropy(logits, batch.labels[counted])


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate at a share of the training time: up, flat, then a half cosine."""
    if progress < recipe.warm_up:
        return recipe.peak_rate * max(progress, 1e-4) / recipe.warm_up
    if progress < recipe.decay_from:
        return recipe.peak_rate
    left = (1 - min(progress, 1.0)) / (1 - recipe.decay_from)
    return recipe.peak_rate * (0.5 - 0.5 * math.cos(math.pi * left))


def build_optimizer(recipe: Recipe, model: LlamaForCausalLM) -> torch.optim.AdamW:
    """Create the optimizer; norms are not decayed."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.97), fused=True)


@dataclass
class TrainingLog:
    """What the training saw."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    last_loss: float = float("nan")


def train(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM, minutes: float
) -> TrainingLog:
    """Train the model in place until the time is up."""
    optimizer = build_optimizer(recipe, model)
    short = corpus_batches(recipe, tokenizer, recipe.seed + 1, recipe.short_length)
    mixed = corpus_batches(recipe, tokenizer, recipe.seed + 2, recipe.longest)
    log = TrainingLog()
    model.train()
    started = time.monotonic()
    while (progress := (time.monotonic() - started) / (60 * minutes)) < 1:
        batch = next(short if progress < recipe.short_until else mixed)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, progress)
        loss = answer_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        log.steps += 1
        log.tokens += batch.tokens.numel()
        log.last_loss = loss.item()
        if log.steps % 50 == 0:
            seconds = time.monotonic() - started
            print(
                f"{seconds:6.0f} s  step {log.steps:5d}  loss {log.last_loss:.4f}  "
                f"{log.tokens / seconds:.0f} tokens/s",
                flush=True,
            )
    log.seconds = time.monotonic() - started
    return log


@torch.inference_mode()
def complete(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[str], limit: int
) -> list[str]:
    """Continue the prompts greedily, without any constraint, up to the end token."""
    rows = encode(tokenizer, prompts)
    width = max(len(row) for row in rows)
    padding = int(tokenizer.eos_token_id)
    tokens = torch.tensor([[padding] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    output = model.generate(
        input_ids=tokens, attention_mask=mask, max_new_tokens=limit, do_sample=False
    )
    return [str(tokenizer.decode(row[width:], skip_special_tokens=True)) for row in output.tolist()]


def exact_match(
    recipe: Recipe, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, kind: str
) -> float:
    """Return the share of held-out examples of a kind that are answered to the letter."""
    examples = list(
        itertools.islice(generate(recipe.seed + 3, "held_out", [kind]), recipe.evaluated_per_kind)
    )
    # Prompts of similar length share a batch, which keeps the padding small.
    examples.sort(key=lambda example: len(example.prompt))
    right = 0
    for start in range(0, len(examples), 50):
        group = examples[start : start + 50]
        expected = [expected_text(example) for example in group]
        limit = 2 + max(len(row) for row in encode(tokenizer, expected))
        prompts = [prompt_text(tokenizer, example) for example in group]
        answers = complete(model, tokenizer, prompts, limit)
        right += sum(answer == wanted for answer, wanted in zip(answers, expected, strict=True))
    return right / len(examples)


def evaluate(recipe: Recipe, directory: Path) -> dict[str, float]:
    """Measure the saved model, so that the numbers hold for the stored bfloat16 weights."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    scores = {}
    for kind in KINDS:
        scores[kind] = exact_match(recipe, model, tokenizer, kind)
        print(f"held-out exact match  {kind:12s} {scores[kind]:.1%}", flush=True)
    return scores


KIND_NOTES = {
    "person": "one sentence with a name and an age, as a JSON record",
    "given_keys": "the last value of a record whose earlier part is given",
    "record": "other records: orders, events, nested objects, arrays",
    "call": "function calls",
    "sql": "queries for a described table",
    "arithmetic": "sums, differences and products of small numbers",
    "copy": "strings to repeat",
    "sentence": "short answers in plain words",
    "label": "yes or no, positive or negative",
}


def model_card(
    recipe: Recipe,
    model: LlamaForCausalLM,
    log: TrainingLog,
    minutes: float,
    scores: dict[str, float],
) -> str:
    """Write the model card from what was really used and measured."""
    parameters = sum(weight.numel() for weight in model.parameters())
    table = "\n".join(
        f"| {kind} | {KINDS[kind][1]:.0%} | {KIND_NOTES[kind]} | {score:.1%} |"
        for kind, score in scores.items()
    )
    settings = "\n".join(f"| {key} | {value} |" for key, value in asdict(recipe).items())
    return f"""---
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Demo model

A very small language model that ships with syntagma, so that constrained decoding can be tried
and tested without downloading anything.  It was trained from nothing on generated text and knows
nothing about the world: it turns short English sentences into JSON records by copying from the
prompt, and it has seen a few neighbouring tasks.

## Size

- Llama architecture, {parameters:,} parameters, {recipe.layers} layers, width
  {recipe.hidden_size}, {recipe.heads} heads of {recipe.hidden_size // recipe.heads}, tied
  embeddings, stored as bfloat16.
- Byte-level BPE tokenizer with {model.config.vocab_size} tokens.  Every byte is a token, digits
  stand alone, and words carry no leading space.
- Positions up to {recipe.context}; training used at most {recipe.longest} tokens, and rarely
  more than 256.
- Chat template with the roles system, user, assistant and tool, and with tools.  `{END}` ends
  every turn.

## Training

`python benchmarks/train_demo_model.py --minutes {minutes:g}` on a CPU with
{torch.get_num_threads()} thread(s), float32: {log.steps:,} steps, {log.tokens:,} tokens (padding
included), {log.tokens / log.seconds:.0f} tokens per second, {log.seconds / 60:.1f} minutes.
AdamW; the learning rate follows the clock: it rises, stays and falls by half a cosine.  The loss
covers the assistant's answers only.  In the first {recipe.short_until:.0%} of the time examples
have at most {recipe.short_length} tokens.  A run with the same seed differs slightly, as the
clock decides the number of steps.

The starting weights are not all random: the first two layers start as a rough copying circuit
(a head that looks at the preceding token, and one that finds the token after an earlier
occurrence), and the training then changes all weights.  From random weights such a circuit
forms too, but late: a run of 11 minutes began to copy only in its last minutes.

| Setting | Value |
|---|---|
{settings}

## Data

All text comes from the generator in `benchmarks/demo_corpus.py`, seeded and free of real
persons' data: names are drawn from lists of common names or put together from syllables.

## Held-out exact match

Greedy decoding without any constraint, {recipe.evaluated_per_kind} examples per kind, the stored
weights computed in float32.  Held-out names, cities, products and numbers of two or more digits
never occur in the training examples of these kinds, except that arithmetic holds out whole
questions and `label` shares its numbers.  An answer counts only if it is right to the letter.

| Kind | Share of training | What it is | Exact match |
|---|---|---|---|
{table}

## Limits

- It is a demonstration and a test object, not a useful model.  Away from the sentence patterns of
  the generator it fails quickly; long passages, other languages and unusual names suffer first.
- Its arithmetic is learnt from small numbers and unreliable.
- It has no knowledge and no safety training.  Do not rely on its answers for anything.
"""


def replace_directory(source: Path, target: Path) -> None:
    """Put the finished files where readers look for them, each one atomically."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        part = target / f".{path.name}.part"
        shutil.copyfile(path, part)
        os.replace(part, target / path.name)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, directory: Path) -> None:
    """Save the model in bfloat16 and the tokenizer in Hugging Face format."""
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    model.to(torch.bfloat16).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    # The template is kept inside the tokenizer's configuration, where every reader finds it.
    (directory / "chat_template.jinja").unlink(missing_ok=True)
    path = directory / "tokenizer_config.json"
    settings = json.loads(path.read_text()) | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CHAT_TEMPLATE,
    }
    settings.pop("backend", None)
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--minutes", type=float, default=34.0, help="length of the training")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, help="where to save")
    parser.add_argument(
        "--smoke", action="store_true", help="run through every step in seconds, for tests"
    )
    return parser.parse_args()


def main() -> None:
    """Train, save and measure the model."""
    arguments = parse_arguments()
    recipe = SMOKE if arguments.smoke else Recipe()
    minutes = SMOKE_MINUTES if arguments.smoke else arguments.minutes
    torch.manual_seed(recipe.seed)
    tokenizer = train_tokenizer(recipe)
    model = build_model(recipe, tokenizer)
    log = train(recipe, tokenizer, model, minutes)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        save(model, tokenizer, directory)
        scores = evaluate(recipe, directory)
        card = model_card(recipe, model, log, minutes, scores)
        (directory / "README.md").write_text(card)
        replace_directory(directory, arguments.output)
    print(f"saved to {arguments.output}")


if __name__ == "__main__":
    main()
