"""The laboratory: its engine against PyTorch and finite differences, and the page as readers use it."""

import shutil

import pytest
import torch
from conftest import ROOT, served
from torch import nn

from ganlib import losses
from ganlib.training import average_step

pytestmark = pytest.mark.slow

SOURCE = ROOT / "book" / "_static" / "lab"
STEPS = 100
NEAR = 1e-7  # both compute in float64, and add in another order
USUAL = {
    "seed": 3, "data": "ring", "points": [], "width": 32, "loss": "bce", "norm": 0, "stepsD": 1,
    "rateD": 0.001, "rateG": 0.002, "pack": 1, "label": False, "discrimination": False,
    "average": False,
}  # fmt: skip
CASES = {
    "cross-entropy": {},
    "saturating": {"loss": "saturating"},
    "squared error": {"loss": "mse"},
    "least squares": {"loss": "least-squares"},
    "clipped": {"loss": "clip"},
    "penalty": {"loss": "penalty"},
    "batch norm": {"norm": 1e-5},
    "batch norm, eps 0.8": {"norm": 0.8, "average": True},
    "packing 2": {"pack": 2},
    "packing 4, penalty": {"pack": 4, "loss": "penalty"},
    "minibatch discrimination": {"discrimination": True},
    "label": {"label": True, "data": "clusters"},
    "everything": {"label": True, "pack": 2, "norm": 1e-5, "discrimination": True, "width": 64}
    | {"stepsD": 2, "average": True, "data": "grid", "loss": "mse"},
    "label, packing, penalty": {"label": True, "pack": 2, "loss": "penalty", "stepsD": 2},
}
every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def engine(browser, tmp_path_factory):
    """A page that has loaded the engine and nothing else; its modules are in ``lab``."""
    folder = tmp_path_factory.mktemp("engine")
    shutil.copytree(SOURCE, folder / "lab")
    names = ("data", "gan", "kernels", "settings", "tape")
    lines = [f'import * as {name} from "./lab/{name}.js";' for name in names]
    script = "\n".join([*lines, f"window.lab = {{ {', '.join(names)} }};"])
    (folder / "index.html").write_text(f"<script type=module>{script}</script>")
    with served(folder) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_function("window.lab")
        yield page
        page.close()


# --- The engine against PyTorch ------------------------------------------------------------------

RECORD = """([settings, steps, kernels]) => {
  const gan = lab.gan.makeGan(settings, lab.kernels[kernels]());
  const copy = (all) => Object.fromEntries(Object.entries(all).map(([k, v]) => [k, [...v]]));
  const start = copy(gan.weights()), batches = [], values = [];
  for (let i = 0; i < steps; i++) {
    const forD = Array.from({ length: settings.stepsD }, () => gan.batchForD());
    const forG = gan.batchForG();
    batches.push([forD.map(copy), copy(forG)]);
    values.push([...forD.map((batch) => gan.stepD(batch)), gan.stepG(forG)]);
  }
  return { start, batches, values, end: copy(gan.weights()), average: copy(gan.averages()),
    kinds: settings.label ? gan.data.centres.length : 0 };
}"""
B, C = 4, 3  # of minibatch discrimination


class Generator(nn.Module):
    def __init__(self, kinds: int, width: int, eps: float):
        super().__init__()
        self.one = nn.Linear(2 + kinds, width)
        self.two = nn.Linear(width, width, bias=not eps)
        self.norm = nn.BatchNorm1d(width, eps=eps) if eps else nn.Identity()
        self.three, self.bend = nn.Linear(width, 2), nn.LeakyReLU(0.2)

    def forward(self, z, labels):
        x = self.bend(self.one(torch.cat([z, labels], dim=1)))
        return self.three(self.bend(self.norm(self.two(x))))


class Discriminator(nn.Module):
    """Scores of packs: points (N, 2) and labels (N, kinds) to (N / pack, 1)."""

    def __init__(self, kinds: int, width: int, pack: int, discrimination: bool):
        super().__init__()
        self.one, self.two = nn.Linear(pack * (2 + kinds), width), nn.Linear(width, width)
        self.near = nn.Parameter(torch.zeros(width, B * C)) if discrimination else None
        self.three = nn.Linear(width + (B if discrimination else 0), 1)
        self.bend, self.pack = nn.LeakyReLU(0.2), pack

    def forward(self, x, labels):
        packs = [part.reshape(len(x) // self.pack, -1) for part in (x, labels)]
        h = self.bend(self.two(self.bend(self.one(torch.cat(packs, dim=1)))))
        if self.near is not None:
            m = (h @ self.near).view(-1, B, C)
            apart = (m[:, None] - m[None]).abs().sum(-1)
            h = torch.cat([h, torch.exp(-apart).sum(1) - 1], dim=1)  # without itself
        return self.three(h)


def load(network: nn.Module, who: str, weights: dict) -> None:
    """The engine's weights into PyTorch's layers: its matrices are the transposed of a Linear's."""
    layers = {"1": network.one, "2": network.two, "3": network.three}
    for key, value in weights.items():
        owner, _, rest = key.partition(".")
        if owner != who:
            continue
        name, _, part = rest.partition(".")
        if name in layers:
            layer, value = layers[name], torch.tensor(value, dtype=torch.float64)
            target = layer.weight if part == "w" else layer.bias
            shaped = value.view(layer.in_features, -1).T if part == "w" else value
        else:
            own = {"near": lambda: network.near, "gain": lambda: network.norm.weight}
            own["shift"] = lambda: network.norm.bias
            target, shaped = own[name](), torch.tensor(value, dtype=torch.float64).view_as(own[name]())
        with torch.no_grad():
            target.copy_(shaped)


WASSERSTEIN = losses.Loss(lambda s: -s.mean(), lambda s: -s.mean(), lambda s: s.mean())


def train_in_pytorch(recorded: dict, settings: dict, clip: float, weight: float):
    """The same training: the same start, the same batches. Returns G, D, G's average, all losses."""
    dtype, kinds = torch.float64, recorded["kinds"]
    loss = losses.LOSSES.get(settings["loss"], WASSERSTEIN)
    g = Generator(kinds, settings["width"], settings["norm"]).to(dtype)
    d = Discriminator(kinds, settings["width"], settings["pack"], settings["discrimination"])
    d = d.to(dtype)
    load(g, "G", recorded["start"]), load(d, "D", recorded["start"])
    average = Generator(kinds, settings["width"], settings["norm"]).to(dtype)
    average.load_state_dict(g.state_dict())
    adams = [
        torch.optim.Adam(network.parameters(), lr=settings[rate], betas=(0.5, 0.999))
        for network, rate in ((g, "rateG"), (d, "rateD"))
    ]

    def points(batch, key):
        return torch.tensor(batch[key], dtype=dtype).view(-1, 2)

    def one_hot(batch, key):
        labels = torch.tensor(batch[key])
        return torch.eye(kinds, dtype=dtype)[labels] if kinds else torch.zeros(len(labels), 0)

    def loss_of_d(batch):
        real, true = points(batch, "points"), one_hot(batch, "labels")
        asked = one_hot(batch, "asked")
        fake = g(points(batch, "z"), asked).detach()
        parts = loss.real(d(real, true)), loss.fake(d(fake, asked))
        value = sum(parts) if loss is WASSERSTEIN else losses.discriminator_loss(*parts)
        if settings["loss"] != "penalty":
            return value
        mix = torch.tensor(batch["mix"], dtype=dtype).repeat_interleave(settings["pack"])[:, None]
        between = (mix * real + (1 - mix) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(d(between, true).sum(), between, create_graph=True)
        length = slope.view(-1, 2 * settings["pack"]).norm(dim=1)
        return value + weight * (length - 1).square().mean()

    values = []
    for i, (for_d, for_g) in enumerate(recorded["batches"]):
        values.append([])
        for batch in for_d:
            value = loss_of_d(batch)
            adams[1].zero_grad()
            value.backward()
            adams[1].step()
            values[-1].append(value.item())
            if settings["loss"] == "clip":
                for p in d.parameters():
                    p.data.clamp_(-clip, clip)
        asked = one_hot(for_g, "asked")
        value = loss.generator(d(g(points(for_g, "z"), asked), asked))
        adams[0].zero_grad()
        value.backward()
        adams[0].step()
        values[-1].append(value.item())
        average_step(average, g, 0.999, i + 1)
    return g, d, average, values


def furthest(network: nn.Module, who: str, weights: dict, ours: nn.Module) -> float:
    """The largest difference between a network and the engine's weights, loaded into ``ours``."""
    load(ours, who, weights)
    pairs = zip(network.parameters(), ours.parameters())
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("kernels", ["simd", "plain"])
@every_case
def test_a_hundred_steps_end_where_pytorch_ends(engine, name, kernels):
    settings = USUAL | CASES[name]
    recorded = engine.evaluate(RECORD, [settings, STEPS, kernels])
    constants = engine.evaluate("[lab.gan.CLIP, lab.gan.PENALTY]")
    g, d, average, values = train_in_pytorch(recorded, settings, *constants)
    make = {
        "G": lambda: Generator(recorded["kinds"], settings["width"], settings["norm"]),
        "D": lambda: Discriminator(
            recorded["kinds"], settings["width"], settings["pack"], settings["discrimination"]
        ),
    }
    found = {
        who: furthest(network, who, recorded["end"], make[who]().to(torch.float64))
        for who, network in (("G", g), ("D", d))
    }
    if settings["norm"]:
        for key, value in (("mean", g.norm.running_mean), ("variance", g.norm.running_var)):
            found[key] = float((value - torch.tensor(recorded["end"][key], dtype=torch.float64)).abs().max())
    if settings["average"]:
        kept = {f"G.{key}": value for key, value in recorded["average"].items()}
        statistics = [kept.pop("G.mean"), kept.pop("G.variance")]
        found["average"] = furthest(average, "G", kept, make["G"]().to(torch.float64))
        if settings["norm"]:
            own = average.norm.running_mean, average.norm.running_var
            found["its statistics"] = max(
                float((a - torch.tensor(b, dtype=a.dtype)).abs().max()) for a, b in zip(own, statistics)
            )
    found["losses"] = max(abs(a - b) for pair in zip(values, recorded["values"]) for a, b in zip(*pair))
    moved = furthest(g, "G", recorded["start"], make["G"]().to(torch.float64))
    print(f"\n{name}: moved by {moved:.2f}; " + ", ".join(f"{k} {v:.1e}" for k, v in found.items()))
    assert moved > 0.02  # or there would be nothing to compare
    assert all(value < NEAR for value in found.values()), found


# --- The engine against finite differences -------------------------------------------------------


@pytest.mark.parametrize("who", ["D", "G"])
@every_case
def test_gradients_are_what_small_changes_say(engine, name, who):
    wrong, weights = engine.evaluate(
        """([settings, who]) => {
          const gan = lab.gan.makeGan(settings, lab.kernels.plain());
          for (let i = 0; i < 20; i++) gan.train();  // away from the start
          const batch = who === "D" ? gan.batchForD() : gan.batchForG(), h = 1e-6;
          const { gradients } = gan.gradients(who, batch), weights = gan.weights();
          let worst = 0, count = 0;
          for (const [name, gradient] of Object.entries(gradients)) {
            gradient.forEach((slope, i) => {
              const before = weights[name][i], value = (x) => {
                weights[name][i] = x;
                return gan.gradients(who, batch).value;
              };
              const seen = (value(before + h) - value(before - h)) / (2 * h);
              weights[name][i] = before;
              worst = Math.max(worst, Math.abs(seen - slope));
              count++;
            });
          }
          return [worst, count];
        }""",
        [USUAL | CASES[name] | {"width": 6}, who],
    )
    print(f"\n{name}, {who}: {weights} weights, {wrong:.1e}")
    assert weights > 60 and wrong < 1e-6


def test_the_pulls_are_what_small_changes_say(engine):
    """An arrow is minus the gradient of a point's own loss: checked through D's score."""
    wrong = engine.evaluate(
        """(settings) => {
          const gan = lab.gan.makeGan(settings, lab.kernels.plain());
          for (let i = 0; i < 50; i++) gan.train();
          const points = Float64Array.from(gan.sample()), pulls = gan.pulls(points), h = 1e-6;
          let worst = 0;
          for (let i = 0; i < 20; i++) {
            const value = (x) => {
              const moved = points.slice();
              moved[i] = x;
              return gan.lossOf(moved);
            };
            const seen = (value(points[i] + h) - value(points[i] - h)) / (2 * h);
            worst = Math.max(worst, Math.abs(seen * lab.gan.BATCH + pulls[i]));
          }
          return worst;
        }""",
        USUAL,
    )
    assert wrong < 1e-5


def test_the_fast_product_is_the_plain_one(engine):
    worst = engine.evaluate(
        """() => {
          let worst = 0;
          const fast = lab.kernels.simd(), plain = lab.kernels.plain();
          for (const m of [1, 3, 4, 5, 64]) for (const k of [1, 2, 7, 64]) for (const n of [1, 2, 3, 4, 5, 8, 9, 13, 32]) {
            const sizes = [m * k, k * n, m * n], end = sizes[0] + sizes[1] + sizes[2];
            const random = lab.data.randomNumbers(m + 100 * k + 10000 * n);
            for (let i = 0; i < end; i++) plain.heap[i] = fast.heap[i] = random.normal();
            fast.heap[end] = 7;
            for (const [row, column] of [[k, 1], [1, m]]) {
              for (const one of [fast, plain]) one.product(0, row, column, sizes[0], sizes[0] + sizes[1], m, k, n);
            }
            for (let i = 0; i < end; i++) worst = Math.max(worst, Math.abs(fast.heap[i] - plain.heap[i]));
            if (fast.heap[end] !== 7) return Infinity;  // it wrote past the end
          }
          return worst;
        }"""
    )
    assert worst < 1e-12


# --- What a training does and does not change ----------------------------------------------------


@pytest.mark.parametrize("who", ["D", "G"])
def test_a_step_leaves_the_other_player_as_it_is(engine, who):
    changed = engine.evaluate(
        """([settings, who]) => {
          const gan = lab.gan.makeGan(settings), copy = () => Object.fromEntries(
            Object.entries(gan.weights()).map(([k, v]) => [k, [...v]]));
          const before = copy();
          gan[`step${who}`]();
          const after = copy();
          return Object.keys(before).filter((k) => before[k].some((x, i) => x !== after[k][i]));
        }""",
        [USUAL | {"norm": 0.8}, who],
    )
    assert {name[0] for name in changed if "." in name} == {who}


TRAIN = """([settings, steps]) => {
  const gan = lab.gan.makeGan(settings);
  for (let i = 0; i < steps; i++) gan.train();
  return [...gan.sample()];
}"""


def test_a_seed_repeats_a_training_to_the_last_bit(engine):
    one, same, other = (
        engine.evaluate(TRAIN, [USUAL | {"seed": seed}, 200]) for seed in (3, 3, 4)
    )
    assert one == same and one != other


def test_one_seed_gives_the_same_points_whatever_else_is_set(engine):
    batches = [
        engine.evaluate(
            """(settings) => {
              const gan = lab.gan.makeGan(settings);
              for (let i = 0; i < 5; i++) gan.train();
              const { points, z } = gan.batchForD();
              return [[...points], [...z]];
            }""",
            USUAL | changes,
        )
        for changes in ({}, {"width": 64, "loss": "mse"}, {"discrimination": True, "norm": 0.8})
    ]
    assert batches[0] == batches[1] == batches[2]


def test_points_are_measured_as_the_page_says(engine):
    data = "lab.data.dataSet({ data: 'ring', points: [] })"
    measured = engine.evaluate(
        f"""() => {{
          const data = {data}, [[x, y], [u, v]] = data.centres, s = data.sigma;
          const near = Array(90).fill([x + 2.9 * s, y]), few = [[u, v]];  // 1 of 101: just under 1 %
          const far = Array(10).fill([x + 3.1 * s, y]);
          return lab.data.measure(data, [...near, ...few, ...far].flat());
        }}"""
    )
    assert measured == {"good": pytest.approx(91 / 101), "modes": 1}
