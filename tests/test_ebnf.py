"""EBNF: what grammars mean, against sets of words; what is refused, and where."""

from __future__ import annotations

import random
import re
import sys
from pathlib import Path

import pytest
from ebnf_strategies import ALPHABET, Writer, ebnf_rules
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_language import EbnfWords, IrWords, Tree
from toy import accepts, byte_vocabulary

from syntagma.grammar import (
    CompileLimits,
    GrammarCompiler,
    GrammarLimitError,
    GrammarSyntaxError,
    UnsatisfiableGrammarError,
    UnsupportedGrammarError,
)
from syntagma.grammar.from_ebnf import ebnf_to_grammar
from syntagma.grammar.limits import Budget

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import cfg_cases

MAX_LENGTH = 4
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def compiler() -> GrammarCompiler:
    return GrammarCompiler(byte_vocabulary())


@SETTINGS
@given(ebnf_rules(), st.randoms(use_true_random=False))
def test_rules_have_the_words_of_their_syntax(rules: list[Tree], rng: random.Random) -> None:
    text = Writer(rng).grammar(rules)
    grammar = ebnf_to_grammar(text, Budget(CompileLimits()))
    expected = EbnfWords(rules, ALPHABET, MAX_LENGTH).known[0]
    assert IrWords(grammar, ALPHABET, MAX_LENGTH).known[0] == expected, text


CASES = [
    # grammar, words, other texts
    (r'root ::= "a\tb\n\r\"\'\\"', ["a\tb\n\r\"'\\"], ["a"]),
    (r"root ::= 'it''s' | 'it\'s'", ["its", "it's"], ["it''s"]),
    (r'root ::= "\xe9\u00e9\U0001F600\x41B"', ["éé😀AB"], ["é"]),
    (r'root ::= "\0\a\b\v\f\e\/\?\[\]\-"', ["\0\a\b\v\f\x1b/?[]-"], []),
    ('root ::= "日本" "é"?', ["日本", "日本é"], ["日", "本"]),
    ("root ::= [a-cX-]+", ["abc", "X-", "-"], ["d", ""]),
    ("root ::= [-+*/]", ["-", "+", "*", "/"], [",", "."]),
    (r"root ::= [\]\[^\\\-]", ["]", "[", "^", "\\", "-"], ["a"]),
    (r"root ::= [^\n\x61-c]", ["d", "é", "😀", "\r"], ["\n", "a", "b", "c"]),
    ("root ::= [^]", ["\n", "a", "😀"], ["", "ab"]),
    ("root ::= . .", ["ab", "\n\n", "é😀"], ["a", "abc"]),
    ("root ::= [ぁ-ゟ]{2}", ["ひら"], ["ヒラ", "ひ"]),
    ("root ::= #x41 [#x20-#x7E#xE9]", ["A ", "A~", "Aé"], ["A\x7f", "B "]),
    ("root ::= 'a' #x is no number\n | 'b'", ["a", "b"], ["ab"]),
    ("root ::= 'a' #xalso none\n | 'b'", ["a", "b"], ["ab"]),
    ("root ::= [#x]", ["#", "x"], ["\0"]),
    ("root::='a'b?\nb::='b'", ["a", "ab"], ["b"]),
    ("root ::= 'a' |\n  'b'\n  'c'\n| 'd'", ["a", "bc", "d"], ["b", "c"]),
    ("root ::= | 'a' |", ["", "a"], ["aa"]),
    ("root ::= () 'a' ( )", ["a"], [""]),
    ("root ::= ('a' | 'b')+ 'c'", ["abac"], ["c"]),
    ("root ::= 'a'{2} 'b'{1,} 'c'{ 0 , 2 }", ["aab", "aabbcc"], ["aa", "aabccc"]),
    ("root ::= 'ab'{0}", [""], ["ab"]),
    ("root ::= 'a'{1000000}", [], ["a"]),
    ("root ::= /* it is\n * here */ 'a' # 'b'", ["a"], ["b"]),
    ("/* first */ root ::= 'a'", ["a"], []),
    ("\ufeffroot ::= 'a'\r\n\r\n", ["a"], []),
    ("root ::= a_1 b-2 c.3 4d\na_1 ::= '1'\nb-2 ::= '2'\nc.3 ::= '3'\n4d ::= '4'", ["1234"], []),
    ("root ::= a.\na ::= 'a'", ["ax", "a\n"], ["a"]),
    ("root ::= [a-z]+ - ('if' | 'do')", ["i", "iff", "x"], ["if", "do", ""]),
    ("root ::= [a-z]+ - keyword - 'x' '!'\nkeyword ::= 'if'", ["i!", "y!"], ["if!", "x!", "y"]),
    ("root ::= '<!--' ((. - '-') | ('-' (. - '-')))* '-->'", ["<!--a-b-->"], ["<!--a--b-->"]),
    ("root ::= (.* - (.* '?>' .*)) '?>'", ["a?b?>", "?>"], ["a?>?>", "a"]),
    ("root ::= name - (name - 'a'*)\nname ::= [ab]+", ["a", "aa"], ["ab", "b"]),
    ("root ::= x - 'aa'\nx ::= 'a' x | ''", ["", "a", "aaa"], ["aa"]),
    ("root ::= '(' root ')' | 'x'", ["x", "((x))"], ["(x", "()"]),
    ("unused ::= root 'y'\nroot ::= 'x'", ["x"], ["xy"]),
]


@pytest.mark.parametrize(("text", "words", "others"), CASES)
def test_wording(compiler: GrammarCompiler, text: str, words: list[str], others: list[str]) -> None:
    grammar = compiler.compile_ebnf(text)
    assert [w for w in words if not accepts(grammar, w)] == []
    assert [w for w in others if accepts(grammar, w)] == []


def test_another_rule_may_be_the_root(compiler: GrammarCompiler) -> None:
    text = "root ::= 'a' start\nstart ::= 'b'"
    grammar = compiler.compile_ebnf(text, root="start")
    assert accepts(grammar, "b") and not accepts(grammar, "ab")
    assert grammar.kind == "ebnf"
    assert grammar.hash != compiler.compile_ebnf(text).hash


SYNTAX_ERRORS = [
    # grammar, line, column, part of the message
    ("", 1, 1, "no rules"),
    (" # nothing\n", 1, 1, "no rules"),
    ("root ::= item\nitems ::= 'a'", 1, 10, "did you mean 'items'?"),
    ("root ::= 'a'\nother ::= 'b' | nowhere", 2, 17, "'nowhere' is not defined"),
    ("root ::= a.b\na ::= 'a'\nb ::= 'b'", 1, 10, "spaces around a '.'"),
    ("root ::= a-b\na ::= 'a'\nb ::= 'b'", 1, 10, "spaces around a '-'"),
    ("root ::= 'a'\n\nroot ::= 'b'", 3, 1, "first definition is on line 1"),
    ("roots ::= 'a'", 1, 1, "did you mean 'roots'?"),
    ("start ::= 'a'", 1, 1, "name the first rule 'root'"),
    ("root ::= 'a'\n  | 'b", 2, 5, "never closed on its line with '"),
    ('root ::= "a\nb"', 1, 10, 'never closed on its line with "'),
    ("root ::= [a-z", 1, 10, "never closed on its line with ]"),
    ("root ::= []", 1, 10, "matches nothing"),
    ("root ::= [az-b]", 1, 12, "runs backwards"),
    ("root ::= 'a' [#x7E-#x20]", 1, 15, "from U+007E to U+0020 runs backwards"),
    (r"root ::= '\q'", 1, 11, "unknown escape"),
    (r"root ::= '\x4'", 1, 11, "2 hexadecimal digits"),
    (r"root ::= '\u12G4'", 1, 11, "4 hexadecimal digits"),
    (r"root ::= '\U00110000'", 1, 11, "beyond U+10FFFF"),
    ("root ::= #x110000", 1, 10, "beyond U+10FFFF"),
    (r"root ::= '\uD83D\uDE00'", 1, 11, "surrogate"),
    (r"root ::= '\012'", 1, 11, "octal"),
    ("root ::= 'a'{}", 1, 13, "{2}, {2,} or {2,5}"),
    ("root ::= 'a'{,3}", 1, 13, "{0,5}"),
    ("root ::= 'a'{3,2}", 1, 13, "bounds run backwards"),
    ("root ::= 'a'{9999999999}", 1, 13, "below"),
    ("root ::= 'a'+*", 1, 14, "cannot be repeated"),
    ("root ::= *", 1, 10, "'*' repeats nothing"),
    ("root ::= ('a' | {2})", 1, 17, "'{' repeats nothing"),
    ("root ::= ('a'\n  ('b')", 1, 10, "'(' is never closed"),
    ("root ::= 'a')", 1, 13, "')' closes no group"),
    ("root ::= 'a' - | 'b'", 1, 14, "'-' needs something"),
    ("root ::= ('a' -) 'b'", 1, 15, "'-' needs something"),
    ("root ::= 'a' -", 1, 14, "'-' needs something"),
    ("root ::= - 'a'", 1, 10, "excludes from nothing"),
    ("root ::= 'a' /* b", 1, 14, "never closed with */"),
    ("root = 'a'", 1, 1, "name ::= ..."),
    ("root ::= 'a' other = 'b'", 1, 20, "name ::= ..."),
    ("::= 'a'", 1, 1, "a rule must begin here"),
    ("root ::= 'a' ::= 'b'", 1, 14, "name of a rule before it"),
    ("root ::= 'a' b ::= 'c'", 1, 14, "on a line of its own"),
    ("root ::= 'a';", 1, 13, "unexpected ';'"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), SYNTAX_ERRORS)
def test_errors_say_where(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        ebnf_to_grammar(text, Budget(CompileLimits()))
    assert message in caught.value.message
    assert (caught.value.line, caught.value.column) == (line, column)


UNSUPPORTED = [
    # grammar, keyword, place
    ("root ::= 'a' (?= 'b')", "(?=", "line 1, column 14"),
    ("root ::= 'a' (?! 'b')", "(?!", "line 1, column 14"),
    ("root ::= 'a'\n  (= 'b')", "(=", "line 2, column 3"),
    ("root ::= <think> 'a' </think>", "<think>", "line 1, column 10"),
    ("root ::= <[123]>", "<[123]>", "line 1, column 10"),
    ("root ::= 'a' !<[123]>*", "!<[123]>", "line 1, column 14"),
    ('root ::= TagDispatch(("a", root))', "TagDispatch", "line 1, column 10"),
    ("root ::= Token(1, 2)", "Token", "line 1, column 10"),
    ("root[temperature=0.7] ::= 'a'", "[temperature=0.7]", "line 1, column 1"),
    ("root ::= 'a' b\nb[capture] ::= 'a'", "[capture]", "line 2, column 1"),
    (r"root ::= [\d]", r"\d", "line 1, column 11"),
    ("root ::= nested - 'x'\nnested ::= '(' nested ')' | 'x'", "-", "line 1, column 17"),
    ("root ::= 'x' | ('a' root) - 'b'", "-", "line 1, column 27"),
]


@pytest.mark.parametrize(("text", "keyword", "place"), UNSUPPORTED)
def test_what_is_not_enforced_is_refused_by_name(text: str, keyword: str, place: str) -> None:
    with pytest.raises(UnsupportedGrammarError) as caught:
        ebnf_to_grammar(text, Budget(CompileLimits()))
    assert caught.value.keyword == keyword
    assert place in caught.value.message


def test_long_names_do_not_fill_the_message() -> None:
    with pytest.raises(GrammarSyntaxError) as caught:
        ebnf_to_grammar("root ::= " + "a" * 100_000, Budget(CompileLimits()))
    assert len(caught.value.message) < 250


def documented(language: str) -> list[str]:
    """The code blocks of a language in the documentation."""
    page = (Path(__file__).parent.parent / "docs" / "grammars.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_documented_grammar(compiler: GrammarCompiler) -> None:
    text, *_ = documented("ebnf")
    grammar = compiler.compile_ebnf(text)
    assert accepts(grammar, "1 + (20 + 3)")
    assert not accepts(grammar, "1 + ")


def test_the_documented_error() -> None:
    message, *_ = documented("text")
    with pytest.raises(GrammarSyntaxError) as caught:
        ebnf_to_grammar("root ::= digits\ndigit ::= [0-9]", Budget(CompileLimits()))
    assert str(caught.value) == message.strip()


def test_the_documented_exclusion_and_count(compiler: GrammarCompiler) -> None:
    grammar = compiler.compile_ebnf('root ::= ([a-z]+ - ("if" | "else")) [0-9]{1,100000}')
    assert grammar.automata.num_positions < 20
    assert accepts(grammar, "elsewhere1") and accepts(grammar, "x" + "7" * 300)
    assert not accepts(grammar, "else1") and not accepts(grammar, "x")


def test_text_only() -> None:
    with pytest.raises(GrammarSyntaxError, match="must be a string, not list"):
        ebnf_to_grammar(["root"], Budget(CompileLimits()))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["root ::= 'a' root", r"root ::= [\uD800]", "root ::= 'a' - 'a'"])
def test_nothing_fits(compiler: GrammarCompiler, text: str) -> None:
    with pytest.raises(UnsatisfiableGrammarError):
        compiler.compile_ebnf(text)


@pytest.mark.parametrize(
    ("text", "limits", "limit"),
    [
        ("root ::= " + "'a' " * 500, CompileLimits(max_source_bytes=1000), "max_source_bytes"),
        ("root ::= " + "(" * 100_000, CompileLimits(), "max_regex_depth"),
        ("\n".join(f"r{i} ::= 'a'" for i in range(60)), CompileLimits(max_rules=50), "max_rules"),
        ("root ::= .{90000} - 'a'", CompileLimits(), "max_nfa_states"),
    ],
)
def test_limits(text: str, limits: CompileLimits, limit: str) -> None:
    with pytest.raises(GrammarLimitError) as caught:
        ebnf_to_grammar(text, Budget(limits))
    assert caught.value.limit == limit


@pytest.mark.parametrize("language", cfg_cases.LANGUAGES)
def test_plain_and_tuned_wording_are_one_language(compiler: GrammarCompiler, language: str) -> None:
    plain, tuned = (
        compiler.compile_ebnf(cfg_cases.source(language, wording)) for wording in cfg_cases.WORDINGS
    )
    assert plain.automata.num_positions == tuned.automata.num_positions
    assert plain.automata.num_terminals == tuned.automata.num_terminals
    rng = random.Random(language)
    for text, is_valid in cfg_cases.cfg_case(language, "plain", num_texts=6).texts:
        assert accepts(plain, text) == accepts(tuned, text) == is_valid
        raw = text.encode()
        for _ in range(10):
            position = rng.randrange(len(raw) + 1)
            altered = raw[:position] + rng.choice([b" ", b"(", b"1", b""]) + raw[position + 1 :]
            assert accepts(plain, altered) == accepts(tuned, altered)
