/** An integer with a comma between thousands, such as `14,536,704`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** A number to four significant digits: `2.346`, `0.01235`, `2.000e-4`, `1,235`. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (!Number.isFinite(value) || value === 0) return String(value);
  if (size >= 1e15 || size < 1e-3) return value.toExponential(3);
  return size >= 999.5 ? formatCount(value) : value.toPrecision(4);
}

const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A number of bytes in binary units, such as `512 B`, `1.50 KiB` or `17.2 GiB`. */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0];
  // 1023.5 and more would print as four digits, so they take the next unit.
  while (Math.abs(value) >= 1023.5 && unit < byteUnits.length - 1) [value, unit] = [value / 1024, unit + 1];
  const digits = unit === 0 || Math.abs(value) >= 99.95 ? 0 : Math.abs(value) >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${byteUnits[unit]}`;
}

/** A span of time in its two largest units: `850ms`, `4.2s`, `45s`, `2m05s`, `1h02m`, `3d04h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.9995) return `${Math.round(Math.max(0, seconds) * 1000)}ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d${two(Math.floor(minutes / 60) % 24)}h`;
}
