"""What a message advises can be done: options that it names are options of the command that prints it."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from pipelines.commandline.commands import COMMANDS
from pipelines.commandline.overrides import prepare
from pipelines.commandline.refusals import MENTION, OWNERS, add_advice, explain, is_option, options_of
from wordless.base.errors import InputError

ROOT = Path(__file__).parents[3]
# An argument of a Python function.
NOT_OPTIONS = {("tokenizer/parquet.py", "segments")}
PACKAGES = ("wordless", "tokenizer", "lm", "vocoder", "pipelines")


def messages(file: Path) -> Iterator[str]:
    """The texts of all `InputError`s that a module raises; what is filled in at run time stands as {}."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError" and node.args:
            yield text(node.args[0])


def text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=values):
            return "".join(text(value) for value in values)
        case ast.BinOp(left=left, right=right):
            return text(left) + text(right)
        case _:
            return "{}"


EVERY_MESSAGE = [
    (file.relative_to(ROOT), message)
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    for message in messages(file)
]


def test_there_are_messages_that_name_options() -> None:
    assert sum(bool(MENTION.search(message)) for _, message in EVERY_MESSAGE) > 50


def test_every_option_that_a_message_names_is_one() -> None:
    """Of some command; a group of options may call itself by its last name, as `configuration.build` completes it."""
    known = {option for command in COMMANDS for option in options_of(command)}
    ends = known | {option[place + 1 :] for option in known for place in range(len(option)) if option[place] == "."}
    unknown = {
        (str(file), mention)
        for file, message in EVERY_MESSAGE
        for mention in MENTION.findall(message)
        if not is_option(mention, ends)
    }
    assert unknown <= NOT_OPTIONS


@pytest.mark.parametrize("command", ["encode", "decode", "generate", "probe", "report", "bench"])
def test_the_modules_of_a_command_name_its_own_options(command: str) -> None:
    own = [message for file, message in EVERY_MESSAGE if file.stem.partition("_")[0] == command]
    mentions = {mention for message in own for mention in MENTION.findall(message)}
    assert {mention for mention in mentions if not is_option(mention, options_of(command))} == set()


@pytest.mark.parametrize("command", ["encode", "decode", "generate", "probe", "run"])
def test_a_command_says_whose_option_it_does_not_take(command: str) -> None:
    """Every message, in every command: packages do not know which command they work for."""
    for _, message in EVERY_MESSAGE:
        told = add_advice(command, message)
        for mention in MENTION.findall(message):
            owners = [owner for owner in OWNERS if is_option(mention, options_of(owner))]
            if owners and command not in owners:
                assert f"wordless {owners[0]}" in told, (mention, told)
            elif is_option(mention, options_of(command)):
                assert f"{mention} is an option of" not in told


def test_advice_of_another_command() -> None:
    told = add_advice("encode", "x holds no recordings; name another folder, corpus.root=PATH")
    assert re.search(r"corpus\.root=PATH .*corpus\.root\b.*wordless run\b.*wordless encode\b", told)
    assert add_advice("run", "name another folder, corpus.root=PATH") == "name another folder, corpus.root=PATH"
    assert add_advice("decode", "choose synthesis=griffin_lim") == "choose synthesis=griffin_lim"


def test_the_commands_themselves_say_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through Hydra, as a user calls them."""
    (tmp_path / "empty").mkdir()
    cases = {
        "encode": ("input", "model", "output"),
        "decode": ("input", "model", "output"),
        "generate": ("model", "output"),
        "probe": ("model",),
        "report": ("run",),
    }
    for command, given in cases.items():
        words = [f"{option}={tmp_path / 'empty'}" for option in given]
        monkeypatch.setattr("sys.argv", [f"wordless {command}", *words])
        main = import_module(f"pipelines.{command}").main
        with pytest.raises(SystemExit, match="2"):
            main()
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1, told
        assert told.startswith(f"wordless {command}: ")
        assert all(is_option(mention, options_of(command)) for mention in MENTION.findall(told)), told


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("word", ["device=a(b", "model=[x", "smoke", "workers='"])
def test_words_that_do_not_parse_name_options_of_the_command_alone(command: str, word: str) -> None:
    try:
        prepare([word], frozenset())
        OverridesParser.create().parse_overrides([word])
    except OverrideParseException as error:
        message = str(explain(error, name=command, words=[word]))
    except InputError as error:
        message = str(error)
    assert word in message
    assert set(MENTION.findall(message)) <= {word.partition("=")[0]}
    assert command != "encode" or "option of wordless" not in add_advice(command, message)
