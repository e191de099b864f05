"""``ldm-lab doctor``: what this installation has, what it lacks, and the command that mends it."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from ldm_lab.core.errors import LdmLabError
from ldm_lab.core.io import verify_manifest
from ldm_lab.core.runtime import choose_device, describe_device, installed_version, versions

DISTRIBUTION = "ldm-lab"
FETCH_VGG = """python -c 'from torchvision.models import vgg16; vgg16(weights="IMAGENET1K_V1")'"""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the report."""

    subject: str
    status: str
    remedy: str | None = None  # None: nothing is wrong
    is_optional: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong that everybody needs."""
        return self.remedy is not None and not self.is_optional

    def __str__(self) -> str:
        mark = "ok" if self.remedy is None else "--" if self.is_optional else "!!"
        line = f"{mark}  {self.subject:<10}  {self.status}"
        return line if self.remedy is None else f"{line}\n      mend it:    {self.remedy}"


def doctor() -> int:
    """Check device, packages and models; say how to mend what is amiss. Exit code 1 if something needed is missing."""
    findings = list(examine())
    for finding in findings:
        print(finding)
    return int(any(finding.is_fault for finding in findings))


def examine() -> Iterator[Finding]:
    """All findings, those that need no torch first."""
    found = versions()
    yield Finding(subject="ldm_lab", status=f"{found['ldm_lab']}, Python {found['python']}, {found['system']}")
    yield from check_requirements()
    yield check_device()
    yield from check_models()
    yield check_lpips()


def check_requirements() -> Iterator[Finding]:
    """Compare the packages installed with those that the package and each of its extras ask for."""
    groups = requirements_by_extra()
    if not groups:
        yield Finding(
            subject="packages",
            status=f"{DISTRIBUTION} itself is not installed",
            remedy="pip install -c constraints.txt -e .",
        )
    for extra, requirements in groups.items():
        unmet = [sentence for requirement in requirements if (sentence := unmet_requirement(requirement))]
        yield Finding(
            subject=extra or "packages",
            status="; ".join(unmet) or ", ".join(f"{r.name} {installed_version(r.name)}" for r in requirements),
            remedy=f'pip install -c constraints.txt -e ".[{extra}]"'.replace("[]", "") if unmet else None,
            is_optional=bool(extra),
        )


def requirements_by_extra() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, as installed: under "" what everybody needs, then extra by extra."""
    try:
        requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
        extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return {}
    others = [requirement for requirement in requirements if requirement.name != DISTRIBUTION]
    base = [requirement for requirement in others if _applies(requirement, "")]
    groups = {extra: [r for r in others if r not in base and _applies(r, extra)] for extra in extras if extra != "all"}
    return {"": base} | groups


def unmet_requirement(requirement: Requirement) -> str | None:
    """A sentence about a package that is missing or of another version; None if all is well."""
    version = installed_version(requirement.name)
    if version is None:
        return f"{requirement.name} is missing"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} is {version}, needed is {requirement.specifier}"
    return None


def check_device() -> Finding:
    """The device that would be used, or why there is none."""
    try:
        device = choose_device()
        return Finding(subject="device", status=f"{device}: {describe_device(device)}")
    except LdmLabError as error:
        return Finding(subject="device", status=str(error), remedy="unset LDM_LAB_DEVICE")
    except (ImportError, OSError) as error:
        return Finding(
            subject="device", status=f"torch cannot be loaded: {error}", remedy="pip install --force-reinstall torch"
        )


def check_models() -> Iterator[Finding]:
    """Every shipped model, read in full and compared with its digests."""
    from ldm_lab.checkpoints.zoo import ZOO, shipped_first_stages, shipped_models

    for name in [*shipped_first_stages(), *shipped_models()]:
        try:
            verify_manifest(ZOO / name)
            yield Finding(subject="model", status=f"{name} is whole")
        except LdmLabError as error:
            yield Finding(subject="model", status=str(error), remedy=f"git checkout -- ldm_lab/zoo/{name}")


def check_lpips() -> Finding:
    """The VGG16 of the LPIPS distance, which no package carries and only those need who train or judge first stages."""
    from ldm_lab.autoencoders.perceptual import VGG_FILE, vgg_path

    path = vgg_path()
    if path.is_file():
        return Finding(subject="lpips", status=f"{VGG_FILE} is there")
    return Finding(
        subject="lpips",
        status=f"{VGG_FILE} is not at {path}; without it LPIPS is not measured and cannot be trained with",
        remedy=f"put it there, or fetch its 553 MB: {FETCH_VGG}",
        is_optional=True,
    )


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
