"""The paper's claims, each with its evidence, ours, and a verdict that the results decide.

No verdict is written down here, only how it is reached: more seeds can change it. Most claims are
read as an effect, in every setting of the other factors, and :func:`combine` turns those readings
into one of VERDICTS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ganlib import analysis, endurance, gains
from ganlib.analysis import (
    ACCURACY,
    COVERAGE,
    ENOUGH,
    FACTORS,
    FRECHET,
    IMBALANCE,
    PAPER_RANGES,
    PRECISION,
    RANGE,
    RECALL,
    Estimate,
    Measure,
    by_seed,
    effect,
    estimate,
    reading,
    simple_effects,
)
from ganlib.improvements import MODELS

VERDICTS = ("holds", "holds in part", "does not hold", "can't be told")
ELSEWHERES = "other authors' results"
COLLAPSED = 0.25  # of the real images' coverage; below it, or short of a digit, a run collapsed
OBEYS = 0.9  # of the images are drawn as asked
EARLY = 5  # the epoch at which C3 is judged


@dataclass(frozen=True)
class Entry:
    """A line of the ledger, in words: ``rule`` says what the verdict is decided by."""

    claim: str
    says: str
    paper: str
    rule: str
    ours: str
    seeds: str
    verdict: str


def combine(readings: Sequence[str]) -> str:
    """Readings of one claim in several settings, as a verdict.

    It holds if every reading is for it, and in part if some are. If none is, it does not hold
    when one is against it or all find no difference; otherwise it can't be told.
    """
    if readings and all(r == "for" for r in readings):
        return "holds"
    if "for" in readings:
        return "holds in part"
    if "against" in readings or (readings and all(r == "no difference" for r in readings)):
        return "does not hold"
    return "can't be told"


def collapsed(run: dict, results: dict) -> bool:
    """Whether a run's last images lack a digit, or cover less than a quarter of what real ones do.

    A digit is there from 1 % of the images on.
    """
    last = run["metrics"][str(results["protocol"]["n_epochs"])]
    bar = COLLAPSED * results["floor"]["coverage"]
    return last["classes"] < 10 or last["coverage"] < bar


# --- Evidence in words ---------------------------------------------------------------------------


def _all_or_some(flags: Sequence[bool]) -> str:
    return "holds" if all(flags) else "holds in part" if any(flags) else "does not hold"


def _votes(effects: dict[str, Estimate]) -> dict[str, Estimate]:
    return {name: found for name, found in effects.items() if found.n >= ENOUGH}


def _readings(effects: dict[str, Estimate], measure: Measure, toward: int) -> list[str]:
    return [reading(found, measure, toward) for found in _votes(effects).values()]


def _tally(readings: Sequence[str]) -> str:
    words = ("for", "against", "no difference", "unclear")
    counts = ", ".join(f"{readings.count(word)} {word}" for word in words if word in readings)
    return f"by setting {counts}" if counts else "no setting has two seeds yet"


def _same_discriminator(results: dict, measure: Measure, epoch: int) -> str:
    """The label without the discriminator that it comes with, in words."""
    found = analysis.label_alone(results, measure, epoch)
    shown = "; ".join(f"{one} ({name})" for name, one in found.items())
    return f" The label alone: {measure.title} {shown}." if found else ""


def _seeds(counts: Sequence[int]) -> str:
    low, high = min(counts, default=0), max(counts, default=0)
    return str(low) if low == high else f"{low} to {high}"


def _runs(results: dict, **levels) -> list[dict]:
    wanted = {"discriminator": "own"} | levels
    return [r for r in results["runs"] if all(r[key] == value for key, value in wanted.items())]


def _by_effects(
    results: dict, factor: str, measures: dict[Measure, int], epoch: int, levels=None
) -> tuple[str, str, str]:
    """A claim about one factor: our evidence, the number of seeds, the verdict.

    ``measures`` says of each whether the claim wants more (+1) or less (-1) of it.
    """
    words, readings, counts = [], [], []
    for measure, toward in measures.items():
        effects = simple_effects(results, factor, measure, epoch, levels)
        mine = _readings(effects, measure, toward)
        main = effect(results, factor, measure, epoch, levels)
        words.append(f"{measure.title} {main}, {_tally(mine)}")
        readings += mine
        counts += [found.n for found in _votes(effects).values()]
    return "; ".join(words) + ".", _seeds(counts), combine(readings)


# --- The claims ----------------------------------------------------------------------------------


def _c1(results: dict, long: dict) -> Entry:
    """Judged, at each eps, after the longest training that several seeds have."""
    epochs, longest = results["protocol"]["n_epochs"], long["protocol"]["n_epochs"]
    fallen, words, counts = [], [], []  # for each eps, a flag for each run
    for eps in FACTORS["bn_eps"]:
        runs = _runs(results, conditioning="none", loss="bce", bn_eps=eps)
        after = {epochs: [collapsed(run, results) for run in runs]}
        if eps == endurance.BN_EPS and len(long["runs"]) >= ENOUGH:
            after[longest] = [collapsed(run, long) for run in long["runs"]]
        shown = (f"{sum(fell)} of {len(fell)} by epoch {epoch}" for epoch, fell in after.items())
        words.append(f"with eps {eps:g}, {' and '.join(shown)}")
        fallen.append(after[max(after)])
        counts.append(len(fallen[-1]))
    verdict = "can't be told"
    if min(counts) >= ENOUGH:
        verdict = _all_or_some([sum(fell) >= len(fell) / 2 for fell in fallen])
        if verdict == "does not hold" and any(map(any, fallen)):
            verdict = "holds in part"
    return Entry(
        "C1",
        "GAN training is unstable and prone to mode collapse",
        "samples by eye; the range of the losses (Fig. 8)",
        "unlabelled BCE runs that collapsed: short of a digit, or below a quarter of the real "
        "images' coverage. Holds if at least half of them did at each eps, in part if any did, "
        "after the longest training that several seeds have",
        f"BCE, no label, collapsed runs: {'; '.join(words)}.",
        _seeds(counts),
        verdict,
    )


def _c2(results: dict) -> Entry:
    """The paper's argument, made fair: ranges compared at the same loss."""
    last = results["protocol"]["n_epochs"]
    ours, seeds, verdict = _by_effects(results, "conditioning", {RANGE: -1}, last)
    (gan, cgan) = PAPER_RANGES.values()
    return Entry(
        "C2",
        "CGAN is more stable: its losses have the smaller range",
        f"GAN {gan[0]} to {gan[1]}, CGAN {cgan[0]} to {cgan[1]}; but one is BCE, the other MSE",
        f"effect of CGAN for GAN, at the same loss, on the {RANGE.title}: less",
        f"CGAN for GAN at the same loss: {ours} MSE for BCE, at the same label: "
        f"{RANGE.title} {effect(results, 'loss', RANGE, last)}.",
        seeds,
        verdict,
    )


def _c3(results: dict) -> Entry:
    ours, seeds, verdict = _by_effects(results, "conditioning", {FRECHET: -1, COVERAGE: +1}, EARLY)
    return Entry(
        "C3",
        "CGAN converges in a shorter time",
        "samples by eye (Fig. 4, Fig. 6)",
        f"effect of CGAN for GAN at epoch {EARLY} on Fréchet distance: less; coverage: more",
        f"At epoch {EARLY}, CGAN for GAN at the same loss: {ours}",
        seeds,
        verdict,
    )


def _c4(results: dict) -> Entry:
    last = results["protocol"]["n_epochs"]
    ours, seeds, verdict = _by_effects(results, "conditioning", {PRECISION: +1, FRECHET: -1}, last)
    return Entry(
        "C4",
        "CGAN images are better and more consistent",
        "samples by eye (Fig. 5, Fig. 7)",
        f"effect of CGAN for GAN at epoch {last} on precision: more; Fréchet distance: less",
        f"At epoch {last}, CGAN for GAN at the same loss: {ours}"
        + _same_discriminator(results, FRECHET, last),
        seeds,
        verdict,
    )


def _c5(results: dict) -> Entry:
    last, means, counts = results["protocol"]["n_epochs"], [], []
    runs = _runs(results, conditioning="label")
    for loss, eps in sorted({(run["loss"], run["bn_eps"]) for run in runs}):
        found = by_seed(results, ACCURACY, last, conditioning="label", loss=loss, bn_eps=eps)
        if len(found) >= ENOUGH:
            means.append(estimate(found.values()).mean)
            counts.append(len(found))
    verdict = "can't be told"
    if means:
        verdict = _all_or_some([mean >= OBEYS for mean in means])
    ours = "No cell has two seeds yet."
    if means:
        real = results["floor"]["accuracy"]
        ours = f"At epoch {last}, {min(means):.1%} to {max(means):.1%} of a cell's images are "
        ours += f"drawn as asked; chance is 10 %, real training digits score {real:.1%}."
    other = {"conditioning": "label", "discriminator": "swapped"}
    if found := by_seed(results, ACCURACY, last, **other):
        ours += f" With the GAN's discriminator {estimate(found.values()).mean:.1%}."
    rule = f"mean share drawn as asked, at least {OBEYS:.0%} in every labelled cell that has the "
    rule += "CGAN's own discriminator and two or more seeds"
    says, paper = "CGAN controls the class", "columns of Fig. 6"
    return Entry("C5", says, paper, rule, ours, _seeds(counts), verdict)


def _c6(results: dict) -> Entry:
    last = results["protocol"]["n_epochs"]
    measures = {RECALL: -1, COVERAGE: -1}
    ours, seeds, verdict = _by_effects(results, "conditioning", measures, last)
    balance = effect(results, "conditioning", IMBALANCE, last)
    return Entry(
        "C6",
        "GAN output is more diverse than the CGAN's",
        "stated in section 4.1",
        f"effect of CGAN for GAN at epoch {last} on recall: less; coverage: less",
        f"At epoch {last}, CGAN for GAN at the same loss: {ours} "
        f"{IMBALANCE.title.capitalize()} {balance}.",
        seeds,
        verdict,
    )


def _c7(results: dict) -> Entry:
    """Judged where there is a collapse to reduce: in the settings in which a BCE run collapsed.

    Both readings of MSE have a vote: on the probability, as written, and on the raw score.
    """
    last, words, readings, counts = results["protocol"]["n_epochs"], [], [], []
    settings = [
        setting
        for setting in analysis.settings("loss")
        if any(collapsed(run, results) for run in _runs(results, loss="bce", **setting))
    ]
    for loss, name in (("mse", "MSE"), ("least-squares", "least squares")):
        effects = simple_effects(results, "loss", COVERAGE, last, ("bce", loss))
        for setting in settings:
            where = analysis.in_words(setting)
            runs = _runs(results, loss=loss, **setting)
            n = sum(collapsed(run, results) for run in runs)
            found = effects.get(where, estimate([]))
            words.append(
                f"{name} for BCE at {where}: coverage {found}, {n} of {len(runs)} runs collapsed"
            )
            if where in _votes(effects):
                readings.append(reading(found, COVERAGE, +1))
                counts.append(found.n)
    ours = "; ".join(words) if words else "no BCE run collapsed"
    return Entry(
        "C7",
        "MSE, in place of BCE, reduces mode collapse",
        "stated; GAN and CGAN differ in loss and label",
        f"effect of MSE, and of least squares, for BCE at epoch {last} on coverage, in settings "
        "where a BCE run collapsed: more",
        f"At epoch {last}, {ours}.",
        _seeds(counts),
        combine(readings),
    )


# --- The claims of section 4.2, which chapter 5 tests --------------------------------------------


def _change(
    number: str,
    says: str,
    what: str,
    found: dict[tuple[Measure, int], dict[str, Estimate]],
    when: int,
) -> Entry:
    """A claim about a change; ``found``: its effects by setting, for each measure and direction."""
    words, readings, counts, wanted = [], [], [], []
    for (measure, toward), effects in found.items():
        shown = (f"{one} ({where})" for where, one in effects.items())
        words.append(f"{measure.title} {', '.join(shown)}")
        wanted.append(f"{measure.title}: {'more' if toward > 0 else 'less'}")
        readings += _readings(effects, measure, toward)
        counts += [one.n for one in _votes(effects).values()]
    rule = f"effect of {what} at epoch {when} on {'; '.join(wanted)}"
    ours = f"At epoch {when}: {'; '.join(words)}."
    return Entry(number, says, ELSEWHERES, rule, ours, _seeds(counts), combine(readings))


def _cbn(results: dict) -> Entry:
    last = analysis.last_epoch(results)
    found = {
        (measure, toward): gains.label_effects(results, measure, last)
        for measure, toward in ((FRECHET, -1), (COVERAGE, +1))
    }
    what = "CBN, in place of the label in G's input,"
    return _change("4.2 a", "conditional batch normalisation helps", what, found, last)


def _convolutions(results: dict, number: str, says: str, measures: dict, epoch: int) -> Entry:
    found = {
        (measure, toward): gains.layer_effects(results, measure, epoch)
        for measure, toward in measures.items()
    }
    return _change(number, says, "convolution, in place of full connection,", found, epoch)


def _fewer_parameters(_results: dict) -> Entry:
    pairs = [[MODELS[layers, label] for layers in gains.LAYERS] for label in gains.LABEL]
    counts = [[gains.parameters(model) for model in pair] for pair in pairs]
    fewer = [all(new < old for old, new in zip(*pair)) for pair in counts]
    shown = "; ".join(
        f"{new} has {sum(few):,}, {old} {sum(many):,}"
        for (old, new), (many, few) in zip(pairs, counts)
    )
    says, rule = "convolutions need fewer parameters", "numbers that G and D learn: less, in both"
    return Entry("4.2 c", says, ELSEWHERES, rule, f"{shown}.", "–", _all_or_some(fewer))


def verdicts(results: dict, improved: dict, long: dict) -> list[Entry]:
    """All claims of the paper, in its order, judged by the results of chapters 4 and 5.

    ``long``: the runs of 200 epochs, see ganlib.endurance.
    """
    last = analysis.last_epoch(improved)
    clearer = {PRECISION: +1, FRECHET: -1, analysis.SPECKS: -1}
    sooner = {FRECHET: -1, COVERAGE: +1}
    return [
        _c1(results, long),
        *(judge(results) for judge in (_c2, _c3, _c4, _c5, _c6, _c7)),
        _cbn(improved),
        _convolutions(improved, "4.2 b", "convolutions give clearer digits", clearer, last),
        _fewer_parameters(improved),
        _convolutions(improved, "4.2 d", "convolutions converge faster", sooner, EARLY),
    ]
