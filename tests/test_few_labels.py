"""The study of a few labels: its cells, equal draws and time, and what decides."""

from dataclasses import replace

import pytest

from ganlib import data
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, family
from ganlib.judge import metrics
from ganlib.studies import engine, few_labels, recognisers
from ganlib.studies.few_labels import DRAWS, N_LABELS, READ, STUDY

# --- Which cells ---------------------------------------------------------------------------------


def test_every_method_with_every_number_of_labels_and_more_at_a_hundred():
    cells = STUDY.cells_of(0)
    assert len(cells) == 5 * 6 + 6 == len({cell.name for cell in cells})
    for n in N_LABELS:
        mine = [cell.levels["method"] for cell in cells if cell.levels["n_labels"] == n]
        assert mine[:6] == list(few_labels.METHODS)
        assert len(mine) == (12 if n == 100 else 6)


def test_a_seed_is_one_draw_of_labels_for_all_methods():
    for cell in STUDY.cells(2):
        assert cell.config.seed == cell.levels["seed"]
        assert cell.config.n_labels == cell.levels["n_labels"]
        settings = family("sgan").settings | {
            "n_epochs": few_labels.EPOCHS[-1],
            "seed": cell.config.seed,
        }
        settings["n_labels"] = cell.config.n_labels
        assert replace(cell.config, model="sgan") == TrainingConfig(model="sgan", **settings)


def test_every_method_is_a_model_or_a_way_without_a_gan():
    for method in few_labels.METHODS + few_labels.MORE:
        known = method in MODELS, method in recognisers.METHODS, method == "svm"
        assert sum(known) == 1
        if known[1]:
            assert few_labels.PACE[method.split("-")[0]] >= 1
    for gan, other in few_labels.WITHOUT.items():
        assert gan in MODELS and other in recognisers.METHODS
        assert gan.endswith("affine") == other.endswith("affine")


# --- One cell ------------------------------------------------------------------------------------


@pytest.fixture
def against(judge):
    pair = data.load("digits", "train", 8, size=128), data.load("digits", "test", 8, size=100)
    return metrics.reference(*pair, judge)


def tiny(method: str) -> engine.Cell:
    (cell,) = [c for c in STUDY.cells_of(0) if c.name == f"{method}-100-seed0"]
    settings = {"n_epochs": 2, "img_size": 8, "batch_size": 64, "latent_dim": 8, "n_labels": 50}
    return replace(cell, config=replace(cell.config, **settings), epochs=(1, 2))


@pytest.mark.parametrize("method", ["svm", "labels-affine", "teacher-affine", "matching-affine"])
def test_a_cell_is_measured_on_test_digits_and_a_gan_has_a_sheet(method, against, tmp_path):
    cell = tiny(method)
    found = cell.run(cell, tmp_path, against, "cpu")
    assert [*found["metrics"]] == ["1", "2"] and found["method"] == method
    assert all(0 <= READ(found, epoch) <= 1 for epoch in (1, 2))
    assert {"seconds", "device", "losses", "epoch_means"} <= found.keys()
    sheet = tmp_path / cell.name / "samples" / "epoch_0002.png"
    assert sheet.is_file() == (method in MODELS)
    again = cell.run(cell, tmp_path, against, "cpu")
    assert again["metrics"] == found["metrics"]


def test_quicker_methods_do_more_epochs_in_the_same_time(against, tmp_path, monkeypatch):
    done = {}
    own = few_labels.train_recogniser

    def counted(config, *arguments, **options):
        for number, reader in own(config, *arguments, **options):
            done[config.n_epochs] = number
            yield number, reader

    monkeypatch.setattr(few_labels, "train_recogniser", counted)
    for method in ("labels-affine", "teacher-affine"):
        cell = tiny(method)
        cell.run(cell, tmp_path, against, "cpu")
    assert done == {round(2 * pace): round(2 * pace) for pace in few_labels.PACE.values()}


# --- What decides --------------------------------------------------------------------------------


def made_up(shares: dict[tuple[str, int], list[float]]) -> dict:
    runs = [
        {"name": f"{method}-{n}-seed{seed}", "method": method, "n_labels": n, "seed": seed,
         "metrics": {"15": {"read": share}}}
        for (method, n), own in shares.items() for seed, share in enumerate(own)
    ]  # fmt: skip
    return {"protocol": {"n_epochs": 15}, "runs": runs}


DRAWN = [0.60, 0.70, 0.55, 0.75, 0.65]  # what a method reads depends on the draw most of all


def test_gains_are_paired_by_the_draw_of_labels():
    better = [share + gain for share, gain in zip(DRAWN, (0.05, 0.06, 0.04, 0.05, 0.05))]
    results = made_up({("labels", 25): DRAWN, ("sgan", 25): better})
    found = few_labels.gain(results, "sgan", "labels", 25)
    assert found.n == 5 and found.mean == pytest.approx(0.05)
    assert 0.04 < found.low < found.high < 0.06  # unpaired it would reach from -0.07 to 0.17
    results["runs"] = [run for run in results["runs"] if run["name"] != "sgan-25-seed3"]
    assert few_labels.gain(results, "sgan", "labels", 25).n == 4


@pytest.mark.parametrize(
    "gain, expected",
    [(0.05, "holds"), (-0.05, "does not hold"), (0.0, "can't be told"), (0.005, "can't be told")],
)
def test_odenas_claim_is_decided_at_25_labels(gain, expected):
    """A gain below a point is too small to be named, however sure."""
    own = [share + gain + noise for share, noise in zip(DRAWN, (0.002, 0, -0.002, 0.001, 0))]
    results = made_up({("labels", 25): DRAWN, ("sgan", 25): own})
    assert few_labels.COUNTS["odena"][1](results)[1] == expected
    assert few_labels.COUNTS["odena"][1](made_up({("labels", 25): DRAWN}))[1] == "runs missing"


def test_the_gans_gain_needs_every_number_of_labels():
    shares = {}
    for n, gain in zip(few_labels.GOAL_AT, (0.1, 0.05, 0.03)):
        shares["labels-affine", n] = DRAWN
        shares["matching-affine", n] = [s + gain + 0.001 * i for i, s in enumerate(DRAWN)]
        shares["teacher-affine", n] = [s + 2 * gain for s in DRAWN]
    results = made_up(shares)
    assert few_labels.COUNTS["without"][1](results)[1] == "holds"
    assert few_labels.COUNTS["no gan"][1](results)[1] == "does not hold"
    shares["labels-affine", 100] = [share + 0.03 for share in DRAWN]
    assert few_labels.COUNTS["without"][1](made_up(shares))[1] == "holds in part"


def test_the_goal_is_of_the_better_gan():
    shares = {
        ("sgan", 100): [0.95] * DRAWS,
        ("matching-affine", 100): [0.99, 0.98, 0.985, 0.99, 0.985],
    }
    assert few_labels.COUNTS["goal"][1](made_up(shares))[1] == "holds"
    shares["matching-affine", 100][0] = 0.97
    assert few_labels.COUNTS["goal"][1](made_up(shares))[1] == "does not hold"


def test_the_claims_name_what_there_is():
    for claim in (*few_labels.CLAIMS, *few_labels.QUESTIONS):
        assert claim.contrast in few_labels.COUNTS
