"""The study of collapse: protocols as published, seeds alone and together, results, the rule."""

import json
from dataclasses import replace

import pytest
import torch

from ganlib import RunError
from ganlib.figures import collapse as show
from ganlib.steps import Batch, adversarial
from ganlib.studies import collapse, modes
from ganlib.studies.modes import Protocol
from ganlib.training import start, train

TINY = Protocol(latent_dim=3, g_widths=(8,), d_widths=(8,), batch_size=20, iterations=40)
KINDS = {
    "plain": TINY,
    "batch norm, maxout": replace(TINY, bn_eps=1e-4, pieces=3, start=0.02, b1=0.8),
    "packing": replace(TINY, pack=2),
    "label": replace(TINY, data="grid", label=True),
    "unrolling": replace(TINY, unroll=3),
}
every_kind = pytest.mark.parametrize("protocol", KINDS.values(), ids=KINDS)


def ends(protocol: Protocol, seeds: tuple[int, ...]):
    """The players after the last iteration."""
    return [players for _, players in modes.training(protocol, seeds)][-1]


# --- Seeds alone and together --------------------------------------------------------------------


@every_kind
def test_together_each_seed_is_trained_as_alone(protocol):
    together = ends(protocol, (0, 1, 2))
    for place, seed in enumerate((0, 1, 2)):
        alone = ends(protocol, (seed,))
        for name, network in alone.networks.items():
            others = dict(together.networks[name].named_parameters())
            for key, weight in network.named_parameters():
                assert weight[0].allclose(others[key][place], atol=1e-6), (seed, name, key)


def test_seeds_differ_from_the_start():
    players = modes.players_for(TINY, (0, 1))
    weights = next(players.generator.parameters())
    assert not weights[0].allclose(weights[1])


def test_one_seed_is_the_books_own_step_on_the_same_batches():
    """The plain modules, the plain Adam, the same numbers: nothing is different in the batched."""
    seed, config = 4, TINY.config()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        players = start(config, TINY.networks())
    rng = torch.Generator().manual_seed(modes.epoch_seed(seed, 1))
    for _ in range(TINY.iterations):
        real = Batch(*modes.draw(TINY.mixture, config.batch_size, rng))
        adversarial(players, [real], lambda n: (torch.randn(n, 3, generator=rng),), config)
    batched = dict(ends(TINY, (seed,)).generator.named_parameters())
    for key, weight in players.generator.named_parameters():
        assert weight.allclose(batched[key.replace(".", "/")][0], atol=1e-6)


def test_the_books_loop_trains_points():
    points, of_mode = modes.draw(TINY.mixture, 200, torch.Generator().manual_seed(0))
    config = TINY.config(n_epochs=2, seed=1)
    players = start(config, TINY.networks())
    before = [p.clone() for p in players.generator.parameters()]
    losses = [epoch.losses for epoch in train(players, points, of_mode, config)]
    assert [len(each) for each in losses] == [10, 10]
    assert not any(map(torch.equal, before, players.generator.parameters()))


def test_packing_leaves_d_as_many_judgements():
    """A batch is of packs, as in PacGAN: twice the points for packs of two."""
    assert replace(TINY, pack=2).config().batch_size == 40


# --- A row, and the file of all ------------------------------------------------------------------


def test_a_row_measures_at_equal_distances_and_again_the_same():
    row = modes.measure(TINY, (0, 1), watched=5)
    assert row["iterations"] == list(range(2, 41, 2))
    for name in ("modes", "near", "points"):
        assert len(row[name]) == modes.CHECKS
    assert {len(found) for found in row["modes"] + row["near"]} == {2}
    assert len(row["points"][0]) == 5 and len(row["average"]["modes"]) == 2
    assert modes.measure(TINY, (0, 1), watched=5) == row
    json.dumps(row)


@pytest.fixture
def tiny_rows(monkeypatch):
    rows = {"one": TINY, "two": replace(TINY, pack=2)}
    monkeypatch.setattr(collapse, "ROWS", rows)
    return rows


def test_a_finished_row_is_kept_and_only_what_is_missing_is_trained(tmp_path, tiny_rows):
    path, said = tmp_path / "results.json", []
    collapse.record(path, ["one"], (0, 1), said.append)
    first = json.loads(path.read_text())
    collapse.record(path, ["one", "two"], (0, 1), said.append)
    both = json.loads(path.read_text())
    assert [line.partition(":")[0] for line in said] == ["one", "two"]
    assert list(both) == ["one", "two"] and both["one"] == first["one"]


def test_a_row_of_another_protocol_or_other_seeds_is_trained_anew(tmp_path, tiny_rows):
    path, said = tmp_path / "results.json", []
    collapse.record(path, ["one"], (0, 1), said.append)
    tiny_rows["one"] = replace(TINY, lr=1e-4)
    collapse.record(path, ["one"], (0, 1), said.append)
    collapse.record(path, ["one"], (0, 2), said.append)
    assert len(said) == 3 and json.loads(path.read_text())["one"]["seeds"] == [0, 2]


def test_a_row_older_than_a_field_of_the_protocol_is_kept(tmp_path, tiny_rows):
    """It was trained with that field's default, and only a row with another is trained anew."""
    path, said = tmp_path / "results.json", []
    collapse.record(path, ["one"], (0, 1), said.append)
    results = json.loads(path.read_text())
    del results["one"]["protocol"]["unroll"]
    path.write_text(json.dumps(results))
    collapse.record(path, ["one"], (0, 1), said.append)
    assert len(said) == 1
    tiny_rows["one"] = replace(TINY, unroll=1)
    collapse.record(path, ["one"], (0, 1), said.append)
    assert len(said) == 2


def test_the_shipped_rows_are_those_of_the_code():
    """As many as are trained; `record` goes on with the others."""
    results = collapse.read()
    assert list(results) == [name for name in collapse.ROWS if name in results]
    assert {"VEEGAN, small, ring", "PacGAN, small, ring"} <= results.keys()
    for name, row in results.items():
        wanted = json.loads(json.dumps(modes.asdict(collapse.ROWS[name])))
        assert collapse.trained_by(row) == wanted
        assert len(row["seeds"]) == 10 and len(row["modes"]) == modes.CHECKS
        kept = modes.CHECKS * [collapse.WATCHED * (name in collapse.KEPT_POINTS)]
        assert [len(points) for points in row["points"]] == kept


def test_a_damaged_file_is_told_in_one_line(tmp_path):
    path = tmp_path / "results.json"
    assert collapse.read(path) == {}
    path.write_text('{"one": ')
    with pytest.raises(RunError, match="damaged.*delete it"):
        collapse.record(path, [])


# --- Protocols and the rule ----------------------------------------------------------------------


def test_pacgans_protocol_is_its_public_configuration():
    """synthetic_data_experiments/2DRing_GAN&PacGAN/config.py of fjxmlzn/PacGAN."""
    pacgan = collapse.PACGAN
    assert (pacgan.g_widths, pacgan.d_widths, pacgan.pieces) == ((400,) * 4, (200,) * 3, 5)
    assert (pacgan.lr, pacgan.b1, pacgan.batch_size, pacgan.start) == (1e-4, 0.8, 100, 0.02)
    assert pacgan.latent_dim == 2 and pacgan.iterations == 400 * 100_000 // 100
    assert modes.MEASURED == 2500


def test_a_small_copy_differs_in_nothing_but_what_is_said():
    for whole, small in (
        (collapse.VEEGAN, collapse.SMALL_VEEGAN), (collapse.PACGAN, collapse.SMALL_PACGAN)
    ):  # fmt: skip
        differ = {
            name for name in modes.asdict(whole) if getattr(whole, name) != getattr(small, name)
        }
        assert differ <= {"g_widths", "d_widths", "batch_size", "iterations"}
        assert len(whole.g_widths) == len(small.g_widths)


def test_the_factors_lead_all_the_way():
    """Taken together they turn one small copy into the other."""
    here, there = collapse.SMALL_VEEGAN, collapse.SMALL_PACGAN
    for names in collapse.FACTORS.values():
        assert any(getattr(here, name) != getattr(there, name) for name in names)
        here = replace(here, **{name: getattr(there, name) for name in names})
    assert here == there


def row_of(found: list[int], share: float) -> dict:
    return {"modes": [found], "near": [[share] * len(found)]}


def test_the_rule():
    published = collapse.Published("a", "GAN", "ring", 6.0, 50, 0.5, 1.0, ours="r", full=True)
    said = {
        name: collapse.verdict(published._replace(**changes), {"r": row})
        for name, row, changes in (
            ("both overlap", row_of([6, 7, 8], 0.5), {}),
            ("modes do not", row_of([8, 8, 8], 0.5), {}),
            ("share does not", row_of([6, 7, 8], 0.9), {}),
            ("small", row_of([6, 7, 8], 0.5), {"full": False}),
            ("not trained", row_of([6, 7, 8], 0.5), {"ours": ""}),
        )
    }
    assert list(said.values()) == [
        "reproduced", "not reproduced", "not reproduced", "can't be told", "can't be told"
    ]  # fmt: skip


def test_every_published_row_points_to_one_of_ours_on_the_same_data():
    for one in collapse.PUBLISHED:
        if one.ours:
            assert collapse.ROWS[one.ours].data == one.data and one.paper in one.ours


# --- Figures and tables --------------------------------------------------------------------------


def test_every_published_row_stands_in_the_ledger_with_its_verdict():
    results = collapse.read()
    table = show.published_table(results)
    assert len(table.rows) == len(collapse.PUBLISHED)
    for one, row in zip(collapse.PUBLISHED, table.rows):
        assert row[1] == collapse.verdict(one, results)
        assert (row[3] == "not trained here") == (one.ours not in results)


def test_frames_of_a_training_are_of_one_size_and_differ():
    results = collapse.read()
    name = collapse.KEPT_POINTS[0]
    first, last = (
        show.frame(results, name, results[name]["iterations"][check]) for check in (0, -1)
    )
    assert first.shape == last.shape and (first != last).any()


def test_the_factors_figure_shows_each_change_from_each_side():
    results = collapse.read()
    places = show.factors(results).axes[::2]
    for place, base in zip(places, ("VEEGAN, small, ring", "PacGAN, small, ring"), strict=True):
        labels = [label.get_text() for label in place.get_yticklabels()]
        trained = [name for name in show.changed_from(base).values() if name in results]
        assert labels[0] == "as it is" and len(labels) == 1 + len(trained)
        assert [f"{base}, but {label}" for label in labels[1:]] == trained
