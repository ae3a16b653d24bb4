"""The page docs/register-maps.md, made from the profiles themselves."""

from __future__ import annotations

from collections.abc import Iterable

from drivers.modbus.profile import Profile
from drivers.modbus.registers import width
from drivers.modbus.spec import DataType, Order, QuantitySpec

HEAD = """\
# Register maps

Made from `drivers/profiles/*.yaml` by `plantroom profiles list --markdown`; a test holds this page
to them. Change the profile, not the page.

Addresses are protocol addresses, from 0 (the register a manual calls 40001 is holding 0x0000).
Function codes: coil 01, discrete 02, holding 03, input 04. `verified` means that the map was held
against the sources named, `unverified` that it was not: compare each value with the device's own
display before anything relies on it. A sample is an exchange that a test decodes: `seen` when it was
recorded somewhere, `made` when it was made from the map (it then proves the decoder, not the map).
"""


def register_map_page(profiles: Iterable[Profile]) -> str:
    """Return the page: a list of all profiles, then a table of each, ending with a newline."""
    chosen = sorted(profiles, key=lambda each: each.name)
    lines = [HEAD, "| profile | device | quantities | map | samples |", "|---|---|---|---|---|"]
    lines += [
        f"| [{each.name}](#{each.name}) | {_cell(each.title)} | {len(each.quantities)} | "
        f"{verified_word(each)} | {_samples(each)} |"
        for each in chosen
    ]
    for profile in chosen:
        lines += _section(profile)
    return "\n".join(lines) + "\n"


def verified_word(profile: Profile) -> str:
    """Return whether somebody held the map against its sources."""
    return "unverified" if profile.unverified else "verified"


def type_words(spec: QuantitySpec) -> str:
    """Return how the words are to be understood, as `u32, low word first`."""
    words = [spec.type.value]
    if spec.type is DataType.BITS:
        last = spec.bit + spec.bit_count - 1
        words = [f"bit {spec.bit}" if spec.bit_count == 1 else f"bits {spec.bit}-{last}"]
    if spec.type is DataType.STRING:
        words = [f"string of {2 * spec.length}"]
    if width(spec) > 1 and spec.word_order is Order.LITTLE:
        words.append("low word first")
    if spec.byte_order is Order.LITTLE:
        words.append("low byte first")
    return ", ".join(words)


def scale_words(spec: QuantitySpec) -> str:
    """Return what makes a value of the raw number: scale, offset, current loop, codes."""
    words = [] if spec.scale == 1 else [f"x {spec.scale:.9g}"]
    if spec.offset:
        words.append(f"{spec.offset:+.9g}")
    if spec.loop is not None:
        words.append(f"4-20 mA = {spec.loop.low:g} to {spec.loop.high:g}")
    codes = [f"{code} = {_code(word)}" for code, word in sorted(spec.enum.items())]
    return ", ".join([*words, *codes])


def range_words(spec: QuantitySpec) -> str:
    """Return what is no good value: outside of the range, or a sentinel."""
    low, high = spec.valid_min, spec.valid_max
    words = []
    if low is not None and high is not None:
        words.append(f"{low:g} to {high:g}")
    elif low is not None:
        words.append(f"from {low:g}")
    elif high is not None:
        words.append(f"to {high:g}")
    words += [f"not 0x{each:04X}" for each in spec.sentinels]
    return ", ".join(words)


def address_words(spec: QuantitySpec) -> str:
    """Return the address in hex, the protocol's own, from 0."""
    return f"0x{spec.address:04X}"


def _section(profile: Profile) -> list[str]:
    lines = ["", f"## {profile.name}", "", f"{profile.title}. Map: **{verified_word(profile)}**."]
    if profile.serial is not None:
        serial = profile.serial
        lines[-1] += (
            f" Leaves the factory as unit {serial.unit}, {serial.baud} baud "
            f"8{serial.parity}{serial.stop_bits}."
        )
    if profile.notes:
        lines += ["", profile.notes.strip()]
    if profile.quantities:
        lines += [
            "",
            "| quantity | kind | area | address | type | scale | unit | valid | poll |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {each.name} | {each.kind} | {each.area} | {address_words(each)} | "
            f"{type_words(each)} | {_cell(scale_words(each))} | {_cell(each.unit)} | "
            f"{range_words(each)} | {each.poll_class} |"
            for each in profile.quantities
        ]
    if profile.coils:
        named = ", ".join(f"{name} {address}" for name, address in profile.coils.items())
        lines += ["", f"Coils for outputs: {named}."]
    if profile.verify:
        checks = ", ".join(
            f"{each.quantity} {each.min:g} to {each.max:g}" for each in profile.verify
        )
        lines += ["", f"`plantroom scan` takes a device for this when: {checks}."]
    lines += ["", "Sources:", *(f"- {each}" for each in profile.sources)]
    return lines


def _samples(profile: Profile) -> str:
    made = sum(each.synthetic for each in profile.samples)
    seen = len(profile.samples) - made
    words = [f"{seen} seen"] if seen else []
    words += [f"{made} made"] if made else []
    return ", ".join(words) or "none"


def _code(word: object) -> str:
    return str(word).lower() if isinstance(word, bool) else str(word)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
