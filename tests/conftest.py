"""What several rooms' tests share: no network, what is lacking, tiny runs, the built book."""

import os
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from browser import NoBrowser, start
from playwright.sync_api import sync_playwright
from torch import nn

from ganlib import data
from ganlib.cli.parser import main
from ganlib.configuration import TrainingConfig
from ganlib.families import MODELS, build, family
from ganlib.judge import classifier, metrics
from ganlib.models.convolutional import UpConv2d
from ganlib.models.normalisation import ConditionalBatchNorm
from ganlib.runs import files, store
from ganlib.steps import adversarial, adversarial_apart
from ganlib.studies import engine
from ganlib.studies.catalogue import STUDIES

ROOT = Path(__file__).resolve().parents[1]

# Everything here is tiny: a second thread only waits, and on a busy machine waits long.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A test that reaches for another machine fails, loudly: nothing here may need the network."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    here = ("localhost", "127.0.0.1", "::1", "", None)

    def only_here(host) -> None:
        if host not in here:
            pytest.fail(f"a test asked for the network: {host}")

    def guarded_connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            only_here(address[0])
        return connect(self, address)

    def guarded_look_up(host, *rest, **named):
        only_here(host.decode() if isinstance(host, bytes) else host)
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


# --- What this machine may lack ------------------------------------------------------------------

LACKING = "no browser: ", "no MNIST: "  # how the reasons begin for which CI fails
NO_MNIST = f"no MNIST: connect to the network once, or let {data.FOLDER_VARIABLE} name its folder"


@cache
def mnist_is_here() -> bool:
    """Whether MNIST is on this machine. `make test` has tried to download it; this does not."""

    def no_network(*_, **__):
        raise OSError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", no_network)
        try:
            return all(data.load("mnist", split, size=1) for split in data.SPLITS)
        except data.DataUnavailable:
            return False


def need_mnist() -> None:
    """Skip the test that calls this where MNIST is not on the machine."""
    if not mnist_is_here():
        pytest.skip(NO_MNIST)


def pytest_collection_modifyitems(items):
    """What nbval compares, the committed outputs, show MNIST."""
    cells = [item for item in items if item.path.suffix == ".ipynb"]
    if cells and not mnist_is_here():
        for cell in cells:
            cell.add_marker(pytest.mark.skip(reason=NO_MNIST))


def not_run(config) -> dict[str, str]:
    """Why tests were skipped, and in words how many."""
    skipped = defaultdict(list)
    for report in config.pluginmanager.get_plugin("terminalreporter").stats.get("skipped", []):
        skipped[report.longrepr[2].removeprefix("Skipped: ")].append(report.nodeid)
    counts = {}
    for reason, ids in sorted(skipped.items()):
        chapters = {id_.split("::")[0] for id_ in ids if ".ipynb::" in id_}
        tests = sum(".ipynb::" not in id_ for id_ in ids)
        what = [f"{tests} test{'s' * (tests > 1)}"] if tests else []
        what += [f"the committed outputs of {len(chapters)} chapters"] if chapters else []
        counts[reason] = " and ".join(what)
    return counts


def pytest_sessionfinish(session):
    """What a person's machine lacks is no failure; an automatic run's machine has to have it."""
    automatic = os.environ.get("CI", "").lower() not in ("", "0", "false")
    lacking = any(reason.startswith(LACKING) for reason in not_run(session.config))
    if automatic and lacking and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config):
    """Below everything else, where it is read."""
    for reason, what in not_run(config).items():
        config.pluginmanager.get_plugin("terminalreporter").write_line(f"NOT RUN: {what}, {reason}")


# --- Tiny runs -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def seeded():
    """The same random weights in a test whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def empty_home(monkeypatch, tmp_path) -> Path:
    """A machine without any data set: an empty home, an empty working folder, no variable."""
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def tiny_config(model: str = "gan", **changes) -> TrainingConfig:
    """A run of a second: 8x8 pixels, 70 images, two batches and a small third one an epoch."""
    settings = {"n_epochs": 2, "batch_size": 32, "latent_dim": 8, "img_size": 8, "train_size": 70}
    settings |= {"model": model, "device": "cpu", "dataset": "digits"}
    settings |= {"loss": "mse" if model == "cgan" else "bce"}
    settings |= {"n_labels": 20} if "n_labels" in family(model).settings else {}
    return TrainingConfig(**settings | changes)


@pytest.fixture(scope="session")
def digits() -> data.DigitImages:
    """The 70 images of :func:`tiny_config`."""
    return data.load("digits", "train", img_size=8, size=70)


@pytest.fixture(scope="session", params=["gan", "cgan"])
def finished(request, digits, tmp_path_factory) -> store.Run:
    """A finished tiny run of either model, to be read only: copy it before damaging it."""
    folder = tmp_path_factory.mktemp("finished") / request.param
    for _ in store.train_run(folder, tiny_config(request.param), digits):
        pass
    return store.read_run(folder)


@pytest.fixture(scope="session")
def judge() -> classifier.Classifier:
    """A judge of scikit-learn's digits; the shipped one reads MNIST, whose digits have margins."""
    known = data.load("digits", "train", img_size=classifier.SIZE)
    return classifier.train_classifier(known, 5, device="cpu")


def small(cell: engine.Cell) -> engine.Cell:
    """A cell in a second: two epochs on 8x8 pixels."""
    tiny = {"img_size": 8, "batch_size": 64, "latent_dim": 8, "n_epochs": 2}
    return replace(cell, config=replace(cell.config, **tiny), epochs=(1, 2))


@pytest.fixture
def small_studies(monkeypatch) -> None:
    """All studies in seconds, with 300 images to measure."""
    monkeypatch.setattr(engine, "COUNTS", (100, 300))
    monkeypatch.setattr(metrics, "N_IMAGES", 300)
    monkeypatch.setattr("ganlib.precision.has_bfloat16", lambda device: True)  # or emulated
    for name, study in STUDIES.items():

        def cells_of(seed, own=study.cells_of):
            return [small(cell) for cell in own(seed)]

        monkeypatch.setitem(STUDIES, name, replace(study, cells_of=cells_of))


# The models that are a pair of networks, stepped as the paper's are; the others have own tests.
PAIRS = [name for name, kind in MODELS.items() if kind.step in (adversarial, adversarial_apart)]


def refused(capsys, arguments, *words):
    """``main`` refuses in one line on stderr that holds every one of ``words``."""
    assert main([str(a) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ganlib: ") and error.endswith("\n") and error.count("\n") == 1
    assert all(word in error for word in words), error


def same_tensors(left: dict, right: dict) -> bool:
    """Whether two dictionaries of tensors agree in names, types, shapes and every bit."""
    return left.keys() == right.keys() and all(
        left[k].dtype == right[k].dtype
        and left[k].shape == right[k].shape
        and left[k].contiguous().numpy().tobytes() == right[k].contiguous().numpy().tobytes()
        for k in left
    )


def networks_of(model: str, **changes) -> tuple[nn.Module, ...]:
    """A model's networks in order, with any settings: also those that no data set here has."""
    return tuple(build(SimpleNamespace(**vars(TrainingConfig(model=model)) | changes)).values())


def of_kind(network: nn.Module, *kinds: type) -> list[nn.Module]:
    """The network's parts of these kinds, in order."""
    return [part for part in network.modules() if isinstance(part, kinds)]


def copies(module: nn.Module) -> dict[str, torch.Tensor]:
    """A network's parameters and buffers, copied."""
    return {name: value.clone() for name, value in module.state_dict().items()}


class TinyConvolutional(nn.Module):
    """Every layer that a generator may have, on 12 pixels a side: z (N, 8) and one of 3 labels."""

    def __init__(self):
        super().__init__()
        self.embedding, self.image_shape = nn.Embedding(3, 2), (1, 12, 12)
        first = [nn.Linear(10, 5 * 3 * 3, bias=False), nn.Unflatten(1, (5, 3, 3))]
        told = [ConditionalBatchNorm(5, 3), nn.LeakyReLU(0.1), nn.Upsample(scale_factor=2)]
        plain = [nn.Conv2d(5, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.3)]
        last = [nn.Conv2d(6, 4, 3, padding=1), UpConv2d(4, 1, 12, bias=False), nn.Tanh()]
        self.layers = nn.ModuleList(first + told + plain + last)

    def forward(self, z, labels):
        x = torch.cat([z, self.embedding(labels)], dim=1)
        for layer in self.layers:
            x = layer(x, labels) if isinstance(layer, ConditionalBatchNorm) else layer(x)
        return x


def stir(network: nn.Module) -> nn.Module:
    """Random statistics and scales in every normalisation, as after a training; in place."""
    for module in network.modules():
        if "BatchNorm" in type(module).__name__:
            for name, value in module.state_dict(keep_vars=True).items():
                if "num_batches" not in name:
                    nn.init.uniform_(value, 0.2, 1.5)
    return network.eval()


def convolutional_generator() -> nn.Module:
    torch.manual_seed(3)
    return stir(TinyConvolutional())


class Killed(BaseException):
    """Stands for a kill: nothing in the library may catch it."""


class Deadly:
    """Kills at the ``kill_at``-th change of the disk: before it, in its middle or after it.

    What the dying code then tries in its `finally` fails as well, as a killed process does nothing.
    """

    def __init__(self, patch, kill_at: int, when: str):
        self.left, self.when, self.dead = kill_at, when, False
        for place, name in ((os, "replace"), (Path, "write_bytes"), (Path, "unlink")):
            patch.setattr(place, name, self.deadly(getattr(place, name), name))

    def deadly(self, real, name):
        return lambda *arguments, **options: self.change(real, name, *arguments, **options)

    def change(self, real, name, *arguments, **options):
        if Path(arguments[0]).name == files.LOCK:
            return real(*arguments, **options)
        if self.dead:
            raise Killed
        self.left -= 1
        if self.left < 0:
            self.dead = True
            if self.when == "after":
                real(*arguments, **options)
            elif self.when == "amid" and name == "write_bytes":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            raise Killed
        return real(*arguments, **options)


def child_environment() -> dict[str, str]:
    """For child processes: this ganlib first, and as many threads as here."""
    root = str(Path(store.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = str(torch.get_num_threads())
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": threads}


# --- The built book in a browser -----------------------------------------------------------------


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The book built from the committed outputs, warnings being errors."""
    target = tmp_path_factory.mktemp("book")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    command = [jupyter_book, "build", "-q", "-W", "--keep-going", "--path-output", target, ROOT]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        pytest.fail(built.stdout + built.stderr, pytrace=False)
    return target / "_build" / "html"


@contextmanager
def served(folder: Path):
    """The address at which a web server, as long as it is needed, has the files of ``folder``."""
    handler = partial(QuietHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def address(site):
    with served(site) as found:
        yield found


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        try:
            found = start(playwright.chromium)
        except NoBrowser as error:
            pytest.skip(f"no browser: {error}")
        yield found
        found.close()


@pytest.fixture
def open_page(browser, address: str):
    """A function that opens a page, and at the end finds that nothing has gone wrong on it."""
    problems, contexts = [], []

    def own_host_only(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            problems.append(f"asks another host: {route.request.url}")
            route.abort()

    def open_one(name: str, width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.set_default_timeout(120_000)  # a busy machine is slow, not wrong
        contexts.append(context)
        page = context.new_page()
        page.route("**/*", own_host_only)
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
        page.goto(f"{address}/{name}.html", wait_until="networkidle")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not problems
