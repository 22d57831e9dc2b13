// Numbers as text, the same in every language of the browser.

const UNITS = ["B", "K", "M", "G", "T", "P"];

/** Return bytes with a unit: 1536 is 1.5K. Unknown is a dash. */
export function bytes(count) {
  if (count === null || count === undefined) return "-";
  let value = count, unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${value < 10 && unit ? value.toFixed(1) : Math.round(value)}${UNITS[unit]}`;
}

/** Return a load, kept in hundredths of a processor: 150 is 1.50. */
export function load(hundredths) {
  return hundredths === null || hundredths === undefined ? "-" : (hundredths / 100).toFixed(2);
}

/** Return a number with so many digits behind the point. */
export function number(value, digits = 0) {
  return value === null || value === undefined ? "-" : value.toFixed(digits);
}

/** Return a duration: 90 is 1m 30s. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  const whole = Math.floor(seconds);
  if (whole < 60) return seconds < 10 ? `${seconds.toFixed(1)}s` : `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${whole % 60}s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${Math.floor(whole / 60) % 60}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor(whole / 3600) % 24}h`;
}

/** Return the moment of a time stamp on this machine's clock: 2026-03-01 09:05:07. */
export function moment(stamp) {
  if (stamp === null || stamp === undefined) return "-";
  const at = new Date(stamp * 1000);
  const two = (value) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** Return the share of memory in use, 0 to 1; null when it is not known. */
export function memoryUsed(node) {
  return node.tmem && node.mem !== null ? Math.min(1, Math.max(0, 1 - node.mem / node.tmem)) : null;
}
