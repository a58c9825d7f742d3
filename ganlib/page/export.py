"""Generators for the browser: a trained G as a list of simple layers, in two files of plain bytes.

    RUN.json    what the model is, and its layers in order: kinds, shapes, places in RUN.bin
    RUN.bin     all their numbers, little-endian, each array at a multiple of four bytes
    index.json  the models in the folder, for a page that lets its reader choose

A layer takes the values x that the layer before it made; the first takes z (latent_dim,). Of an
InfoGAN, labels are codes, and so are z's first numbers, in (-1, 1): ``continuous`` says how many.

    embedding    x, then row ``label`` of the table (n_classes, width)
    dense        weight (out, in) times x, plus bias (out,)
    conv3x3      weight (out, in, 3, 3), bias (out,), stride 1, a border of zeros; x is (in, H, W)
    scale_shift  x * scale + shift, (channels,) each, or (n_classes, channels): a row a label
    leaky_relu   x where x > 0, else slope * x (slope 0: ReLU)
    tanh         tanh x
    reshape      the same values as (channels, H, W)
    upsample2    each pixel of (channels, H, W) becomes 2 x 2 pixels

Normalisation is learnt in training and fixed afterwards, so all that is left of it is scale_shift.
The recorded runs hold their matrices in half precision already, and those go over unchanged.
"""

import json
import zlib
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganlib import Refused
from ganlib.families import family
from ganlib.models.convolutional import UpConv2d
from ganlib.models.infogan import CONTINUOUS
from ganlib.models.normalisation import ConditionalBatchNorm
from ganlib.runs.files import digest, locked, read_json, write_whole
from ganlib.runs.store import GOES_ON, Run, RunError
from ganlib.sampling import generate

FORMAT = 1  # of the files; raised whenever an older page would misread them
CLOSE = 5e-4  # how far a pixel, from -1 to 1, may be from the generator's own

Layer = dict  # its kind, its settings, and its arrays as tensors


# --- From modules to layers ----------------------------------------------------------------------


@torch.no_grad()
def layers_of(generator: nn.Module, latent_dim: int, n_classes: int = 0) -> list[Layer]:
    """The layers that z goes through: the generator's ``embedding``, if any, and its ``layers``.

    With ``n_classes`` above 0 the generator is called with z (N, latent_dim) and labels (N,), else
    with z. Raises Refused, naming the part, if the format has no layer for it.
    """
    generator = deepcopy(generator).eval()
    if not hasattr(generator, "layers"):
        raise Refused(f"cannot export {type(generator).__name__}: it has no `layers`")
    x, labels = torch.zeros(1, latent_dim), torch.zeros(1, dtype=torch.int64)
    layers: list[Layer] = []
    if n_classes and hasattr(generator, "embedding"):
        layers.append({"kind": "embedding", "table": generator.embedding.weight.detach()})
        x = torch.cat([x, generator.embedding(labels)], dim=1)
    for part in generator.layers:
        told = n_classes if isinstance(part, ConditionalBatchNorm) else 0
        made = part(x.clone(), labels) if told else part(x.clone())  # some work in place
        layers += _translate(part, tuple(x.shape[1:]), tuple(made.shape[1:]), told)
        x = made
    return [*layers, {"kind": "reshape", "shape": list(generator.image_shape)}]


def _translate(
    part: nn.Module, taken: tuple[int, ...], made: tuple[int, ...], n_classes: int
) -> list[Layer]:
    """The layers, one or none, that do what ``part`` does.

    ``taken`` and ``made``: the shapes of what it takes and gives, the batch left out;
    ``n_classes``: 0 if it is not told the labels.
    """
    if isinstance(part, nn.Dropout | nn.Identity):
        return []
    if isinstance(part, nn.Linear):
        return [{"kind": "dense", **_weight_and_bias(part)}]
    if isinstance(part, UpConv2d):
        _check_doubles(part, taken, made)
        return [{"kind": "upsample2"}, {"kind": "conv3x3", **_weight_and_bias(part)}]
    if isinstance(part, nn.Conv2d):
        form = (part.kernel_size, part.stride, part.padding, part.dilation, part.groups)
        if form != ((3, 3), (1, 1), (1, 1), (1, 1), 1) or part.padding_mode != "zeros":
            raise Refused(f"{part} is not a 3 x 3 convolution of stride 1 and padding 1")
        return [{"kind": "conv3x3", **_weight_and_bias(part)}]
    if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | ConditionalBatchNorm):
        return [_scale_shift(part, taken, n_classes)]
    if isinstance(part, nn.LeakyReLU | nn.ReLU):
        return [{"kind": "leaky_relu", "slope": getattr(part, "negative_slope", 0.0)}]
    if isinstance(part, nn.Tanh):
        return [{"kind": "tanh"}]
    if isinstance(part, nn.Unflatten):
        return [{"kind": "reshape", "shape": list(made)}]
    if isinstance(part, nn.Upsample):
        _check_doubles(part, taken, made)
        return [{"kind": "upsample2"}]
    raise Refused(f"cannot export {type(part).__name__}: the format has no such layer")


def _check_doubles(part: nn.Module, taken: tuple[int, ...], made: tuple[int, ...]) -> None:
    nearest = getattr(part, "mode", "nearest") == "nearest"
    if not nearest or made[1:] != tuple(2 * side for side in taken[1:]):
        raise Refused(f"{part} is not the nearest up-sampling by 2")


def _weight_and_bias(part: nn.Linear | nn.Conv2d) -> dict[str, Tensor]:
    bias = part.weight.new_zeros(len(part.weight)) if part.bias is None else part.bias
    return {"weight": part.weight, "bias": bias}


@torch.no_grad()
def _scale_shift(module: nn.Module, shape: tuple[int, ...], n_classes: int) -> Layer:
    """A fixed normalisation as a scale and a shift for each channel, and each label if it is told.

    Whatever it holds, it makes shift of 0 and scale + shift of 1. Double precision, since one is
    the difference of two larger numbers.
    """
    exact = deepcopy(module).double()
    zeros = torch.zeros(n_classes or 1, shape[0], *(1 for _ in shape[1:]), dtype=torch.float64)
    labels = (torch.arange(n_classes),) if n_classes else ()
    shift, both = exact(zeros, *labels).flatten(1), exact(zeros + 1, *labels).flatten(1)
    scale = both - shift
    if not n_classes:
        scale, shift = scale[0], shift[0]
    return {"kind": "scale_shift", "scale": scale.float(), "shift": shift.float()}


# --- The layers at work --------------------------------------------------------------------------


@torch.no_grad()
def play(layers: list[Layer], z: Tensor, labels: Tensor) -> Tensor:
    """What the layers make of ``z`` (N, latent_dim) and ``labels`` (N,), as the browser does it.

    The format's definition in code; arrays may be in half precision, sums are in single.
    """
    x = z
    for layer in layers:
        a = {key: value.float() for key, value in layer.items() if isinstance(value, Tensor)}
        match layer["kind"]:
            case "embedding":
                x = torch.cat([x, a["table"][labels]], dim=1)
            case "dense":
                x = F.linear(x, a["weight"], a["bias"])
            case "conv3x3":
                x = F.conv2d(x, a["weight"], a["bias"], padding=1)
            case "scale_shift":
                rows = [v if v.ndim == 1 else v[labels] for v in (a["scale"], a["shift"])]
                scale, shift = (row.view(-1, x.shape[1], *[1] * (x.ndim - 2)) for row in rows)
                x = x * scale + shift
            case "leaky_relu":
                x = F.leaky_relu(x, layer["slope"])
            case "tanh":
                x = x.tanh()
            case "reshape":
                x = x.reshape(-1, *layer["shape"])
            case "upsample2":
                x = x.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    return x


# --- From layers to files ------------------------------------------------------------------------


def export(run: Run, folder: Path | str) -> Path:
    """Write the run's generator into ``folder``, enter it in the index there; returns RUN.json.

    A run that went on replaces itself; another one of the same name is refused. Raises RunError if
    the run or the folder fails, Refused if the format cannot hold it.
    """
    folder, config = Path(folder), run.config
    if run.name.casefold() == "index":  # some file systems do not tell Index from index
        raise Refused(f"{run.folder} is called as the list of the models is: rename it")
    about = {
        "name": run.name,
        "title": family(config.model).title,
        "conditional": run.conditional,
        "epochs": run.epochs_done,
    }
    if family(config.model).codes:  # its classes are no digits, and so many of z's numbers codes
        about["continuous"] = CONTINUOUS
    n_classes = config.n_classes if run.conditional else 0
    described, content = encode(run.generator(), config.latent_dim, n_classes)
    fixed = {name: value for name, value in asdict(config).items() if name not in GOES_ON}
    for name, earlier in (("precision", "float32"), ("n_labels", None)):  # before there was another
        if fixed[name] == earlier:
            del fixed[name]
    entry = about | {"file": f"{run.name}.json", "bytes": len(content)}
    entry["config"] = digest(json.dumps(fixed).encode())[:16]  # tells the run from its namesakes
    described = {"format": FORMAT} | about | {"weights": f"{run.name}.bin"} | described
    with locked(folder):
        entries = _index(folder)  # before anything is written: a damaged one stops us
        names = [other["name"].casefold() for other in entries]
        place = names.index(run.name.casefold()) if run.name.casefold() in names else len(names)
        for other in entries[place : place + 1]:
            if (other["name"], other.get("config")) != (run.name, entry["config"]):
                raise RunError(
                    f"{folder} has another model called {other['name']}: rename {run.folder}, or "
                    "name another --out"
                )
        entries[place : place + 1] = [entry]
        write_whole(folder / described["weights"], content)
        write_whole(folder / entry["file"], _json(described))
        write_whole(folder / "index.json", _json({"format": FORMAT, "models": entries}))
    return folder / entry["file"]


def encode(generator: nn.Module, latent_dim: int, n_classes: int = 0) -> tuple[dict, bytes]:
    """A generator's description and weights, as they stand in RUN.json and RUN.bin.

    With ``n_classes`` above 0 the generator takes labels. Matrices are in half precision, unless
    that would move a pixel by more than CLOSE. Raises Refused if the format cannot hold it.
    """
    z = torch.randn(100, latent_dim, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(100) % max(n_classes, 1)
    wanted = generate(generator, z, *([labels] if n_classes else []))
    layers = layers_of(generator, latent_dim, n_classes)
    for stored in ([_halved(layer) for layer in layers], layers):
        moved = float((play(stored, z, labels) - wanted).abs().max())
        if moved <= CLOSE:
            break
    else:
        raise Refused(f"cannot export this generator: as layers, it is {moved:.2g} off")
    places, content = _packed(stored)
    described = {
        "latent_dim": latent_dim,
        "n_classes": n_classes,
        "image_shape": list(wanted.shape[1:]),
        "bytes": len(content),
        "crc32": zlib.crc32(content),
        "layers": places,
    }
    return described, content


def _halved(layer: Layer) -> Layer:
    """Matrices and kernels in half precision; vectors, few and sensitive, as they are."""
    many = ("weight", "table")
    return {key: value.half() if key in many else value for key, value in layer.items()}


def _packed(layers: list[Layer]) -> tuple[list[dict], bytes]:
    """The layers with each array replaced by its place, and the bytes that hold the arrays."""
    content = bytearray()

    def put(value):
        if not isinstance(value, Tensor):
            return value
        array = value.detach().contiguous().numpy()
        place = {"shape": list(array.shape), "dtype": array.dtype.name, "offset": len(content)}
        content.extend(array.astype(array.dtype.newbyteorder("<")).tobytes())
        content.extend(bytes(-len(content) % 4))
        return place

    described = [{key: put(value) for key, value in layer.items()} for layer in layers]
    return described, bytes(content)


def _index(folder: Path) -> list[dict]:
    """The models that the folder's index lists, none if it has no index yet."""
    path = folder / "index.json"
    try:
        stored = read_json(path.read_bytes()) if path.exists() else {"models": []}
        models = stored["models"]
        if not isinstance(models, list) or any(type(one["name"]) is not str for one in models):
            raise ValueError("its models have no names")
        return models
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is no index of exported models: remove it") from error


def _json(value: dict) -> bytes:
    """JSON with one line for each layer or model, to be read by people too."""
    body = []
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            lines = ",\n".join(f"    {json.dumps(entry)}" for entry in item)
            body.append(f"  {json.dumps(key)}: [\n{lines}\n  ]")
        else:
            body.append(f"  {json.dumps(key)}: {json.dumps(item)}")
    return ("{\n" + ",\n".join(body) + "\n}\n").encode()
