"""What a panel says that needs a model of another kind."""

from ldm_lab.checkpoints import shipped_models
from ldm_lab.tasks.kinds import Kind


def how_to_get(kind: Kind, *, instead_of: str) -> str:
    """One sentence: what is missing, and the line that loads or the command that trains it.

    Args:
        kind: What is needed.
        instead_of: Name of the model that is there.
    """
    missing = f"this needs a model that is {kind.words}, and {instead_of!r:.60} is none"
    if kind.shipped in shipped_models():
        return f"{missing}; load one: session = lab.Session(lab.load({kind.shipped!r}))"
    return f"{missing}; none comes with this version, so train it: {training_command(kind)}"


def training_command(kind: Kind) -> str:
    """The command that trains the shipped model of a kind."""
    return f"ldm-lab train diffusion --preset {kind.shipped}"
