"""What test_processes.py runs: a training by several processes; prints what came of it as JSON.

python crew.py SCENE METHOD PROCESSES [FOLDER]
"""

import io
import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_info

from minifcn import nn
from minifcn.data import HotDogs, Loader
from minifcn.modes import mode
from minifcn.optim import SGD
from minifcn.optim.schedule import Poly
from minifcn.train import Trainer, WorkerError, workers

EPOCHS = 3


def net(p=0.2):
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False, generator=rng),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(p, seed=1),
        nn.Conv2d(6, 2, 1, generator=rng),
    )


class Interrupted(Trainer):
    """Ctrl-C comes in the middle of the fourth step."""

    def step(self, x, target):
        if len(self.losses) == 3 and not is_worker():
            os.kill(os.getpid(), signal.SIGINT)
        return super().step(x, target)


def make(processes, p=0.2, dataset=None, kind=Trainer, **options):
    model = net(p)
    loader = Loader(dataset or HotDogs(10, (24, 32)), 4, seed=5)
    return kind(
        model,
        SGD(list(model.parameters()), lr=0.1, momentum=0.9),
        loader,
        epochs=EPOCHS,
        schedule=Poly(EPOCHS * len(loader)),
        processes=processes,
        out=options.pop("out", io.StringIO()),
        **options,
    )


def result(trainer):
    """Losses, and all parameters and buffers as hexadecimal digits."""
    state = trainer.model.state_dict()
    bits = {name: t.numpy().tobytes().hex() for name, t in state.items()}
    return {"losses": trainer.losses, "bits": bits}


def is_worker():
    return multiprocessing.parent_process() is not None


@dataclass(frozen=True)
class Trouble:
    """Scenes; the second worker does what `kind` says when asked for one, all do for "sleep"."""

    kind: str
    scenes: HotDogs = HotDogs(10, (24, 32))
    names = HotDogs(10).names
    classes = HotDogs(10).classes

    def __len__(self):
        return len(self.scenes)

    def __getitem__(self, index):
        if self.kind == "sleep" and is_worker():
            os.write(1, f"{os.getpid()}\n".encode())  # whole: two workers speak at once
            time.sleep(600)
        if multiprocessing.current_process().name == "minifcn-2":
            if self.kind == "raise":
                raise ValueError("scene is corrupt")
            if self.kind == "shout":
                raise ValueError("more than a pipe holds " * 10_000)
            if self.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.kind == "exit":
                os._exit(3)
        return self.scenes[index]


@dataclass(frozen=True)
class Scores:
    """Who is asked for scores, and in which process."""

    shared: bool

    def __call__(self):
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        seen = np.array([1, is_worker(), max(pools)])
        seen = mode.communicator.all_sum(seen) if mode.communicator else seen
        return dict(zip(("asked", "workers", "threads"), seen.tolist(), strict=True))


def left_behind():
    """Children of this process, running or not yet waited for."""
    multiprocessing.active_children()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0
    return 1


def same(processes, folder):
    first, second = make(processes), make(processes)
    first.fit()
    files = len(os.listdir("/dev/fd"))
    second.fit()
    files = len(os.listdir("/dev/fd")) - files
    left = {"left": left_behind(), "files": files}
    return {"first": result(first), "second": result(second), **left}


def plain(processes, folder):
    """No dropout: what it makes does not depend on the number of processes."""
    trainer = make(processes, p=0.0)
    trainer.fit()
    return result(trainer)


def stop(processes, folder):
    """One trainer goes through, one is stopped, and another one goes on from there."""
    whole = make(processes)
    whole.fit()
    make(processes, run=folder, kind=Interrupted).fit()
    other = make(processes, run=folder)
    found = other.resume()
    done = len(other.losses)
    other.fit()
    return {"whole": result(whole), "other": result(other), "done": done, "found": found}


def trouble(processes, kind):
    trainer = make(processes, dataset=Trouble(kind))
    began = time.monotonic()
    try:
        trainer.fit()
    except WorkerError as error:
        words = str(error)
        return {"error": words, "seconds": time.monotonic() - began, "left": left_behind()}
    return {"error": ""}


def endless(processes, folder):
    make(processes, dataset=Trouble("sleep")).fit()


def ctrl_c(processes, folder):
    class Ready(io.StringIO):
        def write(self, text):
            print("ready", flush=True)
            return super().write(text)

    out = Ready()
    trainer = make(processes, run=folder, out=out)
    trainer.epochs = 10**6
    trainer.fit()
    return {"said": out.getvalue()[-300:], "left": left_behind(), "done": trainer.step_count}


def between(processes, folder):
    """Ctrl-C comes between two epochs, and reaches this process alone."""

    def evaluate():
        os.kill(os.getpid(), signal.SIGINT)
        return {}

    trainer = make(processes, evaluate=evaluate)
    trainer.fit()
    return {"epoch": trainer.epoch, "left": left_behind()}


def fails(processes, folder):
    """An error of this process alone ends the others."""

    def evaluate():
        raise KeyError("no scores today")

    began = time.monotonic()
    try:
        make(processes, evaluate=evaluate).fit()
    except KeyError as error:
        return {"error": str(error), "seconds": time.monotonic() - began, "left": left_behind()}
    return {}


def explodes(processes, folder):
    """An error that all processes meet is raised as it is."""
    trainer = make(processes)
    trainer.optimizer.param_groups[0]["lr"] = np.inf
    try:
        trainer.fit()
    except FloatingPointError as error:
        return {"error": str(error), "left": left_behind(), "alone": trainer.team.size == 1}
    return {}


def unsendable(processes, folder):
    try:
        make(processes, loss=lambda y, target: y.mean()).fit()
    except TypeError as error:
        return {"error": str(error)}
    return {}


def daemon(processes, folder):
    """A training in a process that may start no others."""

    def report(sender):
        try:
            make(processes).fit()
        except RuntimeError as error:
            sender.send(str(error))

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    inner = context.Process(target=report, args=(sender,), daemon=True)
    inner.start()
    inner.join()
    return {"error": receiver.recv() if receiver.poll() else ""}


def scores(processes, folder):
    trainer = make(processes, evaluate=Scores(shared=False))
    trainer.fit()
    together = make(processes, evaluate=Scores(shared=True))
    together.fit()
    return [trainer.history[-1]["scores"], together.history[-1]["scores"]]


if __name__ == "__main__":
    scene, method, count, *folder = sys.argv[1:]
    if method != "any":
        workers.start_method = lambda: method
    made = globals()[scene](int(count), folder[0] if folder else None)
    print(json.dumps(made), flush=True)
