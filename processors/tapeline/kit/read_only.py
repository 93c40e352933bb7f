"""The error of a change where none may be."""

__all__ = ["ReadOnlyError"]


class ReadOnlyError(TypeError):
    """What should be changed belongs to several records: a change of it would change others."""
