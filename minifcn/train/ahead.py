"""ahead: steps on a GPU, sent off before the ones before them are done.

The host is faster than the GPU as long as it never waits for it. So a loss is read only after some
steps, and what it decides is decided on the device: a loss of nan changes no parameter and no
running statistic, one of inf (or a label that is no class) stops all that follows until the host
reads it and raises.

    plain       the first step: its loss is read at once; it makes what later ones find
    sent        the step operator by operator, nothing read
    recorded    the same step as one CUDA graph, from the third batch of one shape on

All three run the same kernels on the same numbers, so they give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core import Tensor, as_tensor
from ..device import Array, to_device
from ..modes import no_grad
from .graphs import Host, Parts, Written, why_not
from .precision import casting, tensor_cores
from .step import backward_of_penalty, check_finite, move, skipped, step

if TYPE_CHECKING:
    from .trainer import Trainer

READ_EVERY = 10


class Sent(NamedTuple):
    """A step whose loss is not read yet."""

    number: int
    epoch: int
    batch: int


class Ahead:
    """The steps of `trainer`; within it, work goes to a stream of its own."""

    def __init__(self, trainer: Trainer, graph: bool | None, read_every: int) -> None:
        self.trainer, self.read_every = trainer, read_every
        self.wanted = graph is not False
        self.reason = "" if self.wanted else "it was not asked for"  # why there is no graph
        self.sent: list[Sent] = []
        self.last: tuple[Any, Any] = (None, None)
        self.shape: tuple[Any, ...] = ()  # of the last batch
        self.factor = 1.0
        self.parts: Parts | None = None
        self.watch: Any = None
        self.recorded: Any = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within it work goes to a stream of its own, and products have the wanted precision."""
        from ..kernels.cupy_kernels.capture import own_stream

        with own_stream() as self.stream, tensor_cores(self.trainer.precision):
            yield

    def now(self, x: Any, target: Any) -> float:
        """One step, and its loss."""
        t = self.trainer
        self.check()
        count = len(t.losses)
        self.send(x, target)
        self.read()
        (loss,) = t.losses[count:]
        del t.losses[count:]
        return loss

    def check(self) -> None:
        """Forget the graph if the model or the optimizer is no longer what it was."""
        parts = Parts.of(self.trainer)
        if self.parts is None or not parts.same(self.parts):
            self.read()
            self.parts, self.recorded, self.watch, self.shape = parts, None, None, ()

    def send(self, x: Any, target: Any) -> None:
        """One step. Its loss goes to the trainer's `losses`, now or later."""
        t = self.trainer
        if self.watch is None:
            self._plain(x, target)
            return
        shape = (x.shape, x.dtype, target.shape, target.dtype)
        self.factor, self.last = t.schedule(t.step_count), (x, target)
        if self.recorded is None and self.wanted and not self.reason and shape == self.shape:
            self._record(x, target)
        if self.recorded is not None and self.feeds[0].fits(x) and self.feeds[1].fits(target):
            for feed, batch in zip(self.feeds, (x, target), strict=True):
                feed(batch)
            t.optimizer.factor = self.factor  # a graph asks for it anew
            self.recorded()
            self.written.again()
        else:
            with self._kept_in(self.flags):
                self._step(Tensor(to_device(x, "cuda")), to_device(target, "cuda"))
        self.shape = shape
        self.sent.append(Sent(t.step_count, t.epoch, t.batch))
        self.watch.count = len(self.sent)
        if len(self.sent) == self.watch.slots:
            self.read()

    def _plain(self, x: Any, target: Any) -> None:
        """A step that waits for its loss; the next ones do not, if it counted."""
        from ..kernels.cupy_kernels.numbers import Flags, kept_in
        from ..kernels.cupy_kernels.watch import Watch

        t = self.trainer
        loss = step(t, to_device(x, "cuda"), to_device(target, "cuda"))
        t.losses.append(loss)
        if not math.isnan(loss):
            self.flags, self._kept_in = Flags(), kept_in
            kept = [b.data for b in t.model.buffers()]
            kept += [] if t.scaler is None else t.scaler.arrays()
            self.watch = Watch(kept, self.read_every)
            self.parts = Parts.of(t)

    def _step(self, x: Tensor, target: Array) -> None:
        """What a graph repeats: nothing here waits for the device."""
        t = self.trainer
        t.optimizer.zero_grad()
        self.watch.keep()
        with casting(t.precision, t.lowered):
            loss = t.loss(t.model(x), target)
        self.watch.judge(loss.data)
        (loss if t.scaler is None else t.scaler.scale(loss)).backward(retain_graph=False)
        backward_of_penalty(t)
        move(t, self.factor, self.watch.skip)
        self.watch.put_back()

    def _record(self, x: Any, target: Any) -> None:
        """Make the step a graph, or say why that cannot be."""
        from ..kernels.cupy_kernels.capture import Recorded
        from ..kernels.cupy_kernels.transfer import Feed

        t = self.trainer
        feeds = Feed(x.shape, x.dtype), Feed(target.shape, target.dtype)
        t.optimizer.zero_grad()
        host, written = Host(t), Written(t)
        try:
            recorded = Recorded(
                lambda: self._step(Tensor(feeds[0].array), feeds[1].array), self.stream
            )
        except Exception as error:  # whatever it is: without a graph it happens again, or not
            self.reason = why_not(error)
        else:
            self.reason = host.changed()
        if self.reason:
            host.restore()
            t.say(f"no CUDA graph: {self.reason}; the steps are sent operator by operator")
            return
        written.end()
        self.feeds, self.recorded, self.written = feeds, recorded, written

    def read(self) -> None:
        """Wait for the steps that were sent, and take their losses to the trainer."""
        if not self.sent:
            return
        from ..kernels.cupy_kernels.watch import LABEL

        t, rows = self.trainer, self.watch.read()
        sent, self.sent = self.sent, []
        for one, (loss, mark) in zip(sent, rows, strict=True):
            if mark == LABEL or math.isinf(loss):
                t.batch = one.batch
                if mark == LABEL:
                    self._complain_of_label(one, last=one is sent[-1])
                check_finite(loss, one.number)
            t.losses.append(skipped(t, one.number) if math.isnan(loss) else loss)

    def _complain_of_label(self, one: Sent, last: bool) -> None:
        """Raise what the loss would have raised, had it waited for the check of the labels."""
        t = self.trainer
        x, target = self.last if last else next(iter(t.loader.epoch(one.epoch, one.batch)))
        random = t.model.random_state()
        before = [(buffer, buffer.numpy().copy()) for buffer in t.model.buffers()]
        try:
            with no_grad():
                t.loss(t.model(as_tensor(to_device(x, "cuda"))), to_device(target, "cuda"))
        finally:
            t.model.load_random_state(random)
            for buffer, values in before:
                buffer.copy_(to_device(values, buffer.device))
        raise ValueError(f"Trainer: at step {one.number} a label of the batch is no class")
