// The console: asks the REST API again and again, and shows what it answers.

import { findings, showFindings } from "./attention.js";
import { showLane, showOrder, showPosition, showSignal } from "./details.js";
import { setClass, setText } from "./dom.js";
import { Feed } from "./feeds.js";
import { age, now, setClock, timeWithZone } from "./format.js";
import { remember } from "./memory.js";
import { Table } from "./table.js";
import * as tables from "./tables.js";
import { Tiles } from "./tiles.js";

const EVERY_MS = 1500;
const OLD_MS = 6000;

const by = (id) => document.getElementById(id);
const tiles = new Tiles(by("tiles"));
const state = { overview: null, lanes: null, ready: null, failures: new Map() };
let heard_at = null;
let wasOld = false;

function follow(path, show) {
  const feed = new Feed(
    path,
    EVERY_MS,
    (body) => {
      state.failures.delete(path);
      heard_at = Date.now();
      show(body);
      judge();
    },
    (_, error) => {
      // One answer that is late is nothing yet.
      const times = (state.failures.get(path)?.times ?? 0) + 1;
      state.failures.set(path, { times, error });
      judge();
    },
  );
  return feed;
}

function judge() {
  const failures = new Map([...state.failures].filter(([, { times }]) => times > 1));
  const silent_since = isOld() ? now() - (Date.now() - heard_at) : null;
  const found = findings({ ...state, failures, silent_since });
  showFindings(document.querySelector("#attention ul"), found, { isComplete: state.overview && state.lanes && state.ready });
  const bad = found.filter((one) => one.tone === "bad").length;
  const shown = silent_since ? "no answer – order manager" : bad ? `(${bad}) order manager` : "order manager";
  if (document.title !== shown) document.title = shown;
}

function showHeader({ environment, is_dry_run, account }) {
  setText(by("environment"), is_dry_run ? `${environment}, dry run` : environment);
  setClass(by("environment"), environment === "mainnet" && !is_dry_run ? "badge live" : "badge");
  setText(by("mode"), account.mode);
  setClass(by("mode"), `badge ${{ active: "good", reducing: "warn", halted: "bad" }[account.mode]}`);
}

function isOld() {
  return heard_at !== null && Date.now() - heard_at > OLD_MS;
}

function tick() {
  if (heard_at === null || document.hidden) return;
  // Part of the page may be old while the rest is not.
  const isWhole = ![...state.failures.values()].some(({ times }) => times > 1);
  setText(by("heard"), isOld() ? `no answer for ${age((Date.now() - heard_at) / 1000)}` : isWhole ? "live" : "partly old");
  setClass(by("heard"), isOld() || !isWhole ? "bad" : "good");
  setText(by("clock"), timeWithZone(now()));
  // Numbers of a server that is gone must not look like those of one that is there.
  if (document.body.classList.toggle("old", isOld()) !== wasOld) {
    wasOld = isOld();
    judge();
  }
}

function panel(id, open) {
  return new Table(by(id), { ...tables[id], open });
}

const lanes = panel("lanes", showLane);
const positions = panel("positions", showPosition);
const orders = panel("orders", showOrder);
const signals = panel("signals", showSignal);

follow("api/v1/overview", (body) => {
  setClock(body.timestamp);
  state.overview = body;
  showHeader(body);
  tiles.showOverview(body);
});
follow("api/v1/lanes?limit=500", (body) => {
  state.lanes = body.lanes;
  remember(body.lanes);
  lanes.show(body.lanes, body.pagination.total);
  tiles.showLanes(body.lanes);
});
follow("api/v1/positions?limit=500", (body) => {
  const held = body.positions.filter((one) => one.side !== "flat").length;
  positions.show(body.positions, body.pagination.total, `${held} held`);
  tiles.showPositions(body.positions);
});
follow("api/v1/orders?limit=50", (body) => orders.show(body.orders, body.pagination.total));
follow("api/v1/signals?limit=50", (body) => signals.show(body.signals, body.pagination.total));
follow("ready", (body) => {
  state.ready = body;
  tiles.showReady(body);
});
setInterval(tick, 500);
