// What each list shows, and how a row is judged.

import { age, ageOf, decimal, moment, money, price, time, words } from "./format.js";
import { depthOf } from "./memory.js";
import { draw, plot } from "./plot.js";

export const STUCK_S = 30; // a signal that has waited for so long does not move

const sign = (text) => (text == null || Number(text) === 0 ? "" : Number(text) < 0 ? "bad" : "good");
const side = (one) => (one === "buy" || one === "long" ? "buy" : one === "sell" || one === "short" ? "sell" : "");
const isUnanswered = (order) => order.status === "pending" && order.order_id === null;

export const orders = {
  title: "Orders",
  key: (order) => order.id,
  empty: "No orders yet. They appear as soon as a signal is executed: send one with “order-manager send”, "
    + "or publish to model-service.trading_signals.",
  columns: [
    { title: "Asset", value: (order) => order.asset },
    { title: "Created", value: (order) => time(order.created_at), hint: (order) => moment(order.created_at), kind: "number" },
    { title: "Side", value: (order) => order.side, tone: (order) => side(order.side) },
    { title: "Quantity", value: (order) => decimal(order.quantity), kind: "number" },
    { title: "Price", value: (order) => (order.price === null ? "market" : decimal(order.price)), kind: "number", wide: true },
    { title: "Filled", value: (order) => decimal(order.filled_quantity), kind: "number", wide: true },
    { title: "Average", value: (order) => price(order.average_price), kind: "number", wide: true },
    {
      title: "Status",
      value: (order) => (isUnanswered(order) ? "in flight" : words(order.status)),
      tone: (order) =>
        isUnanswered(order) ? "warn" : { rejected: "warn", cancelled: "faint" }[order.status] ?? "",
    },
    {
      title: "Signal",
      value: (order) => order.signal_id ?? (order.is_external ? "placed by others" : "–"),
      hint: (order) => order.signal_id ?? "",
      kind: "fill",
      wide: true,
    },
  ],
};

export const signals = {
  title: "Signals",
  key: (signal) => `${signal.seq}`,
  empty: "No signals yet. The model service publishes them to model-service.trading_signals; “order-manager send” "
    + "sends one from a file.",
  columns: [
    { title: "Asset", value: (signal) => signal.asset },
    { title: "Received", value: (signal) => time(signal.received_at), hint: (signal) => moment(signal.received_at), kind: "number" },
    { title: "Side", value: (signal) => signal.signal_type, tone: (signal) => side(signal.signal_type) },
    { title: "Amount", value: (signal) => money(signal.amount), kind: "number", wide: true },
    {
      title: "State",
      value: (signal) => signal.state,
      tone: (signal) => {
        const isOpen = signal.state === "waiting" || signal.state === "planned";
        if (isOpen) return ageOf(signal.received_at) > STUCK_S ? "bad" : "warn";
        return { failed: "bad", rejected: "warn" }[signal.state] ?? "";
      },
    },
    { title: "Why", value: (signal) => (signal.code ? words(signal.code) : ""), hint: (signal) => signal.reason ?? "", wide: true },
    { title: "Signal", value: (signal) => signal.signal_id, hint: (signal) => signal.signal_id, kind: "fill" },
  ],
};

export const lanes = {
  title: "Lanes",
  key: (lane) => lane.asset,
  empty: "No lanes yet. A symbol's first signal opens one.",
  columns: [
    { title: "Asset", value: (lane) => lane.asset },
    { title: "Depth", value: (lane) => `${lane.depth}`, tone: (lane) => (isStuck(lane) ? "bad" : ""), kind: "number" },
    { title: "Oldest", value: (lane) => age(lane.oldest_signal_age_s), tone: (lane) => (isStuck(lane) ? "bad" : ""), kind: "number" },
    { title: "Open", value: (lane) => `${lane.open_orders}`, kind: "number", wide: true },
    { title: "In flight", value: (lane) => `${lane.in_flight_orders}`, kind: "number", wide: true },
    { title: "State", value: stateOf, hint: (lane) => lane.blocked_reason ?? "", tone: toneOf, kind: "fill" },
    {
      title: "Compared",
      value: (lane) => comparison(lane.reconciliation),
      hint: (lane) => lane.reconciliation.error ?? moment(lane.reconciliation.completed_at),
      tone: (lane) =>
        lane.reconciliation.result === "failed" || lane.reconciliation.position_discrepancies > 0 ? "warn" : "",
      kind: "number",
    },
    {
      title: "Depth, 15 min",
      wide: true,
      draw: (cell, lane) => {
        if (!cell.firstChild) cell.append(plot(`Depth of ${lane.asset}`));
        draw(cell.firstChild, [{ name: "depth", points: depthOf(lane.asset) }], {
          label: `Depth of ${lane.asset} over the last minutes`,
          withZero: true,
        });
      },
    },
  ],
};

export const positions = {
  title: "Positions",
  key: (position) => `${position.asset} ${position.mode}`,
  empty: "Nothing is held, and nothing was. A position appears with an asset's first fill.",
  columns: [
    { title: "Asset", value: (position) => position.asset },
    { title: "Side", value: (position) => position.side, tone: (position) => side(position.side) || "faint", wide: true },
    { title: "Size", value: (position) => decimal(position.size), kind: "number" },
    { title: "Entry", value: (position) => price(position.average_entry_price), kind: "number", wide: true },
    { title: "Mark", value: (position) => price(position.mark_price), kind: "number", wide: true },
    {
      title: "Unrealized",
      value: (position) => money(position.unrealized_pnl, { signed: true }),
      tone: (position) => sign(position.unrealized_pnl),
      kind: "number",
    },
    {
      title: "Realized",
      value: (position) => money(position.realized_pnl, { signed: true }),
      tone: (position) => sign(position.realized_pnl),
      kind: "number",
    },
  ],
};

export function isStuck(lane) {
  return lane.depth > 0 && lane.oldest_signal_age_s > STUCK_S;
}

function stateOf(lane) {
  if (lane.blocked_since) return `blocked ${age(ageOf(lane.blocked_since))}: ${lane.blocked_reason ?? "?"}`;
  if (lane.mode !== "active") return lane.mode;
  if (isStuck(lane)) return "stuck";
  return lane.depth > 0 ? "working" : "idle";
}

function toneOf(lane) {
  if (lane.blocked_since || isStuck(lane)) return "bad";
  if (lane.mode !== "active") return "warn";
  return lane.depth > 0 ? "" : "faint";
}

function comparison({ result, completed_at, position_discrepancies }) {
  if (result === "never") return "never";
  if (result === "failed") return "failed";
  const found = position_discrepancies ? `, ${position_discrepancies} off` : "";
  return `${age(ageOf(completed_at))}${found}`;
}
