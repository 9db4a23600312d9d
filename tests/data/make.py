"""Writes the safetensors files beside it: what PyTorch says of six small networks, for tests/it/pytorch.rs.

    pip install torch safetensors numpy && python make.py

<model>.safetensors          the state_dict at birth, as PyTorch draws it
<model>_trained.safetensors  the state_dict after STEPS steps of SGD
<model>_record.safetensors   batches and labels, logits at birth in both modes, the loss of each step
mlp_record.safetensors       the losses of other optimizers too
rates.safetensors            learning rates of torch.optim.lr_scheduler

The modules are the reference of Esper's names: `load_state_dict(load_file("export.safetensors"), strict=True)`.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.optim import lr_scheduler

HERE = Path(__file__).parent
STEPS, BATCHES, ROWS = 20, 4, 8


class Mlp(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip(widths, widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class BasicBlock(nn.Module):
    """He et al. 2016, names as torchvision's."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, inputs, channels, blocks, outputs):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        before = channels[0]
        for stage, (width, n) in enumerate(zip(channels, blocks), 1):
            stage_blocks = []
            for i in range(n):
                stage_blocks.append(BasicBlock(before, width, 2 if i == 0 and stage > 1 else 1))
                before = width
            self.add_module(f"layer{stage}", nn.Sequential(*stage_blocks))
        self.stages = len(channels)
        self.fc = nn.Linear(before, outputs)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class Vgg(nn.Module):
    """Simonyan and Zisserman 2015, with group norms, and GELU as a tanh approximates it."""

    def __init__(self, inputs, channels, groups, features, outputs):
        super().__init__()
        layers = []
        for width in channels:
            conv = nn.Conv2d(inputs, width, 3, 1, 1, bias=False)
            layers += [conv, nn.GroupNorm(groups, width), nn.GELU("tanh"), nn.MaxPool2d(2)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(features, outputs)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Attention(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """Pre-norm, names as timm's."""

    def __init__(self, width, heads, mlp_width, causal):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, mlp_width), "fc2": nn.Linear(mlp_width, width)})

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class Transformer(nn.Module):
    """A decoder: the logits of the next token at each position."""

    def __init__(self, vocabulary, context, layers, width, heads, mlp_width, tied):
        super().__init__()
        self.tok_embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.tok_embed.weight, std=0.3)  # PyTorch's 1 makes a tied head's logits too large to learn.
        self.pos_embed = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_width, True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.tok_embed.weight

    def forward(self, x):
        x = self.tok_embed(x) + self.pos_embed.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class VisionTransformer(nn.Module):
    """Without a class token: the mean over positions is classified (Beyer et al. 2022)."""

    def __init__(self, inputs, size, patch, layers, width, heads, mlp_width, outputs):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(inputs, width, patch, patch)})
        self.pos_embed = nn.Embedding((size // patch) ** 2, width)
        self.blocks = nn.ModuleList(Block(width, heads, mlp_width, False) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def loss_of(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


def train(model, optimizer, x, labels, clip_norm=None):
    """One step on each batch in turn, STEPS in all; the loss of each."""
    losses = []
    model.train()
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model(x[step % BATCHES]), labels[step % BATCHES])
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def copy_of(model):
    return {name: value.clone().contiguous() for name, value in model.state_dict().items()}


def record(name, model, x, labels, others=()):
    birth = copy_of(model)
    save_file(birth, HERE / f"{name}.safetensors")
    told = {"x": x, "labels": labels}
    with torch.no_grad():
        told["logits"] = model.eval()(x[0])
        told["logits_training"] = model.train()(x[0])
    for kind, (rule, clip_norm) in dict(others).items():
        model.load_state_dict(birth)
        told[f"losses_{kind}"] = train(model, rule(model.parameters()), x, labels, clip_norm)
    model.load_state_dict(birth)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    told["losses"] = train(model, sgd, x, labels)
    with torch.no_grad():
        told["logits_trained"] = model.eval()(x[0])
    save_file(copy_of(model), HERE / f"{name}_trained.safetensors")
    save_file({key: value.contiguous() for key, value in told.items()}, HERE / f"{name}_record.safetensors")
    print(f"{name}: loss {told['losses'][0]:.4f} -> {told['losses'][-1]:.4f}")


def rates(make, steps):
    """The rate of each step, from 0.1."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(found, dtype=torch.float64)


def after_warmup(make, steps):
    """`make` after a linear warm-up of `steps` whose last one has the full rate."""

    def sequence(optimizer):
        warmup = lr_scheduler.LinearLR(optimizer, start_factor=1 / steps, total_iters=steps - 1)
        return lr_scheduler.SequentialLR(optimizer, [warmup, make(optimizer)], milestones=[steps])

    return sequence


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    images = torch.randn(BATCHES, ROWS, 3, 8, 8)
    classes = torch.randint(3, (BATCHES, ROWS))
    text = torch.randint(11, (BATCHES, ROWS * 12 + 1))
    tokens = text[:, :-1].reshape(BATCHES, ROWS, 12)
    following = text[:, 1:].reshape(BATCHES, ROWS, 12)

    sgd, adam, adamw = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
    record("mlp", Mlp([20, 16, 16, 3]), torch.randn(BATCHES, ROWS, 20), classes, {
        "sgd": (lambda p: sgd(p, lr=0.1), None),
        "nesterov": (lambda p: sgd(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2), None),
        "dampened": (lambda p: sgd(p, lr=0.1, momentum=0.9, dampening=0.5), None),
        "clipped": (lambda p: sgd(p, lr=0.1), 0.1),
        "adam": (lambda p: adam(p, lr=1e-2, weight_decay=1e-1), None),
        "adamw": (lambda p: adamw(p, lr=1e-2, weight_decay=1e-1), None),
        "default_adam": (adam, None),
        "default_adamw": (adamw, None),
        "default_sgd": (sgd, None),
    })
    record("cnn", ResNet(3, [4, 8], [1, 1], 3), images, classes)
    record("vgg", Vgg(2, [4, 8], 2, 32, 3), images[:, :, :2].contiguous(), classes)
    record("transformer", Transformer(11, 12, 2, 16, 2, 32, tied=False), tokens, following)
    record("transformer_tied", Transformer(11, 12, 2, 16, 2, 32, tied=True), tokens, following)
    record("vit", VisionTransformer(3, 8, 4, 2, 16, 2, 32, 3), images, classes)

    # 8 epochs of 5 steps, and a warm-up of 2 epochs.
    step = lambda optimizer: lr_scheduler.StepLR(optimizer, 15, gamma=0.5)
    cosine = lambda span: lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, span, eta_min=1e-3)
    constant = lambda optimizer: lr_scheduler.ConstantLR(optimizer, factor=1.0)
    save_file({
        "constant": rates(constant, 40),
        "step": rates(step, 40),
        "cosine": rates(cosine(40), 40),
        "warmup_constant": rates(after_warmup(constant, 10), 40),
        "warmup_step": rates(after_warmup(step, 10), 40),
        "warmup_cosine": rates(after_warmup(cosine(30), 10), 40),
    }, HERE / "rates.safetensors")


if __name__ == "__main__":
    main()
