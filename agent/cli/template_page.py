"""The page docs/thresholds.md, made from the templates themselves."""

from __future__ import annotations

from collections.abc import Iterable

from agent.config.templates.models import unit_words
from agent.config.templates.spec import Parameter, Pattern, Share, Takes, Template

HEAD = """\
# Thresholds, delays and ready-made rules, and where they come from

The tables of templates are made by `plantroom templates list --markdown`; a test holds this page to
them. Change agent/config/templates, not the page.

Starting values. Each site confirms its own: design documents, the approval and the maker's manual go
before anything here. Plantroom does not claim conformity to any of these standards.

How sure a value is: **read** = the clause or a page quoting it was read; **weak** = read, but in a trade
summary, forum or makers' page; **unverified** = from general knowledge, clause not seen; **chosen** = our
own choice, with the reason beside it.

## How to use a ready-made rule

```yaml
rules:
  - {id: hydrant, template: hydrant, point: hydrant.pressure, low_kpa: 100, working_kpa: 600}
```

becomes `hydrant-low`, `hydrant-low-low` and `hydrant-high`, labelled in both languages after the point.
`plantroom check --plan` shows what each became, `plantroom templates show hydrant` what may be set.
Linkage names the rules they became.

- A value marked **confirm** is unverified or differs from building to building: `check` warns until the site
  writes it itself or says `confirmed: true` for the whole entry.
- Numbers are in the unit that ends their name. The point may have another unit of the same kind: pressures in
  Pa, kPa, MPa, mbar or bar, lengths in mm, cm or m, currents in mA or A.
- Beside them stand `zone`, `label`, `latch`, `ack`, `group`, `realarm_s` as in any rule, and `without: [high]` for
  what is not wanted.
- A point of the wrong kind or unit, a value out of its range, warnings above alarms: each is a fault at the entry.
"""

TAIL = """\

## How the core reads a threshold

`above: x` is true when the value is greater than x, `below: x` when it is less; x itself is normal. Once true it stays
so until the value is back at or past x by `deadband`. A value that is bad, stale, not a number or not there makes the
condition unknown: it raises nothing, clears nothing, and the point's fault rule speaks.

## Time

| Figure | Use | How sure | Source |
|---|---|---|---|
| 10 s | fire alarm from input to the monitoring centre; the whole way is measured against it | read | GB 26875.1-2011 4.1.2.1, GB 16806 4.8, NFPA 72 10.11.1 |
| 10 s | other running states of fire equipment to the centre | read | GB 26875.1-2011 4.1.3.1 |
| 100 s | a fault (broken line, missing detector) is shown by then: `stale_after_s` + on-delay of a fault rule stay below it | weak | GB 50166-style commissioning lists |
| 200 s | trouble signal and its restoration shown | weak | NFPA 72 |
| 30 s | `stale_after_s`, default | chosen | three missed polls of 10 s; with 10 s on-delay well below 100 s |
| 10 s | on-delay of a fault rule, default | chosen | rides out one retry and one reconnect |
| 15 s flow and pressure, 60 s level and temperature | on-delays of process alarms | unverified | EEMUA 191 / ISA-18.2 tables |
| 5 % flow and level, 2 % pressure, 1 % temperature, of span | deadbands | unverified | the same |

## No template, but often asked for

| Quantity | Limit | How sure | Source |
|---|---|---|---|
| oxygen | below 19.5 or above 23.5 %vol (`outside: [19.5, 23.5]`) | weak | GB/T 50493-2019 |
| municipal hydrant in a fire | 100 kPa | weak | GB 50974-2014 7.2.8 |

## Loops and lines

| Figure | Meaning | How sure | Source |
|---|---|---|---|
| 3.8-20.5 mA | a measurement | read | NAMUR NE43 |
| below 3.6, above 21 mA | the device has failed: quality `bad` | read | the same |
| between | saturated: quality `uncertain`, still looked at | read | the same |

## Load on people

| Figure | Meaning | How sure | Source |
|---|---|---|---|
| 3 times in a minute | an alarm chatters | read | alarm management guide of a maker |
| 10 new in 10 min, until below 5 | a flood | weak; the end unverified | the same field |
| 24 h | an active alarm is standing | unverified | common practice |
"""  # noqa: E501 - a row of a table is one line


def thresholds_page(templates: Iterable[Template]) -> str:
    """Return the page: a list of all templates, then the tables of each, ending with a newline."""
    chosen = tuple(templates)
    lines = [HEAD, "| template | for | becomes |", "|---|---|---|"]
    lines += [
        f"| [{each.name}](#{each.name}) | {each.label.en} {each.label.zh} | {made_words(each)} |"
        for each in chosen
    ]
    for template in chosen:
        lines += _section(template)
    return "\n".join(lines) + "\n" + TAIL


def made_words(template: Template) -> str:
    """Return the ids of the rules a template makes."""
    return ", ".join(f"`{id_words(each)}`" for each in template.rules)


def id_words(pattern: Pattern) -> str:
    """Return the id a rule gets."""
    return f"<id>-{pattern.suffix}" if pattern.suffix else "<id>"


def takes_words(takes: Takes) -> str:
    """Return what points a key takes, as `pressure in kPa`."""
    kinds = " or ".join(takes.kinds)
    return f"{kinds} in {takes.unit}" if takes.unit else f"contact, {kinds}"


def default_words(each: Parameter) -> str:
    """Return the default of a parameter with its unit."""
    if isinstance(each.default, Share):
        return f"{each.default.factor:g} x {each.default.of}"
    if each.default is None:
        return "to be given" if each.is_required else "none"
    return f"{each.default:g} {unit_words(each)}"


def range_words(each: Parameter) -> str:
    """Return the least and the highest value that is taken."""
    return f"{each.low:g} to {each.high:g}"


def sure_words(each: Parameter) -> str:
    """Return how sure the default is, and whether the site has to confirm it."""
    return f"{each.sure}, **confirm**" if each.needs_confirmation else str(each.sure)


def _section(template: Template) -> list[str]:
    lines = ["", f"## {template.name}", "", f"{template.label.en} {template.label.zh}."]
    if template.note:
        lines[-1] += f" {template.note}"
    lines += ["", "| points | what | takes |", "|---|---|---|"]
    for takes in template.takes:
        names = f"`{takes.name}`"
        if takes.is_many and takes.name == "point":
            names += " or `points`"
        if not takes.is_required:
            names += " (may be left out)"
        lines.append(f"| {names} | {takes.label.en} {takes.label.zh} | {takes_words(takes)} |")
    if template.parameters:
        lines += [
            "",
            "| parameter | what | default | range | how sure | source |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| `{each.name}` | {each.label.en} {each.label.zh} | {default_words(each)} | "
            f"{range_words(each)} | {sure_words(each)} | {each.source} |"
            for each in template.parameters
        ]
    lines += ["", "| rule | class | label | latches |", "|---|---|---|---|"]
    lines += [
        f"| `{id_words(each)}` | {each.alarm_class} | {each.label.en} {each.label.zh} | "
        f"{'yes' if latches(each) else 'no'} |"
        for each in template.rules
    ]
    return lines


def latches(pattern: Pattern) -> bool:
    """Return whether a rule stays until a person resets it."""
    return pattern.is_latched or pattern.alarm_class in ("fire", "gas")
