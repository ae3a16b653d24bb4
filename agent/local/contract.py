"""What the page may ask of the agent. The door lives on the agent's loop; agent.local.bridge goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.effects import Command, Outcome
from agent.local.view import AgentView
from agent.outbox.records import EventRecord


class AgentDoor(Protocol):
    """Given by the composition root; every call runs on the agent's loop and must be short."""

    async def view(self) -> AgentView:
        """Return the agent as it is now."""

    async def submit(self, command: Command) -> Outcome:
        """Carry out a person's command and return how it ended."""

    async def events(self, limit: int) -> Sequence[EventRecord]:
        """Return the newest `limit` events of the journal, newest first."""
