"""The error class for mistakes that a user can fix.

Invalid studies, data files and stores raise `UserError`. The command line prints it as one message and exits with code 2;
every other exception is a bug in xlift and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """Invalid input, with a message that says how to fix it.

    Args:
        what: what is wrong, in one clause ("unknown task 'isle-nil'").
        where: the file, line or key of the mistake ("quickstart.yaml: targets.0.task").
        fix: what was expected and what to do ("did you mean 'isle-nli'? `xlift tasks` lists them all").
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        message = f"{self.where}: {self.what}" if self.where else self.what
        return f"{message}\n  {self.fix}" if self.fix else message

    def __reduce__(self):  # pickling between processes keeps the arguments
        return (_rebuild, (self.what, self.where, self.fix))


def _rebuild(what: str, where: str, fix: str) -> UserError:
    return UserError(what, where=where, fix=fix)


def did_you_mean(word: str, choices: list[str] | tuple[str, ...]) -> str:
    """The hint "did you mean 'x'? " for a misspelt word, or '' if no choice is similar."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"did you mean '{matches[0]}'? " if matches else ""
