"""`plantroom profiles`: which register maps there are, what they say, whether they hold."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from agent.cli.codes import Exit
from agent.cli.read import wide_console

if TYPE_CHECKING:
    from drivers.modbus.profile import Profile
    from drivers.reading import Value

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
NameArgument = Annotated[str, typer.Argument(help="A profile's name, or a file of your own.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    profiles = typer.Typer(
        name="profiles", help="Register maps: list, show, verify.", no_args_is_help=True
    )
    profiles.command("list", help="Every register map that comes with the agent.")(list_all)
    profiles.command(help="One register map.")(show)
    profiles.command(
        help="Decode the sample frames of one register map, or of all; exit 1 when one does not hold."
    )(verify)
    app.add_typer(profiles)


def list_all(
    as_json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the page docs/register-maps.md.")
    ] = False,
) -> None:
    """Print names, titles, and whether each map is verified."""
    from agent.cli.register_maps import register_map_page, verified_word
    from drivers.modbus.profiles import list_profiles, load_profile

    every = [load_profile(name) for name in list_profiles()]
    if markdown:
        typer.echo(register_map_page(every), nl=False)
        return
    if as_json:
        brief = [
            {
                "name": each.name,
                "title": each.title,
                "unverified": each.unverified,
                "quantities": len(each.quantities),
                "sources": list(each.sources),
            }
            for each in every
        ]
        typer.echo(json.dumps({"profiles": brief}, ensure_ascii=False))
        return
    table = Table("name", "device", "quantities", "map", "source", box=None)
    for each in every:
        more = f" and {len(each.sources) - 1} more" if len(each.sources) > 1 else ""
        word = verified_word(each)
        table.add_row(
            each.name,
            each.title,
            str(len(each.quantities)),
            f"[yellow]{word}[/]" if each.unverified else word,
            each.sources[0] + more,
        )
    wide_console().print(table)


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Print one map."""
    from agent.cli.register_maps import (
        address_words,
        range_words,
        scale_words,
        type_words,
        verified_word,
    )

    profile = _load(name)
    if as_json:
        typer.echo(json.dumps(_profile_json(profile), ensure_ascii=False))
        return
    console = wide_console()
    style = "yellow" if profile.unverified else "green"
    console.print(f"[bold]{profile.name}[/]  {profile.title}  [{style}]{verified_word(profile)}[/]")
    if profile.serial is not None:
        each = profile.serial
        console.print(
            f"factory settings: unit {each.unit}, {each.baud} baud, 8{each.parity}{each.stop_bits}"
        )
    if profile.notes:
        console.print(profile.notes.strip(), markup=False)
    table = Table("quantity", "area", "address", "type", "scale", "unit", "valid", box=None)
    for quantity in profile.quantities:
        table.add_row(
            quantity.name,
            quantity.area,
            address_words(quantity),
            type_words(quantity),
            scale_words(quantity),
            quantity.unit,
            range_words(quantity),
        )
    if profile.quantities:
        console.print(table)
    if profile.coils:
        named = ", ".join(f"{key} {address}" for key, address in profile.coils.items())
        console.print(f"coils for outputs: {named}")
    for check in profile.verify:
        console.print(f"scan expects {check.quantity} within {check.min:g} to {check.max:g}")
    for source in profile.sources:
        console.print(f"source: {source}", markup=False)


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names, or files of your own.", show_default="all that come along"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decode every sample and say where it is not what the file says."""
    from drivers.modbus.profiles import ProfileError, list_profiles, load_profile

    faults: list[str] = []
    checked = []
    for name in names or list_profiles():
        try:
            profile = load_profile(name)
        except ProfileError as error:
            faults += error.faults
            continue
        wrong = sample_faults(profile, _file_of(name))
        faults += wrong
        sampled = {key for sample in profile.samples for key in sample.values}
        checked.append(
            {
                "name": profile.name,
                "ok": not wrong,
                "unverified": profile.unverified,
                "samples": len(profile.samples),
                "sampled": len(sampled),
                "quantities": len(profile.quantities),
            }
        )
    if as_json:
        body = {"ok": not faults, "faults": faults, "profiles": checked}
        typer.echo(json.dumps(body, ensure_ascii=False))
    else:
        for each in checked:
            mark = "good" if each["ok"] else "BAD "
            note = ", unverified map" if each["unverified"] else ""
            typer.echo(
                f"{mark}  {each['name']}: {each['samples']} samples of {each['sampled']} of "
                f"{each['quantities']} quantities{note}"
            )
        for fault in faults:
            typer.echo(fault, err=True)
    raise typer.Exit(Exit.BAD if faults else Exit.GOOD)


def sample_faults(profile: Profile, file: Path) -> list[str]:
    """Return where samples do not decode to what the file says, each as `file:line:column: ...`."""
    from agent.config.faults import ConfigError
    from agent.config.positions import parse
    from drivers.modbus.profile import decode_sample

    try:
        document = parse(file.read_bytes(), str(file))
    except ConfigError as error:
        return [str(fault) for fault in error.faults]
    faults = []
    if not profile.samples and profile.quantities:
        fault = document.fault((), "has no samples: nothing proves that it decodes as meant")
        faults.append(str(fault))
    for index, sample in enumerate(profile.samples):
        decoded = decode_sample(profile, sample)
        for name, meant in sample.values.items():
            got = decoded.get(name)
            if got is None:
                what = "is not inside the request; ask for its registers too"
            elif _is_same(got.value, meant):
                continue
            else:
                why = f" ({got.reason})" if got.reason else ""
                what = f"decodes to {_value(got.value)}{why}, the file says {_value(meant)}"
            faults.append(str(document.fault(("samples", index, "values", name), what)))
    return faults


def _is_same(got: Value | None, meant: Value | None) -> bool:
    """Equal in kind and value; numbers to the 7 digits of an IEEE 754 single."""
    if isinstance(got, (bool, str)) or isinstance(meant, (bool, str)) or None in (got, meant):
        return type(got) is type(meant) and got == meant
    assert got is not None and meant is not None  # noqa: S101, PT018 - told to the type checker
    return math.isclose(got, meant, rel_tol=1e-6, abs_tol=1e-9)


def _value(value: Value | None) -> str:
    return "no value" if value is None else json.dumps(value, ensure_ascii=False)


def _load(name: str) -> Profile:
    from drivers.modbus.profiles import ProfileError, load_profile

    try:
        return load_profile(name)
    except ProfileError as error:
        for fault in error.faults:
            typer.echo(fault, err=True)
        raise typer.Exit(Exit.BAD) from error


def _file_of(name: str) -> Path:
    from drivers.modbus.profiles import FOLDER, list_profiles

    return FOLDER / f"{name}.yaml" if name in list_profiles() else Path(name)


def _profile_json(profile: Profile) -> dict[str, object]:
    return {
        "name": profile.name,
        "title": profile.title,
        "unverified": profile.unverified,
        "sources": list(profile.sources),
        "notes": profile.notes,
        "max_registers": profile.max_registers,
        "max_gap": profile.max_gap,
        "quantities": [
            {
                "name": each.name,
                "kind": each.kind,
                "area": each.area,
                "address": each.address,
                "type": each.type,
                "word_order": each.word_order,
                "byte_order": each.byte_order,
                "scale": each.scale,
                "offset": each.offset,
                "unit": each.unit,
                "valid": {"min": each.valid_min, "max": each.valid_max},
                "sentinels": list(each.sentinels),
                "enum": {str(code): word for code, word in each.enum.items()},
                "loop": None
                if each.loop is None
                else {"low": each.loop.low, "high": each.loop.high},
                "bit": each.bit,
                "bit_count": each.bit_count,
                "length": each.length,
                "poll": each.poll_class,
            }
            for each in profile.quantities
        ],
        "coils": profile.coils,
        "verify": [
            {"quantity": each.quantity, "min": each.min, "max": each.max} for each in profile.verify
        ],
        "samples": len(profile.samples),
    }
