// The messages of version 1 and hello: what each member may hold, as a table, and what the members must be together.

import { createHash } from "node:crypto";
import { readInstant, writeInstant } from "./instants.mjs";
import { MalformedError, parse } from "./json.mjs";

const MAX_PAYLOAD_BYTES = 65_536;
const SLOT = 1_800_000_000n; // microseconds

/** What is wrong with a message: a code, and the place as a JSON Pointer. */
export class Refusal extends Error {
  constructor(code, path = "", message = code) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

const invalid = (path, message) => new Refusal("message.invalid", path, message);

/** NaN, the infinities and what overflows have a code of their own, wherever a member is read. */
function refuseNotFinite(node, path) {
  const overflows = node.type === "number" && !Number.isFinite(node.value);
  if (node.type === "notANumber" || overflows) throw new Refusal("message.non_finite_number", path);
}

// A type reads a value into what a program works with, or throws. Instants become BigInts of microseconds.

const number = (low, high) => (node, path) => {
  if (node.type !== "number") throw invalid(path, "a number belongs here");
  if (node.value < low || node.value > high) throw invalid(path, `${low} to ${high}`);
  return node.value + 0; // -0 is 0
};

const integer = (low, high) => (node, path) => {
  const value = number(low, high)(node, path);
  if (!node.isInteger) throw invalid(path, "an integer is written without a fraction or an exponent");
  return value;
};

const string = (longest) => (node, path) => {
  if (node.type !== "string") throw invalid(path, "a string belongs here");
  if ([...node.text].length > longest) throw invalid(path, `at most ${longest} characters`);
  return node.text;
};

const id = (node, path) => {
  if (node.type !== "string" || !/^[A-Za-z0-9_-]{1,64}$/.test(node.text)) throw invalid(path, "no id");
  return node.text;
};

const oneOf = (...words) => (node, path) => {
  if (node.type !== "string" || !words.includes(node.text)) throw invalid(path, `one of ${words}`);
  return node.text;
};

const instant = (node, path) => {
  if (node.type !== "string") throw invalid(path, "a time is a string");
  const { micros, code } = readInstant(node.text);
  if (code) throw new Refusal(code, path);
  return micros;
};

const list = (type, least, most, tooFew = "message.invalid", tooMany = "message.invalid") => (node, path) => {
  if (node.type !== "array") throw invalid(path, "an array belongs here");
  if (node.items.length < least) throw new Refusal(tooFew, path);
  if (node.items.length > most) throw new Refusal(tooMany, path);
  return node.items.map((item, index) => {
    refuseNotFinite(item, `${path}/${index}`);
    return type(item, `${path}/${index}`);
  });
};

const optional = (type) => Object.assign((node, path) => type(node, path), { isOptional: true });

const object = (members) => (node, path) => {
  if (node.type !== "object") throw invalid(path, "an object belongs here");
  const made = {};
  for (const [name, type] of Object.entries(members)) {
    const value = node.members.get(name);
    const place = `${path}/${name}`;
    if (value === undefined || (value.type === "null" && type.isOptional)) {
      if (!type.isOptional) throw invalid(place, "a required member");
    } else {
      refuseNotFinite(value, place);
      made[name] = type(value, place);
    }
  }
  return made;
};

const MAX_KW = 10_000;
const kilowatts = number(-MAX_KW, MAX_KW);
const reason = optional(string(256));
const trace = optional(string(1024));
const watts = integer(0, 10_000_000);
const percent = number(0, 100);
const span = { start: instant, end: instant };
const mode = optional(oneOf("CHARGE", "DISCHARGE", "IDLE"));
const interval = object({ ...span, rate_kw: kilowatts, mode });

const SHAPES = {
  schedule: object({
    schedule_id: id,
    device_id: id,
    version: integer(1, 1),
    generated_at: instant,
    intervals: list(interval, 1, 48, "time.empty", "limit.slots"),
    max_power_kw: optional(number(0, MAX_KW)),
    trace_id: trace,
  }),
  ack: object({
    schedule_id: id,
    device_id: id,
    status: oneOf("RECEIVED", "APPLIED", "FAILED"),
    timestamp: instant,
    applied_at: optional(instant),
    error_reason: reason,
    trace_id: trace,
  }),
  execution_result: object({
    schedule_id: id,
    device_id: id,
    interval: object(span),
    status: oneOf("SUCCEED", "FAIL"),
    actual_rate_kw: kilowatts,
    timestamp: instant,
    error_reason: reason,
    trace_id: trace,
  }),
  hello: object({
    device_id: id,
    versions: list(integer(1, 65_535), 1, 32),
    content_types: list(string(128), 1, 16),
    model: string(128),
    firmware: string(128),
    library: string(128),
    capabilities: object({
      max_charge_w: watts,
      max_discharge_w: watts,
      capacity_wh: integer(0, 1_000_000_000),
      power_step_w: integer(1, 10_000_000),
      soc_min_pct: percent,
      soc_max_pct: percent,
      slot_lengths_s: list(integer(1, 86_400), 1, 16),
    }),
  }),
};

const TOGETHER = {
  schedule(schedule) {
    let before;
    schedule.intervals.forEach((slot, index) => {
      const path = `/intervals/${index}`;
      slotIsOnTheGrid(slot, path);
      if (before !== undefined && slot.start !== before) throw new Refusal(disorder(before, slot), `${path}/start`);
      before = slot.end;
      if (!agrees(slot.mode, slot.rate_kw)) throw invalid(`${path}/mode`, "the sign is the truth");
      if (Math.abs(slot.rate_kw) > (schedule.max_power_kw ?? MAX_KW)) throw new Refusal("limit.power", `${path}/rate_kw`);
    });
  },
  ack() {},
  execution_result(result) {
    slotIsOnTheGrid(result.interval, "/interval");
  },
  hello({ capabilities }) {
    if (capabilities.soc_min_pct > capabilities.soc_max_pct) throw new Refusal("limit.soc", "/capabilities/soc_min_pct");
  },
};

function slotIsOnTheGrid(slot, path) {
  if (slot.start % SLOT) throw new Refusal("time.not_aligned", `${path}/start`);
  if (slot.end - slot.start !== SLOT) throw new Refusal("time.bad_duration", `${path}/end`);
}

function disorder(before, slot) {
  if (slot.start > before) return "time.gap";
  return slot.end <= before - SLOT ? "time.out_of_order" : "time.overlap";
}

function agrees(named, rate) {
  return { CHARGE: rate >= 0, DISCHARGE: rate <= 0, IDLE: rate === 0 }[named] ?? true;
}

/** Reads a payload, or throws a Refusal. */
export function decode(bytes, kind, contentType) {
  if (bytes.length > MAX_PAYLOAD_BYTES) throw new Refusal("message.too_large");
  if (bytes.length === 0) throw new Refusal("message.malformed");
  if (contentType !== null && contentType.split(";")[0].trim().toLowerCase() !== "application/json") {
    throw invalid("", "JSON alone is read here");
  }
  const shape = Object.hasOwn(SHAPES, kind) ? SHAPES[kind] : undefined;
  if (!shape) throw new Refusal("message.unknown_kind");
  const tree = parsed(bytes);
  if (tree.type !== "object") throw invalid("", "a message is an object");
  if (kind !== "hello") checkVersion(tree.members.get("version"), kind);
  refuseTwice(tree, "");
  const message = shape(tree, "");
  TOGETHER[kind](message);
  if (hasNotANumber(tree)) throw new Refusal("message.malformed");
  return message;
}

function parsed(bytes) {
  try {
    return parse(bytes);
  } catch (error) {
    if (error instanceof MalformedError) throw new Refusal("message.malformed", "", error.message);
    throw error;
  }
}

function checkVersion(version, kind) {
  if (version === undefined && kind !== "schedule") return; // version-1 answers do not say it
  if (version) refuseNotFinite(version, "/version");
  if (version?.type !== "number" || !version.isInteger) throw invalid("/version", "an integer");
  if (version.value !== 1) throw new Refusal("version.unsupported", "/version", "spoken here: 1");
}

function refuseTwice(node, path) {
  for (const name of node.twice ?? []) throw new Refusal("message.duplicate_key", `${path}/${escaped(name)}`);
  for (const [step, child] of childrenOf(node)) refuseTwice(child, `${path}/${escaped(step)}`);
}

/** NaN and the infinities that nobody read: in a member that is not known they make the text malformed. */
function hasNotANumber(node) {
  return node.type === "notANumber" || childrenOf(node).some(([, child]) => hasNotANumber(child));
}

function childrenOf(node) {
  if (node.type === "object") return [...node.members];
  return node.type === "array" ? node.items.map((item, index) => [String(index), item]) : [];
}

const escaped = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");

/** The canonical JSON form: instants in UTC with a Z. */
export function canonical(value) {
  if (typeof value === "bigint") return writeInstant(value);
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, canonical(member)]));
}

/** kW as whole watts, cut off toward zero. The shortest decimal that reads as the double is what counts, not the double. */
export function wattsOf(kilowattsOfRate) {
  const [digits, exponent] = Math.abs(kilowattsOfRate).toExponential().split("e");
  const [whole, fraction = ""] = digits.split(".");
  const power = Number(exponent) - fraction.length + 3;
  const scaled = BigInt(whole + fraction);
  const result = power >= 0 ? scaled * 10n ** BigInt(power) : scaled / 10n ** BigInt(-power);
  return Number(result) * (kilowattsOfRate < 0 ? -1 : 1) + 0;
}

/** SHA-256 of what a schedule means. */
export function digest(schedule) {
  const meaning = {
    device_id: schedule.device_id,
    start: Number(schedule.intervals[0].start / 1_000_000n),
    resolution_s: 1800,
    rates_w: schedule.intervals.map((slot) => wattsOf(slot.rate_kw)),
  };
  return createHash("sha256").update(JSON.stringify(meaning)).digest("hex");
}
