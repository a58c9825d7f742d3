"""What makes the code a digit: the information term, or the size of the code among the noise?

Two factors: when G hears of the information term (after some epochs, from the start, or never) and
the scale of the one-hot code in z. Three seeds of each of the six cells; of the recipe, and of the
same without the term as control, five. No label is read in any training.
"""

from dataclasses import replace
from pathlib import Path
from statistics import median

from ganlib.configuration import TrainingConfig, choose_device
from ganlib.families import family
from ganlib.judge.codes import MEASURED, measure_codes
from ganlib.judge.metrics import Reference
from ganlib.models import infogan
from ganlib.runs.store import Run
from ganlib.studies import engine
from ganlib.studies.along import train_along
from ganlib.studies.analysis import Change, Estimate, effect, last_epoch, select, values
from ganlib.studies.claims import Claim
from ganlib.studies.engine import Cell
from ganlib.studies.measures import COVERAGE, FRECHET, Measure
from ganlib.studies.study import Contrast, Count, Study

EPOCHS = (1, 2, 4, 8, 15)  # measured; the last ends the run
TERM = "held back", "from the start", "never"
SCALE = infogan.SCALE, 1.0
# (when G hears of the term, scale of the code) -> model
MODELS = {
    (TERM[0], SCALE[0]): "infogan",
    (TERM[1], SCALE[0]): "infogan-early",
    (TERM[2], SCALE[0]): "infogan-never",
    (TERM[0], SCALE[1]): "infogan-scale1",
    (TERM[1], SCALE[1]): "infogan-early-scale1",
    (TERM[2], SCALE[1]): "infogan-never-scale1",
}
RECIPE, CONTROL = MODELS[TERM[0], SCALE[0]], MODELS[TERM[2], SCALE[0]]
SEEDS, MORE_SEEDS = 3, 5  # of each cell; of the recipe and its control
# The goals, set before any run: of the recipe's seeds, the median.
MOST_ERROR = 0.05  # of real test digits that the code misreads: what is published
LEAST_EXPLAINED = 0.5  # of the variance of slant, width or ink, by one continuous code


def cells_of(seed: int) -> list[Cell]:
    """All six cells, and from the fourth seed on the recipe and its control."""
    found = []
    for (term, scale), model in MODELS.items():
        if seed < SEEDS or model in (RECIPE, CONTROL):
            settings = family(model).settings | {"n_epochs": EPOCHS[-1], "seed": seed}
            levels = {"model": model, "term": term, "scale": scale, "seed": seed}
            config = TrainingConfig(model=model, loss="bce", **settings)
            found.append(Cell(f"{model}-seed{seed}", levels, config, EPOCHS, run_cell))
    return found


def run_cell(
    cell: Cell, workspace: Path, against: Reference, device: str = "auto", on_epoch=None
) -> dict:
    """As `engine.run_cell`; each epoch's measures hold what its codes mean too, as ``codes``."""

    def measure(run: Run) -> dict:
        networks, pair = run.latest_networks(), (against.train, against.test)
        for network in networks.values():
            network.to(choose_device(device))
        return measure_codes(networks, run.config, *pair, against.classifier)

    run, found = train_along(cell, workspace, against, device, measure, on_epoch)
    result = engine.result(cell, run, against)
    for epoch, own in result["metrics"].items():
        own["codes"] = found[epoch]
    return result


# --- What is measured ----------------------------------------------------------------------------


def _of_codes(key: str):
    return lambda run, epoch: run["metrics"][str(epoch)]["codes"][key]


def _explained(run: dict, epoch: int) -> float:
    """The largest share of any of the three that one continuous code explains, over many z."""
    shares = run["metrics"][str(epoch)]["codes"]["explained"]
    return max(share for name in MEASURED for share in shares[name])


ERROR = Measure("error", "real digits misread by the code", "{:.1%}", 0.02, of=_of_codes("error"))
AS_MATCHED = Measure(
    "as matched", "drawn as the code's digit", "{:.1%}", 0.02, of=_of_codes("drawn_as_matched")
)
EXPLAINED = Measure("explained", "variance explained", "{:.2f}", 0.1, of=_explained)


def median_run(results: dict, model: str = RECIPE) -> dict:
    """The run of a model whose error at the end is the median one, the lower of two: it is shown.

    Every seed's error is told beside it.
    """
    last = last_epoch(results)
    runs = sorted(select(results, model=model), key=lambda run: ERROR(run, last))
    return runs[(len(runs) - 1) // 2]


# --- What the claims are judged by ---------------------------------------------------------------


def changes() -> dict[str, Change]:
    """Each factor changed, with the other held."""
    scales = {
        f"scale {SCALE[0]:g} for 1, term {term}": ((term, SCALE[1]), (term, SCALE[0]))
        for term in TERM
    }  # a larger code
    terms = {
        f"term {term} for never, scale {scale:g}": ((TERM[2], scale), (term, scale))
        for scale in SCALE
        for term in TERM[:2]
    }
    return {
        name: Change(*({"term": term, "scale": scale} for term, scale in pair))
        for name, pair in (scales | terms).items()
    }


def effects(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """The effect of every change of a factor, in words."""
    return {name: effect(results, [one], measure, epoch) for name, one in changes().items()}


def _of(kind: str):
    def chosen(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
        return {
            name: one
            for name, one in effects(results, measure, epoch).items()
            if name.startswith(kind)
        }

    return chosen


def _digits(results: dict) -> tuple[str, str]:
    """Whether codes read digits, and one of the continuous ones a shape: counted over seeds."""
    last, runs = last_epoch(results), select(results, model=RECIPE)
    errors, shares = values(runs, ERROR, last), values(runs, EXPLAINED, last)
    if len(runs) < MORE_SEEDS:
        return f"{len(runs)} of {MORE_SEEDS} seeds.", "runs missing"
    ours = f"Misread: {', '.join(f'{error:.1%}' for error in sorted(errors))}, median "
    ours += f"{median(errors):.1%}; explained, median {median(shares):.2f}."
    met = [median(errors) <= MOST_ERROR, median(shares) >= LEAST_EXPLAINED]
    verdict = "holds" if all(met) else "holds in part" if any(met) else "does not hold"
    return ours, verdict


CONTRASTS: dict[str, Contrast] = {
    "scale": (f"codes of scale {SCALE[0]:g} for 1, at each time of the term", _of("scale")),
    "term": ("the information term for none, at each scale", _of("term")),
}
COUNTS: dict[str, Count] = {
    "codes": (
        f"of {MORE_SEEDS} seeds of the recipe the median: at most {MOST_ERROR:.0%} of real test "
        f"digits misread by the code of ten, and {LEAST_EXPLAINED:g} of the variance of slant, "
        "width or ink explained by one continuous code; both (holds) or one (in part)",
        _digits,
    ),
}
CLAIMS = (
    Claim(
        "1 a",
        "InfoGAN's latent variables control the digits",
        "controlled according to specific latent variables",
        "1",
        "codes",
    ),
)
# Ours, not the paper's: what the chapter asks of the factorial.
QUESTIONS = (
    Claim("Q1", "the scale of the code finds the digits", "", "", "scale", {ERROR: -1}),
    Claim("Q2", "the term finds the digits", "", "", "term", {ERROR: -1}),
    Claim("Q3", "the term gives the continuous codes a shape", "", "", "term", {EXPLAINED: +1}),
)

STUDY = Study(
    "codes",
    "InfoGAN's codes: the information term, and the scale of the code",
    "codes",
    cells_of,
    named=lambda levels: f"term {levels['term']}, scale {levels['scale']:g}",
    gallery={
        f"scale {scale:g}": {f"term {term}": MODELS[term, scale] for term in TERM}
        for scale in SCALE
    },
    measures=(ERROR, AS_MATCHED, EXPLAINED, COVERAGE, replace(FRECHET, form="{:.2f}")),
    claims=CLAIMS,
    contrasts=CONTRASTS,
    counts=COUNTS,
)
