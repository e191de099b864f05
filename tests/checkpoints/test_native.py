import json
import shutil

import pytest
import torch

from ldm_lab import checkpoints
from ldm_lab.autoencoders.bottlenecks import VQConfig
from ldm_lab.checkpoints import (
    FirstStageReference,
    load_autoencoder,
    load_model,
    read_checkpoint,
    read_tensors,
    reference_of,
    reference_to,
    save_autoencoder,
    save_model,
)
from ldm_lab.checkpoints import folder as folder_module
from ldm_lab.conditioning import (
    ClassLabelConfig,
    LayoutTransformerConfig,
    LowResolutionImageConfig,
    MaskedImageConfig,
    SemanticMapConfig,
)
from ldm_lab.core.errors import (
    CheckpointCorruptError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointMismatchError,
)
from ldm_lab.core.io import write_manifest
from ldm_lab.core.layout import LayoutObject
from ldm_lab.core.masks import MaskedPicture

CONDITIONERS = {
    "classes": (ClassLabelConfig(num_classes=3, width=8, names=("a", "b", "c")), "b"),
    "layout": (
        LayoutTransformerConfig(
            vocabularies=(("circle", "star"), ("red",)),
            max_objects=2,
            grid=5,
            width=8,
            depth=1,
            num_heads=2,
            head_channels=4,
        ),
        (LayoutObject(("star", "red"), (0.0, 0.25, 0.5, 1.0)),),
    ),
    "semantic map": (SemanticMapConfig(num_classes=4, num_halvings=1), torch.arange(256).reshape(16, 16) % 4),
    "low resolution": (LowResolutionImageConfig(factor=2), torch.linspace(-1, 1, 192).reshape(3, 8, 8)),
    "masked image": (
        MaskedImageConfig(latent_channels=3),
        MaskedPicture(torch.linspace(-1, 1, 768).reshape(3, 16, 16), torch.eye(16)[None]),
    ),
}


@pytest.fixture
def folder(tiny_folder, tmp_path):
    """A copy of the model and its first stage, to be damaged."""
    shutil.copytree(tiny_folder.parent, tmp_path / "models")
    return tmp_path / "models" / tiny_folder.name


def edit(folder, **changes):
    """Change entries of config.json and state the new digests, as somebody who knows the format would."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (folder / "manifest.json").unlink()
    write_manifest(folder)


def save_beside(model, folder, **options):
    """Save a model and its first stage side by side."""
    save_autoencoder(folder.parent / "first", model.autoencoder, recipe={}, **options)
    save_model(folder, model, first_stage=reference_to(folder.parent / "first"), recipe={}, **options)


def assert_same_model(first, second):
    assert first.config == second.config
    assert first.state_dict().keys() == second.state_dict().keys()
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name


class TestRoundTrip:
    def test_full_precision_is_exact(self, tiny_model, tmp_path):
        save_beside(tiny_model, tmp_path / "model", dtype=torch.float32)
        assert_same_model(load_model(tmp_path / "model"), tiny_model)

    def test_half_precision_rounds_once_and_computes_in_fp32(self, tiny_model, tiny_folder):
        loaded = load_model(tiny_folder)
        for name, tensor in tiny_model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name
        assert not loaded.training

    def test_the_same_prompt_gives_the_same_condition(self, make_tiny_model, tmp_path):
        model = make_tiny_model(seed=3)
        save_beside(model, tmp_path / "model", dtype=torch.float32)
        prompts = ["a red circle", "", "words nobody saw"]
        expected, found = (m.condition(prompts).context for m in (model, load_model(tmp_path / "model")))
        assert torch.equal(found, expected)

    @pytest.mark.parametrize(("conditioner", "y"), CONDITIONERS.values(), ids=CONDITIONERS.keys())
    @torch.no_grad()
    def test_other_conditioners(self, make_tiny_model, tmp_path, conditioner, y):
        model = make_tiny_model(conditioner=conditioner)
        save_beside(model, tmp_path / "model", dtype=torch.float32)
        loaded = load_model(tmp_path / "model")
        assert_same_model(loaded, model)
        for name, tensor in model.condition([y]).parts().items():
            assert torch.equal(getattr(loaded.condition([y]), name), tensor)
        assert not (tmp_path / "model" / "tokenizer.json").exists()

    def test_no_conditioner(self, make_tiny_model, tmp_path):
        model = make_tiny_model(conditioner=None)
        save_beside(model, tmp_path / "model", dtype=torch.float32)
        assert_same_model(load_model(tmp_path / "model"), model)

    def test_a_conditioner_that_uses_the_first_stage_does_not_save_it_again(self, make_tiny_model, tmp_path):
        conditioner, _ = CONDITIONERS["masked image"]
        model = make_tiny_model(conditioner=conditioner)
        save_beside(model, tmp_path / "model")
        saved = read_tensors(tmp_path / "model" / "model.safetensors")
        assert saved.keys() == {f"unet.{name}" for name in model.unet.state_dict()}

    def test_a_codebook_is_part_of_the_first_stage(self, make_tiny_model, tmp_path):
        model = make_tiny_model(bottleneck=VQConfig(num_codes=5))
        save_autoencoder(tmp_path / "vq", model.autoencoder, recipe={}, dtype=torch.float32)
        loaded = load_autoencoder(tmp_path / "vq")
        assert torch.equal(loaded.quantize.embedding.weight, model.autoencoder.quantize.embedding.weight)

    def test_a_pretrained_text_encoder_is_referred_to_by_path_and_digest(self, make_tiny_model, tmp_path):
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        from ldm_lab.conditioning import PretrainedTextConfig, train_tokenizer

        sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
        BertModel(BertConfig(vocab_size=16, max_position_embeddings=8, **sizes)).save_pretrained(tmp_path / "bert")
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=train_tokenizer(["a red circle"]), **names)
        tokenizer.save_pretrained(tmp_path / "bert")
        model = make_tiny_model(conditioner=PretrainedTextConfig(path=str(tmp_path / "bert"), max_tokens=8))
        save_beside(model, tmp_path / "model", dtype=torch.float32)
        loaded = load_model(tmp_path / "model")
        assert loaded.config.conditioner.digest == model.conditioner.digest
        assert torch.equal(loaded.condition(["red"]).context, model.condition(["red"]).context)
        (tmp_path / "bert" / "config.json").write_text((tmp_path / "bert" / "config.json").read_text() + " ")
        with pytest.raises(CheckpointMismatchError, match="was trained with"):
            load_model(tmp_path / "model")

    def test_recipe_and_defaults_are_kept(self, tiny_folder):
        content = read_checkpoint(tiny_folder).content
        assert content["recipe"] == {"seed": 0}
        assert content["defaults"] == {"num_steps": 3, "guidance_scale": 2.5, "sampler": "ddim"}


class TestWriting:
    def test_an_existing_folder_is_replaced_only_when_asked(self, tiny_model, tmp_path):
        save_autoencoder(tmp_path / "first", tiny_model.autoencoder, recipe={"try": 1})
        with pytest.raises(CheckpointError, match="first already exists"):
            save_autoencoder(tmp_path / "first", tiny_model.autoencoder, recipe={"try": 2})
        save_autoencoder(tmp_path / "first", tiny_model.autoencoder, recipe={"try": 3}, replace=True)
        assert read_checkpoint(tmp_path / "first").content["recipe"] == {"try": 3}

    def test_a_failure_leaves_nothing_behind(self, make_tiny_model, tmp_path):
        model = make_tiny_model()
        model.unet.conv_in.weight.data[0] = torch.inf
        reference = FirstStageReference(name="first", digest="0")
        with pytest.raises(CheckpointError, match="cannot save conv_in.weight"):
            save_model(tmp_path / "model", model, first_stage=reference, recipe={})
        with pytest.raises(ValueError, match="not JSON compliant"):
            save_autoencoder(tmp_path / "first", model.autoencoder, recipe={"loss": torch.nan})
        assert list(tmp_path.iterdir()) == []

    def test_two_saves_of_one_model_are_equal(self, tiny_model, tmp_path):
        for name in ("a", "b"):
            save_autoencoder(tmp_path / name, tiny_model.autoencoder, recipe={})
        assert read_checkpoint(tmp_path / "a").digest == read_checkpoint(tmp_path / "b").digest


class TestDamage:
    def test_a_single_bit_anywhere_is_noticed(self, folder):
        for name in ("config.json", "model.safetensors", "tokenizer.json", "manifest.json"):
            whole = (folder / name).read_bytes()
            for place in range(0, len(whole), max(1, len(whole) // 20)):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << (place % 8)
                (folder / name).write_bytes(bytes(flipped))
                with pytest.raises(CheckpointError, match=str(folder)):
                    load_model(folder)
            (folder / name).write_bytes(whole)
        load_model(folder)  # and the undamaged folder is accepted

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json", "manifest.json"])
    def test_truncated_and_missing_files_are_named(self, folder, name):
        whole = (folder / name).read_bytes()
        for length in (0, 1, len(whole) // 2, len(whole) - 2):  # the last byte may be a mere line end
            (folder / name).write_bytes(whole[:length])
            with pytest.raises(CheckpointCorruptError, match=name):
                load_model(folder)
        (folder / name).unlink()
        with pytest.raises(CheckpointCorruptError, match=name):
            load_model(folder)

    def test_a_manifest_that_lists_too_little_is_refused(self, folder):
        (folder / "manifest.json").unlink()
        (folder / "model.safetensors").rename(folder.parent / "weights")
        write_manifest(folder)
        (folder.parent / "weights").rename(folder / "model.safetensors")
        with pytest.raises(CheckpointCorruptError, match="does not list model.safetensors"):
            load_model(folder)

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(CheckpointFormatError, match="there is no folder .*nowhere"):
            load_model(tmp_path / "nowhere")

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "readme.txt").write_text("hello")
        with pytest.raises(CheckpointFormatError, match="is no checkpoint"):
            load_model(tmp_path)

    @pytest.mark.parametrize("version", [2, 0, "1", None])
    def test_another_version(self, folder, version):
        edit(folder, version=version)
        with pytest.raises(CheckpointFormatError, match=f"has version {version!r}, but this ldm_lab reads version 1"):
            load_model(folder)

    def test_another_format_and_another_kind(self, folder):
        edit(folder, kind="video")
        with pytest.raises(CheckpointFormatError, match="kind 'video'; known: autoencoder, latent_diffusion"):
            load_model(folder)
        edit(folder, format="other")
        with pytest.raises(CheckpointFormatError, match="does not say format 'ldm_lab'"):
            load_model(folder)

    def test_an_autoencoder_is_no_model(self, folder):
        with pytest.raises(CheckpointFormatError, match="holds a model of kind 'autoencoder'"):
            load_model(folder.parent / "tiny-kl")
        with pytest.raises(CheckpointFormatError, match="holds a model of kind 'latent_diffusion'"):
            load_autoencoder(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"channels": 10**9}, "channels is 1000000000; it must be from 2 to 4096"),
            ({"target": "os.system"}, "UNetConfig has no field target"),
            ({"norm_groups": "4"}, "norm_groups is '4'; expected int"),
        ],
    )
    def test_a_hostile_config_is_refused_before_anything_is_built(self, folder, change, message):
        config = json.loads((folder / "config.json").read_text())["config"]
        edit(folder, config=config | {"unet": config["unet"] | change})
        with pytest.raises(CheckpointFormatError, match=message):
            load_model(folder)

    @pytest.mark.parametrize("entry", ["config", "first_stage"])
    @pytest.mark.parametrize("value", [[], "x", None, 3])
    def test_entries_must_be_mappings(self, folder, entry, value):
        edit(folder, **{entry: value})
        with pytest.raises(CheckpointFormatError, match=f"{entry} must be a mapping"):
            load_model(folder)

    def test_weights_of_another_size_name_the_first_tensor(self, folder):
        config = json.loads((folder / "config.json").read_text())["config"]
        edit(folder, config=config | {"unet": config["unet"] | {"num_res_blocks": 2}})
        with pytest.raises(CheckpointMismatchError, match="lacks .* tensors that config.json describes: down_blocks.0"):
            load_model(folder)


class TestFirstStage:
    def test_it_is_found_beside_the_model(self, folder):
        assert checkpoints.find_first_stage(read_checkpoint(folder)).name == "tiny-kl"

    def test_it_is_found_under_another_name(self, folder):
        (folder.parent / "tiny-kl").rename(folder.parent / "renamed")
        load_model(folder)

    def test_it_is_found_inside_the_folder(self, folder):
        (folder.parent / "tiny-kl").rename(folder / "first_stage")
        load_model(folder)

    def test_it_is_found_at_the_stated_path(self, folder):
        (folder.parent / "deep").mkdir()
        (folder.parent / "tiny-kl").rename(folder.parent / "deep" / "kl")
        edit(
            folder, first_stage=json.loads((folder / "config.json").read_text())["first_stage"] | {"path": "../deep/kl"}
        )
        load_model(folder)

    def test_it_is_found_among_the_shipped_ones(self, folder, tmp_path, monkeypatch):
        (folder.parent / "tiny-kl").rename(tmp_path / "models" / "elsewhere")
        shutil.move(tmp_path / "models" / "elsewhere", tmp_path / "zoo" / "tiny-kl")
        monkeypatch.setattr(checkpoints.first_stage, "ZOO", tmp_path / "zoo")
        load_model(folder)

    def test_its_absence_is_one_sentence(self, folder):
        shutil.rmtree(folder.parent / "tiny-kl")
        digest = reference_of(read_checkpoint(folder)).digest
        with pytest.raises(
            CheckpointMismatchError, match=f"needs the first stage 'tiny-kl' with digest {digest[:12]}…;"
        ):
            load_model(folder)

    def test_another_one_of_the_same_name_is_refused(self, folder, make_tiny_model):
        other = make_tiny_model(seed=1).autoencoder
        save_autoencoder(folder.parent / "tiny-kl", other, recipe={}, replace=True)
        with pytest.raises(CheckpointMismatchError, match="tiny-kl has other weights"):
            load_model(folder)

    def test_a_damaged_one_is_refused(self, folder):
        path = folder.parent / "tiny-kl" / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(bytes(data))
        with pytest.raises(CheckpointCorruptError, match="tiny-kl/model.safetensors was altered"):
            load_model(folder)

    def test_a_model_may_have_measured_its_own_scale_but_not_another_size(self, folder):
        config = json.loads((folder / "config.json").read_text())["config"]
        edit(folder, config=config | {"autoencoder": config["autoencoder"] | {"scale_factor": 0.5}})
        assert load_model(folder).scale_factor == 0.5
        edit(folder, config=config | {"autoencoder": config["autoencoder"] | {"num_res_blocks": 2}})
        with pytest.raises(CheckpointMismatchError, match="num_res_blocks of the first stage is 2, .* has 1"):
            load_model(folder)


def test_a_reference_needs_a_name_and_a_digest():
    with pytest.raises(CheckpointError, match="there is no folder"):
        reference_to("nowhere")
    assert folder_module.VERSION == 1
