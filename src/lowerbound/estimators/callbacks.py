"""scikit-learn's callbacks, such as its progress bars, where the installed version has them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lowerbound.loop import Epoch

__all__ = ["CallbackSupportMixin", "watched", "with_callbacks"]

try:
    from sklearn import callback
except ImportError:  # before scikit-learn 1.9 there are none to set
    callback = None
Method = TypeVar("Method", bound=Callable[..., Any])


class CallbackSupportMixin(callback.CallbackSupportMixin if callback else object):  # type: ignore[misc]  # no types
    """An estimator that callbacks can be set on, with ``set_callbacks``."""


def with_callbacks(method: Method) -> Method:
    """The method, after which callbacks are told that it is over, however it ends."""
    managed: Method = callback.with_callbacks(method) if callback else method
    return managed


@contextmanager
def watched(estimator: Any, epochs: int) -> Iterator[Callable[[Epoch], bool] | None]:
    """A function for ``fit`` that shows epochs to an estimator's callbacks, and is True where one wants it to end.

    It is None where no callback is set, on the estimator or on one that holds it.

    Args:
        estimator: inside a method that is wrapped in ``with_callbacks``.
        epochs: that training takes at most.
    """
    if not hasattr(estimator, "_skl_callbacks") and not hasattr(estimator, "_parent_callback_ctx"):
        yield None
        return
    context = estimator._init_callback_context(max_subtasks=epochs)
    context.call_on_fit_task_begin(estimator=estimator)

    def tell(epoch: Epoch) -> bool:
        task = context.subcontext(task_name="epoch")
        task.call_on_fit_task_begin(estimator=estimator)
        return bool(task.call_on_fit_task_end(estimator=estimator))

    yield tell
    context.call_on_fit_task_end(estimator=estimator)
