"""All commands but the service itself, on typer."""

from __future__ import annotations

import typer

from agent.cli import demo, install, orders, outbox, people, report, site, tail, watch, wires

app = typer.Typer(
    name="plantroom",
    help="An edge agent for plant rooms. It supplements certified fire panels and never replaces one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
site.register(app)
people.register(app)
orders.register(app)
watch.register(app)
demo.register(app)
install.register(app)
wires.register(app)
tail.register(app)
outbox.register(app)
report.register(app)


@app.command(
    help="Run the agent from a site file until it is told to stop (what the service does).",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run(context: typer.Context) -> None:
    """Hand over to the service, which parses its own options."""
    from agent.cli.service import serve

    raise typer.Exit(serve(context.args))
