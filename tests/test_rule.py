"""The rule of verdicts, tried on claims whose truth is known: on most of these there is no effect.

Chance decides here as it might in trainings: three runs a cell, spreads that differ from cell to
cell, measures of a run that go together, and runs that collapse as a coin falls. If all of a cell's
collapsed and none of the other's, these two, or all cells, may have a fourth.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ganlib.studies import analysis
from ganlib.studies.analysis import COLLAPSED, RULE, Vote, agreed, combine, corrected, read
from ganlib.studies.measures import COVERAGE, PRECISION, RECALL

MEASURES = (COVERAGE, RECALL, PRECISION)
N_CLAIMS = 300  # of each kind
NO_VERDICT = "can't be told"


def cell_of(rng, spread: float, n_measures: int, tosses: float, shift: float = 0.0) -> np.ndarray:
    """Four runs by so many measures; each run collapses with the probability ``tosses``."""
    shared, own = rng.normal(size=(4, 1)), rng.normal(size=(4, n_measures))
    runs = 0.6 + shift + spread * (0.7 * shared + 0.7 * own)
    lost = rng.random(4) < tosses
    runs[lost] = 0.03 + 0.01 * own[lost]
    return runs


def settings_of(rng, n_settings: int, n_measures: int, unequal: float, tosses, shift=0.0) -> list:
    """Two cells each. Spreads differ by up to the factor ``unequal`` in variance between cells."""
    found = []
    for _ in range(n_settings):
        p = tosses if tosses is not None else rng.random()
        base = rng.choice([0.02, 0.1]) if not shift else 0.02
        found.append(
            [
                cell_of(rng, base * unequal ** rng.uniform(0, 0.5), n_measures, p, by)
                for by in (0.0, shift)
            ]
        )
    return found


def n_lost(cell: np.ndarray) -> int:
    return int((cell[:, 0] < COLLAPSED * 0.95).sum())


def claim(pairs: list, signs: list[int]) -> list[Vote]:
    """Its votes: of each pair of cells on each measure."""
    votes = []
    for setting, cells in enumerate(pairs):
        counts = tuple((n_lost(cell), len(cell) - n_lost(cell)) for cell in cells)
        for column, (measure, sign) in enumerate(zip(MEASURES, signs)):
            found = analysis.difference([tuple(cell[:, column].tolist() for cell in cells)])
            found = analysis.Estimate(**vars(found) | {"collapsed": counts})
            votes.append(Vote(str(setting), found, measure, sign))
    return votes


def verdict(pairs: list, signs: list[int], a_fourth: str) -> str:
    """By the rule, three runs a cell; who may have ``a_fourth``: "no" cell, "both" or "all"."""
    first = [[cell[:3] for cell in cells] for cells in pairs]
    split = [{n_lost(cell) for cell in cells} == {0, 3} for cells in first]
    more = [a_fourth == "both" and own or a_fourth == "all" and any(split) for own in split]
    return combine(read(claim([p if m else f for p, m, f in zip(pairs, more, first)], signs)))


@pytest.mark.parametrize("tosses", [0.0, 0.5, None], ids=["healthy", "coin", "any coin"])
@pytest.mark.parametrize("unequal", [1, 5])
@pytest.mark.parametrize(("n_settings", "n_measures"), [(2, 1), (2, 3), (4, 2), (8, 1), (8, 3)])
def test_where_there_is_no_effect_at_most_one_claim_in_twenty_is_told(
    n_settings, n_measures, unequal, tosses
):
    rng = np.random.default_rng([n_settings, n_measures, unequal, int(10 * (tosses or 7))])
    told = dict.fromkeys(("no", "both", "all"), 0)
    for _ in range(N_CLAIMS):
        pairs = settings_of(rng, n_settings, n_measures, unequal, tosses)
        signs = rng.choice([-1, 1], n_measures).tolist()
        for a_fourth in told:
            told[a_fourth] += verdict(pairs, signs, a_fourth) != NO_VERDICT
    assert max(told.values()) <= 0.05 * N_CLAIMS, f"of {N_CLAIMS} without effect are told: {told}"


@pytest.mark.parametrize(("shift", "expected"), [(0.3, "holds"), (-0.3, "does not hold")])
@pytest.mark.parametrize(("n_settings", "n_measures"), [(2, 1), (4, 2)])
def test_a_clear_effect_in_all_settings_is_found_either_way(
    n_settings, n_measures, shift, expected
):
    rng = np.random.default_rng(0)
    kind = n_settings, n_measures, 1, 0.0, shift
    found = [verdict(settings_of(rng, *kind), [1] * n_measures, "no") for _ in range(100)]
    part = {"holds": "holds in part", "does not hold": "against in part"}[expected]
    assert set(found) <= {expected, part, NO_VERDICT}
    assert found.count(expected) >= 75 and found.count(NO_VERDICT) <= 2


def test_without_the_count_of_collapsed_runs_many_more_would_be_told():
    rng, told = np.random.default_rng(0), 0
    for _ in range(N_CLAIMS):
        pairs = [[cell[:3] for cell in cells] for cells in settings_of(rng, 8, 1, 1, 0.5)]
        votes = claim(pairs, [1])
        whole = [vote._replace(effect=replace(vote.effect, collapsed=None)) for vote in votes]
        told += combine(read(whole)) != NO_VERDICT
    assert told > 0.15 * N_CLAIMS


def test_a_pooled_variance_would_find_too_much_where_spreads_differ():
    """Cells all healthy, variances within a factor of five, one measure; vectorised."""
    rng, (n_claims, n_settings) = np.random.default_rng(0), (2000, 8)
    spread = 0.1 * 5 ** rng.uniform(0, 0.5, (n_claims, n_settings, 2, 1))
    runs = 0.6 + spread * rng.normal(size=(n_claims, n_settings, 2, 3))
    pooled = runs.var(axis=3, ddof=1).mean(axis=(1, 2))[:, None]  # of 2 x 8 cells, 32 degrees
    t = np.abs(np.diff(runs.mean(axis=3))[..., 0]) / np.sqrt(pooled * 2 / 3)
    p = 2 * stats.t.sf(t, 4 * n_settings)
    assert (n_settings * p.min(axis=1) <= 0.05).mean() > 0.06  # Holm's first step


# --- Its parts -----------------------------------------------------------------------------------


def test_p_values_are_holms():
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.5, 0.9]) == [1, 1] and corrected([]) == []


def test_what_one_reading_shows_two_need_to_show_more_clearly():
    one = Vote("a", analysis.Estimate(0.2, 0.1, 0.3, 3, 0.04), COVERAGE, 1)
    other = Vote("b", analysis.Estimate(0.0, -0.3, 0.3, 3, 0.9), COVERAGE, 1)
    assert read([one]) == ["for"]
    assert read([one, other]) == ["unclear", "unclear"]


def lost(setting: str, before: int, after: int, n: int = 3) -> Vote:
    counts = ((before, n - before), (after, n - after))
    found = analysis.Estimate(0.6, 0.5, 0.7, n, 1e-6, collapsed=counts)
    return Vote(setting, found, COVERAGE, 1)


def test_collapsed_runs_are_counted_over_all_settings():
    assert read([lost("a", 3, 0)]) == ["unclear"]  # one in ten, if it was a toss
    assert read([lost("a", 3, 0), lost("b", 3, 0)]) == ["for"] * 2
    assert read([lost("a", 3, 0), lost("b", 0, 3)]) == ["unclear"] * 2
    assert read([lost("a", 3, 0), lost("b", 0, 0)]) == ["unclear", "for"]  # b: both healthy
    assert read([lost("a", 5, 0, 5)]) == ["for"]
    assert read([lost("a", 3, 3), lost("b", 0, 0)]) == ["for"] * 2


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        (["for", "for"], "holds"),
        (["for", "unclear"], "holds in part"),
        (["for", "no difference"], "holds in part"),
        (["for", "against", "unclear"], "mixed"),
        (["against", "unclear"], "against in part"),
        (["against", "against"], "does not hold"),
        (["no difference", "no difference"], NO_VERDICT),
        (["no difference", "unclear"], NO_VERDICT),
        ([], NO_VERDICT),
    ],
)
def test_readings_make_a_verdict_alike_for_and_against(readings, expected):
    assert combine(readings) == combine(readings[::-1]) == expected
    mirror = {"for": "against", "against": "for"}
    other = {"holds": "does not hold", "holds in part": "against in part"}
    other |= {after: before for before, after in other.items()}
    assert combine([mirror.get(r, r) for r in readings]) == other.get(expected, expected)
    assert expected.upper() in RULE


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["holds", "holds"], "holds"),
        ([NO_VERDICT, NO_VERDICT], NO_VERDICT),
        (["holds", "holds in part"], "holds in part"),
        (["does not hold", "against in part"], "against in part"),
        (["holds in part", "does not hold"], "depends on the rule"),
        ([NO_VERDICT, "holds"], "depends on the rule"),
    ],
)
def test_ways_that_disagree_are_told(verdicts, expected):
    assert agreed(verdicts) == agreed(verdicts[::-1]) == expected
