// Topics: {root}/{device_id}/{channel}, and matching by MQTT 5 section 4.7.

import { Refusal } from "./messages.mjs";

const MAX_TOPIC_BYTES = 65_535;
const TO_DEVICE = ["schedule", "cancel"];
const TO_CLOUD = ["ack", "execution", "event", "hello", "status"];
const CHANNELS = [...TO_DEVICE, ...TO_CLOUD];
const RETAINED = ["hello", "status"];
const SINCE_VERSION_2 = ["cancel", "event", "status"];
const LONGEST_TAIL = "/".length + 64 + "/".length + "execution".length;

const badTopic = (message) => new Refusal("message.invalid_topic", "", message);
const badFilter = (message) => new Refusal("message.invalid_filter", "", message);
const isId = (text) => /^[A-Za-z0-9_-]{1,64}$/.test(text);

function checkText(text, error) {
  if (text === "" || text.includes("\0") || Buffer.byteLength(text) > MAX_TOPIC_BYTES) throw error("no text of MQTT's");
}

function checkName(name) {
  checkText(name, badTopic);
  if (/[+#]/.test(name)) throw badTopic("a name has no wildcard");
  return name;
}

function checkRoot(root) {
  checkName(root);
  if (root.startsWith("$")) throw badTopic("those topics are the broker's own");
  if (Buffer.byteLength(root) + LONGEST_TAIL > MAX_TOPIC_BYTES) throw badTopic("device and channel follow it");
  return root;
}

export function build(device, channel, root) {
  if (!CHANNELS.includes(channel)) throw badTopic("no channel");
  checkRoot(root);
  if (!isId(device)) throw new Refusal("message.invalid", "", "no id");
  return `${root}/${device}/${channel}`;
}

export function parseTopic(topic, root) {
  const prefix = `${checkRoot(root)}/`;
  checkName(topic);
  const [device, channel, ...more] = topic.startsWith(prefix) ? topic.slice(prefix.length).split("/") : [];
  if (device === undefined || more.length || !CHANNELS.includes(channel) || !isId(device)) throw badTopic("none of ours");
  return { device_id: device, channel };
}

/** How a channel is used. */
export function channel(name) {
  if (!CHANNELS.includes(name)) throw badTopic("no channel");
  const direction = TO_DEVICE.includes(name) ? "to_device" : "to_cloud";
  return { direction, qos: 1, retained: RETAINED.includes(name), since: SINCE_VERSION_2.includes(name) ? 2 : 1 };
}

/** What a side subscribes to; without a version, in all of them. */
export function filters({ side, root, device_id: device, group, protocol_version: version = Infinity }) {
  const spoken = (names) => names.filter((name) => channel(name).since <= version);
  if (side === "device") return spoken(TO_DEVICE).map((name) => build(device, name, root));
  checkRoot(root);
  if (group !== undefined && (group === "" || /[/+#]/.test(group))) throw badFilter("a group is one level");
  const share = group === undefined ? "" : `$share/${group}/`;
  const made = spoken(TO_CLOUD).map((name) => `${share}${root}/+/${name}`);
  for (const filter of made) levelsOf(filter);
  return made;
}

/** The levels of a filter, checked, without $share and its group. */
function levelsOf(filter) {
  checkText(filter, badFilter);
  let levels = filter.split("/");
  if (filter.startsWith("$share/")) {
    const [, group, ...rest] = levels;
    if (group === "" || /[+#]/.test(group) || rest.length === 0 || rest.join("/") === "") throw badFilter("$share/group/filter");
    levels = rest;
  }
  levels.forEach((level, index) => {
    const isWildcard = level === "+" || (level === "#" && index === levels.length - 1);
    if (/[+#]/.test(level) && !isWildcard) throw badFilter("a wildcard is a whole level, # the last one");
  });
  return levels;
}

export function matches(filter, topic) {
  const pattern = levelsOf(filter);
  const levels = checkName(topic).split("/");
  if (topic.startsWith("$") && /^[+#]$/.test(pattern[0])) return false;
  for (const [index, level] of pattern.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
    // "a/#" stands for "a" too.
    if (index === levels.length - 1 && pattern[index + 1] === "#") return true;
  }
  return pattern.length === levels.length;
}
