"""The paper's two models taken apart: what do the label, the loss and BatchNorm's eps each change?

Every combination of the three, 25 epochs of each; and, at PyTorch's eps, each model with the
other's discriminator, which in the public scripts has another size. The study `length` judges the
same claims at the paper's 200 epochs; its runs of the same cells are counted here too, up to
epoch 25.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path

from ganlib.configuration import TrainingConfig
from ganlib.studies import length
from ganlib.studies.analysis import (
    Change,
    Estimate,
    effect,
    estimate,
    select,
    values,
    where_it_collapsed,
)
from ganlib.studies.claims import Claim
from ganlib.studies.counts import COUNTS
from ganlib.studies.engine import Cell
from ganlib.studies.measures import (
    ACCURACY,
    CLASSES,
    COVERAGE,
    FALLEN,
    FRECHET,
    LEVEL,
    LOOKS,
    PRECISION,
    RANGE,
    RECALL,
    SPECKS,
    UNEVEN,
    Measure,
)
from ganlib.studies.study import Contrast, Line, Study

EPOCHS = (1, 2, 5, 10, 15, 20, 25)  # measured; the last ends the run
EARLY = 5  # the epoch at which a claim about speed is judged
LABELS = ("none", "label")
LOSSES = ("bce", "mse", "least-squares")  # least squares with one seed
BN_EPS = (1e-5, 0.8)
# The factors, each from its first level to its second. Least squares is compared by itself.
FACTORS = {"conditioning": LABELS, "loss": LOSSES[:2], "bn_eps": BN_EPS}
# Of both losses, as the paper's figures show them.
FIGURES = {"Fig. 8, GAN": (0.19, 6.91), "Fig. 9, CGAN": (0.06, 1.17)}
# (conditioning, whose discriminator) -> model
MODELS = {
    ("none", "own"): "gan",
    ("label", "own"): "cgan",
    ("none", "swapped"): "gan-large-d",
    ("label", "swapped"): "cgan-small-d",
}


# --- Cells ---------------------------------------------------------------------------------------


def cell(conditioning: str, loss: str, bn_eps: float, discriminator: str, seed: int) -> Cell:
    """A run: Table 1, but for these."""
    swapped = "-swapped" if discriminator == "swapped" else ""
    levels = {"conditioning": conditioning, "loss": loss, "bn_eps": bn_eps}
    levels |= {"discriminator": discriminator, "seed": seed}
    config = TrainingConfig(
        model=MODELS[conditioning, discriminator],
        loss=loss,
        bn_eps=bn_eps,
        seed=seed,
        n_epochs=EPOCHS[-1],
    )
    return Cell(f"{conditioning}-{loss}-eps{bn_eps:g}{swapped}-seed{seed}", levels, config, EPOCHS)


def cells_of(seed: int) -> list[Cell]:
    """The grid; then, where the paper trains them, the discriminators swapped."""
    losses = LOSSES if seed == 0 else FACTORS["loss"]
    grid = [cell(*levels, "own", seed) for levels in product(LABELS, losses, BN_EPS)]
    swapped = product(LABELS, FACTORS["loss"], BN_EPS[:1])
    return grid + [cell(*levels, "swapped", seed) for levels in swapped]


def in_words(levels: dict) -> str:
    """Levels of some factors in words: no label · eps 0.8."""
    words = {"none": "no label", "own": "", "swapped": "other D"}
    named = ("conditioning", "loss", "bn_eps", "discriminator")
    shown = (f"eps {levels[k]:g}" if k == "bn_eps" else words.get(levels[k], levels[k])
             for k in named if k in levels)  # fmt: skip
    return " · ".join(filter(None, shown))


def with_replicates(results: dict, path: Path) -> dict:
    """The results with the long runs of the same cells, as far as these go.

    Each is marked as a ``replicate``, and has no losses: they are of all of its epochs. A run that
    is there already, to the last bit, is left out.
    """
    beside = path.with_name(length.STUDY.path.name)
    long = length.STUDY.load(beside)["runs"] if beside.exists() else []
    runs, epochs = list(results["runs"]), [*map(str, results["protocol"]["epochs"])]
    for run in long:
        measured = {epoch: run["metrics"][epoch] for epoch in epochs if epoch in run["metrics"]}
        levels = {name: run[name] for name in (*FACTORS, "discriminator", "seed")}
        known = [one["metrics"][epochs[-1]] for one in select(results, **levels)]
        if not any(one["class_counts"] == measured[epochs[-1]]["class_counts"] for one in known):
            runs.append(run | {"metrics": measured, "replicate": True, "losses": None})
    return results | {"runs": runs}


# --- What changes from one cell to another -------------------------------------------------------


def _there(results: dict, levels: dict) -> bool:
    return any(levels.items() <= cell.items() for cell in results["cells"].values())


def settings(results: dict, factor: str, *levels, **held) -> dict[str, Change]:
    """From one level of a factor to another, in each setting of the others that has both cells.

    By the setting in words. ``held``: another factor's levels, if not those of FACTORS.
    """
    first, second = levels or FACTORS[factor]
    others = {name: held.get(name, own) for name, own in FACTORS.items() if name != factor}
    found = {}
    for setting in (dict(zip(others, own)) for own in product(*others.values())):
        sides = [setting | {factor: level, "discriminator": "own"} for level in (first, second)]
        if all(_there(results, side) for side in sides):
            found[in_words(setting)] = Change(*sides)
    return found


def label_alone(results: dict) -> dict[str, Change]:
    """The label with one and the same discriminator on both sides.

    Elsewhere it comes with the CGAN's discriminator, as in the paper.
    """
    found = {}
    for loss, (whose, before, after) in product(
        FACTORS["loss"], (("CGAN's", "swapped", "own"), ("GAN's", "own", "swapped"))
    ):
        setting = {"loss": loss, "bn_eps": BN_EPS[0]}
        sides = [setting | {"conditioning": label, "discriminator": whose_d}
                 for label, whose_d in zip(LABELS, (before, after))]  # fmt: skip
        if all(_there(results, side) for side in sides):
            found[f"{in_words(setting)}, both the {whose} D"] = Change(*sides)
    return found


# --- What the claims are judged by ---------------------------------------------------------------

ASIDE = "~"  # an effect whose name begins with it is shown, and has no vote
AVERAGE = f"{ASIDE}on average"  # over settings


def _of(results: dict, changes: dict[str, Change], measure: Measure, epoch: int, aside="") -> dict:
    return {f"{aside}{name}": effect(results, [change], measure, epoch)
            for name, change in changes.items()}  # fmt: skip


def factor_effects(results: dict, factor: str, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """A factor's effect on average, and in each setting: where an average could mislead.

    Settings with least squares are no part of the average; they are there if both cells have runs.
    """
    changes = settings(results, factor)
    found = {AVERAGE: effect(results, [*changes.values()], measure, epoch)}
    found |= _of(results, changes, measure, epoch)
    if factor != "loss":
        more = settings(results, factor, loss=LOSSES[2:])
        found |= {n: one for n, one in _of(results, more, measure, epoch).items() if one.n}
    return found


def effects(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """Each factor's effect on average, in words, then in each setting, set in by two spaces."""
    found = {}
    for factor, words in (
        ("conditioning", "a label (and the CGAN's D), where there was none"),
        ("loss", "MSE, where there was BCE"),
        ("bn_eps", "eps 0.8, where there was 1e-05"),
    ):
        own = factor_effects(results, factor, measure, epoch)
        found[words] = own.pop(AVERAGE)
        if factor == "conditioning":
            own |= _of(results, label_alone(results), measure, epoch)
        found |= {f"  at {where}": one for where, one in own.items()}
    return found


def _alone(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    return _of(results, label_alone(results), measure, epoch, f"{ASIDE}label alone at ")


def _label_and_alone(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    whole = factor_effects(results, "conditioning", measure, epoch)
    return whole | _alone(results, measure, epoch)


def _label_where_collapsed(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    changes = settings(results, "conditioning")
    found = where_it_collapsed(results, "CGAN", changes, measure, epoch)
    return found | _alone(results, measure, epoch)


def _loss_where_bce_collapsed(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """Both readings of MSE have a vote: on the probability, as written, and on the raw score."""
    found = {}
    for loss, words in (("mse", "MSE"), ("least-squares", "least squares")):
        changes = settings(results, "loss", "bce", loss)
        found |= where_it_collapsed(results, words, changes, measure, epoch)
    return found


def _both_losses(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """A ratio of the two losses within each run, in each cell of BCE and MSE."""
    found = {}
    for levels in product(LABELS, FACTORS["loss"], BN_EPS):
        cell = dict(zip(FACTORS, levels)) | {"discriminator": "own"}
        if _there(results, cell):
            known = map(measure.scaled, values(select(results, **cell), measure, epoch))
            found[in_words(cell)] = estimate(known, measure.ratio)
    return found


def _against_real(results: dict, measure: Measure, epoch: int) -> dict[str, Estimate]:
    """What the GAN's images measure, less what real ones do."""
    found, floor = {}, results["floor"].get(measure.key)
    for eps in BN_EPS:
        runs = select(results, conditioning="none", loss="bce", bn_eps=eps, discriminator="own")
        known = values(runs, measure, epoch) if floor is not None else []
        found[f"eps {eps:g}"] = estimate(value - floor for value in known)
    return found


def _factor(factor: str) -> Callable:
    return lambda results, measure, epoch: factor_effects(results, factor, measure, epoch)


CONTRASTS: dict[str, Contrast] = {
    "label": ("CGAN for GAN at the same loss", _factor("conditioning")),
    "label, and alone": ("CGAN for GAN at the same loss", _label_and_alone),
    "label, where unlabelled runs collapsed": (
        "CGAN for GAN at the same loss, where an unlabelled run collapsed", _label_where_collapsed),
    "loss": ("MSE for BCE", _factor("loss")),
    "loss, where BCE collapsed": (
        "MSE, and least squares, for BCE, where a BCE run collapsed", _loss_where_bce_collapsed),
    "both losses of a run": ("L_G beside L_D, within each run", _both_losses),
    "GAN's images for real ones": ("the GAN's images, for real ones", _against_real),
}  # fmt: skip

CLAIMS = (
    Claim("C1 a", "GAN training is unstable", "GAN exhibits greater training instability", "3.2",
          "unlabelled BCE runs that fell back"),
    Claim("C1 b", "GAN training is prone to mode collapse",
          "mode collapse during the model's training may easily result", "4.1",
          "unlabelled BCE runs that collapsed"),
    Claim("C2 a", "CGAN is more stable: its losses range less",
          "the CGAN loss change is significantly smaller", "3.2",
          "label", {RANGE: -1}, ways="logging"),
    Claim("C2 b", "CGAN's training and quality are more stable",
          "CGAN training is more stable", "4.1", "label", {FALLEN: -1}),
    Claim("C3", "CGAN converges sooner", "can converge in a shorter time", "4.1",
          "label", {LOOKS: -1, COVERAGE: +1}, EARLY, "time"),
    Claim("C4", "CGAN's images are better, more consistent",
          "exhibits less distortion and blurring", "3.1",
          "label, and alone", {PRECISION: +1, LOOKS: -1}),
    Claim("C5", "CGAN controls the class",
          "can accurately generate handwritten numbers of specific classes", "4.1", "obedience"),
    Claim("C6", "GAN's output is more diverse", "allows the GAN to produce a more diverse output",
          "4.1", "label", {RECALL: -1, COVERAGE: -1}),
    Claim("C7 a", "MSE, for BCE, reduces mode collapse",
          "effectively reducing the occurrence of pattern crashes", "2.4",
          "loss, where BCE collapsed", {COVERAGE: +1}),
    Claim("C7 b", "MSE, for BCE, is more stable",
          "in some cases leading to a more stable training process", "2.4",
          "loss", {FALLEN: -1}),
    Claim("C7 c", "MSE is more sensitive to D's output",
          "more sensitive to changes in output values", "2.4", "slopes", when=0),
    Claim("C8", "CGAN reduces mode collapse", "the avoidance of model collapse", "abstract",
          "label, where unlabelled runs collapsed", {COVERAGE: +1}),
    Claim("C9", "images get clearer, up to epoch 200", "become clearer and clearer", "3.1",
          "runs that never got less clear", when=200),
    Claim("C10", "GAN's last images are blurred, noisy (3.1 also says: \"very clear\")",
          "sometimes appearing blurry, unsharp, and even with noise or artifacts", "4.1",
          "GAN's images for real ones", {PRECISION: -1, SPECKS: +1}, 200),
    Claim("C11", "D's loss is low and steady, G's varies",
          "a generally low and relatively stable trend", "3.2",
          "both losses of a run", {UNEVEN: +1, LEVEL: +1}, ways="logging"),
)  # fmt: skip


def _gallery() -> dict[str, dict[str, str]]:
    """Losses across, label and eps down; then both models with the other's discriminator."""
    rows = {}
    for eps, label in product(BN_EPS, LABELS):
        row = f"{in_words({'conditioning': label})}\neps {eps:g}"
        rows[row] = {loss: f"{label}-{loss}-eps{eps:g}" for loss in LOSSES}
    for label, whose in zip(LABELS, ("CGAN's", "GAN's")):
        rows[f"{in_words({'conditioning': label})}\nthe {whose} D"] = {
            f"{loss}, the {whose} D": f"{label}-{loss}-eps{BN_EPS[0]:g}-swapped"
            for loss in FACTORS["loss"]
        }
    return rows


STUDY = Study(
    "paper",
    "label, loss and BatchNorm's eps, each with and without",
    "experiment",
    cells_of,
    join=with_replicates,
    longer="length",
    named=in_words,
    measures=(COVERAGE, RECALL, PRECISION, FRECHET, CLASSES, ACCURACY),
    gallery=_gallery(),
    columns={loss: {"loss": loss, "discriminator": "own"} for loss in LOSSES},
    lines={
        in_words({"conditioning": label, "bn_eps": eps}): Line(
            {"conditioning": label, "bn_eps": eps}, label == "label", eps > BN_EPS[0]
        )
        for label, eps in product(LABELS, BN_EPS)
    },
    claims=CLAIMS,
    contrasts=CONTRASTS,
    counts=COUNTS,
)
