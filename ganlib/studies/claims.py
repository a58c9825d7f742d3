"""The paper's claims, as a table: its words, and what would speak for each.

Quotes are the paper's own, with the section they stand in. What is said about a measure of which
the paper has none is our reading of its words; :mod:`ganlib.studies.ledger` turns it into a
verdict.
"""

from dataclasses import dataclass, field

from ganlib.studies.analysis import (
    ACCURACY,
    CLASSES,
    COPIED,
    COVERAGE,
    FALLEN,
    FRECHET,
    LEVEL,
    PRECISION,
    RANGE,
    RECALL,
    SPECKS,
    UNEVEN,
    Measure,
)

EARLY = 5  # the epoch at which a claim about speed is judged


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    ``contrast`` names what is compared (ledger.CONTRASTS) or counted (COUNTS); of each of
    ``measures`` the claim wants more (+1) or less (-1). ``when``: an epoch, or None for the end of
    the runs. ``ways``: by which rules it is judged (ledger.WAYS), "" for one only. ``also``:
    a measure that is shown of the runs of 200 epochs too. ``why``: for which reason no experiment
    here judges it; then there is no contrast.
    """

    id: str
    says: str
    quote: str
    section: str
    contrast: str = ""
    measures: dict[Measure, int] = field(default_factory=dict)
    when: int | None = None
    ways: str = ""
    also: Measure | None = None
    why: str = ""


_SOONER = {FRECHET: -1, COVERAGE: +1}
_CLEARER = {PRECISION: +1, FRECHET: -1, SPECKS: -1}

JUDGED = (
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
          "label", _SOONER, EARLY, ways="time"),
    Claim("C4", "CGAN's images are better, more consistent",
          "exhibits less distortion and blurring", "3.1",
          "label, and alone", {PRECISION: +1, FRECHET: -1}),
    Claim("C5", "CGAN controls the class",
          "can accurately generate handwritten numbers of specific classes", "4.1",
          "obedience", also=ACCURACY),
    Claim("C6", "GAN's output is more diverse", "allows the GAN to produce a more diverse output",
          "4.1", "label", {RECALL: -1, COVERAGE: -1}, also=RECALL),
    Claim("C7 a", "MSE, for BCE, reduces mode collapse",
          "effectively reducing the occurrence of pattern crashes", "2.4",
          "loss, where BCE collapsed", {COVERAGE: +1}),
    Claim("C7 b", "MSE, for BCE, is more stable",
          "in some cases leading to a more stable training process", "2.4",
          "loss", {FALLEN: -1}),
    Claim("C7 c", "MSE is more sensitive to D's output",
          "more sensitive to changes in output values", "2.4", "slopes"),
    Claim("C8", "CGAN reduces mode collapse", "the avoidance of model collapse", "abstract",
          "label, where unlabelled runs collapsed", {COVERAGE: +1}, also=CLASSES),
    Claim("C9", "images get clearer, up to epoch 200", "become clearer and clearer", "3.1",
          "runs that never got less clear"),
    Claim("C10", "GAN's last images are blurred, noisy (3.1 also says: \"very clear\")",
          "sometimes appearing blurry, unsharp, and even with noise or artifacts", "4.1",
          "GAN's images for real ones", {PRECISION: -1, SPECKS: +1}, 200),
    Claim("C11", "D's loss is low and steady, G's varies",
          "a generally low and relatively stable trend", "3.2",
          "both losses of a run", {UNEVEN: +1, LEVEL: +1}, ways="logging"),
    Claim("4.2 a", "CBN gives better images", "improves the quality of the generated images",
          "4.2", "CBN", _SOONER),
    Claim("4.2 b", "CBN gives more control", "can effectively improve such problems", "4.2",
          "CBN", {ACCURACY: +1}),
    Claim("4.2 c", "CBN is more stable", "enhances model stability", "4.2", "CBN", {FALLEN: -1}),
    Claim("4.2 d", "CBN converges sooner", "and convergence speed", "4.2",
          "CBN", _SOONER, EARLY, ways="time"),
    Claim("4.2 e", "convolutions give clearer digits",
          "to generate clearer and more detailed images", "4.2", "convolution", _CLEARER),
    Claim("4.2 f", "convolutions need fewer parameters", "lower the model's parameter count",
          "4.2", "parameters"),
    Claim("4.2 g", "convolutions overfit less", "reduce the risk of overfitting", "4.2",
          "convolution, where copies are common", {COPIED: -1}),
    Claim("4.2 h", "convolutions converge sooner", "accelerate the training convergence speed",
          "4.2", "convolution", _SOONER, EARLY, ways="time"),
    Claim("4.2 i", "convolutions are more stable", "further enhance the stability", "4.2",
          "convolution", {FALLEN: -1}),
)  # fmt: skip

_REPORTED = "another work's result, reported; not repeated here"
NOT_JUDGED = tuple(
    Claim("", says, quote, section, why=why)
    for says, quote, section, why in (
        ("D needs several steps for each of G's", "the discriminator multiple times", "2.3",
         "every run here takes one step of each, as the public scripts do"),
        ("when D can only guess, G is proficient",
         "cannot correctly determine the authenticity of data", "2.3",
         "true of the best D, which no trained one need be; an untrained one guesses too"),
        ("BN and Leaky ReLU steady the training", "stabilize the training process", "2.4",
         "no run is without them"),
        ("BN keeps gradients from vanishing or exploding",
         "vanishing or exploding gradients", "4.2", "no run is without it"),
        ("a D that is told the class judges in more detail",
         "enabling a more detailed judgment", "2.4", "we have no measure of D's judgement"),
        ("a convolutional D judges better", "can more effectively judge the authenticity and "
         "category of the image", "4.2", "we have no measure of D's judgement"),
        ("CGAN's training is more orderly", "more orderly", "4.1", "the paper does not say how "
         "order would be measured; C2 a and C2 b come nearest"),
        ("CGAN learns classes more efficiently, in richer detail",
         "learn different classes of features more efficiently", "4.1",
         "we have no measure of either"),
        ("GAN is simple, its training intuitive", "the training is intuitive", "4.1",
         "a matter of taste"),
        ("GAN cannot be told a class", "cannot control the generated image categories", "4.1",
         "true by construction: nothing tells it one"),
        ("that matters more with more data, or more complex images",
         "the drawback becomes more obvious", "2.3", "one data set here"),
        ("convolutions make a model more adaptable", "stability and adaptability of the model",
         "4.2", "one data set here"),
        ("the models serve other tasks and harder data", "image enhancement and style transfer",
         "1, 5", "no such task was tried, here or there"),
        ("GANs make better digits than what came before",
         "higher-quality handwritten digital images", "1", "no other kind of generator here"),
        ("CGAN's use for digits was little known", "has not been fully investigated", "1",
         "it is about the literature, not about the models"),
        ("InfoGAN's latent variables control the digits",
         "controlled according to specific latent variables", "1", _REPORTED),
        ("25 labels: 0.802 with Odena's SGAN, 0.750 with a CNN", "the classification accuracy of "
         "0.802 for 25 small samples", "1", _REPORTED),
        ("GAN's digits improve a recogniser (Song and others)",
         "the accuracy of image recognition can be significantly improved", "1", _REPORTED),
    )
)  # fmt: skip
