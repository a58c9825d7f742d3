"""For Sphinx: every build of the book exports the playground's models into its own _static folder.

So no weights are stored twice, and none can be older than the recorded run they come from.
"""

from pathlib import Path

from sphinx.application import Sphinx

from ganlib.page.export import export
from ganlib.runs.store import find_run


def export_models(app: Sphinx) -> None:
    """Write the generators that _config.yml names to _static/models; HTML alone can use them."""
    folder = Path(app.outdir) / "_static" / "models"
    if app.builder.format != "html":
        return
    for old in folder.glob("*.*"):  # of another choice
        old.unlink()
    for run in app.config.playground_models:
        export(find_run(run), folder)


def setup(app: Sphinx) -> dict:
    app.add_config_value("playground_models", [], "html", list)
    app.connect("builder-inited", export_models)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
