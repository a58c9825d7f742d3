"""The laboratory: its engine against PyTorch and finite differences, and its page in use."""

import gzip
import re
import shutil

import nbformat
import pytest
import torch
from conftest import ROOT, served
from test_book import serious_findings
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
            target, shaped = (
                own[name](),
                torch.tensor(value, dtype=torch.float64).view_as(own[name]()),
            )
        with torch.no_grad():
            target.copy_(shaped)


WASSERSTEIN = losses.Loss(lambda s: -s.mean(), lambda s: -s.mean(), lambda s: s.mean())


def train_in_pytorch(recorded: dict, settings: dict, clip: float, weight: float):
    """The same training: same start, same batches. Returns G, D, G's average, all losses."""
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
            found[key] = float(
                (value - torch.tensor(recorded["end"][key], dtype=torch.float64)).abs().max()
            )
    if settings["average"]:
        kept = {f"G.{key}": value for key, value in recorded["average"].items()}
        statistics = [kept.pop("G.mean"), kept.pop("G.variance")]
        found["average"] = furthest(average, "G", kept, make["G"]().to(torch.float64))
        if settings["norm"]:
            own = average.norm.running_mean, average.norm.running_var
            found["its statistics"] = max(
                float((a - torch.tensor(b, dtype=a.dtype)).abs().max())
                for a, b in zip(own, statistics)
            )
    found["losses"] = max(
        abs(a - b) for pair in zip(values, recorded["values"]) for a, b in zip(*pair)
    )
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


def test_the_fast_product_is_the_plain_one(engine):
    worst = engine.evaluate(
        """() => {
          let worst = 0;
          const fast = lab.kernels.simd(), plain = lab.kernels.plain();
          const sizesOf = [[1, 3, 4, 5, 64], [1, 2, 7, 64], [1, 2, 3, 4, 5, 8, 9, 13, 32]];
          for (const m of sizesOf[0]) for (const k of sizesOf[1]) for (const n of sizesOf[2]) {
            const sizes = [m * k, k * n, m * n], end = sizes[0] + sizes[1] + sizes[2];
            const random = lab.data.randomNumbers(m + 100 * k + 10000 * n);
            for (let i = 0; i < end; i++) plain.heap[i] = fast.heap[i] = random.normal();
            fast.heap[end] = 7;
            for (const [row, column] of [[k, 1], [1, m]]) {
              for (const one of [fast, plain]) {
                one.product(0, row, column, sizes[0], sizes[0] + sizes[1], m, k, n);
              }
            }
            for (let i = 0; i < end; i++) {
              worst = Math.max(worst, Math.abs(fast.heap[i] - plain.heap[i]));
            }
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
    one, same, other = (engine.evaluate(TRAIN, [USUAL | {"seed": seed}, 200]) for seed in (3, 3, 4))
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
          const near = Array(90).fill([x + 2.9 * s, y]), few = [[u, v]];  // 1 of 101: under 1 %
          const far = Array(10).fill([x + 3.1 * s, y]);
          return lab.data.measure(data, [...near, ...few, ...far].flat());
        }}"""
    )
    assert measured == {"good": pytest.approx(91 / 101), "modes": 1}


# --- The questions, from the page: a training shows what is asked about --------------------------

PAGE = "book/laboratory"
NOTEBOOK = nbformat.read(ROOT / f"{PAGE}.ipynb", as_version=4)
SOURCE_PAGE = "\n".join(cell.source for cell in NOTEBOOK.cells)
QUESTIONS = {
    title: link.replace("&amp;", "&")
    for link, title in re.findall(r'<span data-lab="(.*?)">(.*?)</span>', SOURCE_PAGE)
}
WATCH = """([link, seed, steps]) => {
  const { sides, compare } = lab.settings.parse(link);
  sides[1].data = sides[0].data;
  return sides.slice(0, compare ? 2 : 1).map((side) => {
    const gan = lab.gan.makeGan(lab.settings.cleared({ ...side, seed, points: [] }));
    const modes = [], good = [], directions = new Set();
    for (let i = 1; i <= steps; i++) {
      gan.train();
      if (i <= steps / 2 || i % 25) continue;  // the second half is judged
      const points = gan.sample(), found = gan.measure(points), n = points.length;
      modes.push(found.modes);
      good.push(found.good);
      let [x, y] = [0, 0];
      for (let k = 0; k < n; k += 2) [x, y] = [x + points[k], y + points[k + 1]];
      directions.add(Math.round((4 * Math.atan2(y, x)) / Math.PI) & 7);  // of their middle
    }
    const mean = (values) => values.reduce((a, b) => a + b) / values.length;
    return { modes: mean(modes), most: Math.max(...modes), good: mean(good),
      directions: directions.size };
  });
}"""


@pytest.fixture(scope="module")
def watch(engine):
    return lambda title, steps: engine.evaluate(WATCH, [QUESTIONS[title], 1, steps])


def test_a_fair_match_finds_all_modes(watch):
    (only,) = watch("A fair match", 3000)
    assert only["modes"] > 7.5 and only["good"] > 0.4


def test_a_hurried_g_collapses_and_runs_round_the_ring(watch):
    (only,) = watch("Round the ring", 2000)
    assert only["modes"] < 1.5 and only["most"] <= 3
    assert only["directions"] >= 6


@pytest.mark.parametrize("title", ["A faster D", "Packing", "Seeing the batch"])
def test_remedies_hold_the_modes_that_the_left_side_loses(watch, title):
    left, right = watch(title, 1600)
    print(f"\n{title}: {left}, {right}")
    assert left["modes"] < 1.5 and right["modes"] > 5


def test_the_label_finds_the_grid(watch):
    left, right = watch("Told the label", 1200)
    assert left["modes"] < 8 and right["modes"] > 20


def test_eps_makes_g_spread_later(watch):
    left, right = watch("eps 0.8", 800)
    assert left["modes"] > right["modes"] + 2


def test_an_average_mends_no_collapse(watch):
    left, right = watch("An average", 1600)
    assert left["modes"] < 1.5 and right["modes"] < 1.5


# --- The page ------------------------------------------------------------------------------------


def train(page, times: int = 1) -> None:
    """Press the button of those who want nothing to move (open_page asks for that)."""
    for _ in range(times):
        wait_for(page, "root.dataset.iteration")  # none while it begins anew
        before = int(page.locator(".laboratory").get_attribute("data-iteration"))
        page.get_by_role("button", name="Train 500 iterations").click()
        wait_for(page, f"+root.dataset.iteration === {before + 500}")


def wait_for(page, condition: str) -> None:
    page.wait_for_function(f"(root => {condition})(document.querySelector('.laboratory'))")


def ready(page):
    wait_for(page, "root.dataset.iteration")
    return page


def values(page, side: int = 0) -> list[str]:
    return page.locator(".lab-side").nth(side).locator("dd").all_inner_texts()


def test_it_trains_and_tells_how_it_stands(open_page):
    page = ready(open_page(PAGE))
    assert page.get_by_role("button", name="Play").is_hidden()  # nothing is to move by itself
    train(page)
    iteration, modes, near, d_loss, g_loss = values(page)
    assert iteration == "500" and modes.endswith(" of 8") and near.endswith(" %")
    assert 0.4 < float(d_loss) < 0.9 and 0.4 < float(g_loss) < 1.5
    assert page.locator(".lab-status").inner_text().startswith(f"Iteration 500: {modes}")
    label = page.locator(".lab-plane").first.get_attribute("aria-label")
    assert label.startswith("Iteration 500")


def test_play_moves_and_pause_stops(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/{PAGE}.html", wait_until="networkidle")
    page.get_by_role("button", name="Play").click()
    wait_for(page, "+root.dataset.iteration > 100")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(500)
    stopped = values(page)
    page.wait_for_timeout(500)
    assert values(page) == stopped
    page.close()


def test_single_steps_move_one_player(open_page):
    page = ready(open_page(PAGE))
    train(page)
    before = values(page)
    drawn = int(page.locator(".laboratory").get_attribute("data-drawn"))
    page.get_by_role("button", name="Step D").click()
    wait_for(page, f"+root.dataset.drawn > {drawn}")
    assert values(page)[:3] == before[:3]  # G, and all that it draws, is as it was
    page.get_by_role("button", name="Step G").click()
    wait_for(page, "+root.dataset.iteration === 501")


def test_a_link_brings_the_same_training_back(open_page):
    page = ready(open_page(PAGE))
    page.get_by_label("Loss", exact=True).select_option("least squares of the score")
    page.get_by_label("Seed", exact=True).fill("12")
    page.keyboard.press("Tab")
    page.get_by_label("Compare two settings").check()
    page.locator("select[id$=-pack]").select_option("4 points")
    train(page)
    link, seen = page.url, (values(page), values(page, 1))
    assert "seed=12" in link and "b.pack=4" in link and "loss=least-squares" in link
    page.goto("about:blank")
    page.goto(link, wait_until="networkidle")
    ready(page)
    train(page)
    assert (values(page), values(page, 1)) == seen


def test_a_link_without_sense_opens_the_usual_laboratory(open_page):
    page = open_page(PAGE)
    here = page.url
    page.goto("about:blank")
    page.goto(f"{here}#lab?seed=-1&loss=no&rateG=9&points=%3C%3E&speed=77")
    train(ready(page))
    assert page.get_by_label("Seed", exact=True).input_value() == "1"


def test_two_equal_sides_stay_equal(open_page):
    page = ready(open_page(PAGE))
    page.get_by_label("Compare two settings").check()
    train(page)
    assert values(page, 0) == values(page, 1)
    page.get_by_label("Batch norm in G").select_option("eps 0.8")
    train(page)
    assert values(page, 0) != values(page, 1)
    heads = page.locator(".lab-head").all_inner_texts()
    assert "none" in heads[0] and "eps 0.8" in heads[1]


def test_what_cannot_be_had_together_says_why(open_page):
    page = ready(open_page(PAGE))
    page.get_by_label("Minibatch discrimination").check()
    page.get_by_label("Loss", exact=True).select_option("Wasserstein, gradient penalty")
    assert page.get_by_label("Minibatch discrimination").is_disabled()
    assert "depends on its batch" in page.locator(".lab-settings").inner_text()
    train(page)


def test_points_can_be_drawn_with_keys_and_with_the_mouse(open_page):
    page = ready(open_page(PAGE))
    page.get_by_role("radio", name="Your own points").check()
    assert page.get_by_role("button", name="Train").is_disabled()
    plane = page.locator(".lab-plane").first
    plane.focus()
    for key in ("Space", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    box = plane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4, steps=10)
    page.mouse.up()
    drawn = int(values(page)[1].split(" of ")[1])
    assert drawn > 6
    plane.focus()
    page.keyboard.press("Backspace")
    train(page)
    seen = values(page)
    assert seen[1].endswith(f" of {drawn - 1}")
    link = page.url
    page.goto("about:blank")
    page.goto(link, wait_until="networkidle")
    assert values(ready(page))[1].endswith(f" of {drawn - 1}")


def test_a_finger_draws_and_presses(browser, address):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(f"{address}/{PAGE}.html#lab?data=drawn", wait_until="networkidle")
    page.locator(".lab-plane").first.tap(position={"x": 100, "y": 100})
    page.get_by_role("button", name="Play").tap()
    wait_for(page, "+root.dataset.iteration > 20")
    assert values(page)[1].endswith(" of 1")
    context.close()


def test_no_mouse_is_needed(open_page):
    page = ready(open_page(PAGE))
    page.get_by_role("radio", name="A fair match").focus()
    page.keyboard.press("ArrowRight")
    assert "rateG=0.005" in page.url
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Train 500 iterations"
    page.keyboard.press("Enter")
    wait_for(page, "+root.dataset.iteration === 500")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_fits_the_page_and_everybody(open_page, width, scheme):
    page = ready(open_page(PAGE, width, scheme))
    folder = ROOT / "_build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    for title in ("Round the ring", "Packing", "Your own points"):
        page.get_by_role("radio", name=title, exact=True).check()
        if title != "Your own points":
            train(page)
        name = title.split()[0].lower()
        page.locator(".laboratory").screenshot(path=folder / f"lab-{name}-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert serious_findings(page) == []
    sizes = page.locator(".laboratory :is(button, select, input)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect()).map(b => [b.width, b.height])"
    )
    assert all(min(size) >= 24 for size in sizes if max(size))  # a finger's, by WCAG 2.5.8


def test_the_small_one_has_a_ring_a_loss_and_an_eps(open_page):
    page = open_page(PAGE)
    page.evaluate(
        """async () => {
          const root = document.querySelector(".laboratory").cloneNode();
          root.dataset.lab = "small";
          root.dataset.settings = "norm=0.8&seed=2";
          document.querySelector(".laboratory").replaceWith(root);
          const app = document.querySelector("script[src*='lab/lab.js']").src;
          (await import(new URL("app.js", app))).open(root);
        }"""
    )
    ready(page)
    labels = page.locator(".lab-field label").all_inner_texts()
    assert labels == ["Loss", "Batch norm in G"]
    assert page.locator("#lab2-norm").evaluate("e => e.selectedOptions[0].text") == "eps 0.8"
    train(page)
    assert "#" not in page.url  # a page's address is its chapter's, not the small one's
    assert serious_findings(page) == []


def test_chapter_2_has_the_small_one(open_page):
    page = open_page("book/02_gan", width=400)
    ready(page)
    assert page.locator(".lab-field label").all_inner_texts() == ["Loss", "Batch norm in G"]
    train(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert serious_findings(page) == []


def test_without_scripts_the_questions_stand_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{PAGE}.html")
    assert page.get_by_role("img", name="Two squares").is_visible()
    assert page.get_by_text("Why does it run round the ring?").is_visible()
    context.close()


def test_a_page_opened_as_a_file_says_what_to_do(browser, site):
    page = browser.new_page()
    page.goto((site / f"{PAGE}.html").as_uri())
    assert "http.server" in page.locator(".lab-message").inner_text()
    page.close()


def test_a_worker_that_does_not_come_is_told(browser, address):
    page = browser.new_page()
    page.route("**/lab/gan.js*", lambda route: route.abort())
    page.goto(f"{address}/{PAGE}.html")
    page.get_by_text("The laboratory stopped").wait_for()
    page.close()


def test_it_travels_light():
    """All of its code together, compressed as web hosts send it."""
    size = sum(len(gzip.compress(file.read_bytes())) for file in SOURCE.iterdir())
    print(f"\n{size / 1000:.1f} KB")
    assert size < 35_000
