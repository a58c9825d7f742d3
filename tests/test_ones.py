"""The study of why ones take over: what it changes, what it leaves alone, and how it is judged."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import small

from ganlib.runs.store import RunError
from ganlib.studies import engine, length, ones

LAST = ones.EPOCHS[-1]


@pytest.mark.parametrize("arm", ones.CHANGES)
def test_ones_change_alone_and_the_same_way_each_time(digits, arm):
    found, is_one = ones.changed(digits, arm), digits.labels == ones.DIGIT
    assert torch.equal(found.images[~is_one], digits.images[~is_one])
    differ = (found.images != digits.images).flatten(1).any(1)
    assert differ[is_one].float().mean() > 0.9 and torch.equal(found.labels, digits.labels)
    assert torch.equal(found.images, ones.changed(digits, arm).images)


def test_one_change_leaves_the_ink_and_the_other_adds_to_it():
    stroke = torch.full((50, 1, 32, 32), -1.0)
    stroke[:, :, 10:22, 15:17] = 1.0

    def ink(images):
        return (images + 1).sum((1, 2, 3))

    moved, thick = ones.varied(stroke), ones.bold(stroke)
    assert torch.equal(ink(moved), ink(stroke)) and len(moved.unique(dim=0)) > 25
    assert torch.equal(ink(thick), ink(stroke) * (14 * 4) / (12 * 2))
    assert len(thick.unique(dim=0)) == 1


def test_its_cells_are_the_baselines_but_for_length():
    for cell in ones.STUDY.cells(2):
        twin = replace(length.CELLS["gan-mse"], seed=cell.levels["seed"], n_epochs=LAST)
        assert cell.config == twin and {*cell.epochs} <= {*length.EPOCHS}


def test_a_cell_trains_on_changed_ones(monkeypatch, judge, digits, tmp_path):
    seen = {}

    def run_cell(cell, workspace, against, *others):
        seen[cell.name] = against
        return {}

    monkeypatch.setattr(engine, "run_cell", run_cell)
    against = engine.metrics.Reference(judge, digits, digits, *[torch.zeros(1)] * 4)
    for cell in ones.cells_of(0):
        assert cell.run(small(cell), tmp_path, against, "cpu", None) == {}
        wanted = ones.changed(digits, cell.levels["arm"]).images
        assert torch.equal(seen[cell.name].train.images, wanted)
        assert seen[cell.name].test is digits


def results(tmp_path, **shares: tuple[float, ...]) -> dict:
    """The study's results with these shares of ones, seed by seed."""
    runs: dict[str, list[dict]] = {"baseline": [], "own": []}
    for arm, found in shares.items():
        for seed, share in enumerate(found):
            counts = [round(1000 * (1 - share))] + [round(1000 * share)] + [0] * 8
            measured = {"class_counts": counts, "coverage": 0.7, "classes": 10}
            run = {"name": f"{arm}-seed{seed}", "seed": seed, "losses": {}, "epoch_means": {}}
            run["metrics"] = {str(epoch): measured for epoch in ones.EPOCHS}
            own = arm in ones.CHANGES
            run |= {"arm": arm} if own else {"cell": ones.BASELINE}
            runs["own" if own else "baseline"].append(run)
    other = {"name": "gan", "cell": "gan", "seed": 0}
    for name, kept in (("endurance", [*runs["baseline"], other]), ("ones", runs["own"])):
        stored = {"protocol": engine.protocol(ones.EPOCHS)}
        stored["floor"] = {"coverage": 0.9, "class_counts": [89, 11, *[0] * 8]}
        stored |= {"floor_by_count": {}, "runs": kept}
        (tmp_path / f"{name}.json").write_text(json.dumps(stored))
    return ones.STUDY.load(tmp_path / "ones.json")


def test_a_change_explains_ones_if_fewer_of_them_are_left(tmp_path):
    base, fewer = (0.21, 0.22, 0.23), (0.12, 0.13, 0.14)
    found = results(tmp_path, plain=base, varied=fewer, bold=base)
    assert [run["arm"] for run in found["runs"]][:3] == [ones.AS_THEY_ARE] * 3
    assert ones.answers(found) == {"varied": "for", "bold": "no difference"}
    assert found["floor"][ones.ONES.key] == 0.11
    assert ones.effects(found)["varied"].mean == pytest.approx(-0.09)
    # Fewer, but not by what is worth naming; more.
    found = results(tmp_path, plain=base, varied=(0.18, 0.181, 0.182), bold=(0.41, 0.42, 0.43))
    assert ones.answers(found)["varied"] != "for" and ones.answers(found)["bold"] == "against"
    # One run tells nothing.
    assert ones.answers(results(tmp_path, plain=base, varied=fewer[:1]))["varied"] == "unclear"
    (tmp_path / "endurance.json").unlink()
    with pytest.raises(RunError, match="python -m ganlib experiment length makes them"):
        ones.STUDY.load(tmp_path / "ones.json")
