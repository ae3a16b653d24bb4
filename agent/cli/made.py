"""What `check --plan` shows of ready-made rules: what each entry became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:  # loaded by the command itself, so that others start faster
    from agent.config.model_rules import RuleModel
    from agent.config.templates.expand import Expanded, Used


def print_made(templates: Sequence[Expanded]) -> None:
    """Print the rules each entry became, and with what numbers."""
    if not templates:
        return
    typer.echo("\nready-made rules and what they became (* default not confirmed by the site)")
    for each in templates:
        typer.echo(f"  {each.id} (template {each.template}, line {each.line})")
        for rule in each.rules:
            typer.echo(f"    {rule.id}: {rule.alarm_class}, {_told(rule)}")
        if each.used:
            typer.echo("    with " + ", ".join(_used(used) for used in each.used))


def made_json(templates: Sequence[Expanded]) -> list[dict[str, object]]:
    """Return the same for programs."""
    return [
        {
            "id": each.id,
            "template": each.template,
            "line": each.line,
            "rules": [
                rule.model_dump(mode="json", by_alias=True, exclude_none=True)
                for rule in each.rules
            ],
            "used": [
                {
                    "name": used.name,
                    "value": used.value,
                    "unit": used.unit,
                    "is_default": used.is_default,
                    "is_confirmed": used.is_confirmed,
                }
                for used in each.used
            ],
        }
        for each in templates
    ]


def _told(rule: RuleModel) -> str:
    delays = [f"after {rule.on_delay_s:g} s"] if rule.on_delay_s else []
    delays += [f"gone after {rule.off_delay_s:g} s"] if rule.off_delay_s else []
    delays += ["latched"] if rule.latch or rule.alarm_class in ("fire", "gas") else []
    return ", ".join([f"{rule.label.en} {rule.label.zh}", *delays])


def _used(used: Used) -> str:
    return f"{used.name} {used.value:g}" + ("" if used.is_confirmed else "*")
