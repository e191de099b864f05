import pytest
import torch
from torch import nn


@pytest.fixture
def like():
    """Copy the weights of a second implementation, made random everywhere, into ours; every name must fit."""

    def copy_weights(ours: nn.Module, theirs: nn.Module) -> tuple[nn.Module, nn.Module]:
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in theirs.parameters():  # norms too, which start as the identity
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        ours.load_state_dict(theirs.state_dict(), strict=True)
        return ours.eval(), theirs.eval()

    return copy_weights


@pytest.fixture
def same_gradients():
    """Backpropagate one random cotangent through both outputs; compare the gradient of every parameter."""

    def compare(ours: nn.Module, theirs: nn.Module, output: torch.Tensor, expected: torch.Tensor, **tolerance) -> None:
        cotangent = torch.randn(output.shape, generator=torch.Generator().manual_seed(1)).to(output)
        output.backward(cotangent)
        expected.backward(cotangent)
        wanted = {name: parameter.grad for name, parameter in theirs.named_parameters()}
        assert all(gradient is not None for gradient in wanted.values())
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(
                parameter.grad, wanted[name], **tolerance, msg=lambda text, n=name: f"{n}: {text}"
            )

    return compare
