"""One thread, no downloads, the same examples every time: a test that failed once fails again."""

import os
import shutil
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch

pytest_plugins = ["emoji_stand_in", "tiny_session"]  # from tests/stand_ins, for tests of several rooms
torch.set_num_threads(1)  # toy sizes: more threads cost more than they bring, and sums would depend on the machine
hypothesis.settings.register_profile("ldm_lab", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("ldm_lab")
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell starts the tests in the background


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and leave slow tests for the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
    for item in items:
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))
        if item.get_closest_marker("network") and "LDM_LAB_NETWORK" not in os.environ:
            item.add_marker(pytest.mark.skip(reason="needs the internet; set LDM_LAB_NETWORK=1 to run it"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden arrays are written by a flag, and reviewed in a commit of their own."""
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/golden anew instead of comparing with it"
    )


@pytest.fixture(scope="session")
def make_tiny_model():
    """Builds text-to-image models of 16 x 16 pixels with weights drawn from a seed; no two parts are zero or one."""
    from ldm_lab.autoencoders.autoencoder import Autoencoder
    from ldm_lab.autoencoders.config import AutoencoderConfig
    from ldm_lab.conditioning import TextTransformerConfig, build_conditioner, train_tokenizer
    from ldm_lab.core.seeding import generator
    from ldm_lab.model import LatentDiffusion, LatentDiffusionConfig
    from ldm_lab.unet.config import UNetConfig
    from ldm_lab.unet.unet import UNet

    def make(*, seed=0, conditioner="text", prediction="eps", bottleneck=None):
        tokenizer = train_tokenizer(["a large red circle left of a small blue star on white"])
        text = TextTransformerConfig(
            vocab_size=tokenizer.get_vocab_size(), max_tokens=8, width=8, depth=1, num_heads=2, head_channels=4
        )
        y = text if conditioner == "text" else conditioner
        beside = 0 if y is None else y.concat_channels
        vq = {} if bottleneck is None else {"bottleneck": bottleneck}
        sizes = {"channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1, "norm_groups": 4}
        config = LatentDiffusionConfig(
            autoencoder=AutoencoderConfig(latent_channels=3, scale_factor=0.7, **sizes, **vq),
            unet=UNetConfig(
                in_channels=3 + beside,
                out_channels=3,
                attention_levels=(1,),
                num_heads=2,
                context_dim=None if y is None or beside else 8,
                vector_dim=8 if getattr(y, "pooled", False) else None,
                **sizes,
            ),
            conditioner=y,
            prediction=prediction,
            image_size=16,
        )
        model = LatentDiffusion(
            config,
            autoencoder=Autoencoder(config.autoencoder),
            unet=UNet(config.unet),
            conditioner=build_conditioner(y, tokenizer=tokenizer),
        )
        for name, tensor in model.state_dict().items():
            draw = torch.randn(tensor.shape, generator=generator(seed, "weights", name))
            around = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            tensor.copy_(around + draw * (0.1 if tensor.ndim < 2 else tensor[0].numel() ** -0.5))
        return model.eval()

    return make


@pytest.fixture(scope="session")
def tiny_model(make_tiny_model):
    """A text-to-image model in memory; not to be changed."""
    return make_tiny_model()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory, tiny_model):
    """The same model as a checkpoint folder with its first stage beside it; not to be changed."""
    from ldm_lab.checkpoints import reference_to, save_autoencoder, save_model

    root = tmp_path_factory.mktemp("models")
    save_autoencoder(root / "tiny-kl", tiny_model.autoencoder, recipe={"seed": 0})
    first_stage = reference_to(root / "tiny-kl")
    defaults = {"num_steps": 3, "guidance_scale": 2.5, "sampler": "ddim"}
    save_model(root / "tiny-text", tiny_model, first_stage=first_stage, recipe={"seed": 0}, defaults=defaults)
    return root / "tiny-text"


@pytest.fixture(scope="session")
def save_tiny(tmp_path_factory, tiny_folder, make_tiny_model):
    """Saves a toy model with another conditioner beside a first stage that all of them share; returns the folder."""
    from ldm_lab.checkpoints import reference_to, save_model

    root = tmp_path_factory.mktemp("kinds")
    shutil.copytree(tiny_folder.with_name("tiny-kl"), root / "tiny-kl")

    def save(name, conditioner):
        model, first_stage = make_tiny_model(conditioner=conditioner), reference_to(root / "tiny-kl")
        defaults = {"num_steps": 3, "sampler": "ddim"}
        save_model(root / name, model, first_stage=first_stage, recipe={"seed": 0}, defaults=defaults)
        return root / name

    return save


@pytest.fixture(scope="session")
def layout_folder(save_tiny):
    """A toy model that is told what is where."""
    from ldm_lab.conditioning import LayoutTransformerConfig

    words = (("circle", "star"), ("red", "blue"))
    sizes = {"max_objects": 2, "grid": 8, "width": 8, "depth": 1, "num_heads": 2, "head_channels": 4}
    return save_tiny("tiny-layout", LayoutTransformerConfig(vocabularies=words, **sizes))


@pytest.fixture(scope="session")
def upscaling_folder(save_tiny):
    """A toy model that makes pictures of 8 × 8 twice as large."""
    from ldm_lab.conditioning import LowResolutionImageConfig

    return save_tiny("tiny-sr", LowResolutionImageConfig(factor=2))
