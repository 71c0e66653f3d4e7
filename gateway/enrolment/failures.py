"""Why there is no certificate yet: a sentence for people, a cause for programs, an exit code."""

from __future__ import annotations

from enum import IntEnum

from device_adapters.contract.enrolment import FINAL_CAUSES, Cause


class Exit(IntEnum):
    """How a command ends."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_YET = 3  # by itself or by mending the network: try again
    REFUSED = 4  # a person has to decide
    CLOCK = 5


class EnrolmentError(Exception):
    """Base; the text is the sentence to show.

    Args:
        text: A sentence that holds no code and no key.
        cause: A word for programs.
    """

    exit = Exit.FAILED

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text)
        self.cause = cause


class ClockError(EnrolmentError):
    """The machine's clock cannot be believed."""

    exit = Exit.CLOCK

    def __init__(self, text: str) -> None:
        super().__init__(text, "clock")


class UnreachableError(EnrolmentError):
    """The server could not be had, or what answered is not the server."""

    exit = Exit.NOT_YET


class AnswerError(EnrolmentError):
    """What the server sent cannot be used; nothing of it is kept."""

    def __init__(self, text: str) -> None:
        super().__init__(f"What the server sent cannot be used: {text}.", "answer_invalid")


class RefusalError(EnrolmentError):
    """The server said no, and why."""

    def __init__(self, text: str, cause: str) -> None:
        super().__init__(text, cause)
        is_final = cause in FINAL_CAUSES
        self.exit = Exit.REFUSED if is_final else Exit.NOT_YET
        if cause == Cause.CODE_MISTYPED:
            self.exit = Exit.USAGE
