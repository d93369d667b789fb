"""Why a command could not do what it was asked."""


class CommandFailed(Exception):
    """One sentence for the person at the keyboard; ``code`` is for programs."""

    def __init__(self, message: str, *, code: str = "command_failed", exit_code: int = 1) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code


class Unreachable(CommandFailed):
    """The server gave no answer, or said that it cannot now; later it may."""

    def __init__(self, message: str, *, code: str = "unreachable") -> None:
        super().__init__(message, code=code)
