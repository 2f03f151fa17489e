// What somebody should look at, the worst first, each with what to do.

import { el, keyed, setClass, setText } from "./dom.js";
import { age, ageOf, decimal, roughly, time, timeWithZone, words } from "./format.js";
import { isStuck } from "./tables.js";

const UNKNOWN_S = 5; // an answer takes less
const NEAR = 0.9; // of the exposure limit
const AT_MOST = 8;
const RANKS = { bad: 0, warn: 1 };

export function findings({ overview, lanes, ready, failures, silent_since }) {
  const found = [];
  const say = (tone, key, what, todo) => found.push({ tone, key, what, todo });
  if (silent_since) {
    say("bad", "silent", `No answer since ${timeWithZone(silent_since)}`, "What is shown is what was known then. Does the web process run, and is it reached?");
  } else if (failures.size) {
    const names = [...failures].map(([path, { error }]) => `${path.split("?")[0]}: ${error.message}`);
    say("bad", "failures", "The order manager does not answer", `${names.join("; ")}. What is shown may be old.`);
  }
  for (const [name, state] of Object.entries(ready?.dependencies ?? {})) {
    if (state === "unavailable") say("bad", `dependency ${name}`, `${words(name)} is down`, "Trading may wait for it.");
  }
  for (const one of overview?.findings ?? []) {
    say(one.level === "problem" ? "bad" : "warn", `process ${one.about}`, capital(one.text), `${capital(one.mend)}.`);
  }
  if (overview) accountFindings(overview, say);
  const adjusted = new Set((overview?.adjustments ?? []).map((one) => one.asset));
  for (const lane of lanes ?? []) laneFindings(lane, say, adjusted);
  return found.sort((one, other) => RANKS[one.tone] - RANKS[other.tone]);
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function accountFindings({ account, unanswered, dead_letters, exposure, adjustments }, say) {
  for (const one of adjustments) {
    const what = `${one.asset} was set right: ${decimal(one.size_before)} → ${decimal(one.size_after)}, ${time(one.at)}, source ${one.source}`;
    say("warn", `position ${one.asset} ${one.at}`, what, "See “A position was not what we had stored” in operations.md.");
  }
  if (account.mode !== "active") {
    const what = account.mode === "halted" ? "Trading is halted" : "Only what reduces a position is traded";
    say("warn", "mode", what, "Trade again with “order-manager resume --reason TEXT”.");
  }
  for (const order of unanswered) {
    const waited = ageOf(order.requested_at);
    if (waited > UNKNOWN_S) {
      const what = `${order.asset}: unknown order ${order.client_order_id}, no answer to its ${order.request} for ${age(waited)}`;
      say("bad", `order ${order.client_order_id}`, what, "Its lane asks the exchange again by itself.");
    }
  }
  if (dead_letters.count) {
    const what = `${dead_letters.count} dead letter${dead_letters.count === 1 ? "" : "s"}, the oldest for ${age(ageOf(dead_letters.oldest_received_at))}`;
    say("warn", "letters", what, "Look with “order-manager dead-letters list”, then replay or discard.");
  }
  if (Number(exposure.total) > NEAR * Number(exposure.limit)) {
    const percent = Math.round((100 * Number(exposure.total)) / Number(exposure.limit));
    say("warn", "exposure", `Exposure is at ${percent} % of its limit of ${roughly(exposure.limit)}`, "What would exceed it is rejected.");
  }
}

function laneFindings(lane, say, adjusted) {
  const { asset, reconciliation } = lane;
  if (lane.blocked_since) {
    const what = `${asset} has been blocked for ${age(ageOf(lane.blocked_since))}: ${lane.blocked_reason ?? "no reason"}`;
    say("bad", `lane ${asset}`, what, `${lane.depth ? `${lane.depth} wait there. ` : ""}It is tried again by itself.`);
  } else if (isStuck(lane)) {
    const what = `${asset} is stuck: ${lane.depth} wait, the oldest for ${age(lane.oldest_signal_age_s)}`;
    say("bad", `lane ${asset}`, what, "Does a worker consume its queue? See “A symbol does not move” in operations.md.");
  }
  if (lane.mode !== "active") {
    say("warn", `mode ${asset}`, `${asset} is ${lane.mode}`, `Trade it again with “order-manager resume --asset ${asset} --reason TEXT”.`);
  }
  if (lane.oldest_update_age_s > 30) {
    say("warn", `updates ${asset}`, `${asset}: ${lane.waiting_updates} updates of the exchange wait for ${age(lane.oldest_update_age_s)}`, "Its lane applies them when it runs.");
  }
  if (reconciliation.result === "failed") {
    say("warn", `comparison ${asset}`, `${asset} could not be compared with the exchange`, reconciliation.error ?? "");
  } else if (reconciliation.position_discrepancies > 0 && !adjusted.has(asset)) {
    say("warn", `position ${asset}`, `${asset}: the last comparison corrected the position`, "See “A position was not what we had stored” in operations.md.");
  }
}

export function showFindings(list, found, { isComplete }) {
  const shown = found.slice(0, AT_MOST);
  if (found.length > AT_MOST) {
    shown.push({ tone: "warn", key: "more", what: `and ${found.length - AT_MOST} more`, todo: "" });
  }
  if (!found.length && isComplete) {
    shown.push({ tone: "good", key: "nothing", what: "Nothing needs attention", todo: "" });
  }
  keyed(list, shown, {
    key: (one) => one.key,
    make: () => el("li", {}, el("strong"), " ", el("span")),
    update: (element, one) => {
      setClass(element, one.tone);
      setText(element.children[0], one.what);
      setText(element.children[1], one.todo);
    },
  });
}
