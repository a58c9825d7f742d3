"""For Sphinx: as long as the book has no address on GitHub, no button of the theme leads to one."""

import sys
from pathlib import Path

# `make book` builds a copy of the book, which lies further down.
above = Path(__file__).resolve().parents
sys.path += [str(place / "tools") for place in above if (place / "tools" / "repo.py").is_file()]

import repo  # noqa: E402

BUTTONS = ("use_repository_button", "use_issues_button", "use_edit_page_button")


def hide_buttons(app, config) -> None:
    """The theme's buttons, and its Colab launcher, need an address."""
    options = config.html_theme_options
    if repo.parse(options["repository_url"]) == repo.NOWHERE:
        options |= dict.fromkeys(BUTTONS, False) | {"launch_buttons": {}}


def setup(app) -> dict:
    app.connect("config-inited", hide_buttons)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
