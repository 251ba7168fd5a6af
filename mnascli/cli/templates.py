"""`mnas templates`: the shipped search configurations."""

from __future__ import annotations

from typing import Annotated

import typer

from mnascli.cli.completion import complete_template
from mnascli.cli.output import JsonOption, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    help="Search configurations that come with mnas.\n\nExample: mnas templates show quick > mine.yaml",
)


@app.command("list")
def list_templates(as_json: JsonOption = False) -> None:
    """List the templates.

    Example: mnas templates list
    """
    from mnascli.engine.config import templates
    from mnascli.space import make_space

    rows = []
    for name, config in templates().items():
        space = make_space(config.space.model_dump(), name)
        rows.append((name, config.data, config.trials, f"{space.size:.2g}", config.description))
    keys = ("template", "data", "trials", "networks", "description")
    if as_json:
        print_json({"templates": [dict(zip(keys, row, strict=True)) for row in rows]})
    else:
        print_table(keys, rows)


@app.command("show")
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="TEMPLATE", autocompletion=complete_template, help="Its name in `mnas templates list`."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Print a template as a starting point for one of your own.

    Example: mnas templates show quick > mine.yaml
    """
    from mnascli.schema import read_yaml
    from mnascli.space.factorized import template_path

    path = template_path(name)
    if as_json:
        print_json({"template": name, "config": read_yaml(path)})
    else:
        print(path.read_text(encoding="utf-8"), end="")
