"""Where an epoch's numbers may go besides the history. A logger is any function of an ``Epoch``."""

from pathlib import Path

from lowerbound.errors import MissingExtra
from lowerbound.loop import Epoch

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes every number of each epoch as TensorBoard events: ``fit(..., progress=TensorBoard("events"))``.

    The tags are the keys of ``history.jsonl``, values in nats per row, at the training step that the epoch ended with.

    Args:
        folder: for the event files; made if it is not there.

    Raises:
        MissingExtra: the extra ``tensorboard`` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra("writing TensorBoard events", "tensorboard") from error
        self.writer = SummaryWriter(str(folder))

    def __call__(self, epoch: Epoch) -> None:
        """Write the record of an epoch to the disk."""
        for name, value in epoch.record.items():
            if name != "step":
                self.writer.add_scalar(name, value, epoch.step)
        self.writer.flush()
