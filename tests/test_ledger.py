"""Verdicts follow from results alone, and the chapter shows those of the shipped files."""

from dataclasses import replace

import pytest
from test_analysis import made_results, made_run

from ganlib.figures import verdicts
from ganlib.runs.history import LOGGING_RULES
from ganlib.studies import analysis, claims, improvements, ledger, length
from ganlib.studies.catalogue import STUDIES
from ganlib.studies.measures import COVERAGE
from ganlib.studies.paper import CLAIMS

NO_VERDICT = "can't be told"


# --- Made results --------------------------------------------------------------------------------


def measured(**measures) -> dict:
    asked = [[100 if row == column else 0 for column in range(10)] for row in range(10)]
    plain = {"accuracy": 1.0, "frechet": 1.0, "coverage": 0.5, "recall": 0.5, "precision": 0.8}
    plain |= {"specks": 0.5, "memorised_features": 0.001, "classes": 10}
    return plain | {"confusion": asked} | measures


def made_improvements(n_seeds: int = 3, value=None) -> dict:
    """All models; ``value(layers, label, seed)`` gives measures, the same at every epoch."""
    runs, levels = [], {model: levels for levels, model in improvements.MODELS.items()}
    for model in improvements.ALL_MODELS:
        layers, label = levels.get(model, ("convolutional", f"as in {model}"))
        for seed in range(n_seeds):
            found = measured(**(value(layers, label, seed) if value else {}))
            run = {"name": f"{model}-seed{seed}", "model": model, "seed": seed, "seconds": 40.0}
            run |= {"metrics": {"5": found, "20": found}, "latest": found}
            runs.append(run | {"epoch_means": {"g_loss": [1.0] * 20, "d_loss": [1.0] * 20}})
    protocol = {"n_epochs": 20, "epochs": [5, 20], "n_images": 10_000, "dataset": "mnist"}
    floor = measured(frechet=0.1, coverage=0.95)
    made = {"protocol": protocol, "floor": floor, "floor_by_count": {}, "runs": runs}
    return made | improvements.STUDY.frame()


def halved(layers, label, seed) -> dict:
    """CBN halves the distance, convolution takes it to a tenth; seeds differ alike everywhere."""
    factor = (0.5 if label == "CBN" else 1) * (0.1 if layers == "convolutional" else 1)
    return {"frechet": 4.0 * factor * (1 + 0.3 * seed), "coverage": 0.3 + 0.1 * seed}


def made_long(epochs: tuple[int, ...] = (25, 200), **coverages) -> dict:
    """Long runs as loaded, without sheets: of a cell (gan_mse=...) one for each coverage."""
    runs = []
    for cell, ends in coverages.items():
        cell = cell.replace("_eps", "-eps").replace("_", "-").replace("eps08", "eps0.8")
        for seed, coverage in enumerate(ends):
            run = made_run("none", "bce", 1e-5, seed) | {"name": f"{cell}-seed{seed}", "cell": cell}
            found = measured(frechet=8.0, specks=0.1, class_counts=[10, 30, *[10] * 6, 0, 0])
            found |= {"n_images": 100, "accuracy": 0.97 if cell.startswith("cgan") else None}
            course = {str(epoch): found | {"coverage": 0.7} for epoch in epochs}
            course[str(epochs[-1])] = found | {"coverage": coverage}
            runs.append(run | length.levels(run) | {"metrics": course})
    floor = measured(coverage=0.95, frechet=0.1, accuracy=0.998)
    protocol = {"n_epochs": epochs[-1], "epochs": list(epochs)}
    return {"protocol": protocol, "floor": floor, "runs": runs} | length.STUDY.frame()


FOUR = ("gan", "cgan", "gan_mse", "cgan_bce")  # what claims about label and loss need


def entries(
    results: dict | None = None, improved: dict | None = None, long: dict | None = None
) -> dict[str, ledger.Entry]:
    """Of results that find nothing, where none are given; of no long run."""
    given = {name: study.nothing() for name, study in STUDIES.items()}
    given |= {"paper": results or made_results(), "improvements": improved or made_improvements()}
    found = ledger.verdicts(given | {"length": long or made_long()})
    return {entry.claim.id: entry for entry in found}


def verdict(results: dict | None, claim: str, improved: dict | None = None) -> str:
    """After the shorter training."""
    return next(iter(entries(results, improved)[claim].verdicts.values()))


def at_200(claim: str, long: dict) -> str:
    return entries(long=long)[claim].verdicts[200]


def results_where(**by_condition) -> dict:
    """Measures given as ``none={...}, label={...}``, a little apart from seed to seed."""

    def value(c, loss, eps, seed):
        return {k: v * (1 + 0.001 * seed) for k, v in by_condition.get(c, {}).items()}

    return made_results(value=value)


# --- Every claim ---------------------------------------------------------------------------------


def test_every_claim_has_a_line_a_known_verdict_and_the_papers_words():
    found = entries()
    judged = [claim for study in STUDIES.values() for claim in study.claims]
    assert list(found) == [claim.id for claim in judged]
    for entry in found.values():
        assert {*entry.verdicts.values()} <= {*analysis.VERDICTS, ledger.NOT_HERE}
        assert entry.rule and entry.ours and all(entry.ours.values())
        lengths = {"4.2": [20], "1 a": [15], "1 b": [8]}  # the paper's own begin with a C
        known = [own for start, own in lengths.items() if entry.claim.id.startswith(start)]
        assert list(entry.verdicts) == (known or [[25, 200]])[0]
    for claim in (*judged, *claims.NOT_JUDGED):
        assert claim.says and claim.section and 1 < len(claim.quote.split()) <= 13
    assert all(claim.why for claim in claims.NOT_JUDGED)


def test_a_study_that_was_not_trained_yet_lacks_runs(monkeypatch):
    for name in ("codes", "few-labels"):
        monkeypatch.setitem(STUDIES, name, replace(STUDIES[name], file="nothing"))
    found = ledger.shipped()
    assert found["codes"]["runs"] == found["few-labels"]["runs"] == []
    told = {entry.claim.id: entry.verdicts for entry in ledger.verdicts(found)}
    assert told["1 a"] == {15: "runs missing"} and told["1 b"] == {8: "runs missing"}


@pytest.mark.parametrize("n_seeds", [0, 1])
def test_nothing_can_be_told_from_one_seed_or_none(n_seeds):
    found = entries(made_results(n_seeds), made_improvements(n_seeds))
    for counted in ("4.2 f", "C7 c"):  # no run is needed for these
        found.pop(counted)
    told = {verdict for entry in found.values() for verdict in entry.verdicts.values()}
    assert told == {NO_VERDICT, "runs missing", ledger.NOT_HERE}


def test_where_nothing_differs_nothing_can_be_told():
    found = entries(long=made_long(**dict.fromkeys(FOUR, (0.5, 0.51, 0.52))))
    for claim in ("C2 a", "C2 b", "C4", "C6", "C7 a", "C7 b", "C8"):
        assert set(found[claim].verdicts.values()) == {NO_VERDICT}
    assert found["C3"].verdicts == {25: NO_VERDICT, 200: ledger.NOT_HERE}
    assert verdict(None, "4.2 a") == NO_VERDICT


# --- At 200 epochs -------------------------------------------------------------------------------


def test_a_verdict_at_200_waits_for_three_runs_of_each_cell_compared():
    three = dict.fromkeys(FOUR, (0.5, 0.51, 0.52))
    for lacking in FOUR:
        long = made_long(**three | {lacking: (0.5, 0.51)})
        found = entries(long=long)
        for claim in ("C2 a", "C4", "C6", "C7 b", "C11"):
            assert found[claim].verdicts[200] == "runs missing", (claim, lacking)
        wanted = "runs missing" if lacking.startswith("gan") else NO_VERDICT  # nothing to reduce
        assert found["C8"].verdicts[200] == wanted
    full = made_long(**three)
    for claim in ("C2 a", "C2 b", "C4", "C6", "C7 a", "C7 b", "C8"):
        assert at_200(claim, full) == NO_VERDICT
    for claim in ("C1 a", "C1 b", "C5", "C9", "C10", "C11"):  # these need the cells of eps 0.8, too
        assert at_200(claim, full) == "runs missing"
    all_of_them = three | dict.fromkeys(("gan_eps08", "cgan_linear_eps08"), (0.5, 0.5, 0.5))
    assert {at_200(c.id, made_long(**all_of_them)) for c in CLAIMS}.isdisjoint({"runs missing"})


@pytest.mark.parametrize("n", range(5))
def test_a_long_cell_may_have_any_number_of_runs(n):
    long = made_long(gan=[0.5] * n, cgan=[0.4] * (4 - n))
    assert len(entries(long=long)) == sum(len(study.claims) for study in STUDIES.values())


def test_more_long_runs_can_decide():
    better = made_long(gan=(0.4, 0.41, 0.42), gan_mse=(0.4, 0.41, 0.42), cgan=(0.7, 0.71, 0.72),
                       cgan_bce=(0.7, 0.71, 0.72))  # fmt: skip
    assert at_200("C6", better) == "against in part"  # coverage, but not recall
    assert at_200("C3", better) == ledger.NOT_HERE


# --- Counted claims ------------------------------------------------------------------------------


def only_with_large_eps(c, loss, eps, seed) -> dict:
    return {"classes": 3} if eps == 0.8 else {}


def test_c1_counts_collapsed_runs():
    assert verdict(made_results(), "C1 b") == "does not hold"
    assert verdict(results_where(none={"coverage": 0.01}), "C1 b") == "holds"
    entry = entries(made_results(value=only_with_large_eps))["C1 b"]
    assert entry.verdicts[25] == "holds in part" and "eps 0.8: 3 of 3" in entry.ours[25]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.1, 0.2), "runs missing"),
        ((0.1, 0.2, 0.7), "holds"),
        ((0.1, 0.6, 0.7), "holds in part"),
        ((0.6, 0.6, 0.7), "holds in part"),  # there is still eps 0.8
    ],
)
def test_c1_is_judged_at_200_by_its_own_runs(ends, expected):
    long = made_long(gan=ends, gan_eps08=(0.0, 0.0, 0.0))
    assert at_200("C1 b", long) == expected


def fallen(results: dict, levels: dict) -> dict:
    """The results with a fall of precision in the runs that have these levels."""
    for run in results["runs"]:
        if all(run[key] == level for key, level in levels.items()):
            run["metrics"]["25"]["precision"] -= 0.3 + 0.01 * run["seed"]
    return results


def test_unstable_is_what_falls_back():
    found = [verdict(made_results(), claim) for claim in ("C1 a", "C2 b", "C7 b")]
    assert found == ["does not hold", NO_VERDICT, NO_VERDICT]
    results = fallen(made_results(), {"conditioning": "none"})
    found = [verdict(results, claim) for claim in ("C1 a", "C2 b", "C7 b")]
    assert found == ["holds", "holds", NO_VERDICT]
    results = fallen(made_results(), {"loss": "bce", "bn_eps": 0.8})
    assert [verdict(results, c) for c in ("C1 a", "C7 b")] == ["holds in part"] * 2


def test_c5_asks_every_labelled_cell():
    assert verdict(results_where(label={"accuracy": 0.97}), "C5") == "holds"
    assert verdict(results_where(label={"accuracy": 0.5}), "C5") == "does not hold"

    def one_loss_obeys(c, loss, eps, seed):
        return {"accuracy": 0.97 if loss == "mse" else 0.4} if c == "label" else {}

    assert verdict(made_results(value=one_loss_obeys), "C5") == "holds in part"


def test_c9_asks_whether_images_ever_got_less_clear():
    cells = dict.fromkeys((*FOUR, "gan_eps08", "cgan_linear_eps08"), (0.5, 0.5, 0.5))
    long = made_long((25, 100, 200), **cells)
    assert at_200("C9", long) == "holds"
    worse = next(run for run in long["runs"] if run["cell"] == "cgan")
    worse["metrics"]["100"]["precision"] = 0.9  # 0.8 at the end
    entry = entries(long=long)["C9"]
    assert entry.verdicts == {25: ledger.NOT_HERE, 200: "holds in part"}
    assert "gan 3 of 3, cgan 2 of 3" in entry.ours[200]


# --- Effects -------------------------------------------------------------------------------------


def test_c2_compares_ranges_at_the_same_loss_and_says_where_rules_disagree():
    results = made_results()
    assert verdict(results, "C2 a") == NO_VERDICT  # all ranges alike

    def widen(label: str, rules):
        for run in results["runs"]:
            for rule in rules:
                if run["conditioning"] == label:
                    run["losses"][rule]["g_loss"] = [0.1, 20.0 + 0.01 * run["seed"]]

    widen("none", ["epoch means"])
    entry = entries(results)["C2 a"]
    assert entry.verdicts[25] == "depends on the rule"
    assert "Every iteration, can't be told" in entry.ours[25]
    assert "Epoch means, holds: Width of the loss range: 4 for" in entry.ours[25]
    widen("none", LOGGING_RULES)
    assert verdict(results, "C2 a") == "holds"


def test_c11_holds_ds_loss_beside_gs():
    results = made_results()
    for run in results["runs"]:
        run["epoch_means"] = {"g_loss": [2.0 + 0.01 * run["seed"]], "d_loss": [0.5]}
    assert verdict(results, "C11") == "holds"  # G's range is the wider one
    for run in results["runs"]:
        wide = {"g_loss": [0.1, 1.1], "d_loss": [0.0, 9.0 + 0.01 * run["seed"]]}
        run["losses"]["every 400"] = wide
        run["epoch_means"]["g_loss"] = [0.1]
    assert verdict(results, "C11") == "depends on the rule"


def test_an_advantage_by_epochs_can_be_none_by_the_clock():
    results = made_results()
    for run in results["runs"]:
        late = 0.001 * run["seed"]
        early = (0.5 if run["conditioning"] == "label" else 0.3) + late
        start = 0.1 if run["conditioning"] == "label" else 0.3
        run["metrics"]["1"] = {"coverage": start, "frechet": 9.0 + late, "precision": 0.8}
        run["metrics"]["5"] |= {"coverage": early, "frechet": 8.0 + late}
        run["seconds"] = 400.0 if run["conditioning"] == "label" else 100.0
    entry = entries(results)["C3"]
    assert entry.verdicts[25] == "depends on the rule"
    assert "By epochs, holds in part" in entry.ours[25] and "CGAN 400" in entry.ours[25]
    assert "By the clock, does not hold" in entry.ours[25]


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


def test_c4_says_where_it_looks_at_the_test_sets_shares():
    def value(c, loss, eps, seed):
        found = {"frechet": 8.0 + 0.001 * seed, "frechet_at_shares": 4.0 + 0.001 * seed}
        return found if loss == "mse" else {"frechet": found["frechet"]}

    ours = entries(made_results(value=value))["C4"].ours[25]
    assert ours.count("mse · eps 1e-05 at the test set's shares") == 1
    assert "bce · eps 1e-05 at the test set's shares" not in ours


def test_c7_lets_both_squared_losses_vote():
    def value(c, loss, eps, seed):
        return {"coverage": (0.7 if loss == "mse" else 0.1) * (1 + 0.001 * seed)}

    results = made_results(value=value)
    assert verdict(results, "C7 a") == "holds"
    for seed in (0, 1):
        results["runs"].append(
            made_run("none", "least-squares", 0.8, seed, coverage=0.05 * (1 + 0.001 * seed))
        )
    assert verdict(results, "C7 a") == "mixed"


def test_c7_is_judged_where_bce_collapsed():
    def value(c, loss, eps, seed):
        if c == "none" and eps == 0.8:  # the one collapse, which MSE leaves as it is
            return {"coverage": 0.01 + 0.001 * seed}
        return {"coverage": (0.7 if loss == "mse" else 0.6) * (1 + 0.001 * seed)}

    entry = entries(made_results(value=value))["C7 a"]
    assert entry.verdicts[25] == NO_VERDICT
    assert "eps 0.8" in entry.ours[25] and "eps 1e-05" not in entry.ours[25]
    assert "no setting to judge by" in entries(made_results())["C7 a"].ours[25]


def test_c8_is_judged_where_an_unlabelled_run_collapsed():
    assert verdict(made_results(), "C8") == NO_VERDICT  # nothing to reduce
    assert verdict(results_where(none={"coverage": 0.01}), "C8") == "holds"
    lost = results_where(none={"classes": 3, "coverage": 0.5}, label={"coverage": 0.1})
    entry = entries(lost)["C8"]
    assert entry.verdicts[25] == "does not hold" and "3 of 3 collapsed" in entry.ours[25]


def test_one_setting_of_three_collapses_could_be_a_toss():
    def value(c, loss, eps, seed):
        lost = c == "none" and loss == "bce" and eps == 0.8
        return {"coverage": 0.01 if lost else 0.6}

    entry = entries(made_results(value=value))["C8"]
    assert entry.verdicts[25] == NO_VERDICT and "1 unclear" in entry.ours[25]


def test_c10_holds_the_gans_last_images_beside_real_ones():
    long = made_long(gan=(0.5, 0.5, 0.5), gan_eps08=(0.5, 0.5, 0.5))
    long["floor"] |= {"precision": 0.9, "specks": 0.1}
    for run in long["runs"]:
        run["metrics"]["200"] |= {"precision": 0.7 + 0.01 * run["seed"], "specks": 1.0}
    assert at_200("C10", long) == "holds"
    for run in long["runs"]:
        run["metrics"]["200"] |= {"precision": 0.9, "specks": 0.1}
    assert at_200("C10", long) == NO_VERDICT


def test_section_4_2_is_judged_by_the_improvements():
    found = [verdict(None, f"4.2 {letter}", made_improvements(value=halved)) for letter in "aefh"]
    assert found == [NO_VERDICT, "holds in part", "holds", "holds in part"]  # halves: too few seeds
    worse = made_improvements(
        value=lambda layers, label, seed: {
            "frechet": (2.0 if label == "CBN" else 1.0) * (1 + 0.01 * seed),
            "coverage": 0.8 - 0.2 * (label == "CBN") + 0.01 * seed,
        }
    )
    assert verdict(None, "4.2 a", worse) == "does not hold"


def test_copies_are_compared_where_there_are_more_than_among_real_images():
    def copied(layers, label, seed):
        return {"memorised_features": 0.2 if layers == "fully connected" else 0.001 * seed}

    assert verdict(None, "4.2 g") == NO_VERDICT
    assert verdict(None, "4.2 g", made_improvements(value=copied)) == "holds"


def test_another_seed_can_change_a_verdict():
    def value(c, loss, eps, seed):
        shift = 0.001 * seed
        found = {"coverage": 0.8, "frechet": 1.0} if c == "label" and seed < 2 else {}
        return {key: one * (1 + shift) for key, one in found.items()}

    two = made_results(n_seeds=2, value=value)
    assert verdict(two, "C3") == "holds"
    assert verdict(made_results(n_seeds=3, value=value), "C3") == NO_VERDICT


# --- The tables ----------------------------------------------------------------------------------


def test_the_table_has_a_line_for_each_claim_and_both_verdicts_beside_it():
    table = verdicts.ledger_table([*entries().values()])
    assert table.header[:3] == ("claim", "at 25 epochs", "at 200")
    rows = {row[0].split(":")[0]: row for row in table.rows}
    assert rows["C2 a"][1:3] == ("CAN'T BE TOLD", "RUNS MISSING")
    assert rows["C3"][2] == rows["4.2 a"][2] == ledger.NOT_HERE
    evidence = {row[0]: row[2] for row in verdicts.evidence_table([*entries().values()]).rows}
    assert evidence["C4"].startswith("At 25: Precision: ") and " At 200: " in evidence["C4"]
    assert analysis.RULE in verdicts.rules_table([*entries().values()]).caption
    assert COVERAGE.title in verdicts.rules_table([]).caption
    assert len(verdicts.not_judged_table().rows) == len(claims.NOT_JUDGED)
