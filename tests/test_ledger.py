"""Verdicts follow from results alone, and the chapter shows those of the shipped file."""

from pathlib import Path

import nbformat
import pytest
from test_analysis import made_results, made_run
from test_endurance import made_long
from test_gains import additive, made_improvements

from ganlib import analysis, endurance, findings, gains, ledger

CHAPTER = Path(__file__).resolve().parents[1] / "book" / "04_loss_analysis.ipynb"


def entries(
    results: dict | None = None, improved: dict | None = None, long: dict | None = None
) -> list[ledger.Entry]:
    """Of results that find nothing, where none are given; of no long run."""
    long = long or made_long()
    return ledger.verdicts(results or made_results(), improved or made_improvements(), long)


def verdict(results: dict | None, claim: str, improved: dict | None = None) -> str:
    (entry,) = (e for e in entries(results, improved) if e.claim == claim)
    return entry.verdict


def results_where(**by_condition) -> dict:
    """Measures given as ``none={...}, label={...}``, a little apart from seed to seed."""

    def value(c, loss, eps, seed):
        return {k: v * (1 + 0.001 * seed) for k, v in by_condition.get(c, {}).items()}

    return made_results(value=value)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (["for", "for"], "holds"),
        (["for", "unclear"], "holds in part"),
        (["for", "against"], "holds in part"),
        (["against", "unclear"], "does not hold"),
        (["no difference", "no difference"], "does not hold"),
        (["no difference", "unclear"], "can't be told"),
        ([], "can't be told"),
    ],
)
def test_readings_make_a_verdict(readings, expected):
    assert ledger.combine(readings) == expected
    assert ledger.combine(readings[::-1]) == expected


def test_every_claim_has_a_line_and_a_known_verdict():
    found = entries()
    claims = ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "4.2 a", "4.2 b", "4.2 c", "4.2 d"]
    assert [e.claim for e in found] == claims
    assert {e.verdict for e in found} <= set(ledger.VERDICTS)
    assert all(e.rule and e.ours and e.paper for e in found)


@pytest.mark.parametrize("n_seeds", [0, 1])
def test_nothing_can_be_told_from_one_seed_or_none(n_seeds):
    found = entries(made_results(n_seeds), made_improvements(n_seeds))
    assert {e.verdict for e in found if e.claim != "4.2 c"} == {"can't be told"}  # c only counts
    assert {e.seeds for e in found if e.claim == "C1"} == {str(n_seeds)}


def test_section_4_2_is_judged_by_chapter_5():
    improved = made_improvements(value=additive)  # better distances, equal coverage
    verdicts = [verdict(None, f"4.2 {letter}", improved) for letter in "abcd"]
    assert verdicts == ["holds in part", "holds in part", "holds", "holds in part"]
    worse = made_improvements(
        value=lambda layers, label, seed: {
            "frechet": (2.0 if label == "CBN" else 1.0) * (1 + 0.1 * seed),
            "coverage": 0.8 - 0.2 * (label == "CBN") + 0.1 * seed,
        }
    )
    assert verdict(None, "4.2 a", worse) == "does not hold"


def test_c1_counts_collapsed_runs():
    assert verdict(made_results(), "C1") == "does not hold"
    assert verdict(results_where(none={"coverage": 0.01}), "C1") == "holds"

    def only_with_large_eps(c, loss, eps, seed):
        return {"classes": 3} if eps == 0.8 else {}

    results = made_results(value=only_with_large_eps)
    assert verdict(results, "C1") == "holds in part"


@pytest.mark.parametrize(
    ("ends", "expected", "words"),
    [
        ((0.1,), "holds in part", "0 of 3 by epoch 25;"),  # one long run decides nothing
        ((0.1, 0.2, 0.7), "holds", "0 of 3 by epoch 25 and 2 of 3 by epoch 200;"),
        ((0.1, 0.6, 0.7), "holds in part", "1 of 3 by epoch 200;"),
        ((0.6, 0.6, 0.7), "holds in part", "0 of 3 by epoch 200;"),  # there is still eps 0.8
    ],
)
def test_c1_is_judged_after_the_longest_training_of_several_seeds(ends, expected, words):
    def only_with_large_eps(c, loss, eps, seed):
        return {"classes": 3} if eps == 0.8 else {}

    results = made_results(value=only_with_large_eps)
    entry = entries(results, long=made_long(*ends))[0]
    assert entry.verdict == expected
    assert words in entry.ours and "with eps 0.8, 3 of 3 by epoch 25" in entry.ours
    if max(ends) > 0.5:
        results = made_results()
        wanted = "holds in part" if min(ends) < 0.5 else "does not hold"
        assert entries(results, long=made_long(*ends))[0].verdict == wanted


def test_c2_compares_ranges_at_the_same_loss():
    results = made_results()
    assert verdict(results, "C2") == "does not hold"  # all ranges alike
    for run in results["runs"]:
        if run["conditioning"] == "label":
            wide = 9.0 + 0.01 * run["seed"]
            run["losses"]["every iteration"]["g_loss"] = [0.1, wide]
    assert verdict(results, "C2") == "does not hold"  # the label's are wider
    for run in results["runs"]:
        if run["conditioning"] == "none":
            run["losses"]["every iteration"]["g_loss"] = [0.1, 20.0 + 0.01 * run["seed"]]
    assert verdict(results, "C2") == "holds"


def test_c3_c4_and_c6_follow_the_labels_effect():
    better = {"coverage": 0.7, "frechet": 2.0, "precision": 0.95, "recall": 0.7}
    results = results_where(label=better)
    assert [verdict(results, c) for c in ("C3", "C4", "C6")] == ["holds", "holds", "does not hold"]
    results = results_where(none=better)
    assert [verdict(results, c) for c in ("C3", "C4", "C6")] == [
        "does not hold",
        "does not hold",
        "holds",
    ]


def test_c5_asks_every_labelled_cell():
    assert verdict(results_where(label={"accuracy": 0.97}), "C5") == "holds"
    assert verdict(results_where(label={"accuracy": 0.5}), "C5") == "does not hold"

    def one_loss_obeys(c, loss, eps, seed):
        return {"accuracy": 0.97 if loss == "mse" else 0.4} if c == "label" else {}

    assert verdict(made_results(value=one_loss_obeys), "C5") == "holds in part"


def test_c7_lets_both_squared_losses_vote():
    def value(c, loss, eps, seed):
        return {"coverage": (0.7 if loss == "mse" else 0.1) * (1 + 0.001 * seed)}

    results = made_results(value=value)
    assert verdict(results, "C7") == "holds"
    for seed in (0, 1):
        results["runs"].append(made_run("none", "least-squares", 0.8, seed, coverage=0.05))
    assert verdict(results, "C7") == "holds in part"


def test_c7_is_judged_where_bce_collapsed():
    def value(c, loss, eps, seed):
        if c == "none" and eps == 0.8:  # the one collapse, which MSE leaves as it is
            return {"coverage": 0.01 + 0.001 * seed}
        return {"coverage": (0.7 if loss == "mse" else 0.6) * (1 + 0.001 * seed)}

    (entry,) = (e for e in entries(made_results(value=value)) if e.claim == "C7")
    assert entry.verdict == "does not hold"
    assert "eps 0.8" in entry.ours and "eps 1e-05" not in entry.ours
    assert verdict(made_results(), "C7") == "can't be told"  # nothing collapsed


def test_another_seed_can_change_a_verdict():
    def value(c, loss, eps, seed):
        return {"coverage": 0.8, "frechet": 1.0} if c == "label" and seed < 2 else {}

    two = made_results(n_seeds=2, value=value)
    assert verdict(two, "C3") == "holds"
    assert verdict(made_results(n_seeds=3, value=value), "C3") == "can't be told"


# --- The chapter ---------------------------------------------------------------------------------


def test_the_chapter_shows_the_verdicts_of_the_shipped_results():
    """After `python -m ganlib experiment`, the chapter has to be executed again."""
    notebook = nbformat.read(CHAPTER, as_version=4)
    shown = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        if cell.cell_type == "code" and "ledger_table" in cell.source
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert shown == [repr(findings.ledger_table(analysis.load(), gains.load(), endurance.load()))]
