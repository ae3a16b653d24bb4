"""`plantroom tail`: what boxes say at a broker, with what is missing or came twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.codes import Exit
from agent.cli.places import config_path, credentials_dir

if TYPE_CHECKING:
    from agent.uplink.consumer import Consumer, Heard, StreamProof
    from agent.uplink.message import Arrival
    from agent.uplink.spec import UplinkSpec

LOOK_S = 1.0
"""How often it is looked whether something new is missing."""

PASSWORD = "PLANTROOM_TAIL_PASSWORD"  # noqa: S105 - the name of the variable


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        help="Show what boxes say at a broker, and what of it is missing or came twice. Ctrl-C ends it "
        "with a verdict: exit 1 when something is missing."
    )(tail)


def tail(
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker", metavar="HOST[:PORT]", help="Else that of the site file's uplink."
        ),
    ] = None,
    uplink: Annotated[
        str | None, typer.Option("--uplink", help="Which uplink of the site file; else the first.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Site file.", show_default=False)
    ] = None,
    root: Annotated[str, typer.Option("--root", help="First words of the topics.")] = "",
    place: Annotated[
        str, typer.Option("--box", metavar="SITE/BOX", help="One box only, or SITE/+.")
    ] = "+/+",
    user: Annotated[
        str | None, typer.Option("--user", help=f"The password stands in {PASSWORD}.")
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", help="The broker's authority; turns TLS on.")
    ] = None,
    cert_file: Annotated[Path | None, typer.Option("--cert-file", help="With --key-file.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file")] = None,
    protocol: Annotated[str, typer.Option("--protocol", help="5 or 3.1.1.")] = "5",
    for_s: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="End by itself.")
    ] = None,
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="Number 1 of each stream must come too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow boxes at a broker."""
    from agent.uplink.consumer import Consumer
    from agent.uplink.errors import UplinkError

    try:
        if broker is not None:
            spec = _spec_of(broker, user, ca_file, cert_file, key_file, protocol, root)
        else:
            spec = _spec_from(config_path(config), uplink, root)
    except ValueError as fault:
        typer.echo(str(fault), err=True)
        raise typer.Exit(Exit.USAGE) from None
    view = View(Consumer(spec.root, is_from_start=from_start), as_json=as_json)
    try:
        asyncio.run(_follow(spec, place, view, for_s))
    except UplinkError as fault:
        typer.echo(f"{fault}", err=True)
        raise typer.Exit(Exit.UNREACHABLE) from None
    is_whole = view.end()
    if not view.was_linked:  # nothing heard is no proof of anything
        raise typer.Exit(Exit.UNREACHABLE)
    raise typer.Exit(Exit.GOOD if is_whole else Exit.BAD)


class View:
    """Prints messages as they come, gaps as they show, and a verdict at the end."""

    def __init__(self, consumer: Consumer, *, as_json: bool) -> None:
        self._consumer = consumer
        self._as_json = as_json
        self._told: set[tuple[str, str, str, int, int, str]] = set()
        self._strange = 0
        self.was_linked = False

    def hear(self, arrival: Arrival) -> None:
        """Print a message."""
        from agent.uplink.consumer import NotTheContract

        try:
            heard = self._consumer.hear(
                arrival.topic, arrival.payload, is_retained=arrival.is_retained
            )
        except NotTheContract as fault:
            self._strange += 1
            self._print({"is": "strange", "why": str(fault)}, f"? {fault}")
            return
        if self._as_json:
            self._print(
                {
                    "is": "message",
                    "topic": arrival.topic,
                    "new": heard.is_new,
                    "retained": heard.is_retained,
                    "content": heard.content,
                },
                "",
            )
        else:
            self._print({}, line_of(heard))

    def tell_link(self, why: str) -> None:
        """Say that the link is there or why not."""
        self.was_linked = self.was_linked or not why
        text = f"no link: {why}" if why else "listening"
        self._print({"is": "link", "up": not why, "why": why}, f"-- {text}")

    def look(self) -> None:
        """Print what has become missing or was declared lost since the last look."""
        for (site, box), ledger in self._consumer.ledgers.items():
            for proof in ledger.proofs():
                for what, spans in (("missing", proof.missing), ("declared lost", proof.declared)):
                    for span in spans:
                        key = (site, box, proof.stream, span.first, span.last, what)
                        if key in self._told:
                            continue
                        self._told.add(key)
                        where = f"{site}/{box} {proof.lane} stream {proof.stream}"
                        self._print(
                            {
                                "is": "gap",
                                "site": site,
                                "box": box,
                                "lane": proof.lane,
                                "stream": proof.stream,
                                "what": what,
                                "first": span.first,
                                "last": span.last,
                            },
                            f"!! {where}: {span.first} to {span.last} {what}",
                        )

    def end(self) -> bool:
        """Print the verdict and return whether nothing is missing."""
        self.look()
        is_whole = True
        for (site, box), ledger in self._consumer.ledgers.items():
            for proof in ledger.proofs():
                is_whole = is_whole and not proof.missing and not proof.declared
                self._print(_verdict(site, box, proof), _verdict_line(site, box, proof))
        if self._strange:
            self._print(
                {"is": "end", "strange": self._strange}, f"{self._strange} strange messages"
            )
        return is_whole

    def _print(self, content: dict[str, Any], line: str) -> None:
        text = json.dumps(content, ensure_ascii=False) if self._as_json else line
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()


def line_of(heard: Heard) -> str:
    """Return a message as a line for people."""
    content = heard.content
    if not content:
        what = "taken away"
    elif heard.channel == "tele":
        readings = content.get("readings")
        first = readings[0] if isinstance(readings, list) and readings else {}
        what = f"{len(readings or ())} readings, {first.get('point')} {first.get('value')} ..."
    elif heard.channel == "event":
        what = f"{content.get('kind')} {content.get('from')} -> {content.get('to')}"
        for word in ("class", "code", "actor", "reason"):
            what += f" {word}={content[word]}" if content.get(word) else ""
    elif heard.channel == "state":
        what = f"{content.get('value')} {content.get('unit')} {content.get('quality')}"
    elif heard.channel == "alarm":
        what = f"{content.get('class')} {content.get('state')}"
    elif heard.channel == "status":
        what = f"{'online' if content.get('online') else 'OFFLINE'} ({content.get('reason')})"
    elif heard.channel == "meta":
        what = f"{len(content.get('points') or ())} points, {len(content.get('rules') or ())} rules"
    else:
        what = f"{content.get('id')} {content.get('code', '')} {content.get('actor', '')}".strip()
    marks = "".join(
        mark
        for mark, is_so in (
            (" #" + str(content.get("seq")), "seq" in content),
            (" retained", heard.is_retained),
            (" replay", content.get("replay") is True),
            (" clock unsynced", content.get("clock") == "unsynced"),
            (" DOUBLE", not heard.is_new),
        )
        if is_so
    )
    when = _time_of(content)
    return f"{when} {heard.site}/{heard.box} {heard.channel}/{heard.name}: {what}{marks}"


def _time_of(content: Any) -> str:  # noqa: ANN401 - JSON
    ts = content.get("ts")
    if ts is None and isinstance(content.get("readings"), list) and content["readings"]:
        ts = content["readings"][0].get("ts")
    if not isinstance(ts, int):
        return "-" * 12
    return datetime.fromtimestamp(ts / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]


def _verdict(site: str, box: str, proof: StreamProof) -> dict[str, Any]:
    return {
        "is": "proof",
        "site": site,
        "box": box,
        "lane": proof.lane,
        "stream": proof.stream,
        "heard": proof.heard,
        "doubles": proof.doubles,
        "missing": [[each.first, each.last] for each in proof.missing],
        "declared": [[each.first, each.last] for each in proof.declared],
        "pending": [[each.first, each.last] for each in proof.pending],
        "closed": proof.is_closed,
        "clean": proof.is_clean,
    }


def _verdict_line(site: str, box: str, proof: StreamProof) -> str:
    numbers = [
        f"{proof.heard} heard",
        f"{proof.doubles} doubles",
        f"{sum(len(each) for each in proof.missing)} missing",
        f"{sum(len(each) for each in proof.declared)} declared lost",
    ]
    end = {True: ", ended in order", False: ", ended without a word", None: ""}[proof.is_clean]
    return f"== {site}/{box} {proof.lane} {proof.stream}: {', '.join(numbers)}{end}"


async def _follow(spec: UplinkSpec, place: str, view: View, for_s: float | None) -> None:
    from agent.uplink.listening import listen
    from drivers.tasks import TaskGroup

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, stop.set)

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            view.look()

    try:
        async with TaskGroup() as tasks:
            hearing = tasks.create_task(
                listen(
                    spec,
                    client_id=f"plantroom-tail-{os.getpid()}",
                    patterns=(f"{spec.root}/{place}/+/+",),
                    on_arrival=view.hear,
                    on_link=view.tell_link,
                ),
                name="tail",
            )
            looking = tasks.create_task(look(), name="look for gaps")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(for_s):
                    await stop.wait()
            hearing.cancel()
            looking.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _spec_of(
    broker: str,
    user: str | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    protocol: str,
    root: str,
) -> UplinkSpec:
    """Return the broker of the command line.

    Raises:
        ValueError: an option makes no sense.
    """
    from agent.uplink.spec import Protocol, TlsSpec, UplinkSpec

    host, _, port = broker.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 65536)):
        raise ValueError(f"--broker {broker}: HOST or HOST:PORT")
    if protocol not in set(Protocol):
        raise ValueError("--protocol is 5 or 3.1.1")
    is_secure = ca_file is not None or cert_file is not None
    tls = TlsSpec(ca_file=ca_file, cert_file=cert_file, key_file=key_file) if is_secure else None
    return UplinkSpec(
        id="tail",
        host=host,
        port=int(port) if port else (8883 if is_secure else 1883),
        root=root or "plantroom/v1",
        protocol=Protocol(protocol),
        username=user,
        password=os.environ.get(PASSWORD),
        tls=tls,
    )


def _spec_from(file: Path, uplink: str | None, root: str) -> UplinkSpec:
    """Return an uplink of a site file.

    Raises:
        ValueError: the file has faults, or no such uplink.
    """
    from dataclasses import replace

    from agent.config.faults import ConfigError
    from agent.config.load import load_site

    try:
        site = load_site(file, env=dict(os.environ), credentials_dir=credentials_dir())
    except ConfigError as faults:
        raise ValueError(f"{faults}\nor name a broker: --broker HOST:PORT") from None
    except OSError as fault:
        raise ValueError(f"{file}: {fault.strerror}; or name a broker: --broker") from None
    for spec in site.uplinks:
        if uplink in (None, spec.id):
            return replace(spec, root=root or spec.root)
    raise ValueError(f"{file} has no uplink{f' {uplink}' if uplink else ''}")
