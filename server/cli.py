"""The ``syntagma`` command: arguments in, exit status out.

Only light imports here and in `settings`: ``--help`` and ``--version`` answer at once.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any, NoReturn, get_args

from syntagma.server.constraint_kinds import POLICY_FIELDS, ConstraintKind
from syntagma.server.language_flags import (
    add_language_options,
    given_language,
    indenter_option,
)
from syntagma.server.settings import (
    CONFIG_VARIABLE,
    Settings,
    SettingsError,
    flag_name,
    load_settings,
    setting_names,
    variable_name,
)

USAGE_ERROR = 2

MODEL_SETTINGS = (
    "model",
    "engine",
    "engine_args",
    "device",
    "dtype",
    "max_model_len",
    "speculation",
    "speculation_tree",
    "max_draft_tokens",
    "draft_corpus",
    "draft_model",
)
COMPILE_SETTINGS = (*POLICY_FIELDS, "compile_timeout")
GROUP_TITLES = {
    "model": "model and scheduling",
    "network": "network",
    "speculation": "speculative decoding",
    "grammar": "grammars",
    "limits": "limits of a request",
}
SERVE_EPILOG = f"""\
Every setting is also an environment variable (--max-n: {variable_name("max_n")}) and a key of the
YAML file given by --config (max_n: 8). A flag wins over the variable, the variable over the file.
With vLLM all arguments of its engine may be given too, after MODEL: --tensor-parallel-size 2.
"""


class Parser(argparse.ArgumentParser):
    """No abbreviations: a flag that is added later must not change what an old command means."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def known_flags(self) -> list[str]:
        """Every ``--flag`` this parser takes."""
        return [flag for flag in self._option_string_actions if flag.startswith("--")]

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Exit over arguments that nobody knows, with the nearest flag there is."""
        name = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(name, self.known_flags(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        self.error(f"unknown argument {name}{hint}")


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns its exit status."""
    parser, commands = build_parsers()
    parsed, unknown = parser.parse_known_args(arguments)
    if parsed.command is None:
        parser.print_help()
        return USAGE_ERROR
    given = vars(parsed)
    flags = {key: value for key, value in given.items() if key in setting_names()}
    try:
        settings = load_settings(flags, config=given.get("config"))
        if unknown:
            if parsed.command != "serve" or settings.chosen_engine != "vllm":
                commands[parsed.command].refuse(unknown)
            if "model" in flags and arguments[1] != flags["model"]:
                raise SettingsError(
                    "with arguments of vLLM, MODEL comes first: syntagma serve MODEL ..."
                )
            settings = with_engine_arguments(settings, unknown)
    except SettingsError as error:
        print(f"syntagma: {error}", file=sys.stderr)
        return USAGE_ERROR
    return dispatch(parsed, settings)


def with_engine_arguments(settings: Settings, arguments: Sequence[str]) -> Settings:
    """The settings with further arguments for vLLM, which are checked when its parser reads them."""
    return settings.model_copy(update={"engine_args": (*settings.engine_args, *arguments)})


def dispatch(parsed: argparse.Namespace, settings: Settings) -> int:
    """Call the command; its libraries are imported only now."""
    if parsed.command == "serve":
        from syntagma.server.serve import serve

        return serve(settings)
    if parsed.command == "check":
        from syntagma.server.check import check

        language = given_language(parsed)
        return check(
            parsed.file,
            "language" if language else parsed.kind or kind_by_name(parsed.file),
            settings,
            language=language,
            tokenizer=parsed.tokenizer,
            num_samples=parsed.self_test,
            is_json=parsed.json,
            indenter=parsed.indenter,
        )
    from syntagma.server.generate import generate

    return generate(parsed, settings)


def kind_by_name(file: str | None) -> ConstraintKind:
    """What a file holds, by the ending of its name."""
    ending = (file or "").rsplit(".", 1)[-1]
    if ending == "lark":
        return "lark"
    return "ebnf" if ending in ("ebnf", "gbnf") else "json_schema"


def build_parsers() -> tuple[Parser, dict[str, Parser]]:
    """The whole command line, and its commands by name."""
    parser = Parser(
        prog="syntagma", description="Language model output that always fits its grammar."
    )
    parser.add_argument("--version", action="version", version=f"syntagma {version('syntagma')}")
    commands = parser.add_subparsers(dest="command", metavar="command", parser_class=Parser)
    serve = commands.add_parser(
        "serve",
        help="run the OpenAI-compatible server",
        usage="syntagma serve [MODEL] [--setting VALUE ...] [--argument-of-vLLM ...]",
        epilog=SERVE_EPILOG,
    )
    serve.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        default=argparse.SUPPRESS,
        help="Hugging Face folder or name; default: the demo model",
    )
    add_settings(serve, setting_names())
    check = commands.add_parser("check", help="compile a grammar without a model and report")
    add_check_arguments(check)
    generate = commands.add_parser("generate", help="generate one output and print it")
    add_generate_arguments(generate)
    return parser, {"serve": serve, "check": check, "generate": generate}


def add_settings(parser: Parser, names: Iterable[str]) -> None:
    """A flag for each setting, under its group's title; absent flags leave no trace."""
    groups: dict[str, Any] = {}
    parser.add_argument(
        "--config", metavar="FILE", help=f"YAML file of settings [{CONFIG_VARIABLE}]"
    )
    for name in names:
        field = Settings.model_fields[name]
        extra = field.json_schema_extra
        group = str(extra["group"]) if isinstance(extra, dict) else ""
        if group not in groups:
            groups[group] = parser.add_argument_group(GROUP_TITLES[group])
        is_list = isinstance(field.default, tuple)
        shown = "" if field.default in (None, ()) else f" (default: {field.default})"
        groups[group].add_argument(
            flag_name(name),
            dest=name,
            metavar="VALUE",
            action="append" if is_list else "store",
            default=argparse.SUPPRESS,
            help=f"{field.description}{shown} [{variable_name(name)}]".replace("%", "%%"),
        )


def add_check_arguments(parser: Parser) -> None:
    """``check``: what to compile, and for which tokens."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the grammar; - is standard input; choices: one per line",
    )
    parser.add_argument(
        "--kind",
        choices=[kind for kind in get_args(ConstraintKind) if kind != "language"],
        help="what the file holds (default: by its name, x.lark, x.ebnf or x.gbnf, else json_schema); "
        "json_object reads no file",
    )
    parser.add_argument(
        "--language",
        metavar="NAME",
        help="a language by name instead of a file: sql, json, csv, ...",
    )
    add_language_options(parser)
    parser.add_argument(
        "--indenter",
        type=indenter_option,
        metavar="JSON",
        help="for Lark: the terminals that tell indentation, as the request field of this name",
    )
    parser.add_argument(
        "--tokenizer",
        metavar="MODEL",
        help="folder or name of the model whose tokens to compile for; default: the demo model",
    )
    parser.add_argument(
        "--self-test",
        type=int,
        default=0,
        metavar="K",
        help="draw K outputs from the grammar of a JSON Schema and have them validated",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON, as the server sends it"
    )
    add_settings(parser, COMPILE_SETTINGS)


def add_generate_arguments(parser: Parser) -> None:
    """``generate``: prompt, constraint and sampling."""
    prompt = parser.add_argument_group("prompt")
    prompt.add_argument("--prompt", required=True, metavar="TEXT", help="what the user says")
    prompt.add_argument("--system", metavar="TEXT", help="instructions before it")
    prompt.add_argument(
        "--raw", action="store_true", help="continue the prompt as it is, without chat template"
    )
    constraint = parser.add_argument_group("constraint").add_mutually_exclusive_group()
    constraint.add_argument("--schema", metavar="FILE", help="JSON Schema; - is standard input")
    constraint.add_argument("--regex", metavar="PATTERN", help="regular expression")
    constraint.add_argument("--choice", metavar="A,B,...", help="one of these texts")
    constraint.add_argument("--json-object", action="store_true", help="any JSON object")
    constraint.add_argument("--language", metavar="NAME", help="a language by name: sql, csv, ...")
    add_language_options(parser)
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument("--max-tokens", type=int, metavar="N", help="length limit")
    sampling.add_argument("--temperature", type=float, metavar="T", help="0 to 2 (default: 1)")
    sampling.add_argument("--top-p", type=float, metavar="P", help="0 to 1 (default: 1)")
    sampling.add_argument("--seed", type=int, metavar="N", help="for the same output again")
    add_settings(parser, (*MODEL_SETTINGS, *COMPILE_SETTINGS))
