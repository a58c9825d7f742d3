"""A table says the same on a page and in a terminal."""

import pytest

from ganlib.tables import Table


@pytest.fixture
def table() -> Table:
    return Table(("run", "loss < 1"), [("gan", "2.30"), ("cgan-linear", "0.5")], "epoch 25")


def test_text_is_aligned_under_its_header(table):
    caption, header, *rows = repr(table).splitlines()
    assert caption == "epoch 25"
    assert {line.index(cell) for line, cell in zip(rows, ("2.30", "0.5"))} == {13}
    assert header.index("loss") == 13


def test_html_holds_every_cell_and_escapes_it(table):
    html = table._repr_html_()
    assert html.count("<td") == 4 and html.count("<th") == 3  # thead and two columns
    assert "loss &lt; 1" in html and "<caption>epoch 25</caption>" in html


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 columns, but a row has 1"):
        Table(("a", "b"), [("only one",)])
