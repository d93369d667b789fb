"""The Lua that runs inside Redis, one file a script."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name by which Redis remembers it."""

    text: bytes
    sha: str

    @classmethod
    def load(cls, name: str) -> "Script":
        """Read the script from its file."""
        text = Path(__file__).with_name(f"{name}.lua").read_bytes()
        return cls(text=text, sha=sha1(text, usedforsecurity=False).hexdigest())
