"""The crash matrix: real processes under load, killed, paused and cut off, and what must hold even so."""
