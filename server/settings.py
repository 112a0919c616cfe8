"""All settings: each is a flag, a ``SYNTAGMA_*`` variable and a key of one YAML file.

A flag wins over the environment, the environment over the file, the file over the default.
Names that are not settings are refused wherever they come from.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from syntagma.server.constraint_kinds import (
    BOUNDS,
    POLICY_FIELDS,
    Formats,
    JsonPolicy,
    Numbers,
    PropertyOrder,
    Slips,
    StringEscapes,
    ToolCallParser,
    Whitespace,
)

ENV_PREFIX = "SYNTAGMA_"
CONFIG_VARIABLE = "SYNTAGMA_CONFIG"
# The client's side of the same convention; a shell may hold both.
CLIENT_VARIABLES = frozenset({"SYNTAGMA_BASE_URL"})
DEMO_MODEL_NAME = "syntagma-demo"
EngineName = Literal["auto", "embedded", "vllm"]
LogLevel = Literal["debug", "info", "warning", "error"]


class SettingsError(ValueError):
    """A setting that does not exist or has an impossible value; the message says which."""


def setting(default: Any, group: str, text: str, **constraints: Any) -> Any:
    """A settings field: its group in ``--help`` and the line that explains it."""
    return Field(default, description=text, json_schema_extra={"group": group}, **constraints)


class Settings(BaseSettings):
    """The resolved settings of one server."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    model: str | None = setting(
        None, "model", "Hugging Face folder or name; without it the demo model that ships along"
    )
    engine: EngineName = setting(
        "auto",
        "model",
        "embedded, vllm or auto: vLLM for a model that is given, where vLLM is installed",
    )
    engine_args: Annotated[tuple[str, ...], NoDecode] = setting(
        (),
        "model",
        "arguments of vLLM as on its command line, in one string; after MODEL they may also be given "
        "as they are (repeatable)",
    )
    artefact_dir: Path | None = setting(
        None,
        "model",
        "directory that vLLM's processes share with the server; default: one that goes with it",
    )
    served_model_name: str | None = setting(
        None, "model", "name that requests use; default: the model as given"
    )
    device: str = setting("auto", "model", "auto, cpu, cuda or cuda:N")
    dtype: str = setting("auto", "model", "auto, float32, bfloat16 or float16")
    max_model_len: int | None = setting(
        None, "model", "prompt and output tokens together; default: the model's own", ge=1
    )
    max_active: int = setting(16, "model", "sequences decoded together", ge=1)
    max_waiting: int = setting(256, "model", "requests that may wait; further ones get a 429", ge=0)

    host: str = setting("127.0.0.1", "network", "address to listen on")
    port: int = setting(8000, "network", "port to listen on; 0 picks a free one", ge=0, le=65535)
    api_key: SecretStr | None = setting(
        None, "network", "key that requests below /v1 must send as a bearer token", min_length=1
    )
    ssl_keyfile: Path | None = setting(None, "network", "private key of the TLS certificate")
    ssl_certfile: Path | None = setting(None, "network", "TLS certificate; with it: https")
    allow_origin: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "network", "origin that browsers may call from (repeatable); default: none"
    )
    shutdown_timeout: int = setting(
        5, "network", "seconds that running requests get at shutdown", ge=0
    )
    log_level: LogLevel = setting("info", "network", "debug, info, warning or error")

    speculation: bool = setting(
        True, "speculation", "verify drafts, several tokens in a pass; on vLLM only if it is given"
    )
    speculation_tree: bool = setting(
        False,
        "speculation",
        "on vLLM: drafts are trees, not chains (experimental; never run on a GPU)",
    )
    max_draft_tokens: int = setting(
        32, "speculation", "drafted tokens that one pass verifies", ge=1, le=256
    )
    draft_corpus: Annotated[tuple[str, ...], NoDecode] = setting(
        (), "speculation", "text file that outputs are likely to resemble (repeatable)"
    )
    draft_model: str | None = setting(
        None, "speculation", "Hugging Face folder or name of a small model of the same vocabulary"
    )

    whitespace: Whitespace = setting(
        "flexible",
        "grammar",
        "JSON whitespace where a request does not say: flexible, compact or pretty",
    )
    property_order: PropertyOrder = setting(
        "schema", "grammar", "order of properties where a request does not say: schema or any"
    )
    numbers: Numbers = setting(
        "canonical", "grammar", "spelling of numbers where a request does not say: canonical or any"
    )
    formats: Formats = setting(
        "enforce",
        "grammar",
        "formats where a request does not say: enforce (refuse unknown ones), known or annotate",
    )
    slips: Slips = setting(
        "refuse",
        "grammar",
        "keywords that look like a slip of the pen, where a request does not say: refuse or annotate",
    )
    additional_properties_default: bool = setting(
        True,
        "grammar",
        "whether undeclared properties are allowed where neither schema nor request says",
    )
    string_escapes: StringEscapes = setting(
        "any", "grammar", "escapes in strings where a request does not say: any or canonical"
    )
    max_digits: int | None = setting(
        20,
        "grammar",
        "digits of unbounded numbers where a request does not say; null: any number",
        ge=1,
        le=BOUNDS["max_digits"],
    )
    max_string: int | None = setting(
        None,
        "grammar",
        "characters of unbounded strings where a request does not say; null: any number",
        ge=1,
        le=BOUNDS["max_string"],
    )
    tool_call_parser: ToolCallParser = setting(
        "auto",
        "grammar",
        "how the model writes tool calls: hermes, llama3_json, mistral, pythonic, qwen3_coder (or qwen3_xml), "
        "deepseek_v3, deepseek_v31, kimi_k2, glm45, glm47 or harmony; auto: as its chat template shows; none: calls "
        "are forced only",
    )
    compile_timeout: float = setting(
        2.0, "grammar", "seconds that compiling one grammar may take", gt=0
    )
    compile_threads: int = setting(2, "grammar", "grammars compiled at once", ge=1, le=64)
    compile_processes: int = setting(
        2,
        "grammar",
        "processes for grammars that are not compiled in a moment, killed if they take too long; 0: none",
        ge=0,
        le=64,
    )
    compile_memory_bytes: int = setting(
        1 << 30, "grammar", "memory that compiling may add to such a process", ge=64 << 20
    )
    compile_queue: int = setting(
        128, "grammar", "grammars being compiled or waiting; further ones get a 429", ge=1
    )
    grammar_cache_entries: int = setting(1024, "grammar", "compiled grammars kept", ge=1)
    grammar_cache_bytes: int = setting(
        256 << 20, "grammar", "memory that compiled grammars may hold together", ge=1
    )
    grammar_failure_ttl: float = setting(
        30.0, "grammar", "seconds that a refused grammar is remembered", ge=0
    )

    max_body_bytes: int = setting(8 << 20, "limits", "size of a request", ge=1)
    max_json_depth: int = setting(
        128, "limits", "nesting of a request's JSON, schemas included", ge=8, le=400
    )
    max_n: int = setting(
        16, "limits", "outputs of one request (n times the number of prompts)", ge=1
    )

    @field_validator("allow_origin", "draft_corpus", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return tuple(value) if isinstance(value, list) else value

    @field_validator("engine_args", mode="before")
    @classmethod
    def _split_arguments(cls, value: Any) -> Any:
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
            raise ValueError("engine_args must be a string or a list of strings")
        return tuple(argument for text in texts for argument in shlex.split(text))

    @field_validator(*BOUNDS, mode="before")
    @classmethod
    def _read_null(cls, value: Any) -> Any:
        return None if value == "null" else value

    @model_validator(mode="after")
    def _check_tls(self) -> Settings:
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ValueError("ssl_keyfile and ssl_certfile belong together: give both or neither")
        return self

    @model_validator(mode="after")
    def _check_engine(self) -> Settings:
        if self.engine_args and self.chosen_engine == "embedded":
            raise ValueError(
                f"engine_args are for vLLM, but the engine is the embedded one: {self.engine_args[0]}"
            )
        return self

    @property
    def chosen_engine(self) -> Literal["embedded", "vllm"]:
        """What ``auto`` stands for."""
        if self.engine != "auto":
            return self.engine
        is_there = self.model is not None and importlib.util.find_spec("vllm") is not None
        return "vllm" if is_there else "embedded"

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.ssl_certfile else "http"

    @property
    def json_policy(self) -> JsonPolicy:
        """How JSON is written where a request does not say."""
        return JsonPolicy(**{name: getattr(self, name) for name in POLICY_FIELDS})

    @property
    def public_model_name(self) -> str:
        """What requests put into ``model``."""
        return self.served_model_name or self.model or DEMO_MODEL_NAME


def load_settings(flags: Mapping[str, Any], *, config: str | None = None) -> Settings:
    """Resolve the settings from all layers.

    Args:
        flags: what the command line gave, by setting name.
        config: path of the YAML file; default: ``SYNTAGMA_CONFIG``, else none.

    Raises:
        SettingsError: an unknown name or an impossible value in any layer.
    """
    refuse_unknown_variables(os.environ)
    file = read_config(config or os.environ.get(CONFIG_VARIABLE))
    in_environment = {name.upper() for name in os.environ}
    below = {key: v for key, v in file.items() if variable_name(key) not in in_environment}
    try:
        return Settings(**below | dict(flags))
    except ValidationError as error:
        raise SettingsError("; ".join(map(_explain, error.errors()))) from None


def read_config(path: str | None) -> dict[str, Any]:
    """The settings of a YAML file; keys may be written with dashes, as the flags are.

    Raises:
        SettingsError: no such file, not YAML, not a mapping, or an unknown key.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must map settings to values")
    values = {str(key).replace("-", "_"): value for key, value in content.items()}
    for key in values:
        if key not in Settings.model_fields:
            raise SettingsError(unknown_name(f"the key {key!r} in {path}", key, setting_names()))
    return values


def refuse_unknown_variables(environment: Iterable[str]) -> None:
    """A ``SYNTAGMA_*`` variable that nothing reads is a typing error, not a comment.

    Raises:
        SettingsError: with the nearest name there is.
    """
    known = {variable_name(key) for key in setting_names()} | {CONFIG_VARIABLE}
    for name in environment:
        upper = name.upper()
        if upper.startswith(ENV_PREFIX) and upper not in known | CLIENT_VARIABLES:
            raise SettingsError(unknown_name(f"the variable {name}", upper, known))


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """`what` "is not a setting", with the nearest known name."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{what} is not a setting{hint}"


def setting_names() -> tuple[str, ...]:
    """The names of all settings, as in the YAML file."""
    return tuple(Settings.model_fields)


def variable_name(key: str) -> str:
    """The environment twin of a setting."""
    return ENV_PREFIX + key.upper()


def flag_name(key: str) -> str:
    """The command-line twin of a setting."""
    return "--" + key.replace("_", "-")


def describe(settings: Settings) -> str:
    """The resolved settings as YAML lines, fit to be used as a config file; the key hidden."""
    lines = []
    for key in setting_names():
        value = getattr(settings, key)
        if isinstance(value, SecretStr):
            value = "(hidden)"
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, Path):
            value = str(value)
        lines.append(f"{key}: {_as_yaml(value)}")
    return "\n".join(lines)


def _as_yaml(value: Any) -> str:
    return str(yaml.safe_dump(value, default_flow_style=True, width=10**6)).splitlines()[0]


def _explain(error: Any) -> str:
    key = str(error["loc"][0]) if error["loc"] else ""
    message = error["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    return f"{key}: {message} (set by {flag_name(key)}, {variable_name(key)} or the config file)"
