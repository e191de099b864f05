"""A frozen text encoder from a local transformers folder: CLIP text, T5 or BERT."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from ldm_lab.conditioning.conditioner import Encode, Prepared, checked_batch, move
from ldm_lab.conditioning.record import Conditioning
from ldm_lab.conditioning.tokenizer import truncation_notes, unknown_notes
from ldm_lab.core.config import check, setting
from ldm_lab.core.errors import CheckpointFormatError, CheckpointMismatchError, ConfigError, MissingDependencyError
from ldm_lab.core.io import read_json
from ldm_lab.core.io import sha256 as file_sha256
from ldm_lab.core.prompts import clean_prompt


@dataclass(frozen=True, slots=True)
class _Family:
    encoder: str  # name of the class in transformers
    masks_padding: bool  # whether the text is encoded with its padding masked


_CLIP = _Family("CLIPTextModel", masks_padding=False)  # Stable Diffusion trained without a mask
_FAMILIES = {
    "clip": _CLIP,
    "clip_text_model": _CLIP,
    "t5": _Family("T5EncoderModel", masks_padding=True),
    "bert": _Family("BertModel", masks_padding=True),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainedTextConfig:
    """Where a pretrained text encoder lies; its weights are referred to, never saved with the model."""

    path: str = setting(dataclasses.MISSING, help="Folder with config.json and model.safetensors of the encoder.")
    tokenizer_path: str | None = setting(None, help="Folder of the tokenizer; None: the same folder.")
    max_tokens: int = setting(77, help="Tokens read of a prompt, special ones included.", minimum=3, maximum=4096)
    digest: str | None = setting(None, help="What the encoder's digest must be; None: any.")

    concat_channels: ClassVar[int] = 0

    def __post_init__(self) -> None:
        check(self)


class PretrainedText(nn.Module):
    """Prompts → last hidden states (B, max_tokens, D) of a text encoder that is never trained.

    The encoder is not registered as a submodule: optimiser, EMA, ``train()`` and ``state_dict()`` do not see it; only
    moves and casts reach it.
    """

    null = ""
    has_null = True
    vector_dim = None
    concat_channels = 0

    def __init__(self, config: PretrainedTextConfig) -> None:
        super().__init__()
        self.config = config
        folder = _existing_folder(config.path)
        family = _family(folder)
        self.masks_padding = family.masks_padding
        self._frozen = (_load_encoder(family, folder),)  # a tuple, so that nn.Module does not register it
        self._tokenizer = _load_tokenizer(_existing_folder(config.tokenizer_path or config.path))
        self.context_dim: int = self.encoder.config.hidden_size
        _check_length(self.encoder, config)
        if config.digest not in (None, self.digest):
            raise CheckpointMismatchError(
                f"the text encoder in {folder} has digest {self.digest[:12]}…, but the model was trained with "
                f"{config.digest[:12]}…; use the folder it was trained with"
            )

    @property
    def encoder(self) -> nn.Module:
        """The transformers model."""
        return self._frozen[0]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the weights and config of the encoder, by which a model refers to it."""
        files = sorted(
            path for path in _existing_folder(self.config.path).iterdir() if path.suffix in (".json", ".safetensors")
        )
        return sha256("\n".join(f"{path.name} {file_sha256(path)}" for path in files).encode()).hexdigest()

    def attach(self, encode: Encode) -> None:
        """Needs no first stage."""

    def prepare(self, y: Sequence[str]) -> Prepared:
        """Prompts → {"tokens": (B, max_tokens), "mask": (B, max_tokens), 1 at words} on the CPU.

        Raises:
            RequestError: If a prompt is no string, too long, or not text.
        """
        prompts = [clean_prompt(prompt)[0] for prompt in checked_batch(y)]
        length = self.config.max_tokens
        encoded = self._tokenizer(
            prompts, padding="max_length", truncation=True, max_length=length, split_special_tokens=True
        )
        return {"tokens": torch.tensor(encoded["input_ids"]), "mask": torch.tensor(encoded["attention_mask"])}

    @torch.no_grad()
    def forward(self, prepared: Prepared) -> Conditioning:
        """{"tokens": (B, N), "mask": (B, N)} → context (B, N, D)."""
        mask = prepared["mask"] if self.masks_padding else None
        return Conditioning(context=self.encoder(input_ids=prepared["tokens"], attention_mask=mask).last_hidden_state)

    def encode(self, y: Sequence[str]) -> Conditioning:
        """Prompts → ``Conditioning`` on the encoder's device."""
        return self(move(self.prepare(y), next(self.encoder.parameters()).device))

    def notes(self, y: Sequence[str]) -> list[str]:
        """Say what was removed from the prompts, what the encoder never saw, and what was cut off."""
        capacity = self.config.max_tokens - self._tokenizer.num_special_tokens_to_add()
        found: list[str] = []
        for prompt in checked_batch(y):
            text, notes = clean_prompt(prompt)
            encoded = self._tokenizer(
                text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
            )
            found += notes + self._unknown(text, encoded)
            found += truncation_notes(text, encoded["offset_mapping"], capacity=capacity)
        return list(dict.fromkeys(found))

    def _unknown(self, text: str, encoded: Mapping[str, Any]) -> list[str]:
        """Encoders that spell words by pieces or bytes know nearly all of them."""
        tokens = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        words = [text[slice(*span)] for token, span in tokens if token == self._tokenizer.unk_token_id]
        return unknown_notes(words, self._tokenizer.get_vocab())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.encoder._apply(fn, recurse)
        return super()._apply(fn, recurse)


def _existing_folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise CheckpointFormatError(
            f"there is no folder {folder} with a text encoder; put config.json, model.safetensors and the tokenizer "
            "files of a CLIP text, T5 or BERT encoder there, or correct the path"
        )
    return folder


def _family(folder: Path) -> _Family:
    config = read_json(folder / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in _FAMILIES:
        raise CheckpointFormatError(f"{folder}: model_type is {kind!r}; text encoders known: {', '.join(_FAMILIES)}")
    if not any(folder.glob("*.safetensors")):
        raise CheckpointFormatError(
            f"{folder} has no model.safetensors; pickled weights are not read, "
            "save the encoder again with its save_pretrained"
        )
    return _FAMILIES[kind]


def _load_encoder(family: _Family, folder: Path) -> nn.Module:
    transformers = _transformers()
    with _quiet(transformers):
        try:
            encoder, report = getattr(transformers, family.encoder).from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:  # whatever transformers and safetensors raise for a damaged folder
            raise CheckpointFormatError(f"cannot load the text encoder in {folder}: {error}") from error
    missing = sorted(
        name for name in report["missing_keys"] if not name.startswith("pooler.")
    )  # the pooler is not used
    if missing:
        raise CheckpointMismatchError(
            f"the text encoder in {folder} lacks {len(missing)} tensors, the first is {missing[0]}; get a whole copy"
        )
    return encoder.eval().requires_grad_(False)


def _load_tokenizer(folder: Path) -> Any:
    transformers = _transformers()
    with _quiet(transformers):
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # transformers names no common class
            raise CheckpointFormatError(
                f"cannot load a tokenizer from {folder}; tokenizer.json and tokenizer_config.json belong there"
            ) from error
    if tokenizer.pad_token is None:
        raise CheckpointFormatError(f"the tokenizer in {folder} has no padding token; set pad_token and save it again")
    return tokenizer


def _check_length(encoder: nn.Module, config: PretrainedTextConfig) -> None:
    limit = getattr(encoder.config, "max_position_embeddings", None)  # T5 has relative positions and no limit
    if limit is not None and config.max_tokens > limit:
        raise ConfigError(
            f"max_tokens is {config.max_tokens}, but the text encoder in {config.path} reads {limit} tokens"
        )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            'a pretrained text encoder needs the package transformers; install it with pip install "ldm-lab[text]"'
        ) from error
    return transformers


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Keep transformers from printing while it loads; what matters of it becomes an error here."""
    log = transformers.logging
    verbosity, progress = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if progress:
            log.enable_progress_bar()
