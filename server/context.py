"""What all handlers share: one record per app."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, field
from importlib.metadata import version

from starlette.requests import Request

from syntagma.decoding.engine import Engine
from syntagma.decoding.grammar_spec import Compiler
from syntagma.grammar import CompileLimits, GrammarCompiler
from syntagma.server.call_format import CallFormat
from syntagma.server.check_service import CheckService
from syntagma.server.compile_pool import CompilePool
from syntagma.server.compile_service import CompileService, quick_compiler
from syntagma.server.constraint_reader import ConstraintReader
from syntagma.server.errors import ApiError, shorten
from syntagma.server.metrics import Metrics
from syntagma.server.prompts import PromptEncoder
from syntagma.server.settings import Settings
from syntagma.server.template_format import tool_format

VERSION = version("syntagma")
SYSTEM_FINGERPRINT = f"syntagma-{VERSION}"


@dataclass
class ServerContext:
    """The parts of a running server.

    Attributes:
        is_ready: the engine runs and its kernels are warm.
        created: when the server started, for ``/v1/models``.
    """

    settings: Settings
    engine: Engine
    compiling: CompileService
    prompts: PromptEncoder
    checking: CheckService
    metrics: Metrics
    is_ready: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def build(
        cls,
        settings: Settings,
        engine: Engine,
        compiler: Compiler,
        metrics: Metrics,
        processes: CompilePool | None = None,
    ) -> ServerContext:
        """Put the parts together; nothing is started yet."""
        metrics.watch_engine(engine)
        compiling = CompileService(
            compiler,
            num_threads=settings.compile_threads,
            max_pending=settings.compile_queue,
            max_cache_entries=settings.grammar_cache_entries,
            max_cache_bytes=settings.grammar_cache_bytes,
            failure_ttl_s=settings.grammar_failure_ttl,
            metrics=metrics,
            quick=quick_compiler(compiler) if isinstance(compiler, GrammarCompiler) else None,
            processes=processes,
        )
        checking = CheckService(max_pending=settings.compile_queue)
        return cls(settings, engine, compiling, PromptEncoder(engine), checking, metrics)

    @property
    def compile_limits(self) -> CompileLimits:
        """Bounds on what requests may have worked out about a grammar."""
        return CompileLimits(
            max_seconds=self.settings.compile_timeout,
            max_schema_depth=self.settings.max_json_depth,
        )

    @property
    def constraints(self) -> ConstraintReader:
        """Reads constraint fields under this server's defaults."""
        return ConstraintReader(self.settings.json_policy, self.settings.max_json_depth)

    @property
    def model_names(self) -> tuple[str, ...]:
        """What a request's ``model`` may be: the model, or one of its adapters."""
        return (self.engine.model_name, *self.engine.adapters)

    @functools.cached_property
    def tool_format(self) -> CallFormat | None:
        """How the model writes tool calls, if that is known."""
        template = getattr(self.engine.tokenizer, "chat_template", None)
        return tool_format(
            self.settings.tool_call_parser,
            template if isinstance(template, str) else None,
            self.engine.vocabulary.special_names,
        )

    def check_model(self, name: str | None) -> None:
        """Refuse a request for a model that is not served here.

        Raises:
            ApiError: 404 ``model_not_found``.
        """
        if name is not None and name not in self.model_names:
            raise ApiError(
                404,
                f"The model {shorten(repr(name), 100)} is not served here; "
                f"this server has {', '.join(map(repr, self.model_names))}.",
                code="model_not_found",
                param="model",
            )

    def shutdown(self) -> None:
        """Stop the threads."""
        self.is_ready = False
        self.compiling.shutdown()
        self.checking.shutdown()
        self.prompts.shutdown()


def context_of(request: Request) -> ServerContext:
    """The context of the app that a request came to."""
    context: ServerContext = request.app.state.context
    return context
