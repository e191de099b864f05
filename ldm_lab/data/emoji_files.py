"""Where the emoji come from: a font, Unicode's list of names, and CLDR's keywords; never downloaded."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

from ldm_lab.core.errors import MissingDependencyError
from ldm_lab.core.io import sha256

FOLDER_VARIABLE = "LDM_LAB_EMOJI"
PACKAGES = {  # of Debian and Ubuntu
    "font": "fonts-noto-color-emoji",
    "names": "unicode-data",
    "keywords": "unicode-cldr-core",
    "derived_keywords": "unicode-cldr-core",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EmojiFiles:
    """The four files; the defaults are where Debian's packages put them.

    Attributes:
        font: NotoColorEmoji.ttf with bitmaps of 109 px (SIL Open Font License).
        names: Unicode's emoji-test.txt: sequences, names, groups and subgroups.
        keywords: CLDR's English annotations.
        derived_keywords: Those of sequences such as "man: dark skin tone".
    """

    font: Path = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
    names: Path = Path("/usr/share/unicode/emoji/emoji-test.txt")
    keywords: Path = Path("/usr/share/unicode/cldr/common/annotations/en.xml")
    derived_keywords: Path = Path("/usr/share/unicode/cldr/common/annotationsDerived/en.xml")

    def missing(self) -> dict[str, Path]:
        """The files that are not there."""
        return {name: path for name, path in self._paths().items() if not path.is_file()}

    def digests(self) -> dict[str, str]:
        """SHA-256 of each file."""
        return {name: sha256(path) for name, path in self._paths().items()}

    def _paths(self) -> dict[str, Path]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def find_emoji_files(folder: str | Path | None = None) -> EmojiFiles:
    """The files in a folder, or where Debian's packages put them.

    Args:
        folder: Holds NotoColorEmoji.ttf, emoji-test.txt, annotations/en.xml and annotationsDerived/en.xml. None: what
            the environment variable LDM_LAB_EMOJI names, and without it the places of Debian's packages.

    Raises:
        MissingDependencyError: Naming each file that is not there, and the package that brings it.
    """
    folder = folder or os.environ.get(FOLDER_VARIABLE) or None
    files = EmojiFiles() if folder is None else _files_in(Path(folder).expanduser())
    missing = files.missing()
    if missing:
        packages = " ".join(sorted({PACKAGES[name] for name in missing}))
        raise MissingDependencyError(
            f"the emoji need {' and '.join(map(str, missing.values()))}, which cannot be found; install Debian's "
            f"packages with 'apt-get install {packages}', or name a folder that holds the files, as the path of the "
            f"data or in the environment variable {FOLDER_VARIABLE}"
        )
    return files


def _files_in(folder: Path) -> EmojiFiles:
    return EmojiFiles(
        font=folder / "NotoColorEmoji.ttf",
        names=folder / "emoji-test.txt",
        keywords=folder / "annotations" / "en.xml",
        derived_keywords=folder / "annotationsDerived" / "en.xml",
    )
