"""A report in words: rows of (what, figure), and the same as HTML and CSV, in English or Chinese."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from html import escape

from agent.core.spec import AlarmClass
from agent.local.phrases import age_text
from agent.local.terms import Words
from agent.report.figures import Report, Share, Times

Row = tuple[str, str]


def sections(report: Report, words: Words) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Yield the parts of the report: a heading and its rows."""
    yield (
        words("report.availability"),
        (
            (words("report.known"), age_text(report.known_s, words)),
            *_share(words("report.good_rate"), report.points, words),
            *_share(words("report.online_rate"), report.devices, words),
            (words("report.gaps"), str(report.gaps)),
        ),
    )
    yield (
        words("report.alarms"),
        (
            *((words(f"class.{each}"), str(report.alarms[each])) for each in AlarmClass),
            (words("report.tests"), str(report.tests)),
        ),
    )
    yield (
        words("report.closed"),
        (
            *((words.of("closing", code), str(count)) for code, count in report.closed.items()),
            (words("report.false_rate"), _percent(report.false_rate, words)),
            *((f"– {cause}", str(count)) for cause, count in report.false_causes.items()),
        ),
    )
    yield (
        words("report.response"),
        (
            *_times(words("report.to_ack"), report.to_ack, words),
            *_times(words("report.to_reset"), report.to_reset, words),
        ),
    )
    yield (
        words("report.on_purpose"),
        (
            (words("report.drills"), f"{report.drills} ({age_text(report.drill_s, words)})"),
            *(
                (f"{words('report.inhibited')} {rule}", age_text(seconds, words))
                for rule, seconds in report.inhibited_s.items()
            ),
        ),
    )
    yield (
        words("report.starts"),
        tuple((rule, str(count)) for rule, count in report.starts.items() if count),
    )


def html(report: Report, words: Words) -> str:
    """Return the report as one HTML page that prints on a sheet."""
    body = "".join(
        f"<h2>{escape(title)}</h2>"
        + (
            "<table>"
            + "".join(
                f"<tr><th scope=row>{escape(what)}</th><td>{escape(said)}</td></tr>"
                for what, said in rows
            )
            + "</table>"
            if rows
            else f"<p>{escape(words('page.none'))}</p>"
        )
        for title, rows in sections(report, words)
    )
    title = f"{words('report.title')} {report.month.name} · {report.site} / {report.box}"
    return (
        f'<!doctype html><html lang="{words.lang}"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p>{escape(words('page.supplement'))}</p>{body}"
        f"<p><small>{escape(words('report.note'))}</small></p></body></html>\n"
    )


def table(report: Report, words: Words) -> str:
    """Return the report as CSV: part, what, figure."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow((words("report.part"), words("report.what"), words("report.figure")))
    for title, rows in sections(report, words):
        writer.writerows((title, what, said) for what, said in rows)
    return out.getvalue()


_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{border-bottom:1px solid #bbb;padding:.3rem;"
    "text-align:left;font-weight:400}td{text-align:right;white-space:nowrap}"
)


def _share(name: str, share: Share, words: Words) -> Iterator[Row]:
    yield name, _percent(share.rate, words)
    total_s = share.total_s
    for key, seconds in (
        ("report.bad", share.bad_s),
        ("report.taken_out", share.inhibited_s),
        ("report.unknown", share.unknown_s),
    ):
        if seconds:
            yield f"– {words(key)}", _percent(seconds / total_s, words)


def _times(name: str, times: Times | None, words: Words) -> Iterator[Row]:
    if times is None:
        yield name, words("page.none")
        return
    said = (age_text(each, words) for each in (times.median_s, times.p90_s, times.worst_s))
    yield f"{name} ({words('report.of')} {times.count})", " / ".join(said)


def _percent(share: float | None, words: Words) -> str:
    return words("page.none") if share is None else f"{share * 100:.2f} %"
