"""`plantroom templates`: which ready-made rules there are, what may be set, where it comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from agent.cli.codes import Exit
from agent.cli.read import wide_console

if TYPE_CHECKING:
    from agent.config.templates.spec import Parameter, Template
    from agent.core.spec import Label

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    templates = typer.Typer(
        name="templates", help="Ready-made rules: list, show.", no_args_is_help=True
    )
    templates.command("list", help="Every ready-made rule and what it becomes.")(list_all)
    templates.command(help="One ready-made rule: points, parameters, defaults, sources.")(show)
    app.add_typer(templates)


def list_all(
    as_json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/thresholds.md.")
    ] = False,
) -> None:
    """Print names, titles in both languages, and the rules each becomes."""
    from agent.cli.template_page import id_words, thresholds_page
    from agent.config.templates.known import TEMPLATES

    if markdown:
        typer.echo(thresholds_page(TEMPLATES.values()), nl=False)
        return
    if as_json:
        every = [template_json(each) for each in TEMPLATES.values()]
        typer.echo(json.dumps({"templates": every}, ensure_ascii=False))
        return
    table = Table("template", "for", "用途", "becomes", "to confirm", box=None)
    for each in TEMPLATES.values():
        asked = sum(parameter.needs_confirmation for parameter in each.parameters)
        table.add_row(
            each.name,
            each.label.en,
            each.label.zh,
            " ".join(id_words(rule) for rule in each.rules),
            f"[yellow]{asked}[/]" if asked else "",
        )
    wide_console().print(table)


def show(
    name: Annotated[str, typer.Argument(help="A template's name.")], as_json: JsonOption = False
) -> None:
    """Print one template."""
    from agent.cli.template_page import id_words, latches, takes_words
    from agent.config.faults import did_you_mean
    from agent.config.templates.known import TEMPLATES

    template = TEMPLATES.get(name)
    if template is None:
        typer.echo(f"no template '{name}'{did_you_mean(name, TEMPLATES)}", err=True)
        raise typer.Exit(Exit.USAGE)
    if as_json:
        typer.echo(json.dumps(template_json(template), ensure_ascii=False))
        return
    console = wide_console()
    console.print(f"[bold]{template.name}[/]  {template.label.en}  {template.label.zh}")
    if template.note:
        console.print(template.note, markup=False)
    points = Table("points", "what", "含义", "takes", box=None)
    for takes in template.takes:
        key = takes.name if takes.is_required else f"{takes.name} (may be left out)"
        points.add_row(key, takes.label.en, takes.label.zh, takes_words(takes))
    console.print(points)
    if template.parameters:
        console.print(_parameters(template))
    rules = Table("rule", "class", "label", "标签", "latches", box=None)
    for rule in template.rules:
        rules.add_row(
            id_words(rule),
            rule.alarm_class,
            rule.label.en,
            rule.label.zh,
            "yes" if latches(rule) else "no",
        )
    console.print(rules)


def _parameters(template: Template) -> Table:
    from agent.cli.template_page import default_words, range_words

    table = Table(
        "parameter", "what", "含义", "default", "range", "how sure", "source", box=None
    )  # fmt: skip
    for each in template.parameters:
        sure = f"[yellow]{each.sure}, confirm[/]" if each.needs_confirmation else str(each.sure)
        table.add_row(
            each.name,
            each.label.en,
            each.label.zh,
            default_words(each),
            range_words(each),
            sure,
            each.source,
        )
    return table


def template_json(template: Template) -> dict[str, object]:
    """Return a template for programs."""
    from agent.cli.template_page import latches

    return {
        "name": template.name,
        "label": _label_json(template.label),
        "note": template.note,
        "points": [
            {
                "name": each.name,
                "label": _label_json(each.label),
                "kinds": list(each.kinds),
                "unit": each.unit,
                "is_contact": not each.unit,
                "is_many": each.is_many,
                "is_required": each.is_required,
            }
            for each in template.takes
        ],
        "parameters": [_parameter_json(each) for each in template.parameters],
        "rules": [
            {
                "suffix": each.suffix,
                "class": each.alarm_class,
                "label": _label_json(each.label),
                "latches": latches(each),
            }
            for each in template.rules
        ],
    }


def _parameter_json(each: Parameter) -> dict[str, object]:
    from agent.config.templates.models import unit_words
    from agent.config.templates.spec import Share

    share = each.default if isinstance(each.default, Share) else None
    return {
        "name": each.name,
        "label": _label_json(each.label),
        "unit": unit_words(each),
        "default": None if share else each.default,
        "share": None if share is None else {"of": share.of, "factor": share.factor},
        "min": each.low,
        "max": each.high,
        "is_required": each.is_required,
        "source": each.source,
        "sure": each.sure,
        "needs_confirmation": each.needs_confirmation,
    }


def _label_json(label: Label) -> dict[str, str]:
    return {"en": label.en, "zh": label.zh}
