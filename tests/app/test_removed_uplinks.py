"""What an agent does about uplinks that its site had once."""

from __future__ import annotations

from pathlib import Path

from agent.app.wiring import notes_folder
from agent.uplink.notes import Note
from agent.uplink.tidying import note_path
from tests.app.room import Run, running, site_in


async def test_a_start_removes_the_note_of_an_uplink_that_was_taken_out(tmp_path: Path) -> None:
    run = Run(site_in(tmp_path))
    old = note_path(notes_folder(run.site), "old-cloud")
    assert await Note(old).save({"topics": ["plantroom/v1/riverside/plantroom-1/status/box"]})
    async with running(run):
        await run.until(lambda: not old.exists())
