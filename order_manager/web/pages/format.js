// How numbers and times are written. Decimals come as strings and keep their digits.

let ahead_ms = 0; // the server's clock before ours

export function setClock(timestamp) {
  ahead_ms = Date.parse(timestamp) - Date.now();
}

export function now() {
  return Date.now() + ahead_ms;
}

export function ageOf(timestamp) {
  return timestamp == null ? null : Math.max(0, (now() - Date.parse(timestamp)) / 1000);
}

/** 1234567.5 as 1,234,567.5: every digit that was sent. */
export function decimal(text) {
  if (text == null) return "–";
  const [whole, part] = text.replace("-", "−").split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? grouped : `${grouped}.${part}`;
}

const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const rounded = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 8 });

/** For entry prices and the like, whose last digits come from a division. */
export function price(text) {
  return text == null ? "–" : short.format(Number(text));
}

export function money(text, { signed = false } = {}) {
  if (text == null) return "–";
  const value = Number(text);
  const shown = cents.format(Math.abs(value));
  if (Number(shown.replaceAll(",", "")) === 0) return shown;
  return value < 0 ? `−${shown}` : signed ? `+${shown}` : shown;
}

export function roughly(text) {
  return text == null ? "–" : rounded.format(Number(text));
}

/** 0.8 s, 42 s, 12 min, 3 h, 2 d */
export function seconds(value) {
  if (value == null) return "–";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} d`;
}

export function age(value) {
  if (value == null) return "–";
  return value < 1 ? "now" : seconds(Math.round(value)).replace(".0", "");
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "2-digit" });
const zoned = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
const whole = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});

export function time(timestamp) {
  if (timestamp == null) return "–";
  const moment = new Date(timestamp);
  return now() - moment < 20 * 3600_000 ? clock.format(moment) : day.format(moment);
}

/** 14:03:59 CET: times are the reader's own, and say so; logs and the API are in UTC. */
export function timeWithZone(timestamp) {
  return zoned.format(new Date(timestamp));
}

export function moment(timestamp) {
  return timestamp == null ? "–" : whole.format(new Date(timestamp));
}

export function words(name) {
  return name == null ? "–" : name.replaceAll("_", " ");
}
