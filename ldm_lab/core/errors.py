"""Every error that a user can cause, each with one clear sentence.

A message says what is wrong, the value received, what is accepted, and what to do next. The command line prints
the message and exits with 2; nothing else of these classes is meant to be clever.
"""


class LdmLabError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(LdmLabError, ValueError):
    """A configuration value is of the wrong type, out of range, unknown, or contradicts another."""


class ShapeError(LdmLabError, ValueError):
    """A tensor does not have the shape that the operation needs."""


class RequestError(LdmLabError, ValueError):
    """A value that a user asked for (prompt, steps, size, seed …) cannot be served."""


class ImageError(LdmLabError, ValueError):
    """A file or array is not an image that can be read within the limits."""


class NotEnoughMemoryError(LdmLabError, MemoryError):
    """The device has not enough memory for what was asked of it, also in smaller parts."""


class DataError(LdmLabError):
    """A data set is missing, empty, or damaged."""


class MissingDependencyError(LdmLabError, ImportError):
    """An optional package or a file that it needs is not there; the message says how to get it."""


class TrainingError(LdmLabError):
    """Training cannot start or go on: non-finite numbers, another config, a folder in use."""


class CheckpointError(LdmLabError):
    """A checkpoint cannot be read or written."""


class CheckpointFormatError(CheckpointError):
    """The files are not in a format that is known."""


class CheckpointMismatchError(CheckpointError):
    """The tensors do not fit the model that the config describes."""


class CheckpointCorruptError(CheckpointError):
    """A file was truncated or altered: its digest differs from the manifest."""
