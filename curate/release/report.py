"""report.html, one page that works offline; its tables are in report.html.jinja."""

from markupsafe import Markup

from curate.release.card import facts
from curate.release.charts import charts
from curate.release.pages import environment
from curate.release.typed_lock import Lock


def render(lock: Lock, manifest: str) -> str:
    """The page's HTML, with its charts and styles inside."""
    drawn = {path: Markup(svg) for path, svg in charts(lock).items()}
    return environment().get_template("report.html.jinja").render(**facts(lock, manifest), charts=drawn)
