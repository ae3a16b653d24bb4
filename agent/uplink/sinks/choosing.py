"""Which sink an uplink speaks: the one place that knows them all."""

from __future__ import annotations

from agent import VERSION
from agent.core.spec import SiteSpec
from agent.uplink.sinks import Sink
from agent.uplink.sinks.homeassistant import HomeAssistantSink
from agent.uplink.sinks.native import NativeSink
from agent.uplink.sinks.thingsboard import ThingsBoardSink
from agent.uplink.spec import SinkName, UplinkSpec
from agent.uplink.topics import Topics


def make_sink(spec: UplinkSpec, *, site: SiteSpec, boot: str, config_hash: str) -> Sink:
    """Return the sink an uplink asks for.

    Raises:
        TopicFault: root, site or box cannot stand in a topic.
    """
    topics = Topics(spec.root, site.site, site.box)
    match spec.sink:
        case SinkName.NATIVE:
            return NativeSink(
                topics,
                site=site,
                boot=boot,
                version=VERSION,
                config_hash=config_hash,
                telemetry_expiry_s=spec.telemetry_expiry_s,
            )
        case SinkName.HOME_ASSISTANT:
            return HomeAssistantSink(
                topics,
                site=site,
                boot=boot,
                version=VERSION,
                config_hash=config_hash,
                allow=spec.commands.allow,
            )
        case SinkName.THINGSBOARD:
            return ThingsBoardSink(site=site, boot=boot, version=VERSION, config_hash=config_hash)
