"""Exporting a trial: shows the command that does it, copies it, or runs it in a process of its own."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from mnascli.tui.source import RunSource


class ExportDialog(ModalScreen[None]):
    CSS = """
    ExportDialog { align: center middle; }
    ExportDialog > Vertical { width: 90%; max-width: 100; height: auto; max-height: 90%; border: thick $primary;
        background: $surface; padding: 0 1; }
    ExportDialog Horizontal { height: auto; }
    ExportDialog Button { margin-right: 1; min-width: 10; }
    ExportDialog VerticalScroll { height: auto; max-height: 17; }
    ExportDialog.-short VerticalScroll { max-height: 6; }
    ExportDialog Static { height: auto; }
    """
    BINDINGS = [
        Binding("escape,q", "close", "Close"),
        Binding("c,y", "copy", "Copy the command"),
        Binding("r", "run", "Run it"),
    ]

    def __init__(self, source: RunSource, trial: int) -> None:
        super().__init__()
        self._commands = commands(source, trial)
        self._process: asyncio.subprocess.Process | None = None

    def compose(self) -> ComposeResult:
        text = Text("Export\n", style="bold")
        if len(self._commands) > 1:
            text.append("The trial was only trained briefly: it is trained in full first.\n", style="italic")
        text.append("\n".join(shlex.join(command) for command in self._commands))
        with Vertical():
            with VerticalScroll():
                yield Static(text)
                yield Static(id="said", markup=False)
            with Horizontal():
                yield Button("Run (r)", id="run", variant="primary", compact=True)
                yield Button("Copy (c)", id="copy", compact=True)
                yield Button("Close (esc)", id="close", compact=True)

    @on(Button.Pressed)
    def _press(self, event: Button.Pressed) -> None:
        match event.button.id:
            case "run":
                self.action_run()
            case "copy":
                self.action_copy()
            case _:
                self.action_close()

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(" && ".join(shlex.join(command) for command in self._commands))
        self.notify("the command is on the clipboard, if the terminal allows it")

    def action_run(self) -> None:
        if self._process is None:
            self._run()

    def action_close(self) -> None:
        """Close; a running command is stopped."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        self.dismiss()

    @work
    async def _run(self) -> None:
        said: list[str] = []
        for command in self._commands:
            said.append(f"$ {shlex.join(command)}")
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mnascli.cli.main",
                *command[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert self._process.stdout is not None
            async for line in self._process.stdout:
                said.append(line.decode(errors="replace").rstrip())
                self._say(said)
            code = await self._process.wait()
            said.append("✓ done" if code == 0 else f"✗ ended with exit code {code}")
            self._say(said)
            if code != 0:
                break
        self._process = None

    def _say(self, said: list[str]) -> None:
        self.query_one("#said", Static).update("\n".join(said[-200:]))
        self.query_one(VerticalScroll).scroll_end(animate=False)


def commands(source: RunSource, trial: int) -> list[list[str]]:
    """What exports a trial: one command if it was trained in full, else its training first."""
    model = f"{source.name}:{trial}"
    where = [] if source.path.parent == Path("runs") else ["--runs", str(source.path.parent)]
    output = f"{source.name}-trial-{trial}"
    to_tflite = ["--tflite", "--output", f"{output}.tflite"]
    if any(run.get("trial") == trial for run in source.overview.state.long_runs.values()):
        return [["mnas", "export", model, *to_tflite, *where]]
    return [
        ["mnas", "train", model, "--output", output, *where],
        ["mnas", "export", f"{output}/model.safetensors", *to_tflite],
    ]
