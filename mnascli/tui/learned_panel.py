"""What the searcher has learned: how likely it is to draw each choice of each decision, and how open they all are."""

from __future__ import annotations

from collections import defaultdict

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from mnascli.runs import Overview
from mnascli.tui import words
from mnascli.tui.panel import Panel
from mnascli.tui.source import RunSource

BAR, SHORT_BAR = 6, 4  # cells of a probability's bar, with and without space to spare
ROOMY = 90  # cells


class LearnedPanel(Panel):
    DEFAULT_CSS = "LearnedPanel VerticalScroll { padding: 0 1; } LearnedPanel Static { height: auto; }"

    def compose(self) -> ComposeResult:
        yield VerticalScroll(Static(markup=False))

    def draw(self, source: RunSource) -> None:
        self.query_one(Static).update(learned_text(source.overview, max(20, self.size.width - 4)))


def learned_text(view: Overview, width: int) -> Text:
    if not view.probabilities:
        return Text("nothing yet: this searcher draws uniformly, or has not learned anything yet")
    step, openness = view.entropies[-1]
    history = words.sparkline([value for _, value in view.entropies], max(5, width - 50))
    length = BAR if width >= ROOMY else SHORT_BAR
    lines = [Text(f"entropy {openness:.3f} at step {step} (1: undecided, 0: settled)  {history}", style="bold")]
    by_block: dict[str, list[tuple[str, dict[str, float]]]] = defaultdict(list)
    for tag, choices in view.probabilities.items():
        block, _, decision = tag.partition(".")
        by_block[block].append((decision or block, choices))
    for block, decisions in by_block.items():
        lines.append(Text(block, style="bold underline"))
        for decision, choices in decisions:
            line = Text(f"  {decision:<9}")
            likeliest = max(choices, key=lambda choice: choices[choice])
            for choice, p in choices.items():
                cell = f" {choice} {words.bar(p, length)} {p:3.0%} "
                if line.cell_len + len(cell) > width:
                    lines.append(line)
                    line = Text(" " * 11)
                line.append(cell, style="bold" if choice == likeliest and len(choices) > 1 else "dim")
            lines.append(line)
    return Text("\n").join(lines)
