"""Generators as files for the browser: the layers do as the network, the files hold the layers."""

import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import convolutional_generator, networks_of, stir, tiny_config
from torch import nn

from ganlib import data
from ganlib.cli.parser import main
from ganlib.families import MODELS, family
from ganlib.models.convolutional import UpConv2d
from ganlib.models.infogan import CONTINUOUS
from ganlib.page import export
from ganlib.runs import store
from ganlib.runs.files import commit, locked
from ganlib.runs.manifest import about, made_here
from ganlib.sampling import generate

ITEMS = {"float16": 2, "float32": 4}  # bytes a number


def read_back(path) -> tuple[dict, list[dict]]:
    """RUN.json, and its layers with the arrays that it finds in RUN.bin."""
    described = json.loads(path.read_text())
    content = (path.parent / described["weights"]).read_bytes()
    layers = []
    for layer in described["layers"]:
        layers.append(dict(layer))
        for key, value in layer.items():
            if isinstance(value, dict):
                n = int(np.prod(value["shape"]))
                dtype = f"<{value['dtype'][0]}{ITEMS[value['dtype']]}"
                array = np.frombuffer(content, dtype, n, value["offset"])
                layers[-1][key] = torch.tensor(array.reshape(value["shape"]))
    return described, layers


def distance(layers, generator, n_classes, latent_dim=8) -> float:
    """How far the layers' images are from the generator's, for 40 z of which it knows nothing."""
    z = torch.randn(40, latent_dim, generator=torch.Generator().manual_seed(5))
    labels = torch.arange(40) % max(n_classes, 1)
    wanted = generate(generator, z, *([labels] if n_classes else []))
    return float((export.play(layers, z, labels) - wanted).abs().max())


# --- Layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [name for name in MODELS if "standard" not in name])
def test_the_layers_of_every_family_are_its_generator(model):
    conditional = family(model).conditional
    generator, *_ = networks_of(model, latent_dim=8)
    n_classes = 10 if conditional else 0
    layers = export.layers_of(stir(generator), 8, n_classes)
    assert distance(layers, generator, n_classes) < 1e-4


def test_the_layers_of_a_convolutional_generator():
    generator = convolutional_generator()
    layers = export.layers_of(generator, 8, n_classes=3)
    kinds = [layer["kind"] for layer in layers]
    assert kinds.count("conv3x3") == 3 and kinds.count("upsample2") == 2 and "tanh" in kinds
    assert [layer["scale"].ndim for layer in layers if layer["kind"] == "scale_shift"] == [2, 1]
    assert distance(layers, generator, n_classes=3) < 1e-4


def test_asking_for_layers_leaves_the_generator_as_it_was():
    generator, _ = networks_of("cgan", latent_dim=8)
    generator.train()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    export.layers_of(generator, 8, 10)
    assert generator.training
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())


class Stack(nn.Module):
    """A generator that is nothing but its layers."""

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers, self.image_shape = nn.Sequential(*layers), (1, 2, 2)

    def forward(self, z):
        return self.layers(z).view(-1, *self.image_shape)


MAPS = nn.Unflatten(1, (2, 2, 2))


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Stack(nn.Linear(8, 4), nn.GELU()), "GELU"),
        (Stack(MAPS, nn.Conv2d(2, 1, 5, padding=2)), "3 x 3"),
        (Stack(MAPS, nn.Upsample(scale_factor=3)), "by 2"),
        (Stack(MAPS, nn.Upsample(4, mode="bilinear")), "nearest"),
        (Stack(MAPS, UpConv2d(2, 1, size=3)), "by 2"),
        (nn.Linear(8, 4), "Linear: it has no `layers`"),
    ],
)
def test_what_the_format_cannot_hold_is_named(network, words):
    with pytest.raises(ValueError, match=words):
        export.layers_of(network, 8)


def test_a_transposed_convolution_is_named():
    with pytest.raises(ValueError, match="cannot export ConvTranspose2d"):
        export.layers_of(networks_of("c-dcgan-standard")[0], 100, 10)


class Doubled(Stack):
    """Does more than its layers say."""

    def forward(self, z):
        return super().forward(z) / 2


@pytest.mark.parametrize("network", [Doubled(nn.Linear(8, 4)), Stack(nn.Linear(8, 4), nn.Tanh())])
def test_a_generator_that_is_not_its_layers_or_holds_no_numbers_is_refused(network):
    if type(network) is Stack:
        nn.init.constant_(network.layers[0].weight, float("nan"))
    with pytest.raises(ValueError, match="cannot export"):
        export.encode(network, 8)


# --- Files ---------------------------------------------------------------------------------------


def test_the_files_hold_the_generator(finished, tmp_path):
    path = export.export(finished, tmp_path)
    described, layers = read_back(path)
    n_classes = 10 if finished.conditional else 0
    assert distance(layers, finished.generator(), n_classes) < 1e-3
    content = path.with_suffix(".bin").read_bytes()
    assert described["bytes"] == len(content) and described["crc32"] == zlib.crc32(content)
    assert described["latent_dim"] == 8 and described["image_shape"] == [1, 8, 8]
    assert described["conditional"] == finished.conditional
    assert described["n_classes"] == n_classes


def test_every_array_has_its_own_aligned_place(finished, tmp_path):
    described, _ = read_back(export.export(finished, tmp_path))
    arrays = [v for layer in described["layers"] for v in layer.values() if isinstance(v, dict)]
    end = 0
    for array in arrays:
        assert array["offset"] % 4 == 0 and 0 <= array["offset"] - end < 4
        end = array["offset"] + int(np.prod(array["shape"])) * ITEMS[array["dtype"]]
    assert end <= described["bytes"] < end + 4


def test_recorded_runs_are_sent_as_they_are_stored():
    """Half-precision matrices are exact, so a page shows what the chapters show."""
    for name in ("gan", "cgan"):
        run = store.find_run(name)
        described, content = export.encode(run.generator(), 100, 10 if run.conditional else 0)
        stored = {one["weight"]["dtype"] for one in described["layers"] if one["kind"] == "dense"}
        assert stored == {"float16"} and len(content) < 6_000_000
        weights = [
            one["weight"]
            for one in export.layers_of(run.generator(), 100, described["n_classes"])
            if "weight" in one
        ]
        assert all(torch.equal(weight, weight.half().float()) for weight in weights)


def test_matrices_stay_single_where_half_precision_would_show():
    first, second = nn.Linear(8, 2), nn.Linear(2, 4)
    with torch.no_grad():  # the difference of two nearly equal rows, which half precision drowns
        first.weight.copy_(1 + 1e-3 * torch.randn(2, 8))
        second.weight.copy_(torch.tensor([100.0, -100.0]).expand(4, 2))
        first.bias.zero_(), second.bias.zero_()
    generator = Stack(first, second, nn.Tanh())
    described, _ = export.encode(generator, 8)
    kinds = {one["weight"]["dtype"] for one in described["layers"] if one["kind"] == "dense"}
    assert kinds == {"float32"}


# --- The command ---------------------------------------------------------------------------------


def names(folder) -> list[str]:
    return [entry["name"] for entry in json.loads((folder / "index.json").read_text())["models"]]


def renamed(run: store.Run, folder) -> str:
    """The run again, under another name."""
    for path in run.folder.rglob("*.*"):
        store.write_whole(folder / path.relative_to(run.folder), path.read_bytes())
    return str(folder)


def test_the_index_lists_each_model_once_in_the_order_of_the_exports(finished, tmp_path, capsys):
    out, again = tmp_path / "models", renamed(finished, tmp_path / "again")
    assert main(["export", str(finished.folder), again, "--out", str(out)]) == 0
    assert f"{out / 'again.json'}: the generator of again" in capsys.readouterr().out
    assert names(out) == [finished.name, "again"]
    assert main(["export", str(finished.folder), "--out", str(out)]) == 0
    assert names(out) == [finished.name, "again"]
    entries = json.loads((out / "index.json").read_text())["models"]
    for entry in entries:
        described = json.loads((out / entry["file"]).read_text())
        shared = entry.keys() & described.keys()
        assert shared >= {"name", "title", "conditional", "epochs", "bytes"}
        assert all(entry[key] == described[key] for key in shared)


def test_of_an_infogan_the_files_say_how_many_codes_are_continuous(tmp_path):
    pair = data.load("digits", "train", 8, size=70)
    for _ in store.train_run(tmp_path / "coded", tiny_config("infogan", n_epochs=1), pair):
        pass
    path = export.export(store.read_run(tmp_path / "coded"), tmp_path / "models")
    described, layers = read_back(path)
    (entry,) = json.loads((tmp_path / "models" / "index.json").read_text())["models"]
    assert entry["continuous"] == described["continuous"] == CONTINUOUS
    assert described["conditional"] and described["n_classes"] == 10
    assert torch.equal(layers[0]["table"], layers[0]["table"][0, 0] * torch.eye(10))


def refused(capsys, *arguments) -> str:
    assert main(["export", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ganlib: ") and error.count("\n") == 1
    return error


def test_what_is_asked_wrongly_is_told_in_a_line_and_writes_nothing(finished, tmp_path, capsys):
    out = tmp_path / "models"
    assert "recorded runs are" in refused(capsys, finished.folder, "nonsense", "--out", out)
    assert not out.exists()
    assert "--out" in refused(capsys, finished.folder)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert f"cannot write {in_the_way}" in refused(capsys, finished.folder, "--out", in_the_way)
    out.mkdir()
    (out / "index.json").write_text("[]")
    assert "index.json" in refused(capsys, finished.folder, "--out", out)
    assert [path.name for path in out.iterdir()] == ["index.json"]


def test_a_run_without_weights_is_told(tmp_path, capsys):
    folder = tmp_path / "run"
    commit(folder, about(tiny_config(), 0, made_here("cpu", 0.0), 70), {}, {})
    assert "generator.safetensors" in refused(capsys, folder, "--out", tmp_path / "models")


def everything(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_runs_of_one_name_are_told_apart_before_anything_is_written(finished, tmp_path, capsys):
    for name in (finished.name, finished.name.upper()):
        twin = renamed(finished, tmp_path / "twin" / name)
        assert "same name" in refused(capsys, finished.folder, twin, "--out", tmp_path / "models")
    assert not (tmp_path / "models").exists()
    twice = [str(finished.folder), f"{finished.folder}/../{finished.name}"]
    assert main(["export", *twice, "--out", str(tmp_path / "models")]) == 0  # one run, named twice
    assert names(tmp_path / "models") == [finished.name]


def test_a_run_does_not_replace_another_one_of_its_name(finished, digits, tmp_path, capsys):
    out = tmp_path / "models"
    assert main(["export", str(finished.folder), "--out", str(out)]) == 0
    before = everything(out)
    other = tmp_path / "other" / finished.name
    for epochs in (1, 2):
        config = replace(finished.config, seed=1, n_epochs=epochs)
        for _ in store.train_run(other, config, digits, resume=epochs == 2):
            pass
        assert "another model called" in refused(capsys, other, "--out", out)
    assert everything(out) == before
    longer = tmp_path / "longer" / finished.name  # the same run, gone on
    renamed(finished, longer)
    for _ in store.train_run(longer, replace(finished.config, n_epochs=3), digits, resume=True):
        pass
    assert main(["export", str(longer), "--out", str(out)]) == 0
    assert json.loads((out / f"{finished.name}.json").read_text())["epochs"] == 3


@pytest.mark.parametrize("name", ["index", "Index"])
def test_a_run_called_as_a_file_of_the_export_is_refused(finished, tmp_path, capsys, name):
    run = renamed(finished, tmp_path / name)
    assert "rename it" in refused(capsys, run, "--out", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_run_named_by_a_dot_has_its_folders_name(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(finished.folder)
    assert main(["export", ".", "--out", str(tmp_path / "models")]) == 0
    assert names(tmp_path / "models") == [finished.name]


@pytest.mark.parametrize("models", ["[1]", '[{"file": "x.json"}]', "{}", "3", "[" * 5000, "[NaN]"])
def test_an_index_of_something_else_stops_the_export(finished, tmp_path, capsys, models):
    (tmp_path / "index.json").write_text(f'{{"format": 1, "models": {models}}}')
    assert "remove it" in refused(capsys, finished.folder, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


def test_a_second_export_into_one_folder_waits_outside(finished, tmp_path, capsys):
    with locked(tmp_path / "models"):
        assert "in use" in refused(capsys, finished.folder, "--out", tmp_path / "models")
    assert not (tmp_path / "models").exists()
