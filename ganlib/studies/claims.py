"""What a claim of the paper is, and those that no experiment here can judge.

Quotes are the paper's own, with the section they stand in. What is said about a measure of which
the paper has none is our reading of its words. The claims that are judged stand with the study
that judges them.
"""

from dataclasses import dataclass, field

from ganlib.studies.measures import Measure


@dataclass(frozen=True)
class Claim:
    """A claim of the paper: what is said, what would speak for it, in which measures, and when.

    ``contrast`` names one of its study's contrasts or counts; of each of ``measures`` the claim
    wants more (+1) or less (-1). ``when``: an epoch, or None for the end of the runs. ``ways``: by
    which rules it is judged (measures.WAYS), "" for one only. ``why``: for which reason no
    experiment here judges it; then there is no contrast.
    """

    id: str
    says: str
    quote: str  # the paper's own words
    section: str
    contrast: str = ""
    measures: dict[Measure, int] = field(default_factory=dict)
    when: int | None = None
    ways: str = ""
    why: str = ""


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
        ("GAN's digits improve a recogniser (Song and others)",
         "the accuracy of image recognition can be significantly improved", "1",
         "another work's result, reported; not repeated here"),
    )
)  # fmt: skip
