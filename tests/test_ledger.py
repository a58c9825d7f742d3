"""Verdicts follow from results alone, and the chapter shows those of the shipped file."""

from pathlib import Path

import nbformat
import pytest
from test_analysis import made_results, made_run
from test_endurance import made_long
from test_gains import additive, made_improvements

from ganlib.figures import findings
from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import analysis, claims, contrasts, endurance, gains, ledger

CHAPTER = Path(__file__).resolve().parents[1] / "book" / "04_loss_analysis.ipynb"


def long_runs(**cells) -> dict:
    """Long runs by cell as the chapter hands them on: none, but for ``cells`` (made_long's)."""
    return {cell: cells.get(cell.replace("-", "_"), made_long()) for cell in endurance.CELLS}


def entries(
    results: dict | None = None, improved: dict | None = None, long: dict | None = None
) -> dict[str, ledger.Entry]:
    """Of results that find nothing, where none are given; of no long run."""
    given = results or made_results(), improved or made_improvements(), long or long_runs()
    return {entry.claim.id: entry for entry in ledger.verdicts(*given)}


def verdict(results: dict | None, claim: str, improved: dict | None = None) -> str:
    return entries(results, improved)[claim].verdict


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


def test_every_claim_has_a_line_a_known_verdict_and_the_papers_words():
    found = entries()
    assert list(found) == [claim.id for claim in claims.JUDGED]
    assert {e.verdict for e in found.values()} <= set(ledger.VERDICTS)
    assert all(e.rule and e.ours for e in found.values())
    for claim in (*claims.JUDGED, *claims.NOT_JUDGED):
        assert claim.says and claim.section and 1 < len(claim.quote.split()) <= 13
    assert all(claim.why for claim in claims.NOT_JUDGED)


@pytest.mark.parametrize("n_seeds", [0, 1])
def test_nothing_can_be_told_from_one_seed_or_none(n_seeds):
    found = entries(made_results(n_seeds), made_improvements(n_seeds))
    for counted in ("4.2 f", "C7 c"):  # no run is needed for these
        found.pop(counted)
    assert {e.verdict for e in found.values()} == {"can't be told"}
    assert not any(e.seeds for e in found.values())


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["holds", "holds"], "holds"),
        (["can't be told", "can't be told"], "can't be told"),
        (["holds", "holds in part"], "holds in part"),
        (["holds in part", "does not hold"], "depends on the rule"),
        (["can't be told", "holds"], "depends on the rule"),
    ],
)
def test_rules_that_disagree_are_told(verdicts, expected):
    assert ledger.agreed(verdicts) == ledger.agreed(verdicts[::-1]) == expected


def test_section_4_2_is_judged_by_chapter_5():
    improved = made_improvements(value=additive)  # better distances, equal coverage
    verdicts = [verdict(None, f"4.2 {letter}", improved) for letter in "adefh"]
    assert verdicts == ["holds in part"] * 3 + ["holds", "holds in part"]
    worse = made_improvements(
        value=lambda layers, label, seed: {
            "frechet": (2.0 if label == "CBN" else 1.0) * (1 + 0.1 * seed),
            "coverage": 0.8 - 0.2 * (label == "CBN") + 0.1 * seed,
        }
    )
    assert verdict(None, "4.2 a", worse) == "does not hold"


def test_c1_counts_collapsed_runs():
    assert verdict(made_results(), "C1 b") == "does not hold"
    assert verdict(results_where(none={"coverage": 0.01}), "C1 b") == "holds"
    assert verdict(made_results(value=only_with_large_eps), "C1 b") == "holds in part"


def only_with_large_eps(c, loss, eps, seed) -> dict:
    return {"classes": 3} if eps == 0.8 else {}


@pytest.mark.parametrize(
    ("ends", "expected", "words"),
    [
        ((0.1,), "holds in part", "0 of 3 by epoch 25, 1 of 1 by epoch 200;"),  # decides nothing
        ((0.1, 0.2, 0.7), "holds", "0 of 3 by epoch 25, 2 of 3 by epoch 200;"),
        ((0.1, 0.6, 0.7), "holds in part", "1 of 3 by epoch 200;"),
        ((0.6, 0.6, 0.7), "holds in part", "0 of 3 by epoch 200;"),  # there is still eps 0.8
    ],
)
def test_c1_is_judged_after_the_longest_training_of_several_seeds(ends, expected, words):
    results, long = made_results(value=only_with_large_eps), long_runs(gan=made_long(*ends))
    entry = entries(results, long=long)["C1 b"]
    assert entry.verdict == expected
    assert words in entry.ours and "eps 0.8: 3 of 3 by epoch 25" in entry.ours
    if max(ends) > 0.5:
        wanted = "holds in part" if min(ends) < 0.5 else "does not hold"
        assert entries(made_results(), long=long)["C1 b"].verdict == wanted


def fallen(results: dict, levels: dict) -> dict:
    """The results with a fall of precision in the runs that have these levels."""
    for run in results["runs"]:
        if all(run[key] == level for key, level in levels.items()):
            run["metrics"]["25"]["precision"] -= 0.3 + 0.01 * run["seed"]
    return results


def test_unstable_is_what_falls_back():
    found = entries(made_results())
    assert [found[c].verdict for c in ("C1 a", "C2 b", "C7 b")] == ["does not hold"] * 3
    found = entries(fallen(made_results(), {"conditioning": "none"}))
    assert [found[c].verdict for c in ("C1 a", "C2 b", "C7 b")] == ["holds"] * 2 + ["does not hold"]
    found = entries(fallen(made_results(), {"loss": "bce", "bn_eps": 0.8}))
    assert [found[c].verdict for c in ("C1 a", "C7 b")] == ["holds in part"] * 2


def test_c2_compares_ranges_at_the_same_loss_and_says_where_rules_disagree():
    results = made_results()
    assert verdict(results, "C2 a") == "does not hold"  # all ranges alike

    def widen(label: str, rules):
        for run in results["runs"]:
            for rule in rules:
                if run["conditioning"] == label:
                    run["losses"][rule]["g_loss"] = [0.1, 20.0 + 0.01 * run["seed"]]

    widen("none", ["epoch means"])
    entry = entries(results)["C2 a"]
    assert entry.verdict == "depends on the rule"
    assert "Every iteration, does not hold" in entry.ours and "Epoch means, holds:" in entry.ours
    widen("none", LOGGING_RULES)
    assert verdict(results, "C2 a") == "holds"


def test_c11_holds_ds_loss_beside_gs():
    results = made_results()
    for run in results["runs"]:
        run["epoch_means"] = {"g_loss": [2.0 + 0.1 * run["seed"]], "d_loss": [0.5]}
    assert verdict(results, "C11") == "holds"  # G's range is the wider one
    for run in results["runs"]:
        run["losses"]["every 400"] = {"g_loss": [0.1, 1.1], "d_loss": [0.0, 9.0 + run["seed"]]}
        run["epoch_means"]["g_loss"] = [0.1]
    assert verdict(results, "C11") == "depends on the rule"


# --- Time ----------------------------------------------------------------------------------------


def test_time_is_counted_from_the_quicker_ones_epochs():
    """A labelled run takes twice as long an epoch: at the GAN's epoch 10 it is at its fifth."""
    evidence = contrasts.Evidence(made_results(1), made_improvements(), long_runs())
    assert contrasts.paces("label", evidence) == {"none": 1, "label": 2}
    _, coverage = contrasts.by_the_clock("label", evidence, analysis.COVERAGE)
    _, frechet = contrasts.by_the_clock("label", evidence, analysis.FRECHET)
    none, label = (made_run(c, "bce", 1e-5, 0) for c in ("none", "label"))
    for run in (none, label):
        run["metrics"] |= {"5": {"coverage": 0.1, "frechet": 16.0}}
        run["metrics"] |= {"25": {"coverage": 0.5, "frechet": 4.0}}
    assert coverage(label, 10) == pytest.approx(0.1) and coverage(none, 5) == pytest.approx(0.1)
    assert coverage(label, 30) == coverage(none, 15) == pytest.approx(0.3)
    assert frechet(none, 15) == pytest.approx(8)


def test_an_advantage_by_epochs_can_be_none_by_the_clock():
    results = made_results()
    for run in results["runs"]:
        late = 0.01 * run["seed"]
        early = (0.5 if run["conditioning"] == "label" else 0.3) + late
        start = 0.1 if run["conditioning"] == "label" else 0.2
        run["metrics"]["1"] = {"coverage": start, "frechet": 9.0 + late, "precision": 0.8}
        run["metrics"]["5"] |= {"coverage": early, "frechet": 8.0 + late}
    for run in results["runs"]:
        run["seconds"] = 400.0 if run["conditioning"] == "label" else 100.0
    entry = entries(results)["C3"]
    assert entry.verdict == "depends on the rule"
    assert "By epochs, holds in part" in entry.ours and "CGAN × 4.0" in entry.ours


# --- Effects -------------------------------------------------------------------------------------


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
    assert verdict(results, "C7 a") == "holds"
    for seed in (0, 1):
        results["runs"].append(made_run("none", "least-squares", 0.8, seed, coverage=0.05))
    assert verdict(results, "C7 a") == "holds in part"


def test_c7_is_judged_where_bce_collapsed():
    def value(c, loss, eps, seed):
        if c == "none" and eps == 0.8:  # the one collapse, which MSE leaves as it is
            return {"coverage": 0.01 + 0.001 * seed}
        return {"coverage": (0.7 if loss == "mse" else 0.6) * (1 + 0.001 * seed)}

    entry = entries(made_results(value=value))["C7 a"]
    assert entry.verdict == "does not hold"
    assert "eps 0.8" in entry.ours and "eps 1e-05" not in entry.ours
    assert verdict(made_results(), "C7 a") == "can't be told"  # nothing collapsed


def test_c8_is_judged_where_an_unlabelled_run_collapsed():
    assert verdict(made_results(), "C8") == "can't be told"  # nothing to reduce
    assert verdict(results_where(none={"coverage": 0.01}), "C8") == "holds"
    lost = results_where(none={"classes": 3, "coverage": 0.5}, label={"coverage": 0.1})
    entry = entries(lost)["C8"]
    assert entry.verdict == "does not hold" and "3 of 3 collapsed" in entry.ours


def test_c9_asks_whether_images_ever_got_less_clear():
    steady = made_long(0.5, 0.6, epochs=(25, 100, 200))
    assert entries(long=long_runs(gan=steady))["C9"].verdict == "holds"
    worse = made_long(0.5, epochs=(25, 100, 200))
    worse["runs"][0]["metrics"]["100"]["precision"] = 0.9  # 0.8 at the end
    entry = entries(long=long_runs(gan=steady, cgan=worse))["C9"]
    assert entry.verdict == "holds in part"
    assert "gan 2 of 2, cgan 0 of 1" in entry.ours
    assert entries(long=long_runs(cgan=worse))["C9"].verdict == "can't be told"


def test_c10_holds_the_gans_last_images_beside_real_ones():
    long = made_long(0.5, 0.5, 0.5)
    long["floor"] |= {"precision": 0.9, "specks": 0.1}
    for run in long["runs"]:
        run["metrics"]["200"] |= {"precision": 0.7 + 0.01 * run["seed"], "specks": 1.0}
    assert entries(long=long_runs(gan=long))["C10"].verdict == "holds"
    for run in long["runs"]:
        run["metrics"]["200"] |= {"precision": 0.9, "specks": 0.1}
    assert entries(long=long_runs(gan=long))["C10"].verdict == "does not hold"


def test_copies_are_compared_where_there_are_more_than_among_real_images():
    def copied(layers, label, seed):
        return {"memorised_features": 0.2 if layers == "fully connected" else 0.001 * seed}

    assert verdict(None, "4.2 g") == "can't be told"
    assert verdict(None, "4.2 g", made_improvements(value=copied)) == "holds"


@pytest.mark.parametrize("n", range(4))
def test_a_long_cell_may_have_any_number_of_runs(n):
    long = {cell: made_long(*[0.5] * n) for cell in endurance.CELLS}
    assert len(entries(long=long)) == len(claims.JUDGED)


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
    long = {cell: endurance.load(cell=cell) for cell in endurance.CELLS}
    entries = ledger.verdicts(analysis.load(), gains.load(), long)
    assert shown == [repr(findings.ledger_table(entries))]
