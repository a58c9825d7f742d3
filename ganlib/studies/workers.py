"""An experiment's cells at work: one by one here, in processes of this machine, or on a cluster.

Whatever befalls a cell is told of that cell, and the others go on: an error ends it, and a worker
that is killed costs it one more try from its checkpoint. Results and sheets come back by value, so
that no folder need be shared.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch

from ganlib import data
from ganlib.configuration import TrainingConfig
from ganlib.judge import classifier, metrics
from ganlib.runs.store import RunError
from ganlib.studies import engine
from ganlib.studies.engine import Cell

CONNECT = 10  # seconds to find a scheduler, and a worker of it


class Outcome(NamedTuple):
    """What became of a cell: its result, see ganlib.studies.engine.result, or an error."""

    name: str
    found: dict | None = None
    sheet: bytes = b""  # its last sheet of samples, a PNG; empty where none is kept
    error: str = ""  # one line


# --- One cell ------------------------------------------------------------------------------------


def shared_reference(config: TrainingConfig, device: str) -> metrics.Reference:
    """Both splits that every cell like ``config``'s trains on and is measured against."""
    return _reference(config.dataset, config.img_size, device)


def _reference(dataset: str, img_size: int, device: str) -> metrics.Reference:
    pair = (data.load(dataset, split, img_size) for split in data.SPLITS)
    return metrics.reference(*pair, device=device)


_kept_reference = lru_cache(maxsize=1)(_reference)  # a worker's, from cell to cell


def attempt(
    cell: Cell, workspace: Path, device: str, reference: Callable, on_epoch=None
) -> Outcome:
    """Train and measure a cell; an error is an outcome like any other."""
    try:
        found = (cell.run or engine.run_cell)(cell, workspace, reference(), device, on_epoch)
        sheet = workspace / cell.name / "samples" / f"epoch_{cell.epochs[-1]:04d}.png"
        return Outcome(cell.name, found, sheet.read_bytes() if cell.sheet else b"")
    except Exception as error:
        return failure(cell.name, error)


def failure(name: str, error: BaseException) -> Outcome:
    """The outcome of a cell that ended in ``error``."""
    return Outcome(name, error=" ".join(f"{type(error).__name__}: {error}".split()))


# The global random streams are the process's, and a worker of Dask may have several threads.
_turn = threading.Lock()


def work(cell: Cell, workspace: Path, device: str, judge: str, threads: int | None) -> Outcome:
    """`attempt` a cell in a worker, on so many ``threads`` (None: as the worker was started)."""

    def reference() -> metrics.Reference:
        if classifier.digest() != judge:
            raise RunError("the classifier here is not that of the experiment: copy the same there")
        config = cell.config
        return _kept_reference(config.dataset, config.img_size, device)

    with _turn:
        if threads is not None:
            torch.set_num_threads(threads)
        return attempt(cell, workspace, device, reference)


def obey() -> None:
    """In a worker process: Ctrl-C is the parent's to answer, and where that ends, so does this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)  # at any moment, as after a kill

    threading.Thread(target=watch, daemon=True).start()


# --- All cells -----------------------------------------------------------------------------------


def one_by_one(
    cells: list[Cell], workspace: Path, device: str, tick: Callable[[], None]
) -> Iterator[Outcome]:
    """All ``cells`` in this process; ``tick`` is called after each epoch."""
    if cells:
        against = shared_reference(cells[0].config, device)
        for cell in cells:
            yield attempt(cell, workspace, device, lambda: against, tick)


def in_processes(
    cells: list[Cell],
    workspace: Path,
    device: str,
    n_workers: int,
    tick: Callable[[], None],
    tell: Callable[[str], None],
) -> Iterator[Outcome]:
    """All ``cells``, ``n_workers`` at a time; outcomes as they come, ``tick`` every 2 seconds."""
    from joblib.externals.loky import ProcessPoolExecutor

    def start() -> ProcessPoolExecutor:
        # A pool for each worker, so that one which is killed takes no other with it.
        workers.append(ProcessPoolExecutor(1, initializer=obey))
        return workers[-1]

    threads = max(1, (os.cpu_count() or 1) // n_workers)
    settings = workspace, device, classifier.digest(), threads
    for config in [cell.config for cell in cells[:1]]:  # data that cannot be had are told once
        data.load(config.dataset, "train", config.img_size)
    workers: list[ProcessPoolExecutor] = []
    waiting, running, killed = list(cells), {}, set()
    try:
        idle = [start() for _ in cells[:n_workers]]
        while waiting or running:
            while waiting and idle:
                cell, worker = waiting.pop(0), idle.pop()
                try:
                    future = worker.submit(work, cell, *settings)
                except BrokenProcessPool:  # killed between two cells
                    worker = start()
                    future = worker.submit(work, cell, *settings)
                running[future] = cell, worker
            done, _ = wait(running, timeout=2, return_when=FIRST_COMPLETED)
            tick()
            for future in done:
                cell, worker = running.pop(future)
                try:
                    outcome = future.result()
                except BrokenProcessPool as error:
                    worker, outcome = start(), failure(cell.name, error)
                    if cell.name not in killed:
                        tell(f"{cell.name}: its worker was killed; once more from its checkpoint")
                        killed.add(cell.name)
                        waiting.insert(0, cell)
                        outcome = None
                idle.append(worker)
                if outcome is not None:
                    yield outcome
    finally:
        for worker in workers:
            worker.shutdown(kill_workers=True)


# --- On a cluster --------------------------------------------------------------------------------


@contextlib.contextmanager
def connected(scheduler: str) -> Iterator:
    """A client of the Dask scheduler at an address such as tcp://host:8786.

    Raises RunError if Dask is not installed, if no scheduler answers or if it has no worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise RunError(
            'a cluster needs the extra ganlib[cluster]: pip install "dask[distributed]"'
        ) from None
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what happens is told here
    try:
        client = Client(scheduler, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise RunError(f"no Dask scheduler answers at {scheduler}: {why}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT)
        except TimeoutError:
            raise RunError(
                f"the scheduler has no worker: dask worker {scheduler} --nthreads 1 starts one"
            ) from None
        yield client


def on_cluster(
    cells: list[Cell], workspace: Path, device: str, client, tell: Callable[[str], None]
) -> Iterator[Outcome]:
    """All ``cells`` on the workers of a Dask ``client``; outcomes as they come.

    Each worker trains into ``workspace`` on its own machine. Dask gives the cells of a worker that
    is lost to others; where the folder is shared, they go on from their checkpoints.
    """
    from joblib import Parallel, delayed, parallel_config
    from joblib._dask import DaskDistributedBackend

    class Cluster(DaskDistributedBackend):
        """joblib's backend, which would wait for ever for a cell that Dask gives up or loses."""

        def submit(self, func, callback=None):
            (cell, *_) = func.items[0][1]

            def back(found) -> None:
                callback(found if isinstance(found, list) else [failure(cell.name, found)])

            future = super().submit(func, back)
            future.add_done_callback(lambda one: one.exception() and back(one.exception()))
            futures.append(future)
            return future

    futures, ended = [], threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            if client.status == "closed":  # Dask has tried to reach it again, in vain
                for future in [one for one in futures if not one.done()]:
                    future.set_exception(ConnectionError("the scheduler was lost"))

    def on_event(event: tuple[float, dict]) -> None:
        message = event[1]
        if message.get("action") == "remove-worker" and message.get("processing-tasks"):
            tell(f"the worker {message['worker']} was lost; its cells are tried again elsewhere")

    client.subscribe_topic("all", on_event)
    threading.Thread(target=watch, daemon=True).start()
    judge = classifier.digest()
    try:
        with parallel_config(backend=Cluster(client=client)):
            jobs = Parallel(batch_size=1, pre_dispatch="all", return_as="generator_unordered")
            yield from jobs(delayed(work)(cell, workspace, device, judge, None) for cell in cells)
    finally:
        ended.set()
