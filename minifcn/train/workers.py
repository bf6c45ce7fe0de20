"""workers: the other processes of a training on this machine: started, watched, ended.

    this process, rank 0  --- fork or spawn ---  workers 1 .. n - 1, with copies of the trainer

A process is forked where that is safe: on Linux, while no other thread runs. Elsewhere a new Python
is started and the trainer is sent to it through a pipe.

None is left alone. A worker that ends early closes its sockets: this process notices when it next
meets it, and raises what the worker had to say. If this process ends, however it ends, the kernel
closes a pipe on which a thread of every worker waits.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .communicator import PeerLostError
from .shared import Segment, Shared, connect
from .threads import one_blas_thread

LOST = 75  # exit code of a worker that ended because another process had
TOLD = 10_000  # letters of a traceback: what a pipe takes while nobody reads
PATIENCE = 5.0  # seconds that a worker gets to end by itself
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WorkerError(RuntimeError):
    """A process of a training ended before the training did."""


@contextmanager
def workers(count: int, job: Callable[[Shared], Any], sent: dict[str, Any]) -> Iterator[Shared]:
    """Within it `count` processes work together: this one, and those that run `job(team)`.

    `sent` names the parts of `job`, to say which of them cannot be sent to a spawned process.
    """
    if multiprocessing.current_process().daemon:
        raise RuntimeError(
            f"Trainer: processes is {count}, expected 1, as this process is itself a worker "
            f"(daemon) of multiprocessing, which may start no others"
        )
    method = start_method()
    context: Any = multiprocessing.get_context(method)
    if method == "spawn" and not _main_has_file():
        _refuse_what_main_defines(sent)
    segment, table = Segment.of(count), connect(count)
    began: list[tuple[Any, Any]] = []
    team = Shared(0, table[0], segment)
    try:
        with _signals_held(), _main_that_exists():
            for rank in range(1, count):
                news, teller = context.Pipe(duplex=False)
                forked = table if method == "fork" else []
                arguments = (rank, job, segment, table[rank], forked, teller)
                process = context.Process(
                    target=_work, args=arguments, name=f"minifcn-{rank}", daemon=True
                )
                began.append((process, news))
                try:
                    process.start()
                except Exception as error:
                    raise _unsent(error, context, sent) from error
                teller.close()
        _close(table[1:])
        with one_blas_thread(always=True):
            yield team
    except PeerLostError as error:
        team.close()
        raise _who_failed(began, count) or error from None
    finally:
        _close(table)
        _end(began)
        os.close(segment.fd)


def start_method() -> str:
    """Fork where it is safe, else spawn: a lock that another thread holds is never released."""
    if sys.platform == "linux" and threading.active_count() == 1:
        return "fork"
    return "spawn"


def _work(
    rank: int,
    job: Callable[[Shared], Any],
    segment: Segment,
    peers: list[socket.socket | None],
    forked: list[list[socket.socket | None]],
    teller: Any,
) -> None:
    """The life of a worker."""
    for number in SIGNALS:  # Ctrl-C reaches all processes of a terminal; rank 0 decides
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, daemon=True).start()
    _close([row for other, row in enumerate(forked) if other != rank])  # or no end is noticed
    team = Shared(rank, peers, segment)
    try:
        with one_blas_thread(always=True):
            job(team)
    except PeerLostError:
        code = LOST
    except BaseException:
        code = 1
        teller.send(traceback.format_exc()[-TOLD:])
    else:
        code = 0
    team.close()
    sys.exit(code)


def _watch() -> None:
    """End this process with its parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(LOST)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Within it Ctrl-C waits: a worker that is just starting would die of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_that_exists() -> Iterator[None]:
    """Within it a program from a pipe names no file: a spawned Python would look for `<stdin>`."""
    main = sys.modules["__main__"]
    if _main_has_file() or not hasattr(main, "__file__"):
        yield
        return
    file = main.__file__
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


def _main_has_file() -> bool:
    """Whether a spawned Python can read this program; a notebook or a pipe it can not."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is not None and os.path.exists(file)


def _refuse_what_main_defines(sent: dict[str, Any]) -> None:
    for name, part in sent.items():
        if _defined_in_main(part):
            raise TypeError(
                f"Trainer: {name} is made of what this program itself defines, but a program "
                f"without a file (a notebook, a pipe) cannot be read by other processes; define "
                f"it in a module, or take processes 1"
            )


def _defined_in_main(part: Any) -> bool:
    from multiprocessing.reduction import ForkingPickler

    try:
        return b"__main__" in bytes(ForkingPickler.dumps(part))
    except Exception:
        return False  # that is told where it is sent


def _close(table: list[list[socket.socket | None]]) -> None:
    for row in table:
        for peer in row:
            if peer is not None:
                peer.close()


def _end(began: list[tuple[Any, Any]]) -> None:
    """Wait for the workers, who notice that this process has left; at last, end them."""
    until = time.monotonic() + PATIENCE
    for process, news in began:
        if process.pid is not None:
            process.join(max(until - time.monotonic(), 0.0))
            if process.exitcode is None:
                process.kill()
                process.join()
            process.close()
        news.close()


def _who_failed(began: list[tuple[Any, Any]], count: int) -> WorkerError | None:
    """The first worker that did not end because of another one, and how it ended."""
    until = time.monotonic() + PATIENCE
    for process, _ in began:
        process.join(max(until - time.monotonic(), 0.0))
    for rank, (process, news) in enumerate(began, 1):
        code = process.exitcode
        if code in (None, LOST):
            continue
        who = f"Trainer: process {rank} of {count} (pid {process.pid})"
        told = _told(news)
        if told:
            return WorkerError(f"{who} failed:\n{told}")
        if code == -signal.SIGKILL:
            return WorkerError(
                f"{who} was killed (signal 9, SIGKILL), as the system does where memory runs out"
            )
        if code < 0:
            return WorkerError(f"{who} died of signal {-code} ({signal.Signals(-code).name})")
        return WorkerError(f"{who} ended with exit code {code}; what it printed may say why")
    return None


def _told(news: Any) -> str:
    """A worker's traceback, if it could send one."""
    try:
        return str(news.recv()).rstrip() if news.poll() else ""
    except (EOFError, OSError):
        return ""


def _unsent(error: Exception, context: Any, sent: dict[str, Any]) -> Exception:
    """Which part of the trainer cannot be sent; the error itself if all can."""
    from multiprocessing.reduction import ForkingPickler

    for name, part in sent.items():
        try:
            ForkingPickler.dumps(part)
        except Exception as why:
            return TypeError(
                f"Trainer: {name} cannot be sent to another process ({why}); with processes above "
                f"1 it must be made of classes and functions that a module defines at its top level"
            )
    return error
