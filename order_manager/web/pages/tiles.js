// The row of numbers on top.

import { el, setClass, setText } from "./dom.js";
import { money, roughly, seconds, time, words } from "./format.js";
import { depthOf } from "./memory.js";
import { draw, plot } from "./plot.js";

const SIGNS = { available: "●", unavailable: "▲", not_configured: "○" };

export class Tiles {
  constructor(section) {
    this.section = section;
    this.pnl = this.tile("PnL", { plotted: "6 h" });
    this.exposure = this.tile("Exposure", { metered: true });
    this.latency = this.tile("Latency", { plotted: "1 h" });
    this.depth = this.tile("Waiting", { plotted: "15 min" });
    this.signals = this.tile("Signals, 1 h");
    this.letters = this.tile("Dead letters");
    this.dependencies = this.tile("Dependencies", { listed: true });
  }

  tile(title, { plotted = "", metered = false, listed = false } = {}) {
    const tile = { value: el("p", { class: "value" }), note: el("p", { class: "note" }) };
    if (plotted) tile.plot = plot(title);
    if (metered) tile.meter = el("meter", { min: 0, max: 1, low: 0.75, high: 0.9, optimum: 0, "aria-label": title });
    if (listed) tile.list = el("ul", {});
    const parts = [el("h2", {}, title, plotted ? el("span", { class: "span" }, `plot: ${plotted}`) : null), listed ? tile.list : tile.value, tile.plot, tile.meter, listed ? null : tile.note];
    this.section.append(el("div", { class: listed ? "tile listed" : "tile" }, ...parts));
    return tile;
  }

  showOverview({ exposure, latency, pnl, signals, dead_letters, account, queued_signals }) {
    this.queued = queued_signals;
    fill(this.exposure, roughly(exposure.total), `of ${roughly(exposure.limit)} · free balance ${roughly(account.available_balance)}`);
    this.exposure.meter.value = Math.min(1, Number(exposure.total) / Number(exposure.limit));
    const last = latency.at(-1);
    fill(this.latency, last ? seconds(last.median_s) : "–", last ? `median of the minute at ${time(last.at).slice(0, 5)}, receipt to acceptance · worst ${seconds(last.worst_s)}` : "no order was accepted within the hour");
    const series = (name, value) => ({ name, points: latency.map((one) => [Date.parse(one.at), value(one)]) });
    draw(this.latency.plot, [series("middle", (one) => one.median_s), series("worst", (one) => one.worst_s)], {
      label: "Seconds from a signal's receipt to its order's acceptance, median and worst by the minute",
      withZero: true,
    });
    const made = pnl.map((one) => [Date.parse(one.at), Number(one.realized_pnl ?? 0) + Number(one.unrealized_pnl ?? 0)]);
    this.hasHistory = made.length > 1;
    draw(this.pnl.plot, [{ name: "pnl", points: made }], { label: "PnL of all positions by their snapshots", withZero: true });
    const ended = `${signals.executed} executed · ${signals.rejected} rejected · ${signals.failed} failed`;
    fill(this.signals, `${Object.values(signals).reduce((sum, one) => sum + one, 0)}`, ended);
    fill(this.letters, `${dead_letters.count}`, dead_letters.count ? "to look at" : "none to look at", dead_letters.count ? "warn" : "");
  }

  showPositions(positions) {
    const sum = (name) => positions.reduce((total, one) => total + Number(one[name] ?? 0), 0);
    const [realized, unrealized] = [sum("realized_pnl"), sum("unrealized_pnl")];
    const total = realized + unrealized;
    const tone = Math.abs(total) < 0.005 ? "" : total < 0 ? "bad" : "good";
    const parts = `realized ${money(realized, { signed: true })} · open ${money(unrealized, { signed: true })}`;
    const note = this.hasHistory === false ? `${parts} · plotted once there are snapshots` : parts;
    fill(this.pnl, money(total, { signed: true }), note, tone);
  }

  showLanes(lanes) {
    const depth = lanes.reduce((sum, lane) => sum + lane.depth, 0);
    const deepest = lanes.reduce((most, lane) => (lane.depth > (most?.depth ?? 0) ? lane : most), null);
    const queued = this.queued ? ` · ${this.queued} on the queue` : "";
    fill(this.depth, `${depth}`, (deepest ? `most in ${deepest.asset}: ${deepest.depth}` : `signals in ${lanes.length} lanes`) + queued);
    draw(this.depth.plot, [{ name: "depth", points: depthOf("") }], { label: "Signals that wait, since this page was opened", withZero: true });
  }

  showReady({ dependencies }) {
    const items = Object.entries(dependencies).map(([name, state]) =>
      el("li", { class: { available: "good", unavailable: "bad" }[state] ?? "faint" },
        el("span", { "aria-hidden": "true" }, SIGNS[state]), ` ${words(name)}`,
        state === "unavailable" ? " down" : el("span", { class: "unseen" }, state === "available" ? " available" : " not used")),
    );
    if (this.dependencies.list.textContent !== items.map((item) => item.textContent).join("")) {
      this.dependencies.list.replaceChildren(...items);
    }
  }
}

function fill(tile, value, note, tone = "") {
  setText(tile.value, value);
  setClass(tile.value, `value ${tone}`.trim());
  setText(tile.note, note);
}
