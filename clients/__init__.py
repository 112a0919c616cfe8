"""The Python SDK: talks HTTP to a syntagma server and imports none of it.

Example:
    from syntagma.clients import Client

    with Client("http://127.0.0.1:8000") as client:
        client.choice("Is the sky blue?", ["yes", "no"])
"""

from syntagma.clients.async_client import AsyncClient
from syntagma.clients.client import Client
from syntagma.clients.errors import (
    AnswerMalformedError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConnectionFailedError,
    ConnectionLostError,
    GrammarRejectedError,
    NotFoundError,
    OutputError,
    OutputInvalidError,
    OutputTruncatedError,
    RateLimitedError,
    RequestTimeoutError,
    ServerError,
    StreamInterruptedError,
    SyntagmaError,
)
from syntagma.clients.options import (
    CallOptions,
    ChatOptions,
    CompletionOptions,
    GrammarOptions,
    JsonPolicies,
    LanguageOptions,
    SpeculationOptions,
)
from syntagma.clients.results import (
    ChatChoice,
    ChatResult,
    CheckResult,
    CompletionChoice,
    CompletionResult,
    DraftUsage,
    ErrorDetail,
    ModelInfo,
    ParsedResult,
    SpeculationUsage,
    StreamEvent,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from syntagma.clients.retry import RetryPolicy
from syntagma.clients.streams import AsyncChatStream, ChatStream

__all__ = [
    "APIStatusError",
    "AnswerMalformedError",
    "AsyncChatStream",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "CallOptions",
    "ChatChoice",
    "ChatOptions",
    "ChatResult",
    "ChatStream",
    "CheckResult",
    "Client",
    "CompletionChoice",
    "CompletionOptions",
    "CompletionResult",
    "ConnectionFailedError",
    "ConnectionLostError",
    "DraftUsage",
    "ErrorDetail",
    "GrammarOptions",
    "GrammarRejectedError",
    "JsonPolicies",
    "LanguageOptions",
    "ModelInfo",
    "NotFoundError",
    "OutputError",
    "OutputInvalidError",
    "OutputTruncatedError",
    "ParsedResult",
    "RateLimitedError",
    "RequestTimeoutError",
    "RetryPolicy",
    "ServerError",
    "SpeculationOptions",
    "SpeculationUsage",
    "StreamEvent",
    "StreamInterruptedError",
    "SyntagmaError",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
]
