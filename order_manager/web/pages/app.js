// The console: asks the REST API again and again, and shows what it answers.

import { findings, showFindings } from "./attention.js";
import { showLane, showOrder, showPosition, showSignal } from "./details.js";
import { setClass, setText } from "./dom.js";
import { Feed } from "./feeds.js";
import { age, setClock, words } from "./format.js";
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
  const found = findings({ ...state, failures });
  showFindings(document.querySelector("#attention ul"), found, { isComplete: state.overview && state.lanes && state.ready });
  const bad = found.filter((one) => one.tone === "bad").length;
  const shown = bad ? `(${bad}) order manager` : "order manager";
  if (document.title !== shown) document.title = shown;
}

function showHeader({ environment, is_dry_run, account }) {
  setText(by("environment"), is_dry_run ? `${environment}, dry run` : environment);
  setClass(by("environment"), environment === "mainnet" && !is_dry_run ? "badge live" : "badge");
  setText(by("mode"), account.mode);
  setClass(by("mode"), `badge ${{ active: "good", reducing: "warn", halted: "bad" }[account.mode]}`);
}

function tick() {
  if (heard_at === null || document.hidden) return;
  const silent_ms = Date.now() - heard_at;
  const isOld = silent_ms > OLD_MS;
  setText(by("heard"), isOld ? `no answer for ${age(silent_ms / 1000)}` : "live");
  setClass(by("heard"), isOld ? "bad" : "good");
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
  positions.show(body.positions, body.pagination.total);
  tiles.showPositions(body.positions);
});
follow("api/v1/orders?limit=50", (body) => orders.show(body.orders, body.pagination.total));
follow("api/v1/signals?limit=50", (body) => signals.show(body.signals, body.pagination.total));
follow("ready", (body) => {
  state.ready = body;
  tiles.showReady(body);
});
setInterval(tick, 500);
