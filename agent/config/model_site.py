"""The model of the whole site file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from agent.config.model_base import NAME_PATTERN, Id, LabelModel, Model, Port, Text, Word
from agent.config.model_derived import CounterModel, DerivedModel
from agent.config.model_outputs import KeyModel, OutputModel
from agent.config.model_rules import LinkageModel, RuleModel
from agent.config.model_wires import BusModel, DeviceModel, FaultsModel, InputModel
from agent.config.templates.models import RuleEntry


class ZoneModel(Model):
    """A place: building, floor or room."""

    id: Id
    label: LabelModel = LabelModel()


class CredentialModel(Model):
    """A secret in systemd's credentials directory (LoadCredential=, systemd.exec(5))."""

    secret: str = Field(pattern=NAME_PATTERN, max_length=255, description="Name of the credential.")


class EnvironmentModel(Model):
    """A secret in an environment variable."""

    env: str = Field(pattern=NAME_PATTERN, max_length=255, description="Name of the variable.")


class SecretFileModel(Model):
    """A secret in a file; one newline at its end is not part of it."""

    file: Text = Field(description="Path, from the folder of the site file.")


def _secret_tag(value: object) -> str | None:
    if isinstance(value, dict):
        for word in ("secret", "env", "file"):
            if word in value:
                return f"<{word}>"
    return None


SecretModel = Annotated[
    Annotated[CredentialModel, Tag("<secret>")]
    | Annotated[EnvironmentModel, Tag("<env>")]
    | Annotated[SecretFileModel, Tag("<file>")],
    Discriminator(
        _secret_tag,
        custom_error_type="secret",
        custom_error_message="secrets do not stand in this file; name where it is: {secret: NAME} "
        "(systemd credential), {env: NAME} or {file: PATH}",
    ),
]


class TlsModel(Model):
    """TLS towards the broker; the broker's certificate is always verified."""

    ca_file: Text | None = Field(
        default=None, description="Left out: the authorities of the system."
    )
    cert_file: Text | None = Field(default=None, description="Client certificate, with key_file.")
    key_file: Text | None = None
    alpn: tuple[Text, ...] = ()
    warn_days: int = Field(
        default=21,
        ge=0,
        le=365,
        description="A certificate of the link that ends sooner is a fault; 0: never.",
    )


CommandWord = Literal[
    "ack", "silence", "reset", "inhibit", "uninhibit", "drill", "output", "mode", "snapshot"
]


class CommandsModel(Model):
    """What may be asked of this box over the uplink."""

    allow: tuple[CommandWord, ...] = Field(
        default=("ack", "silence", "snapshot"),
        description="Left out: what ends no alarm and moves no equipment. []: nothing is listened to. "
        "Power of a cut-off never returns this way.",
    )
    longest_s: int = Field(
        default=300, ge=10, le=600, description="A command may not be valid for longer."
    )
    per_minute: int = Field(default=60, ge=1, le=240, description="Carried out, on average.")


def _as_text(value: object) -> object:
    """`protocol: 5` is a number in YAML and plainly meant."""
    return "5" if value == 5 and not isinstance(value, bool) else value


class UplinkModel(Model):
    """A broker and how to talk to it."""

    id: Id
    host: Text
    port: Port = Field(default=1883, description="Usually 1883, with TLS 8883.")
    sink: Literal["native", "homeassistant", "thingsboard"] = Field(
        default="native", description="The platform whose dialect is spoken."
    )
    root: Text = Field(default="plantroom/v1", description="First words of every topic.")
    protocol: Annotated[Literal["5", "3.1.1"], BeforeValidator(_as_text)] = Field(
        default="5", description="MQTT version."
    )
    client_id: str = Field(default="", max_length=128, description="Left out: the box id.")
    username: Text | None = None
    password: SecretModel | None = None
    keepalive_s: int = Field(
        default=20, ge=5, le=600, description="A dead link is noticed within twice this."
    )
    max_payload_kib: int = Field(
        default=128,
        ge=4,
        le=65_536,
        description="Largest message the broker takes, KiB; 128 suits every cloud. The description of "
        "a site of more than some 380 points needs more.",
    )
    telemetry_expires_h: float | None = Field(
        default=None,
        gt=0,
        le=8760,
        description="The broker drops readings that nobody fetched for so many hours (MQTT 5, native "
        "sink); a subscriber then misses their numbers. Left out: never. Events never expire.",
    )
    tls: TlsModel | None = None
    commands: CommandsModel = CommandsModel()


class OutboxModel(Model):
    """What is kept on disk while uplinks are away."""

    max_mib: int = Field(
        default=256, ge=4, le=65_536, description="Bound of all records on disk, MiB."
    )
    commit_interval_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="At most this much telemetry may be lost by a power cut; 0 writes everything at "
        "once.",
    )
    replay_readings_s: float = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="After an outage at most so many stored readings a second go out, besides what "
        "is measured meanwhile; 0: as fast as the link takes them.",
    )


class LocalModel(Model):
    """The local page, metrics and API."""

    host: Text = Field(default="127.0.0.1", description="Loopback address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=8080, description="0: any free port; null: only the Unix socket."
    )


class PathsModel(Model):
    """Where the agent keeps its files."""

    data: Text = Field(default="/var/lib/plantroom", description="Records and alarm memory.")
    run: Text = Field(default="/run/plantroom", description="The Unix socket.")


class TimeModel(Model):
    """How the agent knows that the clock was set."""

    source: Literal["auto", "timesyncd", "chrony", "assume-synced"] = "auto"


class SiteModel(Model):
    """Everything in a site file."""

    version: Literal[1] = Field(description="Version of this format.")
    site: Word = Field(description="The site's word in every MQTT topic.")
    box: Word = Field(description="This box's word in every MQTT topic.")
    label: LabelModel = LabelModel()
    timezone: Text = Field(
        default="Asia/Shanghai", description="IANA name; for reports and the page."
    )
    zones: tuple[ZoneModel, ...] = ()
    buses: tuple[BusModel, ...] = ()
    devices: tuple[DeviceModel, ...] = ()
    inputs: tuple[InputModel, ...] = ()
    counters: tuple[CounterModel, ...] = ()
    derived: tuple[DerivedModel, ...] = ()
    outputs: tuple[OutputModel, ...] = ()
    entries: tuple[RuleEntry, ...] = Field(
        default=(),
        alias="rules",
        description="What is watched: rules, or ready-made ones by `template` (docs/thresholds.md).",
    )
    linkage: tuple[LinkageModel, ...] = ()
    keys: tuple[KeyModel, ...] = ()
    faults: FaultsModel = FaultsModel()
    inhibit_max_h: float = Field(
        default=168.0, gt=0, le=8760, description="No inhibit is longer, in hours."
    )
    uplinks: tuple[UplinkModel, ...] = ()
    outbox: OutboxModel = OutboxModel()
    local: LocalModel = LocalModel()
    paths: PathsModel = PathsModel()
    time: TimeModel = TimeModel()

    @property
    def rules(self) -> tuple[RuleModel, ...]:
        """The rules; ready-made ones are among them once they are expanded."""
        return tuple(each for each in self.entries if isinstance(each, RuleModel))
