"""The studies, by the names under which ``python -m ganlib experiment`` makes them.

A new one is a file beside this with its `Study`, and a line here.
"""

from ganlib.studies import codes, few_labels, improvements, length, ones, paper, rounding
from ganlib.studies.study import Study

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        paper.STUDY,
        length.STUDY,
        improvements.STUDY,
        codes.STUDY,
        few_labels.STUDY,
        rounding.STUDY,
        ones.STUDY,
    )
}
