// Small versions of the lessons' widgets that a page runs alone: no kernel, no network beyond this site.
// Each function fills one box: <div class="interactive" data-widget="name">.
(() => {
  "use strict";
  const root = (document.currentScript || {}).src ? new URL(".", document.currentScript.src) : new URL(".", location.href);

  // ---- building blocks
  const add = (parent, tag, options = {}, text = "") => {
    const node = document.createElement(tag);
    Object.entries(options).forEach(([name, value]) => node.setAttribute(name, value));
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  };
  const draw = (parent, tag, options = {}, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(options).forEach(([name, value]) => node.setAttribute(name, value));
    if (text) node.textContent = text;
    parent.append(node);
    return node;
  };
  let made = 0;
  const slider = (box, label, min, max, step, value, changed, shown = (v) => v) => {
    const id = `slider-${made++}`, row = add(box, "div", { class: "slider" });
    add(row, "label", { for: id }, label);
    const input = add(row, "input", { id, type: "range", min, max, step, value });
    const output = add(row, "output", { for: id });
    const update = () => { output.textContent = shown(Number(input.value)); changed(); };
    input.addEventListener("input", update);
    output.textContent = shown(Number(value));
    return () => Number(input.value);
  };
  const fixed = (n, digits = 2) => n.toFixed(digits);
  const softmax = (z) => {
    const top = Math.max(...z), e = z.map((x) => Math.exp(x - top)), sum = e.reduce((a, b) => a + b, 0);
    return e.map((x) => x / sum);
  };
  const bars = (box, label) => {
    const picture = add(box, "div", { class: "bars", role: "img", "aria-label": label });
    return (names, values, dropped = []) => {
      picture.replaceChildren();
      names.forEach((name, i) => {
        const row = add(picture, "div", { class: dropped[i] ? "bar dropped" : "bar" });
        add(row, "span", { class: "name" }, name);
        const track = add(row, "span", { class: "track" });
        add(track, "span", { class: "fill", style: `width:${100 * values[i]}%` });
        add(row, "span", { class: "value" }, dropped[i] ? "out" : fixed(values[i]));
      });
    };
  };
  const load = async (name) => (await fetch(new URL(`interactive/${name}.json`, root))).json();

  const widgets = {
    // ---- lesson 14: one query over four words of two numbers
    attention(box) {
      const words = ["my", "new", "battery", "died"], keys = [[1, 0], [-1, 1], [1, 2], [1, 1]];
      let a, b, root2;
      const show = bars(box, "the weight of each word"), said = add(box, "p", { "aria-live": "polite" });
      const update = () => {
        const scale = root2() ? Math.SQRT2 : 1, scores = keys.map(([x, y]) => (a() * x + b() * y) / scale);
        const weights = softmax(scores), mix = [0, 1].map((i) => weights.reduce((s, w, j) => s + w * keys[j][i], 0));
        show(words.map((word, j) => `${word} (${keys[j]})  score ${fixed(scores[j])}`), weights);
        said.textContent = `The weighted mean of the four is (${mix.map((x) => fixed(x)).join(", ")}).`;
      };
      a = slider(box, "query, first number", -3, 3, 0.1, 1, update, fixed);
      b = slider(box, "query, second number", -3, 3, 0.1, 1, update, fixed);
      root2 = slider(box, "divide by the root of the width", 0, 1, 1, 0, update, (v) => (v ? "yes" : "no"));
      update();
    },

    // ---- lesson 16: what temperature, top-k and top-p leave of the bets of the course's own GPT
    async sampling(box) {
      const { prompt, tokens, logits } = await load("sampling");
      add(box, "p", {}, `After “${prompt}” the course's GPT bets on these ${tokens.length} tokens, and on 2,036 others:`);
      let temperature, k, p;
      const show = bars(box, "the probability of each token");
      const update = () => {
        const all = softmax(logits.map((z) => z / temperature()));
        let sum = 0;
        const out = tokens.map((_, i) => { const gone = i >= k() || sum >= p(); sum += all[i]; return gone; });
        const rest = all.reduce((s, x, i) => s + (out[i] ? 0 : x), 0);
        show(tokens, all.map((x, i) => (out[i] ? 0 : x / rest)), out);
      };
      temperature = slider(box, "temperature", 0.1, 3, 0.1, 1, update, fixed);
      k = slider(box, "top-k", 1, tokens.length, 1, tokens.length, update);
      p = slider(box, "top-p", 0.05, 1, 0.05, 1, update, fixed);
      update();
    },

    // ---- lesson 13: the course's own tokenizer, on any text
    async tokenizer(box) {
      const { vocab, merges } = await load("tokenizer");
      const rank = new Map(merges.map(([x, y], i) => [`${x} ${y}`, i])), signs = byteSigns(), encoder = new TextEncoder();
      const cut = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
      const pieces = (word) => {
        let parts = Array.from(encoder.encode(word), (byte) => signs[byte]);
        for (;;) {
          let best = Infinity, at = -1;
          for (let i = 0; i + 1 < parts.length; i++) {
            const found = rank.get(`${parts[i]} ${parts[i + 1]}`);
            if (found !== undefined && found < best) { best = found; at = i; }
          }
          if (at < 0) return parts;
          const [x, y] = [parts[at], parts[at + 1]], joined = [];
          for (let i = 0; i < parts.length; i++) {
            if (parts[i] === x && parts[i + 1] === y) { joined.push(x + y); i++; } else joined.push(parts[i]);
          }
          parts = joined;
        }
      };
      add(box, "label", { for: "tokenizer-text" }, "Any text:");
      const text = add(box, "textarea", { id: "tokenizer-text", rows: 2 });
      text.value = "The battery isn't unputdownable 😀";
      const shown = add(box, "p", { class: "tokens" }), count = add(box, "p", { "aria-live": "polite" });
      const update = () => {
        const tokens = (text.value.match(cut) || []).flatMap(pieces);
        shown.replaceChildren();
        tokens.forEach((token) => add(shown, "span", { title: `id ${vocab[token]}` }, token.replace(/Ġ/g, "·")));
        count.textContent = `${tokens.length} tokens for ${encoder.encode(text.value).length} bytes; ids: `
          + tokens.slice(0, 40).map((token) => vocab[token]).join(" ");
      };
      text.addEventListener("input", update);
      update();
    },

    // ---- lesson 1: the threshold that costs least, on the sentences of the validation reviews
    async threshold(box) {
      const { probabilities, negative } = await load("threshold");
      let cut, missed, alarm;
      const said = add(box, "p", { "aria-live": "polite" });
      const svg = draw(box, "svg", { viewBox: "0 0 600 200", role: "img", "aria-label": "cost for every threshold" });
      const cost = (t) => probabilities.reduce((sum, p, i) =>
        sum + (negative[i] && p < t ? missed() : 0) + (!negative[i] && p >= t ? alarm() : 0), 0);
      const update = () => {
        const grid = Array.from({ length: 99 }, (_, i) => (i + 1) / 100), costs = grid.map(cost), top = Math.max(...costs, 1);
        const best = grid[costs.indexOf(Math.min(...costs))], x = (t) => 20 + 560 * t, y = (c) => 185 - 165 * c / top;
        svg.replaceChildren();
        draw(svg, "polyline", { points: grid.map((t, i) => `${x(t)},${y(costs[i])}`).join(" "), class: "line" });
        draw(svg, "line", { x1: x(cut()), x2: x(cut()), y1: 10, y2: 190, class: "mark" });
        draw(svg, "line", { x1: 20, x2: 580, y1: 190, y2: 190, class: "axis" });
        const theory = alarm() / (alarm() + missed());
        said.textContent = `At ${fixed(cut())} the ${probabilities.length} sentences cost ${cost(cut())}. The cheapest threshold is `
          + `${fixed(best)}, for ${Math.min(...costs)}; the formula for calibrated probabilities says ${fixed(theory)}.`;
      };
      cut = slider(box, "threshold", 0.01, 0.99, 0.01, 0.5, () => update(), fixed);
      missed = slider(box, "cost of a complaint that is missed", 1, 20, 1, 5, () => update());
      alarm = slider(box, "cost of a false alarm", 1, 20, 1, 1, () => update());
      update();
    },

    // ---- lesson 19: steps down a valley that is five times as steep one way as the other
    descent(box) {
      let rate;
      const svg = draw(box, "svg", { viewBox: "0 0 600 240", role: "img", "aria-label": "twenty steps down a valley" });
      const said = add(box, "p", { "aria-live": "polite" }), steep = [1, 5];
      const update = () => {
        let point = [-4, 1.4];
        const path = [point];
        for (let i = 0; i < 20; i++) { point = point.map((x, j) => x - rate() * steep[j] * x); path.push(point); }
        const x = (v) => 300 + 60 * v, y = (v) => 120 - 60 * v;
        svg.replaceChildren();
        [0.5, 1.5, 4, 8].forEach((level) => draw(svg, "ellipse", { cx: 300, cy: 120, class: "level",
          rx: 60 * Math.sqrt(2 * level / steep[0]), ry: 60 * Math.sqrt(2 * level / steep[1]) }));
        const inside = path.filter(([a, b]) => Math.abs(a) < 5 && Math.abs(b) < 2);
        draw(svg, "polyline", { points: inside.map(([a, b]) => `${x(a)},${y(b)}`).join(" "), class: "line" });
        inside.forEach(([a, b]) => draw(svg, "circle", { cx: x(a), cy: y(b), r: 3.5, class: "dot" }));
        const loss = steep.reduce((sum, s, j) => sum + s * point[j] ** 2 / 2, 0);
        said.textContent = `After 20 steps the loss is ${loss > 1e6 ? "beyond a million" : fixed(loss, 4)}. The steep direction `
          + (rate() * steep[1] >= 2 ? "grows with each step: the rate is above 2 / 5." : "shrinks with each step.");
      };
      rate = slider(box, "learning rate", 0.01, 0.5, 0.01, 0.1, update, fixed);
      update();
    },

    // ---- lesson 29: how far two windows must part before an index notices
    drift(box) {
      let shift, size;
      const show = bars(box, "share of the live window in each tenth of the reference"), said = add(box, "p", { "aria-live": "polite" });
      const update = () => {
        const n = size(), random = generator(7), counts = Array(10).fill(0);
        for (let i = 0; i < n; i++) counts[Math.min(9, Math.floor(10 * normalShare(gauss(random) + shift())))] += 1;
        const live = counts.map((c) => (c + 0.5) / (n + 5));
        const index = live.reduce((sum, q) => sum + (q - 0.1) * Math.log(q / 0.1), 0);
        show(live.map((_, i) => `tenth ${i + 1}`), live);
        said.textContent = `Population stability index ${fixed(index, 3)}: by the usual rule ` + (index > 0.25 ? "a large shift."
          : index > 0.1 ? "a shift worth a look." : "no shift.") + " With few texts it moves although nothing has changed.";
      };
      shift = slider(box, "shift of the live texts, in standard deviations", 0, 2, 0.05, 0, update, fixed);
      size = slider(box, "texts in the live window", 20, 2000, 20, 100, update);
      update();
    },
  };

  // ---- what the widgets need
  function byteSigns() {
    const plain = [[33, 126], [161, 172], [174, 255]].flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
    let next = 256;
    return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(plain.includes(byte) ? byte : next++));
  }
  function generator(seed) {
    let state = seed;
    return () => { state = (1664525 * state + 1013904223) % 4294967296; return (state + 0.5) / 4294967296; };
  }
  const gauss = (random) => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  const normalShare = (x) => 1 / (1 + Math.exp(-1.702 * x));

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".interactive[data-widget]").forEach((box) => {
      Promise.resolve(widgets[box.dataset.widget](box)).catch((error) => add(box, "p", {}, `This needs a server: ${error.message}`));
    });
  });
})();
