"""Scaling, resizing, splitting and batching of the images, and what happens without them."""

import gzip
import hashlib
import itertools
import os
import struct
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
import torchvision
from conftest import child_environment, networks_of, tiny_config
from PIL import Image

from ganlib import Refused, data, sampling, sources
from ganlib.cli.parser import main
from ganlib.figures import plotting
from ganlib.page.export import encode
from ganlib.runs import store

KINDS = [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
# Where the four files lie, and what GANLIB_DATA names.
PLACES = [("{kind}/raw", ""), ("{kind}/raw", "{kind}"), ("{kind}/raw", "{kind}/raw")]
PLACES += [("{kind}", ""), ("{kind}", "{kind}"), ("raw", ""), ("flat", "flat"), ("raw", "raw")]
GREYS = torch.arange(256, dtype=torch.uint8)


# --- Scaling and resizing ------------------------------------------------------------------------


def test_scale_maps_the_ends_of_the_grey_range_exactly():
    scaled = data.scale(GREYS)
    assert scaled.dtype == torch.float32
    assert scaled[0] == -1 and scaled[255] == 1
    assert (scaled.diff() > 0).all()


def test_unscale_inverts_scale_for_every_grey():
    assert torch.equal(data.unscale(data.scale(GREYS)), GREYS)


def test_unscale_rounds_and_stays_in_the_grey_range():
    assert data.unscale(torch.tensor([-1.5, -1.0, 0.003, 1.0, 7.0])).tolist() == [
        0,
        0,
        128,
        255,
        255,
    ]


@pytest.mark.parametrize("img_size", [4, 8, 14, 28, 32, 64])
def test_resize_keeps_the_range_of_the_values(img_size):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 2, (20, 1, 28, 28), generator=rng) * 2.0 - 1
    resized = data.resize(images, img_size)
    assert resized.shape == (20, 1, img_size, img_size)
    assert resized.min() >= -1 and resized.max() <= 1


@pytest.mark.parametrize("value", [-1.0, 0.25, 1.0])
@pytest.mark.parametrize("img_size", [8, 32])
def test_resize_leaves_a_constant_image_constant(value, img_size):
    resized = data.resize(torch.full((2, 1, 28, 28), value), img_size)
    torch.testing.assert_close(resized, torch.full((2, 1, img_size, img_size), value))


def test_resize_to_the_same_size_changes_nothing():
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(data.resize(images, 8), images)


def test_resize_down_averages_what_it_drops():
    """Antialiased: of stripes one pixel in four, picking the pixels nearby would see nothing."""
    stripes = (torch.arange(28) % 4 == 0) * 2.0 - 1
    small = data.resize(stripes.expand(1, 1, 28, 28), 7)
    assert small.min() > -0.75 and small.max() < 0
    torch.testing.assert_close(small.mean(), stripes.mean(), rtol=0, atol=0.05)


def test_resize_in_parts_equals_resize_at_once(monkeypatch):
    images = torch.rand(5000, 1, 6, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    whole = torch.cat([data.resize(image.unsqueeze(0), 8) for image in images[4090:4100]])
    assert torch.equal(data.resize(images, 8)[4090:4100], whole)


# --- scikit-learn's digits -----------------------------------------------------------------------


def test_digits_come_as_floats_in_the_range_of_the_generator():
    for split in data.SPLITS:
        found = data.load("digits", split, img_size=32)
        assert found.images.dtype == torch.float32 and found.labels.dtype == torch.int64
        assert found.images.shape == (len(found), 1, 32, 32) and found.labels.shape == (len(found),)
        assert set(found.labels.tolist()) == set(range(10))
        assert found.images.min() == -1 and found.images.max() <= 1
    unchanged = data.load("digits", img_size=8).images
    assert unchanged.min() == -1 and unchanged.max() == 1


def test_splits_of_digits_are_disjoint_and_make_up_the_whole():
    from sklearn.datasets import load_digits

    def rows(images) -> list[bytes]:
        return sorted(image.tobytes() for image in images)

    split = {name: data.load("digits", name, img_size=8) for name in data.SPLITS}
    assert {name: len(part) for name, part in split.items()} == {"train": 1497, "test": 300}
    pixels = {
        name: rows(((part.images.numpy() + 1) * 8).round().astype("uint8"))
        for name, part in split.items()
    }
    whole = rows(load_digits().images.astype("uint8"))
    assert sorted(pixels["train"] + pixels["test"]) == whole
    assert not set(pixels["train"]) & set(pixels["test"])
    counts = split["test"].labels.bincount(minlength=10)
    assert counts.min() >= 29 and counts.max() <= 31  # stratified


def test_the_same_images_every_time():
    one, two = data.load("digits", img_size=8), data.load("digits", img_size=8)
    assert torch.equal(one.images, two.images) and torch.equal(one.labels, two.labels)


def test_size_takes_the_first_images():
    everything, few = data.load("digits", img_size=8), data.load("digits", img_size=8, size=70)
    assert len(few) == 70
    assert torch.equal(few.images, everything.images[:70])
    assert torch.equal(few.labels, everything.labels[:70])


def test_real_and_generated_batches_share_one_range():
    real = data.load("digits", img_size=8).images[:64]
    generator, _ = networks_of("gan", img_size=8)
    z = torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    fake = sampling.generate(generator, 5000 * z)
    assert real.shape == fake.shape and real.dtype == fake.dtype
    for images in (real, fake):
        assert images.min() >= -1 and images.max() <= 1
        assert images.min() < -0.9 and images.max() > 0.9  # both reach for the ends


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "cifar"}, "unknown data set 'cifar': choose one of mnist, fashion-mnist, kmnist"),
        ({"split": "valid"}, "unknown split 'valid': choose train or test"),
        ({"img_size": 3}, "img_size must be at least 4 pixels, not 3"),
        ({"size": 0}, "at least 1, not 0"),
        ({"size": 1498}, "digits has 1,497 images in its train split, not 1,498"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**{"name": "digits"} | arguments)


def test_titles_and_class_names():
    for name, (title, classes, *_) in data.DATASETS.items():
        one = data.DigitImages(torch.zeros(1, 1, 8, 8), torch.zeros(1), name, "test")
        assert one.title == title and one.class_names == classes
        assert len(set(classes)) == 10
        assert repr(one) == f"{title}, test split: 1 images of 8 x 8 pixels"


def test_to_keeps_everything_but_the_device(digits):
    moved = digits.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"
    assert (moved.name, moved.split, moved.replaces) == ("digits", "train", "")


# --- A new data set: one entry -------------------------------------------------------------------

FLAGS = ("red", "green", "blue")


def read_folder(folder, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in colour, in a folder for each class."""
    paths = sorted((folder / split).glob("*/*.png"))
    pixels = torch.stack([torch.from_numpy(np.array(Image.open(path))) for path in paths])
    return pixels.permute(0, 3, 1, 2), torch.tensor([FLAGS.index(p.parent.name) for p in paths])


@pytest.fixture
def flags(monkeypatch, tmp_path) -> None:
    """A data set of three classes and three channels, by one entry in the table."""
    rng = np.random.default_rng(0)
    for split, (place, name) in itertools.product(data.SPLITS, enumerate(FLAGS)):
        (tmp_path / "flags" / split / name).mkdir(parents=True)
        for number in range(8):
            picture = rng.integers(0, 80, (12, 12, 3), np.uint8)
            picture[..., place] += 150
            Image.fromarray(picture).save(tmp_path / "flags" / split / name / f"{number}.png")
    entry = data.DataSet("flags", FLAGS, partial(read_folder, tmp_path / "flags"), channels=3)
    monkeypatch.setitem(data.DATASETS, "flags", entry)


@pytest.mark.parametrize("model", ["gan", "cgan", "cbn-dcgan", "c-dcgan-standard"])
def test_a_data_set_is_one_entry(flags, tmp_path, capsys, model):
    """It is loaded, trained on, drawn and shown; classes and channels come from the entry."""
    config = tiny_config(model, dataset="flags", train_size=None, batch_size=8, n_epochs=1)
    assert (config.channels, config.n_classes) == (3, 3)
    train = data.load("flags", img_size=8)
    assert train.images.shape == (24, 3, 8, 8) and train.labels.bincount().tolist() == [8, 8, 8]
    (epoch,) = store.train_run(tmp_path / "run", config, train)
    assert epoch.losses.shape == (3, 6) and epoch.losses.isfinite().all()
    run = store.read_run(tmp_path / "run")
    columns = 3 if run.conditional else 10
    assert run.config == config and run.sheet(1).shape == (80, 8 * columns, 3)
    drawn = sampling.generate(run.generator(), *sampling.sheet_inputs(config))
    torch.testing.assert_close(run.samples(1), drawn, rtol=0, atol=0.5 / 127.5 + 1e-6)
    for figure in (plotting.epoch_strip(run, (0, 1)), plotting.mean_images(train)):
        figure.canvas.draw()
    out = str(tmp_path / "drawn.png")
    assert main(["sample", str(run.folder), "--n", "5", "--out", out]) == 0
    assert np.array(Image.open(out)).shape == (16, 24, 3)
    if run.conditional:
        assert main(["sample", str(run.folder), "--digit", "3", "--out", out]) == 2
        assert "--digit must be 0 to 2, not 3" in capsys.readouterr().err
    if model != "c-dcgan-standard":
        described, _ = encode(run.generator(), 8, 3 if run.conditional else 0)
        assert described["image_shape"] == [3, 8, 8]


def test_classes_and_channels_are_the_data_sets(flags):
    for wrong in ({"n_classes": 10}, {"channels": 1}):
        with pytest.raises(Refused, match=r"must be 3, as flags has, not \d+"):
            tiny_config(dataset="flags", **wrong)
    with pytest.raises(Refused, match="from 0 to 3, where whole numbers from 0 to 2 are due"):
        data.DigitImages(torch.zeros(4, 3, 8, 8), torch.arange(4), "flags", "train")


# --- Where the files are looked for --------------------------------------------------------------


def write_mnist(folder, kind: str = "MNIST", n_train: int = 12, n_test: int = 5, first: int = 0):
    """A tiny MNIST in its own format: image i is all grey ``first`` + i, and labelled i % 10."""
    raw = folder / kind / "raw"
    raw.mkdir(parents=True)
    for part, n in (("train", n_train), ("t10k", n_test)):
        greys = bytes(first + i for i in range(n))
        images = b"".join(bytes([grey]) * 784 for grey in greys)
        head = struct.pack(">iiii", 0x803, n, 28, 28)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images)
        head = struct.pack(">ii", 0x801, n)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + bytes(i % 10 for i in range(n)))
    return raw


@pytest.fixture
def no_download(monkeypatch):
    """Downloads fail as they do without a network; the list says how often one was tried."""
    tried = []

    def download(self):
        if not self._check_exists():  # as torchvision does: nothing to do if the files are there
            tried.append(self.root)
            raise RuntimeError("Error downloading")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    return tried


@pytest.mark.parametrize(
    "name, kind", [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
)
def test_local_files_are_read_scaled_and_split(monkeypatch, tmp_path, no_download, name, kind):
    write_mnist(tmp_path, kind)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    train, test = (data.load(name, split, img_size=28) for split in data.SPLITS)
    assert (len(train), len(test)) == (12, 5)
    assert torch.equal(data.unscale(train.images)[:, 0, 5, 5], torch.arange(12, dtype=torch.uint8))
    assert train.labels.tolist() == [*range(10), 0, 1]
    resized = data.load(name, "test", img_size=32)
    assert resized.images.shape == (5, 1, 32, 32)
    torch.testing.assert_close(resized.images.mean(dim=(1, 2, 3)), data.scale(torch.arange(5)))
    assert train.replaces == "" and train.name == name
    assert not no_download


def test_folders_in_order(monkeypatch, empty_home):
    assert [str(folder) for folder in data.data_folders()] == [
        "data",
        str(empty_home / ".cache" / "ganlib"),
    ]
    monkeypatch.setenv(data.FOLDER_VARIABLE, "~/elsewhere")
    assert data.data_folders() == [empty_home / "elsewhere"]
    monkeypatch.setenv(data.FOLDER_VARIABLE, "")  # set but empty is the same as unset
    assert len(data.data_folders()) == 2


def test_the_first_folder_with_the_files_wins(monkeypatch, empty_home, no_download):
    def first_grey() -> int:
        return int(data.unscale(data.load("mnist", img_size=28).images)[0, 0, 0, 0])

    places = [empty_home / ".cache" / "ganlib", empty_home.parent / "work" / "data"]
    for grey, folder in zip((10, 20), places):
        write_mnist(folder, first=grey)
        assert first_grey() == grey  # ./data, written second, comes before the cache
    write_mnist(empty_home / "variable", first=30)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(empty_home / "variable"))
    assert first_grey() == 30
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(empty_home / "empty"))
    with pytest.raises(data.DataUnavailable):  # the variable alone counts, if it is set
        first_grey()


def test_without_files_or_network_the_error_says_what_to_do(empty_home, no_download):
    with pytest.raises(data.DataUnavailable) as caught:
        data.load("mnist")
    message = str(caught.value)
    assert "\n" not in message
    for hint in ("MNIST is not in data or ", "connect to the network", "GANLIB_DATA", "'digits'"):
        assert hint in message
    assert no_download == [empty_home / ".cache" / "ganlib"]  # the last folder, once


def test_the_wait_for_a_silent_network_is_bounded_and_put_back(monkeypatch, empty_home):
    import socket

    waits = []

    def download(self):
        waits.append(socket.getdefaulttimeout())
        raise OSError("timed out")

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    before = socket.getdefaulttimeout()
    with pytest.raises(data.DataUnavailable):
        data.load("mnist")
    assert waits == [30] and socket.getdefaulttimeout() == before


def test_the_fallback_is_marked_as_a_stand_in(empty_home, no_download):
    found = data.load("mnist", img_size=8, fallback=True)
    assert found.name == "digits" and found.replaces == "MNIST"
    assert found.title == "scikit-learn's digits"
    assert "a stand-in: MNIST could not be loaded here" in repr(found)
    assert torch.equal(found.images, data.load("digits", img_size=8).images)
    assert found.to("meta").replaces == "MNIST"
    # More images than there are is no error when the reader asked for another data set.
    assert len(data.load("mnist", size=60_000, fallback=True)) == 1497


@pytest.mark.parametrize("here", data.SPLITS)
def test_one_data_set_is_never_mixed_with_the_stand_in(monkeypatch, empty_home, here):
    """One split is there and the other damaged: the stand-in takes the place of both."""

    def half(split):
        if split != here:
            raise data.DataUnavailable("damaged")
        return torch.zeros(5, 28, 28, dtype=torch.uint8), torch.zeros(5)

    monkeypatch.setitem(data.DATASETS, "mnist", data.DATASETS["mnist"]._replace(read=half))
    pair = [data.load("mnist", split, 8, fallback=True) for split in data.SPLITS]
    assert [found.replaces for found in pair] == ["MNIST", "MNIST"]
    assert len(data.load("mnist", here, 8)) == 5  # without a stand-in, what is there is there


def test_fallback_takes_what_there_is():
    assert len(data.load("digits", size=20_000, fallback=True)) == 1497
    with pytest.raises(ValueError, match="1,497 images"):
        data.load("digits", size=20_000)


def test_no_fallback_where_it_is_not_needed(monkeypatch, tmp_path):
    write_mnist(tmp_path)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    assert data.load("mnist", fallback=True).replaces == ""
    assert data.load("digits", fallback=True).replaces == ""


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 3, 10, 19])
def test_damaged_files_are_no_traceback(monkeypatch, tmp_path, no_download, file, kept):
    path = write_mnist(tmp_path) / file
    path.write_bytes(path.read_bytes()[:kept])
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(data.DataUnavailable, match="damaged"):
        data.load("mnist")


def test_files_that_are_something_else_are_no_traceback(monkeypatch, tmp_path, no_download):
    raw = write_mnist(tmp_path)
    (raw / "train-images-idx3-ubyte").write_bytes(b"<html>404 not found</html>" * 100)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(data.DataUnavailable):
        data.load("mnist")


def test_a_damaged_copy_does_not_hide_a_good_one(empty_home, no_download):
    broken = write_mnist(empty_home.parent / "work" / "data") / "train-images-idx3-ubyte"
    broken.write_bytes(broken.read_bytes()[:100])
    write_mnist(empty_home / ".cache" / "ganlib")
    assert len(data.load("mnist")) == 12


# --- Files that lie elsewhere, packed, or do not fit ---------------------------------------------


def packed(raw):
    for path in list(raw.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    return raw


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("name, kind", KINDS)
@pytest.mark.parametrize("lies, named", PLACES)
def test_files_are_found_where_they_lie(
    monkeypatch, tmp_path, no_download, pack, name, kind, lies, named
):
    """Torchvision's folders, one or two of them too deep, the files laid flat; and only the .gz."""
    lies, named = lies.format(kind=kind), named.format(kind=kind)
    raw = write_mnist(tmp_path / "x", kind)
    (tmp_path / "data" / lies).parent.mkdir(parents=True, exist_ok=True)
    (packed(raw) if pack else raw).rename(tmp_path / "data" / lies)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "data" / named))
    assert [len(data.load(name, split)) for split in data.SPLITS] == [12, 5]
    assert not no_download and sorted(tmp_path.rglob("*")) == before  # not even a lock


def test_one_data_set_is_not_taken_for_another(monkeypatch, tmp_path, no_download):
    raw = write_mnist(tmp_path, "FashionMNIST")
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(raw))
    with pytest.raises(data.DataUnavailable, match="MNIST is not in"):
        data.load("mnist")
    for path in raw.iterdir():  # laid flat, a file's MD5 says whose it is
        path.rename(tmp_path / path.name)
    images = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    owner = {hashlib.md5(images).hexdigest(): ("fashion-mnist", "train-images-idx3-ubyte")}
    monkeypatch.setattr(sources, "_owners", lambda: owner)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    assert len(data.load("fashion-mnist")) == 12
    with pytest.raises(data.DataUnavailable, match="it is the train-images.* of fashion-mnist"):
        data.load("mnist")


def idx(array) -> bytes:
    array = np.asarray(array, np.uint8)
    return struct.pack(f">i{array.ndim}i", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    "file, content, words",
    [
        ("labels-idx1", idx(range(1, 13)), "labels go from 1 to 12, where whole numbers from 0 to"),
        ("labels-idx1", idx([10] * 12), "from 10 to 10"),
        ("labels-idx1", idx(range(5)), "5 labels for 12 images"),
        ("labels-idx1", idx([1] * 13), "13 labels for 12 images"),
        ("labels-idx1", idx(np.ones((12, 1))), "12 x 1 of type 8, where labels, N of type 8"),
        ("labels-idx1", b"\0\0\x0d\1\0\0\0\x0c" + bytes(48), "12 of type 13"),  # floats
        ("images-idx3", idx(np.ones((12, 28, 20))), "12 x 1 x 28 x 20, where grey, square ones"),
        ("images-idx3", idx(np.ones((12, 28, 28, 3))), "12 x 28 x 28 x 3 .*where grey images"),
        ("images-idx3", idx(np.ones((12, 784))), "12 x 784"),
        ("images-idx3", idx(np.ones((0, 28, 28))), "no images"),
        ("images-idx3", idx(np.ones((12, 0, 0))), "no images"),
        ("images-idx3", idx(np.ones((13, 28, 28))) + b"1", "10,209 bytes, where 10,208 are due"),
        ("images-idx3", b"", "no IDX file"),
        ("images-idx3", b"\x1f\x8b not packed", "is damaged"),
        ("images-idx3", gzip.compress(idx(np.ones((12, 28, 28))))[:-9], "is damaged"),
    ],
)
def test_what_does_not_fit_is_told_with_what_was_expected(
    monkeypatch, tmp_path, no_download, file, content, words
):
    raw = write_mnist(tmp_path)
    (raw / f"train-{file}-ubyte").write_bytes(content)
    (raw / "t10k-images-idx3-ubyte").unlink()
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(data.DataUnavailable, match=words) as caught:
        data.load("mnist")
    told = str(caught.value)
    assert f"in {raw} " in told and "\n" not in told  # and of each of the other files
    assert "t10k-images-idx3-ubyte is missing" in told
    assert "t10k-labels-idx1-ubyte is whole" in told


@pytest.mark.parametrize(
    "images, labels, words",
    [
        (torch.zeros(3, 1, 8, 8), torch.tensor([0, 9, 10]), "from 0 to 10"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([-1, 0, 1]), "from -1 to 1"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([0.5, 1, 2]), "not 0.5"),
        (torch.zeros(3, 1, 8, 8), torch.tensor([float("nan"), 1, 2]), "not nan"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(2), "2 labels for 3 images"),
        (torch.zeros(3, 1, 8, 8), torch.zeros(3, 10), "3 x 10 labels for 3 images"),
        (torch.zeros(3, 3, 8, 8), torch.zeros(3), "grey"),
        (torch.zeros(3, 1, 8, 7), torch.zeros(3), "square"),
        (torch.zeros(3, 8, 8), torch.zeros(3), "3 x 8 x 8"),
        (torch.zeros(0, 1, 8, 8), torch.zeros(0), "no images"),
        (torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3), r"uint8 .* floats in \[-1, 1"),
        (torch.full((3, 1, 8, 8), 1.5), torch.zeros(3), "from 1.5 to 1.5"),
        (torch.full((3, 1, 8, 8), float("nan")), torch.zeros(3), "nan"),
    ],
)
def test_images_and_labels_must_fit_each_other(images, labels, words):
    with pytest.raises(Refused, match=words):
        data.DigitImages(images, labels, "digits", "train")


def test_a_plain_file_that_is_damaged_gives_way_to_its_gz(monkeypatch, tmp_path, no_download):
    raw = write_mnist(tmp_path)
    plain = raw / "train-images-idx3-ubyte"
    plain.with_name(f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.write_bytes(plain.read_bytes()[:100])
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    assert len(data.load("mnist")) == 12


# --- Downloads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, kind", KINDS)
@pytest.mark.parametrize("error", [RuntimeError("no network"), OSError(28, "No space left")])
def test_a_failed_download_leaves_nothing_behind(monkeypatch, tmp_path, name, kind, error):
    def download(self):
        os.makedirs(self.raw_folder)
        with open(os.path.join(self.raw_folder, "train-images-idx3-ubyte.gz"), "wb") as file:
            file.write(b"half")
        raise error

    monkeypatch.setattr(torchvision.datasets.MNIST, "download", download)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "new" / "er"))
    with pytest.raises(
        data.DataUnavailable, match=r"downloaded \(no network|downloaded \(No space"
    ):
        data.load(name)
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").touch()
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "mine"))
    with pytest.raises(data.DataUnavailable):
        data.load(name)
    assert os.listdir(tmp_path / "mine") == ["note"]


def test_where_nothing_may_be_written_nothing_is_tried(monkeypatch, tmp_path, no_download):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "new"))
    with pytest.raises(data.DataUnavailable, match="cannot be written"):
        data.load("mnist")
    assert not no_download and not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["file", "file/below", "n" * 300])
def test_a_folder_that_cannot_be_is_no_traceback(monkeypatch, tmp_path, no_download, folder):
    (tmp_path / "file").touch()
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / folder))
    with pytest.raises(data.DataUnavailable, match="MNIST is not in"):
        data.load("mnist")
    assert os.listdir(tmp_path) == ["file"]


def test_without_a_home_there_is_one_folder(monkeypatch):
    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert [str(folder) for folder in data.data_folders()] == ["data"]


DOWNLOADER = """
import shutil, sys
from pathlib import Path
import torchvision
from ganlib import data

def download(self):
    with (Path(self.root) / "downloads").open("a") as file:
        print("one", file=file)
    print("began", flush=True)
    sys.stdin.readline()
    shutil.copytree(sys.argv[1], self.root, dirs_exist_ok=True)

torchvision.datasets.MNIST.download = download
print(len(data.load("mnist")), flush=True)
"""


def test_of_two_downloads_one_waits_and_a_killed_one_leaves_the_way_free(tmp_path, monkeypatch):
    folder = tmp_path / "new"
    environment = child_environment() | {data.FOLDER_VARIABLE: str(folder)}
    write_mnist(tmp_path / "mirror")
    command = [sys.executable, "-c", DOWNLOADER, str(tmp_path / "mirror")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    first = subprocess.Popen(command, env=environment, **pipes)
    assert first.stdout.readline() == "began\n"
    second = subprocess.Popen(command, env=environment, **pipes)
    monkeypatch.setattr(sources, "_PATIENCE", 0.2)
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(folder))
    with pytest.raises(data.DataUnavailable, match="could not be acquired"):
        data.load("mnist")
    first.kill()
    first.communicate()
    assert second.stdout.readline() == "began\n"
    third = subprocess.Popen(command, env=environment, **pipes)
    second.stdin.write("\n")
    second.stdin.flush()
    assert [one.communicate()[0] for one in (second, third)] == ["12\n", "12\n"]
    assert (folder / "downloads").read_text() == "one\none\n"
    assert sorted(os.listdir(folder)) == ["MNIST", "downloads"]


# --- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n, size", [(70, 32), (64, 32), (5, 8), (9, 1)])
def test_batches_cover_every_index_once(n, size):
    parts = list(data.batches(n, size, torch.Generator().manual_seed(0)))
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(n))
    assert [len(part) for part in parts] == [size] * (n // size) + [n % size] * (n % size > 0)


def test_the_seed_alone_decides_the_order():
    def order(seed: int) -> torch.Tensor:
        return torch.cat(list(data.batches(500, 64, torch.Generator().manual_seed(seed))))

    first = order(1)
    torch.rand(3)  # the global stream plays no part
    assert torch.equal(order(1), first)
    assert not torch.equal(order(2), first)


def test_each_pass_has_its_own_order():
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.cat(list(data.batches(500, 64, rng))) for _ in range(2))
    assert not torch.equal(first, second)
