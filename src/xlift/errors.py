"""The error class for mistakes that a user can fix.

Invalid studies, data files and stores raise `UserError`. The command line prints it as one message and exits with code 2;
every other exception is a bug in xlift and keeps its traceback.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY")
_MIN_SECRET = 8
"""Characters of the shortest value that is taken for a secret: a shorter one may be a common word."""


def hide_secrets(text: str) -> str:
    """The text with *** for the user and password of a URL, and for the values of environment variables that hold secrets (HF_TOKEN,
    WANDB_API_KEY, AWS_SECRET_ACCESS_KEY, ...)."""
    if "@" in text:
        text = _CREDENTIALS.sub("***@", text)
    for name, value in os.environ.items():
        if len(value) >= _MIN_SECRET and value in text and _SECRET_NAMES.search(name) and not os.path.exists(value):
            text = text.replace(value, "***")
    return text


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def make_printable(text: str) -> str:
    """The text with escapes for control characters, which a terminal would obey. Line breaks and tabs stay."""
    return _CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text)


class UserError(Exception):
    """Invalid input, with a message that says how to fix it. Secrets in it are hidden, and control characters are escaped.

    Args:
        what: what is wrong, in one clause ("unknown task 'isle-nil'").
        where: the file, line or key of the mistake ("quickstart.yaml: targets.0.task").
        fix: what was expected and what to do ("did you mean 'isle-nli'? `xlift tasks` lists them all").
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = (make_printable(hide_secrets(text)) for text in (what, where, fix))
        super().__init__(str(self))

    def __str__(self) -> str:
        message = f"{self.where}: {self.what}" if self.where else self.what
        return f"{message}\n  {self.fix}" if self.fix else message

    def __reduce__(self):  # pickling between processes keeps the arguments
        return (_rebuild, (self.what, self.where, self.fix))

    @property
    def errors(self) -> tuple[UserError, ...]:
        """The single errors: this one, or those of `UserErrors`."""
        return (self,)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the same check found besides the errors."""
        return ()


class UserErrors(UserError):
    """Several errors that one check found, to be corrected together.

    Args:
        errors: one or more; `what`, `where` and `fix` are those of the first.
        warnings: what else the check found, each with its place.
    """

    def __init__(self, errors: Sequence[UserError], warnings: Sequence[str] = ()) -> None:
        self._errors = tuple(single for error in errors for single in error.errors)
        self._warnings = tuple(warnings)
        first = self._errors[0]
        super().__init__(first.what, where=first.where, fix=first.fix)

    def __str__(self) -> str:
        return "\n".join(map(str, self._errors))

    def __reduce__(self):
        return (UserErrors, (self._errors, self._warnings))

    @property
    def errors(self) -> tuple[UserError, ...]:
        return self._errors

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._warnings


class ErrorCollector:
    """Collects errors, so that a check goes on after the first one."""

    def __init__(self) -> None:
        self.errors: list[UserError] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep a UserError that the block raises; the code below the block goes on."""
        try:
            yield
        except UserError as error:
            self.errors += error.errors


def combine_errors(errors: Sequence[UserError], warnings: Sequence[str] = ()) -> UserError:
    """One error for one or more; a single error without warnings stays as it is."""
    return errors[0] if len(errors) == 1 and not warnings else UserErrors(errors, warnings)


def _rebuild(what: str, where: str, fix: str) -> UserError:
    return UserError(what, where=where, fix=fix)


def did_you_mean(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """The hint "did you mean 'x'? " for a misspelt word, or '' if no choice is similar."""
    near = closest(word, choices)
    return f"did you mean '{near}'? " if near else ""


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most similar to a word; None if none is similar."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, list(choices), n=1, cutoff=0.6)), None)


def quote_hint(value: object, written: str = "") -> str:
    """What YAML made of a plain value where a text is expected, and how to write the text: "YAML reads no as false; write
    'no', in quotes." '' if the value is a text, a list, a mapping, or was left empty.

    Args:
        written: its text in the file, if known.
    """
    if isinstance(value, bool):
        read, usual = str(value).lower(), "yes" if value else "no"
    elif value is None:
        read, usual = "nothing", ""
    elif isinstance(value, int | float):
        read = "a number" if written in ("", str(value)) else f"the number {value}"
        usual = str(value)
    else:
        return ""
    text = written or usual
    return f"YAML reads {text} as {read}; write '{text}', in quotes." if text else ""
