"""Which drafters an engine has, put together in one place."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.draft_tree import SOURCES, Source
from syntagma.decoding.drafter import Drafter
from syntagma.decoding.engine import Tokenizer
from syntagma.decoding.forced_drafter import ForcedDrafter
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.habit_drafter import HabitDrafter
from syntagma.decoding.recycling_drafter import RecyclingDrafter
from syntagma.decoding.speculation import Speculator
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter
from syntagma.grammar import Vocabulary


def new_speculator(
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    chains_only: bool,
    *,
    sources: Collection[Source] = SOURCES,
    corpus: Sequence[str] = (),
    new_model_drafter: Callable[[Vocabulary], Drafter] | None = None,
    max_nodes: int = 32,
    max_depth: int = 16,
) -> Speculator:
    """Drafts from every source there is.

    Args:
        vocabulary, tokenizer: of the target model.
        chains_only: it verifies chains, not trees.
        sources: these, as far as there are such.
        corpus: texts that outputs are likely to resemble, for all tenants.
        new_model_drafter: loads a draft model for the vocabulary; None: there is none.
        max_nodes: drafted tokens that one pass verifies, at most.
        max_depth: of them one behind the other, at most.
    """
    encode = functools.partial(tokenizer.encode, add_special_tokens=False)
    store = DraftStore(vocabulary.hash, corpus=[encode(text) for text in corpus])
    drafters: list[Drafter] = [
        ForcedDrafter(vocabulary, ForcedText(vocabulary, encode)),
        PromptDrafter(),
        CorpusDrafter(store),
        RecyclingDrafter(),
        HabitDrafter(vocabulary),
    ]
    if new_model_drafter is not None:
        drafters.append(new_model_drafter(vocabulary))
    return Speculator(
        vocabulary,
        [drafter for drafter in drafters if drafter.source in sources],
        max_nodes=max_nodes,
        max_depth=max_depth,
        chains_only=chains_only,
    )


def corpus_texts(files: Iterable[str]) -> list[str]:
    """The documents of text files: each line of a ``.jsonl`` file is one, any other file is one.

    Raises:
        ValueError: a file cannot be read.
    """
    documents: list[str] = []
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the draft corpus {file}: {error}") from None
        documents += text.splitlines() if file.endswith(".jsonl") else [text]
    return [document for document in documents if document]
