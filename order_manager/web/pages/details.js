// One row in full, in a dialog: Escape closes it, and the focus goes back to the row.

import { el } from "./dom.js";
import { ask } from "./feeds.js";
import { age, decimal, moment, words } from "./format.js";
import { draw, plot } from "./plot.js";

const dialog = document.getElementById("details");
const title = document.getElementById("details-title");
const body = document.getElementById("details-body");
let asked = 0;

document.getElementById("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

/** Shows at once what is known; `more` asks for the rest. */
function show(name, known, more) {
  const turn = ++asked;
  title.textContent = name;
  body.replaceChildren(...known);
  if (!dialog.open) dialog.showModal();
  body.scrollTop = 0;
  if (!more) return;
  const loading = el("p", { class: "faint" }, "loading …");
  body.append(loading);
  more()
    .then((parts) => turn === asked && loading.replaceWith(...parts))
    .catch((error) => turn === asked && loading.replaceWith(el("p", { class: "bad" }, error.message)));
}

export function showOrder(order) {
  const known = [reasonOf(order.status, order.reason), facts(order, ["reason"])];
  if (order.signal_id) known.push(el("p", {}, opener("Its signal", order.signal_id)));
  show(`Order ${order.client_order_id}`, known);
}

export function showSignal(signal) {
  show(`Signal ${signal.signal_id}`, signal.state ? [outcome(signal)] : [], async () => {
    const story = await ask(`api/v1/signals/${encodeURIComponent(signal.signal_id)}`);
    const { decision, orders, events, message, ...rest } = story;
    return [signal.state ? null : outcome(story), ...decided(decision, rest.finished_at !== null), ...placed(orders), ...told(events),
      el("h3", {}, "The signal"), facts(rest, ["code", "reason"]), el("h3", {}, "As it came"), pre(message)].filter(Boolean);
  });
}

export function showLane(lane) {
  const { reconciliation, ...rest } = lane;
  show(`Lane ${lane.asset}`, [facts(rest), el("h3", {}, "The last comparison with the exchange"), facts(reconciliation)]);
}

export function showPosition(position) {
  show(`Position ${position.asset}`, [facts(position)], async () => {
    const { snapshots } = await ask(`api/v1/positions/${position.asset}/snapshots?limit=288&mode=${position.mode}`);
    const points = snapshots.toReversed().map((one) => [
      Date.parse(one.taken_at), Number(one.realized_pnl ?? 0) + Number(one.unrealized_pnl ?? 0),
    ]);
    if (points.length < 2) return [el("p", { class: "faint" }, "A plot of its PnL begins with the second snapshot.")];
    const svg = plot("PnL");
    draw(svg, [{ name: "pnl", points }], { label: `PnL of ${position.asset} by its snapshots`, withZero: true });
    return [el("h3", {}, `PnL by its last ${points.length} snapshots, since ${moment(snapshots.at(-1).taken_at)}`), svg];
  });
}

function opener(words, signal_id) {
  const button = el("button", {}, `${words}: ${signal_id}`);
  button.addEventListener("click", () => showSignal({ signal_id, state: null }));
  return button;
}

function outcome({ state, code, reason }) {
  return reasonOf(code ? `${words(state)}: ${words(code)}` : words(state), reason);
}

function reasonOf(what, why) {
  return el("p", { class: "outcome" }, el("strong", {}, words(what)), why ? ` – ${why}` : "");
}

function decided(decision, hasEnded) {
  const none = hasEnded ? "None: it ended before one was taken." : "None was taken yet.";
  if (!decision) return [el("h3", {}, "Decision"), el("p", { class: "faint" }, none)];
  const { checks, inputs, ...rest } = decision;
  const rows = checks.map(({ rule, limit, value, passed }) =>
    el("tr", {}, el("th", { scope: "row" }, words(rule)), el("td", {}, limit), el("td", {}, value),
      el("td", { class: passed ? "good" : "bad" }, passed ? "✓ passed" : "✗ broken")));
  const heads = ["Rule", "Limit", "Value", ""].map((text) => el("th", { scope: "col" }, text));
  return [
    el("h3", {}, "Decision"),
    el("table", { class: "checks" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)),
    facts(rest),
    el("details", {}, el("summary", {}, "What it was taken on"), pre(JSON.stringify(inputs, null, 2))),
  ];
}

function placed(orders) {
  if (!orders.length) return [];
  const rows = orders.map((order) =>
    el("tr", {}, el("th", { scope: "row" }, order.relation), el("td", {}, order.client_order_id),
      el("td", {}, `${order.side} ${decimal(order.quantity)} ${order.price === null ? "at market" : `@ ${decimal(order.price)}`}`),
      el("td", {}, words(order.status))));
  return [el("h3", {}, "Orders"), el("table", { class: "checks" }, el("tbody", {}, ...rows))];
}

function told(events) {
  if (!events.length) return [];
  const rows = events.map((event) =>
    el("tr", {}, el("th", { scope: "row" }, words(event.event_type)), el("td", {}, moment(event.created_at)),
      el("td", {}, event.published_at ? "published" : "not published yet")));
  return [el("h3", {}, "Events"), el("table", { class: "checks" }, el("tbody", {}, ...rows))];
}

function facts(values, except = []) {
  const parts = Object.entries(values)
    .filter(([name, value]) => value !== null && !except.includes(name))
    .flatMap(([name, value]) => [el("dt", {}, words(name)), el("dd", {}, shown(name, value))]);
  return el("dl", {}, ...parts);
}

function shown(name, value) {
  if (/(_at|_since|^timestamp)$/.test(name)) return moment(value);
  if (/_age_s$/.test(name)) return age(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? pre(JSON.stringify(value, null, 2)) : `${value}`;
}

function pre(text) {
  return el("pre", {}, text);
}
