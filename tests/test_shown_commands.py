"""What the documents tell a reader to run exists, parses, and fits the schema and the log."""

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from sqlalchemy import create_engine

from order_manager.cli import main
from order_manager.paper import runner

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SIMULATOR = set(re.findall(r'"(--[a-z-]+)"', Path(runner.__file__).read_text()))
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


def blocks(language: str) -> list[Any]:
    """Every block of the language on any page, named by its page and line."""
    found = []
    for path in PAGES:
        written = path.read_text()
        for block in re.finditer(rf"```{language}\n(.*?)```", written, re.S):
            line = written[: block.start()].count("\n") + 2
            found.append(pytest.param(block[1], id=f"{path.name}:{line}"))
    return found


@pytest.mark.parametrize("block", blocks("sh"))
def test_a_block_of_shell_is_shell(block: str) -> None:
    result = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True)
    assert (result.returncode, result.stderr) == (0, "")
    for script in re.findall(r"python -c '\n(.*?)\n'", block, re.S):
        compile(script, "block", "exec")


@pytest.mark.parametrize("block", blocks("python"))
def test_a_block_of_python_is_python(block: str) -> None:
    compile(block, "block", "exec")


def commands(path: Path) -> Iterator[list[str]]:
    """The words after each `order-manager`, in blocks of shell and in `code`."""
    written = path.read_text()
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", written, re.S)).replace("\\\n", " ")
    text = re.sub(r"```.*?```", "", written, flags=re.S)
    inline = [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", text)]
    for line in [*shell.splitlines(), *inline]:
        for words in re.findall(r"(?:^|[|;&(]\s*)order-manager ([^;&<>#)]+)", line):
            yield shlex.split(words.replace("...", ""))


def test_enough_commands_are_found() -> None:
    found = {words[0] for path in PAGES for words in commands(path)}
    assert {"send", "explain", "halt", "resume", "dead-letters", "doctor", "sync", "paper-exchange"} <= found


@page
def test_a_command_that_is_shown_exists_and_takes_its_options(page: Path) -> None:
    for words in commands(page):
        command: click.Command = main
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            names, *words = words
            for name in names.split("|"):
                assert name in command.commands, (name, words)
            command = command.commands[names.split("|")[0]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        if command.name == "paper-exchange":
            known |= SIMULATOR
        for word in words:
            if word.startswith("--") and word != "--":
                assert word.split("=")[0] in known, (command.name, word)


@page
def test_targets_and_modules_that_are_run_exist(page: Path) -> None:
    written = page.read_text()
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    assert set(re.findall(r"(?m)(?:^|`)make ([a-z]+)", written)) <= set(targets)
    for module in re.findall(r"python -m ([\w.]+\w)", written):
        assert importlib.util.find_spec(module), module


def test_every_statement_that_is_shown_fits_the_schema(database_url: str) -> None:
    written = "\n".join(path.read_text() for path in PAGES)
    statements = re.findall(r'(?m)^(?:docker compose .*)?psql [^"\n]*-c "([^"]+)"', written)
    assert len(statements) > 30
    engine = create_engine(database_url)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))
    engine.dispose()


def test_what_is_looked_for_in_the_logs_is_logged() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "order_manager").rglob("*.py"))
    written = (ROOT / "docs" / "operations.md").read_text()
    told = re.findall(r"[Ll]og events?\b[^.]*", written)
    names = {name for one in told for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", one)}
    names |= set(re.findall(r'"event": "([a-z_]+[a-z])"', written))
    assert len(names) > 30
    for name in sorted(names):
        assert re.search(rf"""["']{name}["']|\b{name}=""", code), name
