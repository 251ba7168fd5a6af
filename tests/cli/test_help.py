"""Every command explains itself with an example, and the shell completes names that are there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer.main

from mnascli.cli.main import app
from mnascli.runs import create_run

ROOT = Path(__file__).parents[2]


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    else:
        for word, one in below.items():
            yield from commands(one, f"{name} {word}")


ALL = dict(commands(typer.main.get_command(app), "mnas"))


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_with_an_example_of_itself(name: str) -> None:
    command = ALL[name]
    assert command.help, name
    paragraphs = [" ".join(paragraph.split()) for paragraph in command.help.split("\n\n")]
    examples = [one.removeprefix("Example: ") for one in paragraphs if one.startswith("Example: ")]
    assert examples, f"{name}: an example in a paragraph of its own"
    assert all(example.startswith(name) for example in examples), examples
    undescribed = [one.name for one in command.params if not getattr(one, "help", "") and one.name != "help"]
    assert not undescribed, f"{name}: {undescribed} say nothing of themselves"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mnas models show mnasnet-", {"mnasnet-a1", "mnasnet-b1"}),
        ("mnas models show my-", {"my-run"}),
        ("mnas report my", {"my-run"}),
        ("mnas train my-run:", {"my-run:0", "my-run:1", "my-run:12"}),
        ("mnas train my-run:1", {"my-run:1", "my-run:12"}),
        # As bash takes the words apart: at a colon.
        ("mnas train my-run :", {"0", "1", "12"}),
        ("mnas benchmark mnasnet-a1 my-run : 1", {"1", "12"}),
        ("mnas search --template q", {"quick", "quick-supernet"}),
        ("mnas benchmark mnasnet-a1 --device h", {"host"}),
        ("mnas doc", {"doctor"}),
    ],
)
def test_the_shell_completes_names(words: str, expected: set[str], tmp_path: Path) -> None:
    with create_run(tmp_path / "my-run", "", {}) as run:
        trials = [{"trial": trial, "architecture": "-"} for trial in (0, 1, 12)]
        run.append("asked", step=0, searcher="-", trials=trials)
    count = str(len(words.split()) - 1)
    completion = {"_MNAS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": count}
    other = {"MNAS_RUNS": str(tmp_path), "ANDROID_ADB_SERVER_PORT": "1", "PYTHONPATH": str(ROOT)}
    code = "import sys; sys.argv = ['mnas']; from mnascli.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **completion, **other}, capture_output=True, text=True
    )
    assert expected <= set(done.stdout.split()), (done.stdout, done.stderr)
