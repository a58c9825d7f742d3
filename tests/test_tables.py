"""A table says the same on a page and in a terminal."""

import pytest

from ganlib.figures.tables import Table


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


def test_numbers_break_before_an_interval_only_and_names_anywhere():
    shown = Table(("change", "effect"), [("a label", "+0.10 [+0.05, +0.15]")])._repr_html_()
    assert "a label" in shown and "+0.10 [+0.05,\N{NO-BREAK SPACE}+0.15]" in shown
    sentences = Table(("change", "effect"), [("a label", "does much")], wide=True)
    assert "does much" in sentences._repr_html_()


def test_some_columns_and_rows_of_a_table(table):
    assert repr(table.only("loss < 1", "run", rows=("cgan-linear",))).splitlines()[1:] == [
        "loss < 1  run",
        "0.5       cgan-linear",
    ]
    assert table.only("run").rows == [["gan"], ["cgan-linear"]]
    with pytest.raises(ValueError, match="no row is called cbn"):
        table.only("run", rows=("cbn",))
    with pytest.raises(ValueError, match="'seeds' is not in list"):
        table.only("seeds")
