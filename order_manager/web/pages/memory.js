// What only this page remembers: how deep the lanes were while it was looked at.

import { now } from "./format.js";

const SPAN_MS = 15 * 60_000;
const depths = new Map(); // asset, or "" for all together -> [[time, depth], …]

export function remember(lanes) {
  const at = now();
  const total = lanes.reduce((sum, lane) => sum + lane.depth, 0);
  for (const { asset, depth } of [{ asset: "", depth: total }, ...lanes]) {
    const points = depths.get(asset) ?? [];
    // Of a stretch without change its ends are enough.
    if (points.length > 1 && points.at(-1)[1] === depth && points.at(-2)[1] === depth) points.pop();
    points.push([at, depth]);
    while (points[0][0] < at - SPAN_MS) points.shift();
    depths.set(asset, points);
  }
}

export function depthOf(asset) {
  return depths.get(asset) ?? [];
}
