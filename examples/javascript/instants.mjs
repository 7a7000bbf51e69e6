// Instants: RFC 3339 with an offset, as microseconds since the Unix epoch in a BigInt. Date has milliseconds only.

const FORM = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?$/;
const SECOND = 1_000_000n;
const EARLIEST = 0n;
const LATEST = BigInt(Date.UTC(2200, 0, 1)) * 1000n;

/** Returns { micros } or { code }. */
export function readInstant(text) {
  const found = FORM.exec(text);
  if (!found) return { code: "message.invalid" };
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!exists || hour > 23 || minute > 59 || second > 59) return { code: "message.invalid" };
  const offset = found[8];
  if (offset === undefined) return { code: "time.naive" };
  let seconds = BigInt(date.getTime() / 1000) + BigInt(hour * 3600 + minute * 60 + second);
  if (offset.length > 1) {
    const [hours, minutes] = offset.slice(1).split(":").map(Number);
    if (hours > 23 || minutes > 59) return { code: "message.invalid" };
    seconds -= BigInt((hours * 3600 + minutes * 60) * (offset[0] === "-" ? -1 : 1));
  }
  const fraction = (found[7] ?? "").padEnd(7, "0");
  const rounded = BigInt(fraction.slice(0, 6)) + (fraction[6] >= "5" ? 1n : 0n);
  const micros = seconds * SECOND + rounded;
  return micros >= EARLIEST && micros < LATEST ? { micros } : { code: "message.invalid" };
}

/** In UTC with a Z. */
export function writeInstant(micros) {
  const whole = new Date(Number(micros / SECOND) * 1000).toISOString().slice(0, 19);
  const fraction = micros % SECOND;
  return fraction ? `${whole}.${String(fraction).padStart(6, "0")}Z` : `${whole}Z`;
}
